/* SPDX-License-Identifier: Apache-2.0 */
#include "base/msg.h"
#include "models/adapter.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int
find(const struct params *ps, const char *name)
{
	for (int i = 0; i < ps->n_modules; i++)
		if (strcmp(ps->module[i].name, name) == 0)
			return i;
	return -1;
}

static enum status
check_size(const struct adapter_file *f, const struct adapter *m, const struct linear *l)
{
	if (m->a.dim[1] != linear_in(l) || m->b.dim[0] != linear_out(l))
		return ace_fail(ACE_EDATA, "%s: the adapter of %s is for %lld inputs and %lld outputs, the model has %lld and %lld",
		                f->st.path, m->name, (long long)m->a.dim[1], (long long)m->b.dim[0], (long long)linear_in(l),
		                (long long)linear_out(l));
	if (l->rank > 0 && l->rank != m->rank)
		return ace_fail(ACE_ECONFIG, "%s: the adapter of %s has rank %lld, the model's has %lld", f->st.path, m->name,
		                (long long)m->rank, (long long)l->rank);
	return ACE_OK;
}

static enum status
fill(struct params *ps, const struct adapter_file *f, const char *module, struct param *p, struct tensor from)
{
	int64_t n = tensor_count(from);
	float *host;
	bool finite = true;

	if (dev_is_dry(ps->dev))
		return ACE_OK;
	host = malloc((size_t)n * sizeof *host);
	if (!host)
		return ace_fail(ACE_ENOMEM, "%s: no memory for the adapter of %s", f->st.path, module);
	dtype_convert(host, F32, from.data, from.dtype, n);
	for (int64_t i = 0; i < n; i++)
		finite &= isfinite(host[i]) != 0;
	if (finite)
		ps->dev->m->upload(ps->dev, p->value.data, host, (size_t)n * sizeof *host);
	free(host);
	return finite ? ACE_OK : ace_fail(ACE_EDATA, "%s: the adapter of %s has values that are not finite", f->st.path, module);
}

static enum status
load_module(struct params *ps, const struct adapter_file *f, const struct adapter *m, float dropout)
{
	int i = find(ps, m->name);
	struct linear *l;

	if (i < 0)
		return ace_fail(ACE_EBUG, "%s: module %s: the file was not opened for this model", f->st.path, m->name);
	l = ps->module[i].l;
	ACE_TRY(check_size(f, m, l));
	if (l->rank == 0)
		ACE_TRY(params_add_adapter(ps, i, m->rank, m->scale, dropout));
	l->scale = m->scale;
	ACE_TRY(fill(ps, f, m->name, &l->lora_a, m->a));
	return fill(ps, f, m->name, &l->lora_b, m->b);
}

/* The rank that most modules have (the larger of two as frequent), and the first s that goes with it. */
static void
common(const struct adapter *m, int n, int64_t *rank, float *scale)
{
	int most = 0;

	*rank = 0;
	*scale = 1.f;
	for (int i = 0; i < n; i++) {
		int same = 0;
		if (m[i].rank == *rank)
			continue;
		for (int j = 0; j < n; j++)
			same += m[j].rank == m[i].rank;
		if (same > most || (same == most && m[i].rank > *rank)) {
			most = same;
			*rank = m[i].rank;
			*scale = m[i].scale;
		}
	}
}

static void
warn_differing(const struct adapter_file *f, const struct lora_options *o, int64_t rank, float scale)
{
	float wanted = o->rslora ? o->alpha / sqrtf((float)o->rank) : o->alpha / (float)o->rank;

	if (rank != o->rank || fabsf(scale - wanted) > 1e-6f * fabsf(wanted))
		msg_warn("%s: adapters of rank %lld and scale %g; rank %lld and scale %g of the settings are not used", f->st.path,
		         (long long)rank, (double)scale, (long long)o->rank, (double)wanted);
}

/* Adapters for the targets that the file has nothing for. */
static enum status
add_missing(struct params *ps, const struct adapter_file *f, const struct adapter_load_options *o, struct adapter_loaded *l)
{
	struct lora_options fresh = *o->lora;
	const char *first = NULL;
	bool *had = calloc((size_t)ps->n_modules + 1, sizeof *had);
	enum status st;

	if (!had)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->st.path);
	for (int i = 0; i < ps->n_modules; i++)
		had[i] = ps->module[i].l->rank > 0;
	fresh.rank = l->rank;
	fresh.alpha = l->scale * (float)l->rank;
	fresh.rslora = false;
	fresh.dropout = o->dropout;
	st = params_add_lora(ps, &fresh);
	for (int i = 0; st == ACE_OK && i < ps->n_modules; i++) {
		if (had[i] || ps->module[i].l->rank == 0)
			continue;
		ps->module[i].l->scale = l->scale;
		if (l->fresh++ == 0)
			first = ps->module[i].name;
	}
	if (l->fresh)
		msg_warn("%s: has nothing for %d of the modules to be trained (%s ...); they start anew", f->st.path, l->fresh, first);
	free(had);
	return st;
}

enum status
adapter_load(struct params *ps, const struct adapter_file *f, const struct adapter_load_options *o, struct adapter_loaded *loaded)
{
	struct adapter_loaded l = { .modules = f->n, .unknown = f->n_unknown, .global_step = f->global_step };
	char text[600];

	if (f->n == 0)
		return ace_fail(ACE_EDATA, "%s: no key is an adapter of this model (%s)", f->st.path,
		                adapter_unknown_text(f, text, sizeof text));
	if (f->n_unknown && !o->ignore_unknown)
		return ace_fail(ACE_EDATA, "%s: keys that match no module of the model: %s", f->st.path,
		                adapter_unknown_text(f, text, sizeof text));
	if (f->n_unknown)
		msg_warn("%s: keys that match no module of the model are passed over: %s", f->st.path,
		         adapter_unknown_text(f, text, sizeof text));
	for (int i = 0; i < f->n; i++)
		ACE_TRY(load_module(ps, f, &f->module[i], o->dropout));
	common(f->module, f->n, &l.rank, &l.scale);
	if (o->lora) {
		warn_differing(f, o->lora, l.rank, l.scale);
		ACE_TRY(add_missing(ps, f, o, &l));
	}
	if (loaded)
		*loaded = l;
	return ACE_OK;
}

void
adapter_strength(struct params *ps, float factor)
{
	for (int i = 0; i < ps->n_modules; i++)
		ps->module[i].l->scale *= factor;
}
