/* SPDX-License-Identifier: Apache-2.0 */
/* umt5_blocks.h - a block's weights: the reader and the forward pass share it */
#ifndef ACE_MODELS_UMT5_BLOCKS_H
#define ACE_MODELS_UMT5_BLOCKS_H

#include "models/umt5.h"

struct umt5_block {
	struct tensor attn_norm, q, k, v, o, bias;	/* bias [buckets, heads] */
	struct tensor qkv;				/* q, k and v [3 inner, width], then instead of them; or rank 0 */
	struct tensor ff_norm, wi_0, wi_1, wo;
};

/* Whether activations are stored in bf16, which they are rounded to anyway: on a device whose kernels are fast with it. The host's
 * are fast in F32. */
static inline bool
umt5_stores_half(const struct umt5 *m)
{
	return m->dtype == BF16 && m->dev->kind == DEV_CUDA;
}

/* FOLDER/config.json; sizes out of range and another feed_forward_proj fail naming file and key. */
enum status umt5_config_read(struct umt5_config *c, const char *folder) ACE_NODISCARD;
#endif
