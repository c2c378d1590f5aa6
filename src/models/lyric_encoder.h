/* SPDX-License-Identifier: Apache-2.0 */
/* lyric_encoder.h - tokens of lyrics to states (transformer.md section 5): a pre-norm transformer with relative positions
 *
 * Part of the music transformer: its params are in the transformer's list and file, under lyric_embs and lyric_encoder. */
#ifndef ACE_MODELS_LYRIC_ENCODER_H
#define ACE_MODELS_LYRIC_ENCODER_H

#include "layers/lyric_layer.h"
#include "layers/stack.h"
#include "models/params.h"

/* The encoder's dropout draws from rng_sub(c->rng, LYRIC_STREAM + ...), beyond the numbers of linear layers. */
#define LYRIC_STREAM (UINT64_C(1) << 32)

struct lyric_encoder {
	struct param embs;		/* [V, E] */
	struct linear embed;
	struct layer_norm embed_norm, after_norm;
	struct lyric_layer *layer;
	struct stack stack;
	int n;
	int64_t width;
	float dropout;
	/* kept by forward for backward */
	struct lyric_layer_save *save;
	struct tensor *x;		/* [n + 1] */
	struct tensor tokens, embedded, embed_stat, after_stat;
	struct lyric_shared shared;
	struct tensor ids;
	struct weakening weak;		/* set by who generates; layers 4 and 5 of the published model */
};

/* Read lyric_embs.weight [vocab, width] and lyric_encoder.*; sizes without a configuration come from the shapes. interval:
 * layers whose index is a multiple of it are recomputed, 0 none. On failure lyric_encoder_close may still be called. */
enum status lyric_encoder_open(struct lyric_encoder *m, struct params *ps, int64_t vocab, int64_t width, float dropout,
                               int interval) ACE_NODISCARD;
void lyric_encoder_close(struct lyric_encoder *m);

enum { LYRIC_WEAK_FROM = 4, LYRIC_WEAK_TO = 6 };

/* y [B, Y, E]: states behind after_norm, for ids [B, Y] I32 in range and mask [B, Y] F32. Y > 0. */
void lyric_encoder_forward(struct ctx *c, struct lyric_encoder *m, struct tensor y, struct tensor ids, struct tensor mask);

/* Gradients for dy [B, Y, E], which is overwritten. Leaves c->act as found. */
void lyric_encoder_backward(struct ctx *c, struct lyric_encoder *m, struct tensor dy);

bool lyric_encoder_trains(const struct lyric_encoder *m);
#endif
