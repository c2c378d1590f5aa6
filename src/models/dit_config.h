/* SPDX-License-Identifier: Apache-2.0 */
/* dit_config.h - sizes of the diffusion transformer, from its config.json (transformer.md section 1) */
#ifndef ACE_MODELS_DIT_CONFIG_H
#define ACE_MODELS_DIT_CONFIG_H

#include "base/status.h"

#include <stdint.h>

enum { DIT_TAPS = 8, DIT_ROWS = 16, DIT_CHANNELS = 8, DIT_GROUPS = 32 };

struct dit_config {
	int64_t layers, heads, head_dim, width;		/* width D = heads * head_dim */
	int64_t hidden;					/* F = trunc(D * mlp_ratio) */
	int64_t speaker_dim, text_dim, lyric_dim, lyric_vocab;
	double rope_theta;
	int n_taps;					/* projectors */
	int64_t tap[DIT_TAPS];				/* in the order of the blocks: whose output feeds projector k */
	int64_t tap_dim[DIT_TAPS];			/* width of projector k's result, in the order of the file */
};

/* Read FOLDER/config.json. Absent fields take the class defaults, unknown ones are ignored; nonsense is ACE_EDATA naming the
 * field. */
enum status dit_config_read(struct dit_config *cfg, const char *folder) ACE_NODISCARD;
#endif
