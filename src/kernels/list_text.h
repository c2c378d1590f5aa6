/* SPDX-License-Identifier: Apache-2.0 */
/* list_text.h - kernels of the prompt encoder (text.md section 1) */
#ifndef ACE_KERNELS_LIST_TEXT_H
#define ACE_KERNELS_LIST_TEXT_H

#define KERNELS_TEXT(K)
#endif
