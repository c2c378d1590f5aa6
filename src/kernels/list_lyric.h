/* SPDX-License-Identifier: Apache-2.0 */
/* list_lyric.h - kernels of the lyric encoder (transformer.md section 5)
 *
 * B samples, Y tokens, E = H heads x e channels; dense F32 unless said. */
#ifndef ACE_KERNELS_LIST_LYRIC_H
#define ACE_KERNELS_LIST_LYRIC_H

/* embedding: y [B, Y, E] = rows ids [B, Y] (I32) of table [V, E], F32, BF16 or F16.
 * embedding_backward: dtable [V, E] += dy, in order of the tokens.
 *
 * layer_norm: y = w (x - mean) r + b over the last dimension, biased variance; stat [rows, 2], out: mean and
 *   r = 1 / sqrt(variance + eps). y may be x only where no backward follows.
 * layer_norm_backward: dx = or += ; dx may be dy unless add.   layer_norm_grads: dw, db [E] +=.
 *
 * relative_positions: pe [2Y-1, E], row m for distance r = Y-1-m: sin(r w_k), cos(r w_k) side by side, w_k =
 *   exp(-2k ln(10000) / E).
 * relative_attention: per head, score [i][j] = ((q_i + bu) . k_j + (q_i + bv) . p[Y-1-i+j]) / sqrt(e), softmax over the j with
 *   mask [B, Y] not 0, o = prob v. A sample without any gives o = 0. p [2Y-1, E], bu and bv [H, e]; lse [B, Y, H], out.
 * relative_attention_backward: dq, dk, dv = ; dp, dbu, dbv += where their rank is not 0. None may be another argument. */
#define KERNELS_LYRIC(K)                                                                                                   \
	K(embedding, ref, (struct dev * d, struct tensor y, struct tensor table, struct tensor ids))                       \
	K(embedding_backward, ref, (struct dev * d, struct tensor dtable, struct tensor dy, struct tensor ids))            \
	K(layer_norm, cpu, (struct dev * d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w,         \
	                    struct tensor b, float eps))                                                                   \
	K(layer_norm_backward, cpu, (struct dev * d, struct tensor dx, struct tensor dy, struct tensor x,                  \
	                             struct tensor stat, struct tensor w, bool add))                                       \
	K(layer_norm_grads, cpu, (struct dev * d, struct tensor dw, struct tensor db, struct tensor dy, struct tensor x,   \
	                          struct tensor stat))                                                                     \
	K(relative_positions, ref, (struct dev * d, struct tensor pe))                                                     \
	K(relative_attention, cpu, (struct dev * d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k,  \
	                            struct tensor v, struct tensor p, struct tensor bu, struct tensor bv,                  \
	                            struct tensor mask))                                                                   \
	K(relative_attention_backward, cpu, (struct dev * d, struct tensor dq, struct tensor dk, struct tensor dv,         \
	                                     struct tensor dp, struct tensor dbu, struct tensor dbv, struct tensor go,     \
	                                     struct tensor q, struct tensor k, struct tensor v, struct tensor p,           \
	                                     struct tensor bu, struct tensor bv, struct tensor o, struct tensor lse,       \
	                                     struct tensor mask))
#endif
