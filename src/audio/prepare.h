/* SPDX-License-Identifier: Apache-2.0 */
/* prepare.h - a decoded clip made ready for the codec: 48 kHz stereo (audio_codec.md section 2) */
#ifndef ACE_AUDIO_PREPARE_H
#define ACE_AUDIO_PREPARE_H

#include "audio/decode.h"
#include "num/rng.h"

enum {
	PREPARE_RATE = 48000,
	PREPARE_MIN = 144000,		/* samples: 3 s, shorter clips are padded with zeros */
	PREPARE_MAX = 11520000,		/* samples: 240 s, longer ones are cut */
};

enum truncation { TRUNCATE_BEGINNING, TRUNCATE_END, TRUNCATE_RANDOM };

struct prepare_options {
	double seconds;			/* keep a window of that many seconds of the file; 0: all of it */
	enum truncation mode;		/* where the window begins */
	struct rng rng;			/* TRUNCATE_RANDOM: number 0 of this stream chooses; RNG_TRUNCATE */
};

/* Window, then the first two channels (one is doubled), resample, clamp to +-1, pad to 3 s, reject silence, cut to 240 s.
 *
 *   in   as decoded
 *   o    NULL: no window
 *   out  [2][n] at 48 kHz, owned by the caller (clip_free); codec, cut and short_data are copied
 *   n_before  samples at 48 kHz before the zeros were appended; may be NULL
 *
 * Silent (both channels exactly 0 at more than 95 % of the positions): ACE_EDATA, out->reason AUDIO_SILENT. */
enum status audio_prepare(const struct clip *in, const struct prepare_options *o, struct clip *out,
                          int64_t *n_before) ACE_NODISCARD;

/* Samples of the window of `seconds` at that rate: round-half-even(seconds * rate), at most n. */
int64_t prepare_window(double seconds, int rate, int64_t n);
#endif
