/* SPDX-License-Identifier: Apache-2.0 */
/* dit.h - the music transformer: velocity of noisy latents, given time, prompt, speaker and lyrics (transformer.md)
 *
 * Forward and backward are written out. Only the gradients that some param with train set needs are computed; tensors of the
 * file that the pass never reads are never read. All step memory comes from c->act, so that a run on the dry device with an
 * arena without base measures exactly what a step will use.
 *
 * One training step: arena_release(act, 0), dit_forward, the loss's dv, dit_backward. */
#ifndef ACE_MODELS_DIT_H
#define ACE_MODELS_DIT_H

#include "layers/block.h"
#include "layers/stack.h"
#include "models/dit_config.h"
#include "models/params.h"

/* Features of the projection losses (section 4.8): set k of sample b is feature[k * B + b], [rows, tap_dim[k]] F32. A set
 * whose first sample has rank 0 is missing. */
struct dit_projections {
	const struct tensor *feature;
	int n;				/* sets, at most DIT_TAPS */
	float weight;			/* backward adds weight times the mean over the sets in use */
	struct tensor loss;		/* [n] F32, out: the sets' losses; of a missing set 0 */
};

struct dit_input {
	struct tensor latents;		/* [B, 8, 16, T] F32, noisy */
	struct tensor frame_mask;	/* [B, T] F32, 0 or 1 */
	struct tensor text;		/* [B, S, text_dim] F32 */
	struct tensor text_mask;	/* [B, S] F32 */
	struct tensor speaker;		/* [B, speaker_dim] F32 */
	struct tensor lyric_ids;	/* [B, Y] I32, below lyric_vocab (the caller checks) */
	struct tensor lyric_mask;	/* [B, Y] F32; a row may be all zero */
	struct tensor timestep;		/* [B] F32, 0 .. 1000, not rounded */
	const struct dit_projections *projections;	/* NULL: none; else dit_options.projectors was set */
};

struct dit_options {
	enum dtype dtype;		/* of the matrices: F32 or BF16 */
	bool attention_masks;		/* false: every mask inside the blocks is ones, as in the packaged copy (section 11) */
	bool projectors;		/* read the projectors as well */
	int checkpoint_interval;	/* 0: off; n: blocks whose index is a multiple of n are recomputed */
	float lyric_dropout;		/* of the lyric encoder, in training: 0.1, or 0 to turn it off */
};

/* What forward keeps for backward; also where tests look. */
struct dit_save {
	struct tensor sinusoid, time1, time1_act, e, e_act, tb;		/* [B, 256], [B, D] x 4, [B, 6D] */
	struct tensor lyric;						/* [B, Y, E], behind after_norm */
	struct tensor tokens, conv, norm, stat;				/* patch embedding, kept when it trains */
	struct tensor final_r, final_m;					/* [B, T], [B, 2, D] */
	struct tensor p1[DIT_TAPS], p2[DIT_TAPS], p[DIT_TAPS];		/* projector k: before silu, before silu, result */
	struct linear_save time1_save, time2_save, t_block;
	struct block_shared shared;
	struct block_save *block;
	struct tensor *x;						/* [layers + 1]: inputs of the blocks, and the result */
};

struct lyric_encoder;

struct dit {
	struct dev *dev;
	struct dit_config cfg;
	struct dit_options opt;
	struct weights weights;
	struct params params;
	struct linear time1, time2, t_block, speaker, genre, lyric_proj, patch1, patch2, final;
	struct param norm_w, norm_b, final_table;
	struct linear projector[DIT_TAPS][3];
	struct block *block;
	struct lyric_encoder *lyric;
	struct stack stack;		/* its hooks may be set by the caller */
	struct dit_save save;
	const struct dit_input *in;	/* while a pass runs */
	const struct tensor *lyric_states;	/* tests only: [B, Y, E], instead of running the lyric encoder; else NULL */
};

/* Open FOLDER/config.json and the weights beside it. m and o->... are copied; d is borrowed. */
enum status dit_open(struct dit *m, const char *folder, const struct dit_options *o, struct dev *d) ACE_NODISCARD;
void dit_close(struct dit *m);

/* Adapters on the modules that o names (params.h); they train. */
enum status dit_add_lora(struct dit *m, const struct lora_options *o) ACE_NODISCARD;

enum dit_part {
	DIT_LYRICS = 1,			/* lyric_embs, lyric_encoder, lyric_proj */
	DIT_FULL = 2,			/* every base param that the pass reads */
};
/* Let base params of these parts train: their values become writable copies. */
enum status dit_train(struct dit *m, unsigned parts) ACE_NODISCARD;

/* Zeroed gradients for all that trains, in one block (params.h); call once, after adapters and parts are chosen. */
enum status dit_alloc_grads(struct dit *m, struct tensor *all) ACE_NODISCARD;

/* Every param in use, adapters last. */
int dit_n_params(const struct dit *m);
struct param *dit_param(struct dit *m, int i);

/* v [B, 8, 16, T] F32, out. */
void dit_forward(struct ctx *c, struct dit *m, struct tensor v, const struct dit_input *in);

/* Adds to the gradients for dv [B, 8, 16, T]; after dit_forward with c->training and the same in. */
void dit_backward(struct ctx *c, struct dit *m, const struct dit_input *in, struct tensor dv);
#endif
