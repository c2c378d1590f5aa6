/* SPDX-License-Identifier: Apache-2.0 */
/* list_dit.h - kernels of the diffusion transformer and its lyric encoder (transformer.md) */
#ifndef ACE_KERNELS_LIST_DIT_H
#define ACE_KERNELS_LIST_DIT_H

#define KERNELS_DIT(K)
#endif
