/* SPDX-License-Identifier: Apache-2.0 */
/* conditions.h - dropping of conditions in training (training.md section 1.4) */
#ifndef ACE_FLOW_CONDITIONS_H
#define ACE_FLOW_CONDITIONS_H

#include "num/rng.h"

#include <stdint.h>

/* What is dropped from; host memory, changed in place. The text mask is not here: it stays as it was. */
struct flow_conditions {
	int64_t B, S, Y, text_width, speaker_width;
	float *text;		/* [B, S, text_width] */
	float *speaker;		/* [B, speaker_width] */
	int32_t *lyric_ids;	/* [B, Y] */
	float *lyric_mask;	/* [B, Y] */
};

struct flow_dropout {
	float text, speaker, lyrics;	/* chances: 0.15, 0.5, 0.15 */
};

enum flow_dropped { FLOW_TEXT = 1, FLOW_SPEAKER = 2, FLOW_LYRICS = 4 };

/* Drop from sample b what u [text, speaker, lyrics] is below: text and speaker become zero, lyrics ids 0 and mask 0. Returns
 * what was dropped. A NULL array has nothing to drop. */
unsigned flow_drop(const struct flow_conditions *c, int64_t b, const struct flow_dropout *p, const float u[3]);

/* The same with the first three uniform numbers of r = rng_stream(seed, RNG_CONDITION, step, sample). */
unsigned flow_drop_drawn(const struct flow_conditions *c, int64_t b, const struct flow_dropout *p, struct rng r);
#endif
