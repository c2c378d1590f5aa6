/* SPDX-License-Identifier: Apache-2.0 */
#include "models/placed.h"

#include <stdlib.h>

enum status
placed_copy(struct placed *p, struct dev *d, const char *name, struct tensor *x)
{
	void *data, *more;

	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 64;
		more = realloc(p->owned, (size_t)p->cap * sizeof *p->owned);
		if (!more)
			return ace_fail(ACE_ENOMEM, "no memory for a list of %d tensors", p->cap);
		p->owned = more;
	}
	ACE_TRY(dev_alloc(d, tensor_bytes(*x), name, &data));
	p->owned[p->n++] = data;
	d->m->upload(d, data, x->data, tensor_bytes(*x));
	x->data = data;
	return d->status;
}

enum status
placed_take(struct placed *p, struct dev *d, const char *name, struct tensor *x)
{
	return d->kind == DEV_CUDA ? placed_copy(p, d, name, x) : ACE_OK;
}

void
placed_free(struct placed *p, struct dev *d)
{
	for (int i = 0; i < p->n; i++)
		d->m->free(d, p->owned[i]);
	free(p->owned);
	*p = (struct placed){ 0 };
}
