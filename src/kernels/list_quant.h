/* SPDX-License-Identifier: Apache-2.0 */
/* list_quant.h - kernels of frozen weights in 8 and 4 bits (training.md section 7)
 *
 * A matrix w [N, C] is kept as q [N, C], I8 or F8 (e4m3), and a scale for each row [N]: w' = scale q. */
#ifndef ACE_KERNELS_LIST_QUANT_H
#define ACE_KERNELS_LIST_QUANT_H

/* quantize: q and scale of w, dense. I8: scale = max |w| / 127 and w / scale, both rounded to the type of w, which scale has too (F32,
 *   BF16; on hosts F16 as well); q = the nearest whole number (halves to even) within -128 .. 127; where scale is 0, q is 127 or
 *   -128 by the sign of w, 0 for 0. F8: scale F32 = max |w| / 448, q = w / scale rounded to nearest even, 0 where scale is 0.
 * dequantize: the upper left [N, C] of w, rows of which may lie apart, = scale q rounded to its type (F32, BF16; on hosts F16);
 *   right [N, n] and below [m, C] of w's type are put beside it, w [N + m, C + n]; their rank 0: none, n or m is 0. The lower
 *   right corner is left alone.
 *
 * quantize4: the same in 4 bits, as optimum-quanto's qint4 (its MaxOptimizer and quantize_affine, axis 0): q [N, C] I4, and for each row
 *   scale [N, 2, G] of w's type: first the scales of its G groups of C / G neighbours, then their shifts. shift = -min w,
 *   scale = (max w - min w) / 15, q = (w + shift) / scale to the nearest whole number (halves to even) within 0 .. 15; where scale is 0, q
 *   is 0. Each difference, sum and quotient is rounded to w's type.
 * dequantize4: as dequantize, w' = scale q - shift, product and difference each rounded to w's type, which scale has too.
 *
 * f8_rows: x [N, K], each column times its c [K] F32 (rank 0: as it is), as q [N, K] F8 dense and a scale for each row s [N] F32:
 *   s = max |c x| / 448, q = c x (448 / max) rounded to nearest even, 0 where s is 0.
 * f8_product: y [N, M] = s t (x w^T) + h right^T or h below + b + add, of x [N, K] with row scales s [N] and w [M, K] with row scales
 *   t [M], both F8, dense. On a GPU partial sums of K keep about 14 bits.
 * f8_turn: y [M, N] = x^T of x [N, M], numbers of a byte each, dense.
 *
 * What makes a matrix and brings it to fp8 at once, each as the kernel of list_block.h and f8_rows of what that stored, to the bit:
 * rms_modulate_f8: y.   gate_add_half_f8: yh, or y where yh is of rank 0.   gate_backward_f8: dz.
 * rms_modulate_backward_half_f8: dxh, or dx where dxh is of rank 0.
 * qkv_ready_backward_f8: dq, dk and dv, which lie side by side, as one matrix [N, 3 D]. */
#include "num/tensor.h"

/* What f8_rows of a matrix gives, and what weighs its columns. */
struct f8_cast {
	struct tensor q, s, c;		/* [N, K] F8, [N] F32; [K] F32 or rank 0 */
};

struct f8_product {
	struct tensor y;		/* [N, M] F32 or BF16 */
	struct tensor x, s, w, t;	/* [N, K] F8, [N] F32, [M, K] F8, [M] F32 */
	struct tensor h, right, below;	/* [N, R] BF16, and one of [M, R] and [R, M] BF16; or all rank 0 */
	struct tensor b;		/* [M], BF16 or F32; or rank 0 */
	struct tensor add;		/* [N, M], y's type, may be y; or rank 0 */
};

#define KERNELS_QUANT(K)                                                                                              \
	K(quantize, cpu, (struct dev * d, struct tensor q, struct tensor scale, struct tensor w))                     \
	K(dequantize, cpu, (struct dev * d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, \
	                    struct tensor below))                                                                     \
	K(quantize4, ref, (struct dev * d, struct tensor q, struct tensor scale, struct tensor w))                    \
	K(dequantize4, cpu, (struct dev * d, struct tensor w, struct tensor q, struct tensor scale, struct tensor right, \
	                     struct tensor below))                                                                    \
	K(f8_rows, ref, (struct dev * d, struct tensor q, struct tensor s, struct tensor x, struct tensor c))         \
	K(f8_product, ref, (struct dev * d, const struct f8_product *p))                                              \
	K(f8_turn, ref, (struct dev * d, struct tensor y, struct tensor x))                                           \
	K(rms_modulate_f8, ref, (struct dev * d, struct tensor y, struct tensor r, struct tensor x, struct tensor m,  \
	                         int shift, int scale, struct f8_cast f))                                             \
	K(gate_add_half_f8, ref, (struct dev * d, struct tensor y, struct tensor yh, struct tensor x,                 \
	                          struct tensor z, struct tensor m, int gate, struct f8_cast f))                      \
	K(gate_backward_f8, ref, (struct dev * d, struct tensor dz, struct tensor dy, struct tensor m, int gate,      \
	                          struct f8_cast f))                                                                  \
	K(rms_modulate_backward_half_f8, ref, (struct dev * d, struct tensor dx, struct tensor dxh,                   \
	                                       struct tensor onto, struct tensor dy, struct tensor x,                 \
	                                       struct tensor r, struct tensor m, int scale, struct tensor mh,         \
	                                       int gate, struct f8_cast f))                                           \
	K(qkv_ready_backward_f8, ref, (struct dev * d, struct tensor dq, struct tensor dk, struct tensor dv,          \
	                               struct tensor q, struct tensor k, struct tensor cs, struct tensor mask,        \
	                               struct f8_cast f))
#endif
