/* SPDX-License-Identifier: Apache-2.0 */
/* list_dit.h - kernels of the diffusion transformer (BLOCK) and its lyric encoder (LYRIC) (transformer.md) */
#ifndef ACE_KERNELS_LIST_DIT_H
#define ACE_KERNELS_LIST_DIT_H

#include "kernels/list_block.h"
#include "kernels/list_lyric.h"

#define KERNELS_DIT(K) KERNELS_BLOCK(K) KERNELS_LYRIC(K)
#endif
