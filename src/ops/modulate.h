/* SPDX-License-Identifier: Apache-2.0 */
/* modulate.h - root mean square norm with modulation, gates, silu (transformer.md sections 4.5, 4.6)
 *
 * cast: of rank 0, or where y (yh, dxh, dz) goes in fp8 as well (ops/quant.h).
 *
 * x, y, z and their gradients [B, T, D] (F32; on a cuda device each BF16 as well), m [B, R, D] rows of modulation; shift, scale, gate: row numbers. */
#ifndef ACE_OPS_MODULATE_H
#define ACE_OPS_MODULATE_H

#include "dev/dev.h"
#include "kernels/list_quant.h"
#include "num/tensor.h"

/* m [B, R, D] = table [R, D] + t [B, K, D], K = R, or 1: one row for all. */
void modulation_forward(struct dev *d, struct tensor m, struct tensor table, struct tensor t);
/* dtable [R, D] += sum over B of dm, dt [B, K, D] += dm; one of rank 0 is not wanted. */
void modulation_backward(struct dev *d, struct tensor dtable, struct tensor dt, struct tensor dm);

/* y = h (1 + m[scale]) + m[shift], h = x r, r [B, T] = 1 / sqrt(mean x^2 + 1e-6) (B. Zhang, R. Sennrich, Root Mean Square
 * Layer Normalization, 2019, eq. 4). */
void rms_modulate_forward(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift,
                          int scale);
void rms_modulate_cast(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift, int scale,
                       struct f8_cast cast);
/* dx = or += for dy; dx may be dy unless add. */
void rms_modulate_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor r,
                           struct tensor m, int scale, bool add);
/* dx = onto, which may be dx, + for dy, and unless it is of rank 0 dxh = dx in its own type, or mh[gate] dx unless mh is of rank 0;
 * cast: of dxh, or of dx where dxh is of rank 0 */
void rms_modulate_backward_half(struct dev *d, struct tensor dx, struct tensor dxh, struct tensor onto, struct tensor dy,
                                struct tensor x, struct tensor r, struct tensor m, int scale, struct tensor mh, int gate,
                                struct f8_cast cast);
/* dm rows scale and shift += */
void rms_modulate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor x, struct tensor r, int shift,
                        int scale);

/* y = x + m[gate] z; y may be x or z. */
void gate_add(struct dev *d, struct tensor y, struct tensor x, struct tensor z, struct tensor m, int gate);
/* the same, and yh = y in its own type unless of rank 0; yh may be z, where they lie alike. cast: of yh, or of y where yh is of rank 0 */
void gate_add_half(struct dev *d, struct tensor y, struct tensor yh, struct tensor x, struct tensor z, struct tensor m, int gate,
                   struct f8_cast cast);
/* dz = m[gate] dy */
void gate_backward(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate);
void gate_backward_cast(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate, struct f8_cast cast);
/* dm row gate += sum over T of dy z */
void gate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor z, int gate);

/* y = x / (1 + exp(-x)), any shape; y may be x. dx may be dy. */
void silu_forward(struct dev *d, struct tensor y, struct tensor x);
void silu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x);
#endif
