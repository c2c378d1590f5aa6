/* SPDX-License-Identifier: Apache-2.0 */
/* bpe_merges.h - the table of merges: reader and search share it */
#ifndef ACE_TEXT_BPE_MERGES_H
#define ACE_TEXT_BPE_MERGES_H

#include "text/bpe.h"

/* The slot of a pair, or the free one where it would go. */
static inline struct bpe_merge *
bpe_slot(const struct bpe *b, int32_t left, int32_t right)
{
	uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 32) & (b->cap - 1);

	while (b->merge[i].rank >= 0 && (b->merge[i].left != left || b->merge[i].right != right))
		i = (i + 1) & (b->cap - 1);
	return &b->merge[i];
}
#endif
