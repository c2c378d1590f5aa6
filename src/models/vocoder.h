/* SPDX-License-Identifier: Apache-2.0 */
/* vocoder.h - log-mel -> sound (audio_codec.md section 7): a ConvNeXt backbone (Z. Liu et al., 2022) and a HiFi-GAN head (J. Kong et al.,
 * 2020), as in ADaMoS. One channel at a time; stereo is two runs. */
#ifndef ACE_MODELS_VOCODER_H
#define ACE_MODELS_VOCODER_H

#include "formats/weights.h"
#include "layers/ctx.h"
#include "models/placed.h"
#include "models/vocoder_config.h"

struct vocoder_conv {
	struct tensor w, b;		/* weight norm is folded in */
};

struct vocoder_block {
	struct vocoder_conv deep, wide, narrow;
	struct tensor norm_w, norm_b, gamma;
};

struct vocoder_stage {
	struct vocoder_conv in;				/* channel layer */
	struct tensor norm_w, norm_b;
	struct vocoder_block *block;			/* depths[i] of them; owned */
};

struct vocoder {
	struct vocoder_config config;
	struct weights weights;
	struct placed placed;				/* of the weights, on a device with memory of its own */
	struct vocoder_stage stage[VOCODER_STAGES];
	struct tensor norm_w, norm_b;
	struct vocoder_conv pre, post, up[VOCODER_UPS];
	struct vocoder_conv *one, *two;			/* residual blocks' convs1 and convs2, [ups, kernels, dilations]; owned */
	float **folded;					/* weights made here; owned */
	int n_folded;
	struct dev *dev;
	/* Tests: NULL, or told of each intermediate by its module's name; x is valid during the call only. */
	void (*tap)(void *me, const char *name, struct tensor x);
	void *me;
};

/* folder holds config.json and the weights (BF16 or F32, widened). Only the vocoder's own tensors are read. */
enum status vocoder_open(struct vocoder *m, const char *folder, struct dev *d) ACE_NODISCARD;
void vocoder_close(struct vocoder *m);

/* One channel. Scratch comes from c->act, which is left as found.
 *   wave  [1, 512 F] out, -1 .. 1
 *   mel   [bands, F] log-mel on its natural scale */
void vocoder_run(struct ctx *c, struct vocoder *m, struct tensor wave, struct tensor mel);
#endif
