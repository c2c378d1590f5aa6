/* SPDX-License-Identifier: Apache-2.0 */
/* dcae.h - the autoencoder: normalised log-mel -> latents, and back (audio_codec.md sections 1, 5, 6) */
#ifndef ACE_MODELS_DCAE_H
#define ACE_MODELS_DCAE_H

#include "formats/weights.h"
#include "layers/ctx.h"
#include "models/dcae_config.h"
#include "models/placed.h"

struct dcae_block;
struct dcae_pixels;

struct dcae {
	struct dcae_config config;
	struct weights weights;
	struct placed placed;			/* of the weights, on a device with memory of its own */
	struct dcae_block *block;		/* all stages' blocks and downs in order; owned */
	int n_blocks;
	struct dcae_pixels *pixels;		/* instead of block, when it runs in bf16; owned */
	struct tensor in_w, in_b, out_w, out_b;	/* conv_in, conv_out */
	struct dev *dev;
	/* Tests: NULL, or told of each intermediate by its module's name; x is valid during the call only. In bf16: of whole blocks,
	 * BF16 with channels last. */
	void (*tap)(void *me, const char *name, struct tensor x);
	void *me;
	struct tensor norm_w, norm_b;		/* of the decoder: norm_out */
};

/* folder holds config.json and the weights; what the config asks for and we lack is refused by name. dtype: F32; or BF16, in which
 * weights and activations are kept, made for tensor cores: a processor takes it by plain loops. */
enum status dcae_open(struct dcae *m, const char *folder, enum dtype dtype, struct dev *d) ACE_NODISCARD;
void dcae_close(struct dcae *m);

/* Raw latents, neither scaled nor shifted. Scratch comes from c->act, which is left as found.
 *   z    [latent, rows / r, F / r] out, r = 2^(stages - 1); [8, 16, T] of the real model
 *   mel  [2, rows, F] normalised log-mel, F and rows multiples of r */
void dcae_encode(struct ctx *c, struct dcae *m, struct tensor z, struct tensor mel);

/* The other half, in F32: only the decoder's tensors are read, and m then decodes and does not encode. dcae_close as well. */
enum status dcae_decoder_open(struct dcae *m, const char *folder, struct dev *d) ACE_NODISCARD;

/* Normalised log-mel of raw latents. Scratch comes from c->act, which is left as found.
 *   mel  [2, rows r, T r] out, r = 2^(stages - 1)
 *   z    [latent, rows, T] */
void dcae_decode(struct ctx *c, struct dcae *m, struct tensor mel, struct tensor z);
#endif
