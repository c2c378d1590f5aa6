/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters of several files as one: rows of A above each other, columns of B beside each other, each B times its own scale. */
#include "models/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct join {
	struct params *ps;
	const struct adapter_file *f;
	const float *strength;
	int n;
};

static const struct adapter *
in_file(const struct adapter_file *f, const char *module)
{
	for (int i = 0; i < f->n; i++)
		if (strcmp(f->module[i].name, module) == 0)
			return &f->module[i];
	return NULL;
}

static enum status
check_file(const struct adapter_file *f)
{
	char text[600];

	adapter_unknown_text(f, text, sizeof text);
	if (f->n == 0)
		return ace_fail(ACE_EDATA, "%s: no key is an adapter of this model (%s)", f->st.path, text);
	if (f->n_unknown)
		return ace_fail(ACE_EDATA, "%s: keys that match no module of the model: %s", f->st.path, text);
	return ACE_OK;
}

static enum status
check_size(const struct adapter_file *f, const struct adapter *m, const struct linear *l)
{
	if (m->a.dim[1] == linear_in(l) && m->b.dim[0] == linear_out(l))
		return ACE_OK;
	return ace_fail(ACE_EDATA, "%s: the adapter of %s is for %lld inputs and %lld outputs, the model has %lld and %lld", f->st.path,
	                m->name, (long long)m->a.dim[1], (long long)m->b.dim[0], (long long)linear_in(l), (long long)linear_out(l));
}

static enum status
check_values(const struct adapter_file *f, const char *module, const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		if (!isfinite(x[i]))
			return ace_fail(ACE_EDATA, "%s: the adapter of %s has values that are not finite", f->st.path, module);
	return ACE_OK;
}

/* One file's part of a module, from rank `at` of `all` on. part holds the file's B. */
static enum status
add(const struct join *j, int k, const struct adapter *m, int64_t at, int64_t all, float *a, float *b, float *part)
{
	int64_t in = m->a.dim[1], out = m->b.dim[0], r = m->rank;
	float scale = m->scale * j->strength[k];

	dtype_convert(a + at * in, F32, m->a.data, m->a.dtype, r * in);
	dtype_convert(part, F32, m->b.data, m->b.dtype, out * r);
	ACE_TRY(check_values(&j->f[k], m->name, a + at * in, r * in));
	ACE_TRY(check_values(&j->f[k], m->name, part, out * r));
	for (int64_t o = 0; o < out; o++)
		for (int64_t i = 0; i < r; i++)
			b[o * all + at + i] = scale * part[o * r + i];
	return ACE_OK;
}

static enum status
fill(const struct join *j, int module, int64_t rank)
{
	const struct linear *l = j->ps->module[module].l;
	int64_t in = linear_in(l), out = linear_out(l), at = 0;
	float *a = malloc((size_t)(rank * (in + 2 * out)) * sizeof *a), *b = a ? a + rank * in : NULL;
	struct dev *d = j->ps->dev;
	enum status st = ACE_OK;

	if (!a)
		return ace_fail(ACE_ENOMEM, "no memory for the adapter of %s", j->ps->module[module].name);
	for (int k = 0; k < j->n && st == ACE_OK; k++) {
		const struct adapter *m = in_file(&j->f[k], j->ps->module[module].name);
		if (!m)
			continue;
		st = add(j, k, m, at, rank, a, b, b + rank * out);
		at += m->rank;
	}
	if (st == ACE_OK) {
		d->m->upload(d, l->lora_a.value.data, a, (size_t)(rank * in) * sizeof *a);
		d->m->upload(d, l->lora_b.value.data, b, (size_t)(rank * out) * sizeof *b);
	}
	free(a);
	return st;
}

enum status
adapter_join(struct params *ps, const struct adapter_file *f, const float *strength, int n, int *modules)
{
	const struct join j = { ps, f, strength, n };
	int made = 0;

	for (int k = 0; k < n; k++)
		ACE_TRY(check_file(&f[k]));
	for (int i = 0; i < ps->n_modules; i++) {
		int64_t rank = 0;
		for (int k = 0; k < n; k++) {
			const struct adapter *m = in_file(&f[k], ps->module[i].name);
			if (!m)
				continue;
			ACE_TRY(check_size(&f[k], m, ps->module[i].l));
			rank += m->rank;
		}
		if (rank == 0)
			continue;
		ACE_TRY(params_add_adapter(ps, i, rank, 1.f, 0.f));
		made++;
		if (!dev_is_dry(ps->dev))
			ACE_TRY(fill(&j, i, rank));
	}
	if (modules)
		*modules = made;
	return ACE_OK;
}
