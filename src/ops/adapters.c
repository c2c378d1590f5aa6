/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/adapters.h"

#include "kernels/kernels.h"

#include <assert.h>

static int64_t
width(const struct adapters *m)
{
	int64_t all = 0;

	assert(m->n > 0 && m->n <= ADAPTERS && m->p >= 0.f && m->p < 1.f);
	for (int k = 0; k < m->n; k++)
		all += adapter_width(m->rank[k]);
	return all;
}

static int64_t
outputs(const struct adapters *m)
{
	int64_t all = 0;

	for (int k = 0; k < m->n; k++)
		all += m->out[k];
	return all;
}

void
adapters_spread(struct dev *d, struct tensor table, int64_t n, int64_t most)
{
	assert(n >= 0 && most > 0);
	d->k->adapters_spread(d, table, n, most);
}

void
adapters_down(struct dev *d, struct tensor h, struct tensor x, struct tensor a, const struct adapters *m)
{
	assert(h.rank == 2 && x.rank == 2 && a.rank == 2 && h.dim[0] == x.dim[0]);
	assert(h.dim[1] == width(m) && a.dim[0] == h.dim[1] && a.dim[1] == x.dim[1]);
	d->k->adapters_down(d, h, x, a, m);
}

void
adapters_back(struct dev *d, struct tensor dh, struct tensor dy, struct tensor bt, const struct adapters *m)
{
	assert(dh.rank == 2 && dy.rank == 2 && dh.dim[0] == dy.dim[0] && dh.dim[1] == width(m) && dy.dim[1] == outputs(m));
	d->k->adapters_back(d, dh, dy, bt, m);
}

void
adapters_grads(struct dev *d, const struct tensor da[], const struct tensor db[], struct tensor dh, struct tensor h,
               struct tensor x, struct tensor dy, const struct adapters *m)
{
	assert(dh.dim[1] == width(m) && tensor_same(dh, h) && dy.dim[1] == outputs(m));
	assert(x.dim[0] == dy.dim[0] && x.dim[0] == h.dim[0]);
	for (int k = 0; k < m->n; k++) {
		assert(!da[k].rank || (da[k].dtype == F32 && da[k].dim[0] == m->rank[k] && da[k].dim[1] == x.dim[1]));
		assert(!db[k].rank || (db[k].dtype == F32 && db[k].dim[0] == m->out[k] && db[k].dim[1] == m->rank[k]));
	}
	d->k->adapters_grads(d, da, db, dh, h, x, dy, m);
}

void
adapters_dx(struct dev *d, struct tensor dx, struct tensor dh, struct tensor a, const struct adapters *m)
{
	assert(dh.dim[1] == width(m) && a.dim[0] == dh.dim[1] && dx.dim[1] == a.dim[1] && dx.dim[0] == dh.dim[0]);
	d->k->adapters_dx(d, dx, dh, a, m);
}
