/* SPDX-License-Identifier: Apache-2.0 */
/* The identifier's tables out of their compact form, which datasets/text/langid.py describes. */
#include "text/langid.h"

#include "base/datadir.h"
#include "formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { STRIDE = 8 };

struct compact {
	const float *level, *log_pc;
	const uint16_t *levels, *owner, *parent;
	const uint8_t *byte, *high, *low;
	int64_t n_level, n_high;
};

/* The data of a tensor of that dtype and size (-1: any); NULL after a failure. */
static const void *
table(const struct st_file *f, const char *name, enum dtype dtype, int64_t size, int64_t *got)
{
	const struct st_entry *e = st_find(f, name);
	int64_t n = e ? tensor_count(e->value) : 0;

	if (!e || e->value.dtype != dtype || (size >= 0 && n != size)) {
		(void)ace_fail(ACE_EDATA, "%s: no table %s of the kind and size that the language identifier has", f->path, name);
		return NULL;
	}
	if (got)
		*got = n;
	return e->value.data;
}

static enum status
find_tables(struct langid *l, const struct st_file *f, struct compact *t)
{
	const struct st_entry *pc = st_find(f, "log_pc"), *owner = st_find(f, "owner"), *parent = st_find(f, "parent");
	int64_t C, F, S;

	if (!pc || !owner || !parent)
		return ace_fail(ACE_EDATA, "%s: no table log_pc, owner or parent: not a language identifier", f->path);
	C = tensor_count(pc->value);
	F = tensor_count(owner->value);
	S = tensor_count(parent->value) + 1;
	if (C < 1 || C > 1024 || F < 1 || F > 0xffff || S < 2 || S > 0xffff)
		return ace_fail(ACE_EDATA, "%s: %lld classes, %lld features, %lld states", f->path, (long long)C, (long long)F,
		                (long long)S);
	l->n_classes = (int)C;
	l->n_features = (int)F;
	l->n_states = (int)S;
	l->stride = (l->n_classes + STRIDE - 1) / STRIDE * STRIDE;
	if (!(t->log_pc = table(f, "log_pc", F32, C, NULL)) || !(t->level = table(f, "level", F32, -1, &t->n_level)) ||
	    !(t->levels = table(f, "levels", U16, C, NULL)) || !(t->owner = table(f, "owner", U16, F, NULL)) ||
	    !(t->parent = table(f, "parent", U16, S - 1, NULL)) || !(t->byte = table(f, "byte", U8, S - 1, NULL)) ||
	    !(t->low = table(f, "low", U8, C * F, NULL)) || !(t->high = table(f, "high", U8, -1, &t->n_high)))
		return ACE_EDATA;
	return ACE_OK;
}

/* "af am" -> labels, and "af-am". */
static enum status
read_classes(struct langid *l, const struct st_file *f)
{
	const char *text = st_meta(f, "classes"), *p;
	int n = 0;

	if (!text)
		return ace_fail(ACE_EDATA, "%s: no classes", f->path);
	l->joined = strdup(text);
	l->label = calloc((size_t)l->n_classes, sizeof *l->label);
	if (!l->joined || !l->label)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	for (char *q = l->joined; *q; q++)
		*q = *q == ' ' ? '-' : *q;
	for (p = text; *p && n < l->n_classes; n++) {
		size_t len = strcspn(p, " ");
		if (len < 1 || len >= sizeof *l->label)
			break;
		memcpy(l->label[n], p, len);
		p += len + (p[len] == ' ');
	}
	return *p || n != l->n_classes ? ace_fail(ACE_EDATA, "%s: classes: wanted %d codes of up to 3 letters", f->path, l->n_classes)
	                               : ACE_OK;
}

/* Aho and Corasick: a state steps as its longest proper suffix does, but to its own children. */
static enum status
build_steps(struct langid *l, const struct st_file *f, const struct compact *t, uint16_t *fall)
{
	int rows = 1, child = 1, n = 0;

	for (int i = 1; i < l->n_states - 1; i++)
		rows += t->parent[i] != t->parent[i - 1];
	l->row = calloc((size_t)l->n_states, sizeof *l->row);
	l->next = calloc((size_t)rows + 1, 256 * sizeof *l->next);
	if (!l->row || !l->next)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	for (int s = 0; s < l->n_states; s++) {
		uint16_t *row;
		if (child <= s)		/* it is nobody's child */
			break;
		l->row[s] = l->row[fall[s]];
		if (s > 0 && (child == l->n_states || t->parent[child - 1] != s))
			continue;	/* no children */
		l->row[s] = (uint16_t)n;
		row = l->next + (size_t)n++ * 256;
		if (s > 0)
			memcpy(row, l->next + (size_t)l->row[fall[s]] * 256, 256 * sizeof *row);
		for (; child < l->n_states && t->parent[child - 1] == s; child++) {
			uint8_t c = t->byte[child - 1];
			fall[child] = s > 0 ? row[c] : 0;
			row[c] = (uint16_t)child;
		}
	}
	return child == l->n_states ? ACE_OK : ace_fail(ACE_EDATA, "%s: parent: states are not in order of depth", f->path);
}

