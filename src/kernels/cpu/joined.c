/* SPDX-License-Identifier: Apache-2.0 */
/* joined.c - kernels that are others, one after the other */
#include "kernels/kernels.h"

void
cpu_rope_both(struct dev *d, struct tensor a, struct tensor b, struct tensor cs, bool backward)
{
	cpu_rope(d, a, a, cs, backward);
	cpu_rope(d, b, b, cs, backward);
}

void
cpu_qkv_ready(struct dev *d, struct tensor q, struct tensor k, struct tensor v, struct tensor cs, struct tensor mask)
{
	cpu_rope_relu(d, q, q, cs, mask);
	cpu_rope_relu(d, k, k, cs, mask);
	cpu_mask_rows(d, v, v, mask);
}

void
cpu_qkv_ready_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor q, struct tensor k,
                       struct tensor cs, struct tensor mask)
{
	cpu_rope_relu_backward(d, dq, dq, q, cs, mask);
	cpu_rope_relu_backward(d, dk, dk, k, cs, mask);
	cpu_mask_rows(d, dv, dv, mask);
}

void
cpu_gate_add_half(struct dev *d, struct tensor y, struct tensor yh, struct tensor x, struct tensor z, struct tensor m, int gate)
{
	cpu_gate_add(d, y, x, z, m, gate);
	if (yh.rank)
		ref_copy(d, yh, y);
}

void
cpu_rms_modulate_backward_half(struct dev *d, struct tensor dx, struct tensor dxh, struct tensor onto, struct tensor dy,
                               struct tensor x, struct tensor r, struct tensor m, int scale, struct tensor mh, int gate)
{
	if (onto.data != dx.data)
		ref_copy(d, dx, onto);
	cpu_rms_modulate_backward(d, dx, dy, x, r, m, scale, true);
	if (dxh.rank && mh.rank)
		cpu_gate_backward(d, dxh, dx, mh, gate);
	else if (dxh.rank)
		ref_copy(d, dxh, dx);
}
