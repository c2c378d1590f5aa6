/* SPDX-License-Identifier: Apache-2.0 */
#include "train/ema_file.h"

#include "models/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* x, which is the file's, times scale into the average of p. */
static enum status
fill(struct ema *e, const struct adapter_file *f, const struct param *p, struct tensor x, float scale)
{
	int64_t n = tensor_count(x), first = 0;
	struct tensor shadow = ema_shadow(e, p->name, &first);
	char found[80], wanted[80];
	bool finite = true;
	float *wide;

	if (!tensor_same_shape(x, p->value))
		return ace_fail(ACE_ECONFIG, "%s: %s is %s there, and %s in this run", f->st.path, p->name,
		                tensor_shape_text(x, found, sizeof found), tensor_shape_text(p->value, wanted, sizeof wanted));
	wide = malloc((size_t)n * sizeof *wide + 1);
	if (!wide)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %s", f->st.path, p->name);
	dtype_convert(wide, F32, x.data, x.dtype, n);
	for (int64_t i = 0; i < n; i++) {
		wide[i] *= scale;
		finite &= isfinite(wide[i]) != 0;
	}
	if (finite && shadow.rank)		/* else another rank's */
		e->dev->m->upload(e->dev, shadow.data, wide + first, tensor_bytes(shadow));
	free(wide);
	return finite ? ACE_OK : ace_fail(ACE_EDATA, "%s: %s has values that are not finite", f->st.path, p->name);
}

static enum status
fill_module(struct ema *e, const struct adapter_file *f, const struct module *m)
{
	const struct adapter *a = NULL;

	for (int i = 0; i < f->n && !a; i++)
		if (strcmp(f->module[i].name, m->name) == 0)
			a = &f->module[i];
	if (!a)
		return ace_fail(ACE_ECONFIG, "%s has no average of %s, which has an adapter in this run", f->st.path, m->name);
	ACE_TRY(fill(e, f, &m->l->lora_a, a->a, 1.f));
	return fill(e, f, &m->l->lora_b, a->b, m->l->scale != 0.f ? a->scale / m->l->scale : 1.f);
}

enum status
ema_read_adapters(struct ema *e, const struct params *ps, const char *path)
{
	struct adapter_file f;
	enum status st;
	char text[600];
	int used = 0;

	ACE_TRY(adapter_file_open(&f, path, ps));
	st = f.n_unknown == 0 ? ACE_OK : ace_fail(ACE_ECONFIG, "%s: keys that match no module of the model: %s", f.st.path,
	                                          adapter_unknown_text(&f, text, sizeof text));
	for (int i = 0; i < ps->n_modules && st == ACE_OK; i++)
		if (ps->module[i].l->rank > 0) {
			st = fill_module(e, &f, &ps->module[i]);
			used++;
		}
	if (st == ACE_OK && used < f.n)
		st = ace_fail(ACE_ECONFIG, "%s has averages of %d modules; this run has adapters on %d", f.st.path, f.n, used);
	adapter_file_close(&f);
	return st;
}
