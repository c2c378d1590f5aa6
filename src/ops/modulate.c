/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/modulate.h"

#include "kernels/kernels.h"

#include <assert.h>

static void
check(struct tensor x, struct tensor m, int row)
{
	assert(dtype_is_activation(x.dtype) && m.dtype == F32 && x.rank == 3 && m.rank == 3);
	assert(x.dim[0] == m.dim[0] && x.dim[2] == m.dim[2] && row >= 0 && row < m.dim[1]);
}

static void
check_rows(struct tensor r, struct tensor x)
{
	assert(r.dtype == F32 && r.rank == 2 && r.dim[0] == x.dim[0] && r.dim[1] == x.dim[1]);
}

static void
check_cast(struct f8_cast f, struct tensor x)
{
	assert(f.q.dtype == F8 && f.q.dim[1] == x.dim[2] && f.q.dim[0] == tensor_rows(x) && tensor_count(f.s) == tensor_rows(x));
	assert(!f.c.rank || tensor_count(f.c) == x.dim[2]);
}

void
modulation_forward(struct dev *d, struct tensor m, struct tensor table, struct tensor t)
{
	assert(m.rank == 3 && table.rank == 2 && t.rank == 3 && table.dtype == F32);
	assert(table.dim[0] == m.dim[1] && table.dim[1] == m.dim[2] && t.dim[0] == m.dim[0] && t.dim[2] == m.dim[2]);
	assert(t.dim[1] == 1 || t.dim[1] == m.dim[1]);
	d->k->modulation(d, m, table, t);
}

void
modulation_backward(struct dev *d, struct tensor dtable, struct tensor dt, struct tensor dm)
{
	assert(dm.rank == 3 && (dtable.rank == 0 || dtable.rank == 2) && (dt.rank == 0 || dt.rank == 3));
	d->k->modulation_backward(d, dtable, dt, dm);
}

void
rms_modulate_forward(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift, int scale)
{
	check(x, m, shift);
	check(y, m, scale);
	check_rows(r, x);
	d->k->rms_modulate(d, y, r, x, m, shift, scale);
}

void
rms_modulate_cast(struct dev *d, struct tensor y, struct tensor r, struct tensor x, struct tensor m, int shift, int scale,
                  struct f8_cast cast)
{
	if (!cast.q.rank) {
		rms_modulate_forward(d, y, r, x, m, shift, scale);
		return;
	}
	check(x, m, shift);
	check(y, m, scale);
	check_rows(r, x);
	check_cast(cast, y);
	d->k->rms_modulate_f8(d, y, r, x, m, shift, scale, cast);
}

void
rms_modulate_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x, struct tensor r, struct tensor m,
                      int scale, bool add)
{
	check(x, m, scale);
	check_rows(r, x);
	assert(tensor_same_shape(dx, x) && tensor_same_shape(dy, x));
	d->k->rms_modulate_backward(d, dx, dy, x, r, m, scale, add);
}

void
rms_modulate_backward_half(struct dev *d, struct tensor dx, struct tensor dxh, struct tensor onto, struct tensor dy, struct tensor x,
                           struct tensor r, struct tensor m, int scale, struct tensor mh, int gate, struct f8_cast cast)
{
	check(x, m, scale);
	if (mh.rank)
		check(x, mh, gate);
	check_rows(r, x);
	assert(tensor_same_shape(dx, x) && tensor_same_shape(dy, x) && (!dxh.rank || tensor_same_shape(dxh, x)) && tensor_same(onto, dx));
	assert(!mh.rank || dxh.rank);
	if (cast.q.rank) {
		check_cast(cast, x);
		d->k->rms_modulate_backward_half_f8(d, dx, dxh, onto, dy, x, r, m, scale, mh, gate, cast);
	} else {
		d->k->rms_modulate_backward_half(d, dx, dxh, onto, dy, x, r, m, scale, mh, gate);
	}
}

void
rms_modulate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor x, struct tensor r, int shift, int scale)
{
	check(x, dm, shift);
	check(dy, dm, scale);
	check_rows(r, x);
	d->k->rms_modulate_grads(d, dm, dy, x, r, shift, scale);
}

void
gate_add(struct dev *d, struct tensor y, struct tensor x, struct tensor z, struct tensor m, int gate)
{
	check(x, m, gate);
	assert(tensor_same(y, x) && tensor_same_shape(z, x));
	d->k->gate_add(d, y, x, z, m, gate);
}

void
gate_add_half(struct dev *d, struct tensor y, struct tensor yh, struct tensor x, struct tensor z, struct tensor m, int gate,
              struct f8_cast cast)
{
	check(x, m, gate);
	assert(tensor_same(y, x) && tensor_same_shape(z, x) && (!yh.rank || tensor_same_shape(yh, x)));
	if (cast.q.rank) {
		check_cast(cast, x);
		d->k->gate_add_half_f8(d, y, yh, x, z, m, gate, cast);
	} else {
		d->k->gate_add_half(d, y, yh, x, z, m, gate);
	}
}

void
gate_backward(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate)
{
	check(dy, m, gate);
	assert(tensor_same_shape(dz, dy));
	d->k->gate_backward(d, dz, dy, m, gate);
}

void
gate_backward_cast(struct dev *d, struct tensor dz, struct tensor dy, struct tensor m, int gate, struct f8_cast cast)
{
	if (!cast.q.rank) {
		gate_backward(d, dz, dy, m, gate);
		return;
	}
	check(dy, m, gate);
	assert(tensor_same_shape(dz, dy));
	check_cast(cast, dz);
	d->k->gate_backward_f8(d, dz, dy, m, gate, cast);
}

void
gate_grads(struct dev *d, struct tensor dm, struct tensor dy, struct tensor z, int gate)
{
	check(dy, dm, gate);
	assert(tensor_same_shape(z, dy));
	d->k->gate_grads(d, dm, dy, z, gate);
}

void
silu_forward(struct dev *d, struct tensor y, struct tensor x)
{
	assert(dtype_is_activation(x.dtype) && dtype_is_activation(y.dtype) && tensor_count(x) == tensor_count(y));
	d->k->silu(d, y, x);
}

void
silu_backward(struct dev *d, struct tensor dx, struct tensor dy, struct tensor x)
{
	assert(dtype_is_activation(x.dtype) && tensor_count(x) == tensor_count(dy) && tensor_count(x) == tensor_count(dx));
	d->k->silu_backward(d, dx, dy, x);
}
