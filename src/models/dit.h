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
	enum dtype dtype;		/* of the matrices: F32, BF16 or F16 */
	bool attention_masks;		/* false: every mask inside the blocks is ones, as in the packaged copy (section 11) */
	bool projectors;		/* read the projectors as well */
	enum dtype base;		/* I8, F8 or I4: frozen matrices are kept so (training.md section 7); else as dtype says */
	bool quantize_feed_forward;	/* those of the feed-forward too */
	bool lyrics_train;		/* the lyric modules will train beside adapters: they are F32, and not kept so */
	int checkpoint_interval;	/* 0: off; n: blocks whose index is a multiple of n are recomputed */
	bool half_grads;		/* params.h; gradient_precision=unmodified */
	bool far_grads;			/* params.h; optimizer_offload_gradients */
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
	struct linears_later later;
	struct block_save *block;
	struct tensor *x;						/* [layers + 1]: inputs of the blocks, and the result */
};

struct lyric_encoder;

/* What runs before the blocks, in this order, and in the same order behind them in the backward pass, where it trains. */
enum dit_front { DIT_TIME, DIT_TOKENS, DIT_FRONTS };

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
	struct stack_hooks front;	/* these too: around the parts before the blocks; the number is an enum dit_front */
	struct dit_save save;
	const struct dit_input *in;	/* while a pass runs */
	int packed;			/* 1 + params.changes when dit_prepare did its work; 0: never */
	const struct tensor *lyric_states;	/* [B, Y, E] of the activations' type (dit_half), instead of running the lyric encoder:
						 * where many calls have the same lyrics, and in tests; else NULL */
	struct weakening weak;		/* of both attentions, where one generates (sampling.md section 4) */
};

/* Open FOLDER/config.json and the weights beside it. m and o->... are copied; d is borrowed. */
enum status dit_open(struct dit *m, const char *folder, const struct dit_options *o, struct dev *d) ACE_NODISCARD;
void dit_close(struct dit *m);

/* Adapters on the modules that o names (params.h); they train. */
enum status dit_add_lora(struct dit *m, const struct lora_options *o) ACE_NODISCARD;

enum dit_part {
	DIT_LYRICS = 1,			/* lyric_embs, lyric_encoder, lyric_proj; F32 with lyrics_train */
	DIT_FULL = 2,			/* every base param that the pass reads */
};
/* Let base params of these parts train: their values become writable copies. */
enum status dit_train(struct dit *m, unsigned parts) ACE_NODISCARD;

/* Zeroed gradients for all that trains, in one block (params.h); call once, after adapters and parts are chosen. */
enum status dit_alloc_grads(struct dit *m, struct tensor *all) ACE_NODISCARD;

/* Put weights side by side where the device wants them so (params_pack), after adapters and parts are chosen: values of weights
 * move. dit_alloc_grads does it, and dit_forward when it is still to be done. */
enum status dit_prepare(struct dit *m) ACE_NODISCARD;

/* The part before the blocks that a param is read in; DIT_FRONTS: in none. */
enum dit_front dit_front_of(const struct param *p);

/* What dit_forward and dit_backward keep activations in, and set c->half to: BF16 on a cuda device with BF16 matrices. */
enum dtype dit_half(const struct dit *m);

/* Every param in use, adapters last. */
int dit_n_params(const struct dit *m);
struct param *dit_param(struct dit *m, int i);

/* Marks the blocks' matrices that train, once what trains is chosen: each backward pass makes their gradients by one product, so that
 * the first of several may write what the others add to (param.fresh). Whether there are any. */
bool dit_mark_once(struct dit *m);

/* The lowest block that the backward pass reaches: 0 when anything before the blocks trains. */
int dit_first_block(const struct dit *m);

enum { DIT_WEAK_FROM = 15, DIT_WEAK_TO = 20 };
#define DIT_WEAK_TAU 0.01f

/* Weak queries of these blocks, in the samples from clip on, until dit_weaken with none. ACE_ECONFIG when the model has not so many
 * blocks, naming what. */
enum status dit_weaken(struct dit *m, const struct weakening *blocks, const struct weakening *lyric_layers) ACE_NODISCARD;

/* y [B, Y, E] of dit_half: the lyric encoder alone, for ids and mask [B, Y]; what lyric_states may then point to. */
void dit_lyric_states(struct ctx *c, struct dit *m, struct tensor y, struct tensor ids, struct tensor mask);

/* v [B, 8, 16, T] F32, out. */
void dit_forward(struct ctx *c, struct dit *m, struct tensor v, const struct dit_input *in);

/* Adds to the gradients for dv [B, 8, 16, T]; after dit_forward with c->training and the same in. */
void dit_backward(struct ctx *c, struct dit *m, const struct dit_input *in, struct tensor dv);
#endif
