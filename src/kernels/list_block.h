/* SPDX-License-Identifier: Apache-2.0 */
/* list_block.h - kernels of the diffusion transformer's blocks and ends (transformer.md sections 4 and 6)
 *
 * B samples, T frames, D = H heads x d channels, M encoder tokens; all dense F32. m [B, R, D] holds rows of modulation;
 * shift, scale, gate are row numbers in it. Masks are 0 or 1. dm, dw, db and others named so are added to, unless said. */
#ifndef ACE_KERNELS_LIST_BLOCK_H
#define ACE_KERNELS_LIST_BLOCK_H

/* modulation: m [B, R, D] = table [R, D] + t [B, K, D], K = R, or 1: the same row for all.
 * modulation_backward: dtable [R, D] += sum over B of dm; dt [B, K, D] += dm (its sum over R when K is 1);
 *   one of rank 0 is not wanted.
 *
 * rms_modulate: y = h (1 + scale) + shift, h = x r, r [B, T] = 1 / sqrt(mean of x^2 + 1e-6), out.
 * rms_modulate_backward: with g = dy (1 + scale): dx = or += r (g - h mean(g h)). dx may be dy unless add.
 * rms_modulate_grads: dm rows: scale += sum over T of dy h, shift += sum of dy.
 *
 * gate_add: y = x + gate z; y may be x.   gate_backward: dz = gate dy.   gate_grads: dm row gate += sum over T of dy z.
 *
 * silu: y = x / (1 + exp(-x)); y may be x.   silu_backward: dx = dy times the slope of silu at x; dx may be dy. */
#define KERNELS_MODULATE(K)                                                                                              \
	K(modulation, ref, (struct dev * d, struct tensor m, struct tensor table, struct tensor t))                      \
	K(modulation_backward, ref, (struct dev * d, struct tensor dtable, struct tensor dt, struct tensor dm))          \
	K(rms_modulate, cpu, (struct dev * d, struct tensor y, struct tensor r, struct tensor x, struct tensor m,        \
	                      int shift, int scale))                                                                     \
	K(rms_modulate_backward, cpu, (struct dev * d, struct tensor dx, struct tensor dy, struct tensor x,              \
	                               struct tensor r, struct tensor m, int scale, bool add))                           \
	K(rms_modulate_grads, cpu, (struct dev * d, struct tensor dm, struct tensor dy, struct tensor x,                 \
	                            struct tensor r, int shift, int scale))                                              \
	K(gate_add, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor z, struct tensor m, int gate)) \
	K(gate_backward, cpu, (struct dev * d, struct tensor dz, struct tensor dy, struct tensor m, int gate))           \
	K(gate_grads, cpu, (struct dev * d, struct tensor dm, struct tensor dy, struct tensor z, int gate))              \
	K(silu, cpu, (struct dev * d, struct tensor y, struct tensor x))                                                 \
	K(silu_backward, cpu, (struct dev * d, struct tensor dx, struct tensor dy, struct tensor x))

/* rope_table: cs [2, N, d]: cosines, then sines, of p / theta^(2 (j mod d/2) / d) for position p, element j.
 * rope: x [B, N, H d] rotated by position (section 4.4; not orthogonal); y may be x. backward: the transposed map.
 * rope_relu: y = relu(mask rope(x)), mask [B, N]; y may be x.
 * rope_relu_backward: dx for dy, given y: zero where y is 0 (selected, not multiplied); dx may be dy.
 * mask_rows: y = x with each row times its mask [B, N]; y may be x.
 *
 * linear_attention: per head, of q, k (both >= 0) and v [B, T, D]: KV = k^T v, z = column sums of k,
 *   den [B, T, H] = q z + 1e-15, o = q KV / den.
 * linear_attention_backward: dq, dk, dv = for go = do; none of them may be another argument.
 *
 * attention: softmax attention of q [B, T, D] over k, v [B, M, D], scale 1/sqrt(d). Key j is seen by query t where
 *   qmask[b, t] kmask[b, j] is exactly 1; a query that sees none gives o = 0. lse [B, T, H], out: log of the row's sum of
 *   exponentials.
 * attention_backward: dq, dk, dv = ; none may be another argument. */
#define KERNELS_ATTEND(K)                                                                                               \
	K(rope_table, ref, (struct dev * d, struct tensor cs, float theta))                                             \
	K(rope, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor cs, bool backward))               \
	K(rope_relu, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor cs, struct tensor mask))     \
	K(rope_relu_backward, cpu, (struct dev * d, struct tensor dx, struct tensor dy, struct tensor y,                \
	                            struct tensor cs, struct tensor mask))                                              \
	K(mask_rows, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor mask))                       \
	K(linear_attention, cpu, (struct dev * d, struct tensor o, struct tensor den, struct tensor q, struct tensor k, \
	                          struct tensor v))                                                                     \
	K(linear_attention_backward, cpu, (struct dev * d, struct tensor dq, struct tensor dk, struct tensor dv,        \
	                                   struct tensor go, struct tensor q, struct tensor k, struct tensor v,         \
	                                   struct tensor o, struct tensor den))                                         \
	K(attention, cpu, (struct dev * d, struct tensor o, struct tensor lse, struct tensor q, struct tensor k,        \
	                   struct tensor v, struct tensor qmask, struct tensor kmask))                                  \
	K(attention_backward, cpu, (struct dev * d, struct tensor dq, struct tensor dk, struct tensor dv,               \
	                            struct tensor go, struct tensor q, struct tensor k, struct tensor v,                \
	                            struct tensor o, struct tensor lse, struct tensor qmask, struct tensor kmask))