/* What a state counts: its own features and those of its suffix. */
static enum status
build_features(struct langid *l, const struct st_file *f, const struct compact *t, const uint16_t *fall)
{
	uint32_t *own = calloc((size_t)l->n_states + 1, sizeof *own), total = 0;
	uint16_t *list = calloc((size_t)l->n_features, sizeof *list);
	enum status st = ACE_OK;

	l->first = calloc((size_t)l->n_states + 1, sizeof *l->first);
	if (!own || !list || !l->first)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	for (int i = 0; st == ACE_OK && i < l->n_features; i++)
		if (t->owner[i] >= l->n_states)
			st = ace_fail(ACE_EDATA, "%s: owner: feature %d belongs to state %d of %d", f->path, i, t->owner[i],
			              l->n_states);
		else
			own[t->owner[i] + 1]++;
	for (int s = 0; st == ACE_OK && s < l->n_states; s++) {
		uint32_t inherited = s > 0 ? (uint32_t)(l->first[fall[s] + 1] - l->first[fall[s]]) : 0;
		total += own[s + 1] + inherited;
		if (total > 0xffff)
			st = ace_fail(ACE_EDATA, "%s: owner: more than %d features of states", f->path, 0xffff);
		else
			l->first[s + 1] = (uint16_t)total;
		own[s + 1] += own[s];
	}
	if (st == ACE_OK && !(l->feature = calloc(total + 1, sizeof *l->feature)))
		st = ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	if (st == ACE_OK) {
		uint32_t *at = own;	/* of each state, where its next own feature goes in list */
		for (int i = 0; i < l->n_features; i++)
			list[at[t->owner[i]]++] = (uint16_t)i;
		for (int s = 0; s < l->n_states; s++) {
			uint16_t *to = l->feature + l->first[s];
			uint32_t n = s > 0 ? (uint32_t)(l->first[fall[s] + 1] - l->first[fall[s]]) : 0;
			uint32_t from = s > 0 ? at[s - 1] : 0;
			if (n)
				memcpy(to, l->feature + l->first[fall[s]], n * sizeof *to);
			if (at[s] > from)
				memcpy(to + n, list + from, (at[s] - from) * sizeof *to);
		}
	}
	free(own);
	free(list);
	return st;
}

static enum status
build_scores(struct langid *l, const struct st_file *f, const struct compact *t)
{
	size_t F = (size_t)l->n_features, level = 0, high = 0;

	l->log_ptc = calloc(F * (size_t)l->stride, sizeof *l->log_ptc);
	l->log_pc = calloc((size_t)l->n_classes, sizeof *l->log_pc);
	if (!l->log_ptc || !l->log_pc)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	memcpy(l->log_pc, t->log_pc, (size_t)l->n_classes * sizeof *l->log_pc);
	for (int c = 0; c < l->n_classes; c++) {
		bool wide = t->levels[c] > 256;
		if (level + t->levels[c] > (size_t)t->n_level || (wide && high + F > (size_t)t->n_high))
			return ace_fail(ACE_EDATA, "%s: level, high: shorter than levels says", f->path);
		for (size_t i = 0; i < F; i++) {
			size_t v = t->low[(size_t)c * F + i] | (wide ? (size_t)t->high[high + i] << 8 : 0);
			if (v >= t->levels[c])
				return ace_fail(ACE_EDATA, "%s: low: value %zu of %d in class %d", f->path, v, t->levels[c], c);
			l->log_ptc[i * (size_t)l->stride + (size_t)c] = t->level[level + v];
		}
		level += t->levels[c];
		high += wide ? F : 0;
	}
	return ACE_OK;
}

static enum status
read_file(struct langid *l, const struct st_file *f)
{
	struct compact t;
	uint16_t *fall;
	enum status st;

	ACE_TRY(find_tables(l, f, &t));
	ACE_TRY(read_classes(l, f));
	fall = calloc((size_t)l->n_states, sizeof *fall);
	st = fall ? build_steps(l, f, &t, fall) : ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	if (st == ACE_OK)
		st = build_features(l, f, &t, fall);
	free(fall);
	return st == ACE_OK ? build_scores(l, f, &t) : st;
}

enum status
langid_open(struct langid *l, const char *path)
{
	char *found = path ? NULL : datadir_find("text/langid.safetensors");
	struct st_file f;
	enum status st;

	*l = (struct langid){ 0 };
	if (!path && !found)
		return ace_fail(ACE_ENOINPUT, "datasets/text/langid.safetensors: not beside the programs, not in %s/datasets",
		                ACE_PKGDATADIR);
	st = st_open(&f, path ? path : found);
	free(found);
	if (st != ACE_OK)
		return st;
	st = read_file(l, &f);
	st_close(&f);
	if (st != ACE_OK)
		langid_close(l);
	return st;
}

void
langid_close(struct langid *l)
{
	free(l->label);
	free(l->joined);
	free(l->row);
	free(l->next);
	free(l->first);
	free(l->feature);
	free(l->log_ptc);
	free(l->log_pc);
	*l = (struct langid){ 0 };
}
