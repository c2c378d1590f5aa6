/* SPDX-License-Identifier: Apache-2.0 */
/* The copy of a model's adapters that is written, and the names of their modules in short. */
#include "models/adapter.h"

#include "base/file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* "to_out.0" of "transformer_blocks.3.attn.to_out.0": the last component that is no number, and what is behind it. */
static const char *
ending(const char *name)
{
	const char *at = name + strlen(name);

	while (at > name) {
		const char *end = at;
		while (at > name && at[-1] != '.')
			at--;
		if ((size_t)(end - at) != strspn(at, "0123456789"))
			break;
		if (at > name)
			at--;
	}
	return at;
}

static bool
listed(char *const *list, int n, const char *text)
{
	for (int i = 0; i < n; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static enum status
add_target(struct adapter_set *s, const char *text)
{
	if (listed(s->target, s->n_targets, text))
		return ACE_OK;
	s->target[s->n_targets] = strdup(text);
	if (!s->target[s->n_targets])
		return ace_fail(ACE_ENOMEM, "no memory for the names of adapters");
	s->n_targets++;
	return ACE_OK;
}

/* Endings, when they take exactly the modules that have an adapter; else the names. */
static enum status
name_targets(struct adapter_set *s, const struct params *ps)
{
	struct lora_options o = { 0 };
	bool exact = true;

	s->target = calloc((size_t)s->n, sizeof *s->target);
	if (!s->target)
		return ace_fail(ACE_ENOMEM, "no memory for the names of adapters");
	for (int i = 0; i < s->n; i++)
		ACE_TRY(add_target(s, ending(s->module[i].name)));
	o.target = (const char *const *)s->target;
	o.n_targets = s->n_targets;
	for (int i = 0; i < ps->n_modules; i++)
		exact &= params_is_target(ps->module[i].name, &o) == (ps->module[i].l->rank > 0);
	if (exact)
		return ACE_OK;
	for (int i = 0; i < s->n_targets; i++)
		free(s->target[i]);
	s->n_targets = 0;
	for (int i = 0; i < s->n; i++)
		ACE_TRY(add_target(s, s->module[i].name));
	return ACE_OK;
}

static struct tensor
value_of(const struct params *ps, const struct tensor *value, const struct param *p)
{
	for (int i = 0; value && i < ps->n; i++)
		if (ps->param[i] == p) {
			assert(value[i].rank == 0 || tensor_same(value[i], p->value));
			return value[i].rank ? value[i] : p->value;
		}
	return p->value;
}

static struct tensor
copy(const struct params *ps, struct tensor from, char **at)
{
	struct tensor x = from;

	assert(x.dtype == F32);
	x.data = *at;
	*at += tensor_bytes(x);
	if (!dev_is_dry(ps->dev))
		ps->dev->m->download(ps->dev, x.data, from.data, tensor_bytes(x));
	return x;
}

static enum status
take_all(struct adapter_set *s, const struct params *ps, const struct tensor *value)
{
	size_t bytes = 0, names = 0;
	char *at, *name;

	for (int i = 0; i < ps->n_modules; i++) {
		const struct linear *l = ps->module[i].l;
		if (!l->rank)
			continue;
		bytes += tensor_bytes(l->lora_a.value) + tensor_bytes(l->lora_b.value);
		names += strlen(ps->module[i].name) + 1;
		s->n++;
	}
	if (!s->n)
		return ace_fail(ACE_ECONFIG, "%s: the model has no adapters to be saved", ps->w->path);
	s->module = calloc((size_t)s->n, sizeof *s->module);
	s->memory = at = calloc(1, bytes + names);
	if (!s->module || !at)
		return ace_fail(ACE_ENOMEM, "no memory for a copy of the adapters (%zu bytes)", bytes);
	name = at + bytes;
	for (int i = 0, k = 0; i < ps->n_modules; i++) {
		const struct linear *l = ps->module[i].l;
		size_t len = strlen(ps->module[i].name) + 1;
		if (!l->rank)
			continue;
		memcpy(name, ps->module[i].name, len);
		s->module[k] = (struct adapter){ .name = name, .rank = l->rank, .scale = l->scale, .dropout = l->dropout };
		s->module[k].a = copy(ps, value_of(ps, value, &l->lora_a), &at);
		s->module[k++].b = copy(ps, value_of(ps, value, &l->lora_b), &at);
		name += len;
	}
	return ACE_OK;
}

enum status
adapter_snapshot(struct adapter_set *s, const struct params *ps, const struct tensor *value)
{
	enum status st;

	*s = (struct adapter_set){ 0 };
	if ((st = take_all(s, ps, value)) == ACE_OK)
		st = name_targets(s, ps);
	if (st != ACE_OK)
		adapter_set_free(s);
	return st;
}

void
adapter_set_free(struct adapter_set *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->n_targets; i++)
		free(s->target[i]);
	free(s->target);
	free(s->module);
	free(s->memory);
	*s = (struct adapter_set){ 0 };
}