/* glu_conv: a = silu(x) [B, T, 2F]; c[t] = w0 a[t-1] + w1 a[t] + w2 a[t+1] + b, zeros outside; u [B, T, F] = c[:F] silu(c[F:]).
 *   w [2F, 1, 3], b [2F].
 * glu_conv_backward: dx = for du; x is the input of glu_conv.   glu_conv_grads: dw, db +=. */
#define KERNELS_GLU(K)                                                                                                 \
	K(glu_conv, cpu, (struct dev * d, struct tensor u, struct tensor x, struct tensor w, struct tensor b))         \
	K(glu_conv_backward, cpu, (struct dev * d, struct tensor dx, struct tensor du, struct tensor x, struct tensor w, \
	                           struct tensor b))                                                                   \
	K(glu_conv_grads, cpu, (struct dev * d, struct tensor dw, struct tensor db, struct tensor du, struct tensor x, \
	                        struct tensor w, struct tensor b))

/* group_norm: y = w (x - mean) r + b over groups of C/G channels and all T, x [B, T, C], biased variance; stat [B, G, 2], out:
 *   mean and r = 1 / sqrt(variance + eps). y may be x only where no backward follows.
 * group_norm_backward: dx =, dw, db +=; dx may be dy.
 * sinusoid: y [B, W] = cos(t f_k), k < W/2, then sin(t f_k), f_k = exp(-ln(10000) k / (W/2)); t [B].
 * latent_tokens: y [B, T, R C] from x [B, C, R, T]; element r C + c when rows_first, else c R + r. latents_of_tokens: back.
 * place: y [B, M, D] rows at .. at+n-1 of each sample = x [B, n, D].   take: x = those rows of y.
 * projection_loss: loss [1] = mean over rows of 1 - cos of p [T, W], resampled linearly to the rows of f [n, W], and f
 *   (section 4.8).   projection_loss_backward: dp += weight times its gradient. */
#define KERNELS_ENDS(K)                                                                                              \
	K(group_norm, ref, (struct dev * d, struct tensor y, struct tensor stat, struct tensor x, struct tensor w,   \
	                    struct tensor b, float eps))                                                             \
	K(group_norm_backward, ref, (struct dev * d, struct tensor dx, struct tensor dw, struct tensor db,           \
	                             struct tensor dy, struct tensor x, struct tensor stat, struct tensor w))        \
	K(sinusoid, ref, (struct dev * d, struct tensor y, struct tensor t))                                         \
	K(latent_tokens, ref, (struct dev * d, struct tensor y, struct tensor x, bool rows_first))                   \
	K(latents_of_tokens, ref, (struct dev * d, struct tensor x, struct tensor y, bool rows_first))               \
	K(place, ref, (struct dev * d, struct tensor y, struct tensor x, int64_t at))                                \
	K(take, ref, (struct dev * d, struct tensor x, struct tensor y, int64_t at))                                 \
	K(projection_loss, ref, (struct dev * d, struct tensor loss, struct tensor p, struct tensor f))              \
	K(projection_loss_backward, ref, (struct dev * d, struct tensor dp, struct tensor p, struct tensor f, float weight))

/* What stands side by side in the blocks, at once:
 * rope_both: a [B, N, D] and b [B, M, D] turned in place as rope does.
 * qkv_ready: q, k = relu(mask rope(.)), v = mask v, in place; all [B, T, D].
 * qkv_ready_backward: dq, dk, dv in place, given the q, k that qkv_ready made.
 * gate_add_half: y = x + gate z, and yh = y in its own type, unless of rank 0.
 * rms_modulate_backward_half: dx = onto, which may be dx and has its type, + what rms_modulate_backward makes, and unless it is of rank 0
 *   dxh = dx in its own type, or mh[gate] dx unless mh is of rank 0. */
#define KERNELS_JOINED(K)                                                                                                \
	K(rope_both, cpu, (struct dev * d, struct tensor a, struct tensor b, struct tensor cs, bool backward))           \
	K(qkv_ready, cpu, (struct dev * d, struct tensor q, struct tensor k, struct tensor v, struct tensor cs,          \
	                   struct tensor mask))                                                                          \
	K(qkv_ready_backward, cpu, (struct dev * d, struct tensor dq, struct tensor dk, struct tensor dv,                \
	                            struct tensor q, struct tensor k, struct tensor cs, struct tensor mask))             \
	K(gate_add_half, cpu, (struct dev * d, struct tensor y, struct tensor yh, struct tensor x, struct tensor z,      \
	                       struct tensor m, int gate))                                                               \
	K(rms_modulate_backward_half, cpu, (struct dev * d, struct tensor dx, struct tensor dxh, struct tensor onto,     \
	                                    struct tensor dy, struct tensor x, struct tensor r, struct tensor m,         \
	                                    int scale, struct tensor mh, int gate))

#define KERNELS_BLOCK(K) KERNELS_MODULATE(K) KERNELS_ATTEND(K) KERNELS_GLU(K) KERNELS_ENDS(K) KERNELS_JOINED(K)
#endif
