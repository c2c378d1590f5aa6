/* SPDX-License-Identifier: Apache-2.0 */
/* dcae.h - the autoencoder's encoder: normalised log-mel -> latents (audio_codec.md sections 1, 5, 6) */
#ifndef ACE_MODELS_DCAE_H
#define ACE_MODELS_DCAE_H

#include "formats/weights.h"
#include "layers/ctx.h"
#include "models/dcae_config.h"

struct dcae_block;

struct dcae {
	struct dcae_config config;
	struct weights weights;
	struct dcae_block *block;		/* all stages' blocks and downs in order; owned */
	int n_blocks;
	struct tensor in_w, in_b, out_w, out_b;	/* conv_in, conv_out */
	struct dev *dev;
	/* Tests: NULL, or told of each intermediate by its module's name; x is valid during the call only. */
	void (*tap)(void *me, const char *name, struct tensor x);
	void *me;
};

/* folder holds config.json and the weights; what the config asks for and we lack is refused by name. */
enum status dcae_open(struct dcae *m, const char *folder, struct dev *d) ACE_NODISCARD;
void dcae_close(struct dcae *m);

/* Raw latents, neither scaled nor shifted. Scratch comes from c->act, which is left as found.
 *   z    [latent, rows / r, F / r] out, r = 2^(stages - 1); [8, 16, T] of the real model
 *   mel  [2, rows, F] normalised log-mel, F and rows multiples of r */
void dcae_encode(struct ctx *c, struct dcae *m, struct tensor z, struct tensor mel);
#endif
