/* SPDX-License-Identifier: Apache-2.0 */
/* joined.c - kernels that are others, one after the other */
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

void
ref_rope_both(struct dev *d, struct tensor a, struct tensor b, struct tensor cs, bool backward)
{
	ref_rope(d, a, a, cs, backward);
	ref_rope(d, b, b, cs, backward);
}

void
ref_qkv_ready(struct dev *d, struct tensor q, struct tensor k, struct tensor v, struct tensor cs, struct tensor mask)
{
	ref_rope_relu(d, q, q, cs, mask);
	ref_rope_relu(d, k, k, cs, mask);
	ref_mask_rows(d, v, v, mask);
}

void
ref_qkv_ready_backward(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor q, struct tensor k,
                       struct tensor cs, struct tensor mask)
{
	ref_rope_relu_backward(d, dq, dq, q, cs, mask);
	ref_rope_relu_backward(d, dk, dk, k, cs, mask);
	ref_mask_rows(d, dv, dv, mask);
}

void
ref_gate_add_half(struct dev *d, struct tensor y, struct tensor yh, struct tensor x, struct tensor z, struct tensor m, int gate)
{
	ref_gate_add(d, y, x, z, m, gate);
	if (yh.rank)
		ref_copy(d, yh, y);
}

void
ref_rms_modulate_backward_half(struct dev *d, struct tensor dx, struct tensor dxh, struct tensor onto, struct tensor dy,
                               struct tensor x, struct tensor r, struct tensor m, int scale, struct tensor mh, int gate)
{
	if (onto.data != dx.data)
		ref_copy(d, dx, onto);
	ref_rms_modulate_backward(d, dx, dy, x, r, m, scale, true);
	if (dxh.rank && mh.rank)
		ref_gate_backward(d, dxh, dx, mh, gate);
	else if (dxh.rank)
		ref_copy(d, dxh, dx);
}

void
ref_rms_modulate_f8(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift, int scale,
                    struct f8_cast f)
{
	ref_rms_modulate(d, y, r, x, m, shift, scale);
	ref_f8_rows(d, f.q, f.s, y, f.c);
}

void
ref_gate_add_half_f8(struct dev *d, struct tensor y, struct tensor yh, struct tensor x, struct tensor z, struct tensor m, int gate,
                     struct f8_cast f)
{
	ref_gate_add_half(d, y, yh, x, z, m, gate);
	ref_f8_rows(d, f.q, f.s, yh.rank ? yh : y, f.c);
}

void
ref_gate_backward_f8(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate, struct f8_cast f)
{
	ref_gate_backward(d, dz, dy, m, gate);
	ref_f8_rows(d, f.q, f.s, dz, f.c);
}

void
ref_rms_modulate_backward_half_f8(struct dev *d, struct tensor dx, struct tensor dxh, struct tensor onto, struct tensor dy,
                                  struct tensor x, struct tensor r, struct tensor m, int scale, struct tensor mh, int gate,
                                  struct f8_cast f)
{
	ref_rms_modulate_backward_half(d, dx, dxh, onto, dy, x, r, m, scale, mh, gate);
	ref_f8_rows(d, f.q, f.s, dxh.rank ? dxh : dx, f.c);
}

/* Columns at .. of all, which have a matrix of their own in part, brought there or back. */
static void
move_columns(struct tensor all, int64_t at, struct tensor part, bool back)
{
	int64_t D = part.dim[2], ld = tensor_ld(all);

	for (int64_t n = 0; n < tensor_rows(part); n++) {
		float *wide = (float *)all.data + n * ld + at, *own = (float *)part.data + n * D;
		memcpy(back ? wide : own, back ? own : wide, (size_t)D * sizeof *own);
	}
}

void
ref_qkv_ready_backward_f8(struct dev *d, struct tensor dq, struct tensor dk, struct tensor dv, struct tensor q, struct tensor k,
                          struct tensor cs, struct tensor mask, struct f8_cast f)
{
	struct tensor all = dq, part[3] = { dq, dk, dv };
	float *own = malloc((size_t)(3 * tensor_count(dq)) * sizeof *own + 1);

	if (!own) {
		d->status = ace_fail(ACE_ENOMEM, "no memory for q, k and v side by side");
		return;
	}
	all.ld = tensor_ld(dq);
	all.dim[2] *= 3;
	for (int i = 0; i < 3; i++) {
		part[i].data = own + i * tensor_count(dq), part[i].ld = 0;
		move_columns(all, i * dq.dim[2], part[i], false);
	}
	ref_qkv_ready_backward(d, part[0], part[1], part[2], q, k, cs, mask);
	for (int i = 0; i < 3; i++)
		move_columns(all, i * dq.dim[2], part[i], true);
	free(own);
	ref_f8_rows(d, f.q, f.s, all, f.c);
}
