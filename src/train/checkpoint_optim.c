/* SPDX-License-Identifier: Apache-2.0 */
/* The exact values that a run goes on from: CHECKPOINT_OPTIMIZER. */
#include "base/file.h"
#include "base/json.h"
#include "train/checkpoint_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCALES "adapter_scales"

char *
checkpoint_key(const char *group, const struct param *p, const char *what)
{
	return file_path("%s.%s.%s", group, p->name, what);
}

static enum status
key(char **text, const char *group, const struct param *p, const char *what)
{
	*text = checkpoint_key(group, p, what);
	return *text ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for the name of %s", p->name);
}

static enum status
add_one(struct checkpoint_save *s, const char *group, const struct optim *o, const struct optim_item *it, const char *what,
        struct tensor value)
{
	enum status st;
	char *name;

	ACE_TRY(key(&name, group, it->p, what));
	st = checkpoint_add_tensor(s, CHECKPOINT_OPTIMIZER, name, o->dev, value);
	free(name);
	return st;
}

enum status
checkpoint_add_scalars(struct checkpoint_save *s, const char *group, const struct optim *o)
{
	for (int i = 0; i < OPTIM_SCALARS && o->scalar[i].name; i++) {
		char value[40], *name = file_path("%s/%s", group, o->scalar[i].name);
		enum status st;
		snprintf(value, sizeof value, "%.17g", o->scalar[i].value);
		st = name ? checkpoint_add_meta(s, CHECKPOINT_OPTIMIZER, name, value) : ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
		free(name);
		ACE_TRY(st);
	}
	return ACE_OK;
}

enum status
checkpoint_add_optim(struct checkpoint_save *s, const char *const group[OPTIM_GROUPS], const struct optim *o)
{
	for (int i = 0; i < o->n; i++) {
		const struct optim_item *it = &o->item[i];
		ACE_TRY(add_one(s, group[it->group], o, it, "value", it->p->value));
		for (int k = 0; k < OPTIM_STATES && it->state[k].name; k++)
			ACE_TRY(add_one(s, group[it->group], o, it, it->state[k].name, it->state[k].value));
	}
	return checkpoint_add_scalars(s, group[0], o);
}

enum status
checkpoint_add_scales(struct checkpoint_save *s, const struct params *ps)
{
	cJSON *root = cJSON_CreateObject();
	char *text;
	bool ok = root != NULL;
	enum status st;

	for (int i = 0; ok && i < ps->n_modules; i++)
		if (ps->module[i].l->rank > 0)
			ok = cJSON_AddNumberToObject(root, ps->module[i].name, (double)ps->module[i].l->scale) != NULL;
	text = ok ? cJSON_PrintUnformatted(root) : NULL;
	cJSON_Delete(root);
	if (!text)
		return ace_fail(ACE_ENOMEM, "%s: no memory", s->name);
	st = checkpoint_add_meta(s, CHECKPOINT_OPTIMIZER, SCALES, text);
	cJSON_free(text);
	return st;
}

static bool
ends(const char *s, const char *ending)
{
	size_t n = strlen(s), k = strlen(ending);

	return n >= k && strcmp(s + n - k, ending) == 0;
}

/* The module's A, whatever group it is in: GROUP.MODULE.lora_A.weight.value */
static const struct st_entry *
find_a(const struct st_file *f, const char *module)
{
	char *ending = file_path(".%s.lora_A.weight.value", module);
	const struct st_entry *found = NULL;

	for (int i = 0; ending && i < f->n && !found; i++) {
		const char *name = f->entry[i].name;
		if (ends(name, ending) && !memchr(name, '.', strlen(name) - strlen(ending)))
			found = &f->entry[i];
	}
	free(ending);
	return found;
}

static enum status
make_one(const struct st_file *f, struct params *ps, const cJSON *scale, float dropout)
{
	const struct st_entry *a = find_a(f, scale->string);
	char text[80];
	int i = 0;

	while (i < ps->n_modules && strcmp(ps->module[i].name, scale->string) != 0)
		i++;
	if (i == ps->n_modules)
		return ace_fail(ACE_ECONFIG, "%s: an adapter of %s, which the model has not", f->path, scale->string);
	if (!cJSON_IsNumber(scale) || !isfinite(scale->valuedouble) || !a)
		return ace_fail(ACE_EDATA, "%s: the adapter of %s has no %s", f->path, scale->string, a ? "scale" : "lora_A");
	if (a->value.rank != 2 || a->value.dim[0] < 1 || a->value.dim[0] > ADAPTER_RANK ||
	    a->value.dim[1] != linear_in(ps->module[i].l))
		return ace_fail(ACE_ECONFIG, "%s: %s has shape %s, the model has %lld inputs there", f->path, a->name,
		                tensor_shape_text(a->value, text, sizeof text), (long long)linear_in(ps->module[i].l));
	return params_add_adapter(ps, i, a->value.dim[0], (float)scale->valuedouble, dropout);
}

