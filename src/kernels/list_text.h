/* SPDX-License-Identifier: Apache-2.0 */
/* list_text.h - kernels of the prompt encoder (text.md section 1)
 *
 * B texts of T tokens, H heads of width d; F32 unless said. x, y, a, b, q, k, v and o may all be BF16, rounded when stored; a cuda
 * device is fast with these. half: results are rounded to bf16's precision where a bf16 forward would store them. */
#ifndef ACE_KERNELS_LIST_TEXT_H
#define ACE_KERNELS_LIST_TEXT_H

/* text_embed: y [N, C] = rows ids [N] I32 of table [V, C] (F32, BF16 or F16).
 * text_round: x F32 = x rounded to bf16, in place.
 * text_rms: y = w x / sqrt(mean over C of x^2 + eps), x [N, C], w [C] F32 or BF16; y may be x.
 * text_gate: y = gelu(a) b, gelu by tanh; y may be a or b.
 * text_bias: y [H, T, T], y[n, i, j] = table[text_bucket(j - i), n], table [buckets, H] F32 or BF16.
 * text_attend: o [B, T, H d]; per head a = softmax over j of q.k + bias[n, i, j] + (1 - mask[b, j]) (lowest finite F32), not
 *   scaled; o = a v. q, k, v, o [B, T, H d], rows may lie apart (tensor_ld); bias [H, T, T], mask [B, T]. a [B, H, T, T] F32,
 *   out, or rank 0: not wanted. o is none of the others. */
#define KERNELS_TEXT(K)                                                                                              \
	K(text_embed, ref, (struct dev * d, struct tensor y, struct tensor table, struct tensor ids))                \
	K(text_round, ref, (struct dev * d, struct tensor x))                                                        \
	K(text_rms, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, float eps, bool half))  \
	K(text_gate, cpu, (struct dev * d, struct tensor y, struct tensor a, struct tensor b, bool half))            \
	K(text_bias, ref, (struct dev * d, struct tensor y, struct tensor table, int64_t distance))                  \
	K(text_attend, cpu, (struct dev * d, struct tensor o, struct tensor a, struct tensor q, struct tensor k,     \
	                     struct tensor v, struct tensor bias, struct tensor mask, bool half))

#include <stdint.h>

/* The bucket, 0 ... buckets - 1, of relative position r = key index - query index: half of them for each direction, half of
 * those exact, the rest logarithmic up to distance (section 1.2). */
int64_t text_bucket(int64_t r, int64_t buckets, int64_t distance);
#endif
