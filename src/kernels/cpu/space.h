/* SPDX-License-Identifier: Apache-2.0 */
/* space.h - bytes of work space that the cpu kernels of a training step ask of cpu_scratch: the dry device measures with these
 * what a cpu device will hold. Only shapes count; data may be NULL. Arguments are the kernels' own. */
#ifndef ACE_KERNELS_CPU_SPACE_H
#define ACE_KERNELS_CPU_SPACE_H

#include "num/tensor.h"

size_t cpu_gemm_space(struct tensor c, struct tensor a, struct tensor b, bool ta, bool tb);
size_t cpu_attention_space(struct tensor k, struct tensor lse, bool backward);
size_t cpu_relative_attention_space(struct tensor q, struct tensor bu, bool backward);
size_t cpu_linear_attention_space(struct tensor q, struct tensor den, bool backward);
#endif