enum status
checkpoint_make_adapters(const struct checkpoint *c, struct params *ps, float dropout, int *modules)
{
	cJSON *root = NULL, *e;
	struct st_file f;
	const char *text;
	enum status st;

	ACE_TRY(checkpoint_tensors(c, CHECKPOINT_OPTIMIZER, &f));
	text = st_meta(&f, SCALES);
	st = text ? json_parse(text, strlen(text), f.path, &root) : ACE_OK;
	if (st == ACE_OK && (!cJSON_IsObject(root) || !cJSON_GetArraySize(root)))
		st = ace_fail(ACE_ECONFIG, "%s: it holds no adapters", f.path);
	cJSON_ArrayForEach(e, root)
		if (st == ACE_OK)
			st = make_one(&f, ps, e, dropout);
	if (modules)
		*modules = cJSON_GetArraySize(root);
	cJSON_Delete(root);
	st_close(&f);
	return st;
}

/* Values are checked: a run that goes on from what is not finite only wastes its time. */
enum status
checkpoint_check_finite(const struct st_file *f, const char *name)
{
	const struct st_entry *e = st_find(f, name);
	int64_t n = e ? tensor_count(e->value) : 0;
	bool finite = true;

	for (int64_t i = 0; i < n && e->value.dtype == F32; i++)
		finite &= isfinite(((const float *)e->value.data)[i]) != 0;
	for (int64_t i = 0; i < n && e->value.dtype == BF16; i++)
		finite &= isfinite(bf16_to_f32(((const uint16_t *)e->value.data)[i])) != 0;
	return finite ? ACE_OK : ace_fail(ACE_EDATA, "%s: tensor %s has values that are not finite", f->path, name);
}

static enum status
restore_one(const struct st_file *f, const char *group, struct optim *o, const struct optim_item *it, const char *what,
            struct tensor value, int64_t *used)
{
	enum status st;
	char *name;

	ACE_TRY(key(&name, group, it->p, what));
	st = checkpoint_tensor(f, name, o->dev, value);
	if (st == ACE_OK)
		st = checkpoint_check_finite(f, name);
	free(name);
	++*used;
	return st;
}

static bool
in_groups(const char *name, const char *const group[OPTIM_GROUPS])
{
	for (int i = 0; i < OPTIM_GROUPS; i++) {
		size_t n = group[i] ? strlen(group[i]) : 0;
		if (n && strncmp(name, group[i], n) == 0 && name[n] == '.')
			return true;
	}
	return false;
}

static bool
wanted(const char *name, const char *const group[OPTIM_GROUPS], const struct optim *o)
{
	for (int i = 0; i < o->n; i++) {
		const struct optim_item *it = &o->item[i];
		size_t g = group[it->group] ? strlen(group[it->group]) : 0, n = strlen(it->p->name);
		const char *rest = name + g + 1 + n;
		if (!g || strlen(name) < g + n + 3 || strncmp(name, group[it->group], g) != 0 || name[g] != '.' ||
		    strncmp(name + g + 1, it->p->name, n) != 0 || *rest != '.')
			continue;
		if (strcmp(rest + 1, "value") == 0)
			return true;
		for (int k = 0; k < OPTIM_STATES && it->state[k].name; k++)
			if (strcmp(rest + 1, it->state[k].name) == 0)
				return true;
	}
	return false;
}

/* Fewer are used than there are: say which is left over. */
static enum status
check_left(const struct st_file *f, const char *const group[OPTIM_GROUPS], const struct optim *o, int64_t used)
{
	int64_t have = 0;

	for (int i = 0; i < f->n; i++)
		have += in_groups(f->entry[i].name, group);
	if (have == used)
		return ACE_OK;
	for (int i = 0; i < f->n; i++)
		if (in_groups(f->entry[i].name, group) && !wanted(f->entry[i].name, group, o))
			return ace_fail(ACE_ECONFIG, "%s: tensor %s has no place in this run: other settings saved it", f->path,
			                f->entry[i].name);
	return ACE_OK;
}

enum status
checkpoint_restore_scalars(const struct st_file *f, const char *group, struct optim *o)
{
	for (int i = 0; i < OPTIM_SCALARS && o->scalar[i].name; i++) {
		char *name = file_path("%s/%s", group, o->scalar[i].name), *end;
		const char *text = name ? st_meta(f, name) : NULL;
		double v = text ? strtod(text, &end) : NAN;
		free(name);
		if (!text || end == text || *end || !isfinite(v))
			return ace_fail(ACE_ECONFIG, "%s: no number %s/%s: other settings saved it", f->path, group, o->scalar[i].name);
		o->scalar[i].value = v;
	}
	return ACE_OK;
}

enum status
checkpoint_restore_optim(const struct checkpoint *c, const char *const group[OPTIM_GROUPS], struct optim *o)
{
	enum status st = ACE_OK;
	struct st_file f;
	int64_t used = 0;

	ACE_TRY(checkpoint_tensors(c, CHECKPOINT_OPTIMIZER, &f));
	for (int i = 0; st == ACE_OK && i < o->n; i++) {
		const struct optim_item *it = &o->item[i];
		if (!group[it->group])
			continue;
		st = restore_one(&f, group[it->group], o, it, "value", it->p->value, &used);
		for (int k = 0; st == ACE_OK && k < OPTIM_STATES && it->state[k].name; k++)
			st = restore_one(&f, group[it->group], o, it, it->state[k].name, it->state[k].value, &used);
	}
	if (st == ACE_OK)
		st = check_left(&f, group, o, used);
	if (st == ACE_OK)
		st = checkpoint_restore_scalars(&f, group[0], o);
	st_close(&f);
	return st;
}
