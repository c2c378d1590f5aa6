/* SPDX-License-Identifier: Apache-2.0 */
/* umt5.h - the prompt encoder: ids -> hidden states (text.md section 1)
 *
 * H. Chung et al., UniMax, 2023: T5's encoder (C. Raffel et al., 2020) with a relative-bias table in every block. */
#ifndef ACE_MODELS_UMT5_H
#define ACE_MODELS_UMT5_H

#include "formats/weights.h"
#include "layers/ctx.h"
#include "models/placed.h"

enum { UMT5_ERG_FROM = 8, UMT5_ERG_TO = 10 };	/* blocks whose q is weakened by tau, first and one past the last */
#define UMT5_ERG_TAU 0.01f

struct umt5_config {
	int64_t width, head, inner, ff;		/* d_model, d_kv, heads * d_kv, d_ff */
	int64_t heads, blocks, rows;		/* num_heads, num_layers, vocab_size */
	int64_t buckets, distance;		/* relative attention */
	float eps;
};

struct umt5_block;

struct umt5 {
	struct umt5_config config;
	struct weights weights;
	struct umt5_block *block;		/* config.blocks of them; owned */
	struct tensor table;			/* [rows, width] in the file's dtype, in the mapping: never copied */
	struct tensor final_norm;		/* [width] */
	enum dtype dtype;			/* F32 or BF16: how weights are held and products are rounded */
	struct dev *dev;
	struct placed placed;			/* of the weights, on a device with memory of its own */
	char *memory;				/* of encode's arena, the device's; owned, grows */
	size_t size;
	char hash[65];				/* empty until asked for */
	/* Tests: NULL, or told of each intermediate by its name ("block0.q"); x is valid during the call only. */
	void (*tap)(void *me, const char *name, struct tensor x);
	void *me;
};

/* folder holds config.json and model.safetensors (or a sharded index). dtype F32 or BF16, F16 is refused. A table under
 * shared.weight or encoder.embed_tokens.weight; decoder.* and lm_head.* are ignored. */
enum status umt5_open(struct umt5 *m, const char *folder, enum dtype dtype, struct dev *d) ACE_NODISCARD;
void umt5_close(struct umt5 *m);

/* One text, alone: ids [n], n >= 1 -> out [n, width] F32. An id outside the table: ACE_EDATA. Not for two
 * threads at once. */
enum status umt5_encode(struct umt5 *m, const int32_t *ids, int n, float *out) ACE_NODISCARD;

/* The same with q of blocks 8 and 9 multiplied by tau (UMT5_ERG_TAU): the weakened copy of validation prompts
 * (section 1.5). */
enum status umt5_encode_erg(struct umt5 *m, const int32_t *ids, int n, float tau, float *out) ACE_NODISCARD;

/* A batch padded on the right: ids [B, T] (0 where padded), mask [B, T] of 0 and 1 -> out [B, T, width]. Rows at padded
 * positions are computed too. */
enum status umt5_encode_batch(struct umt5 *m, const int32_t *ids, const float *mask, int64_t B, int64_t T, float tau,
                              float *out) ACE_NODISCARD;

/* The forward pass alone. x [B, T, width] F32 out, ids [B, T] I32 in 0 ... rows - 1, mask [B, T] F32. Scratch
 * comes from c->act, which is left as found. tau 1: nothing is weakened. */
void umt5_forward(struct ctx *c, struct umt5 *m, struct tensor x, struct tensor ids, struct tensor mask, float tau);

/* d_model. */
int umt5_width(const struct umt5 *m);

/* SHA-256 over the weights: what a cache records; borrowed. Computed when first asked for (seconds a GB); NULL
 * when memory is out. */
const char *umt5_hash(struct umt5 *m);

/* Bytes of working memory that encoding [B, T] takes, by a dry run. */
size_t umt5_memory(struct umt5 *m, int64_t B, int64_t T);
#endif
