/* SPDX-License-Identifier: Apache-2.0 */
#include "models/adapter.h"

#include "base/file.h"
#include "base/msg.h"
#include "models/adapter_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A key that belongs to an adapter of the model. */
struct hit {
	const char *module;
	enum adapter_part part;
	const struct st_entry *e;
};

static int
by_module_then_part(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;
	int c = strcmp(x->module, y->module);

	return c ? c : (int)x->part - (int)y->part;
}

static enum status
keep(struct adapter_file *f, char **list, int *n, const char *text)
{
	char *s = strdup(text);

	if (!s)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->st.path);
	list[(*n)++] = s;
	return ACE_OK;
}

/* Sort the keys into hits and unknown ones. */
static enum status
collect(struct adapter_file *f, const struct params *ps, struct hit *hit, int *n_hits)
{
	for (int i = 0; i < f->st.n; i++) {
		const struct st_entry *e = &f->st.entry[i];
		struct adapter_key k;
		int module = -1;
		adapter_split(e->name, &k);
		if (k.refused)
			return ace_fail(ACE_EDATA, "%s: key %s is of %s, which is not supported; only plain LoRA is", f->st.path,
			                e->name, k.refused);
		if (ps && k.part != ADAPTER_NONE)
			module = adapter_find_module(ps, &k);
		if (k.part == ADAPTER_NONE || (ps && module < 0)) {
			ACE_TRY(keep(f, f->unknown, &f->n_unknown, e->name));
			continue;
		}
		ACE_TRY(keep(f, f->text, &f->n_texts, module >= 0 ? ps->module[module].name : k.module));
		hit[(*n_hits)++] = (struct hit){ f->text[f->n_texts - 1], k.part, e };
	}
	qsort(hit, (size_t)*n_hits, sizeof *hit, by_module_then_part);
	return ACE_OK;
}

static bool
is_float(enum dtype t)
{
	return t == F32 || t == BF16 || t == F16 || t == F64;
}

/* A matrix of what may be stored as a convolution's weight: rows by all the rest. */
static enum status
as_matrix(const struct adapter_file *f, const struct st_entry *e, struct tensor *m)
{
	struct tensor x = e->value;
	char text[80];

	if (!is_float(x.dtype))
		return ace_fail(ACE_EDATA, "%s: tensor %s is %s, wanted a float type", f->st.path, e->name, dtype_name(x.dtype));
	if (x.rank < 2 || tensor_count(x) < 1)
		return ace_fail(ACE_EDATA, "%s: tensor %s has shape %s, wanted a matrix", f->st.path, e->name,
		                tensor_shape_text(x, text, sizeof text));
	*m = tensor_view(x, 2, x.dim[0], tensor_count(x) / x.dim[0]);
	return ACE_OK;
}

static enum status
scale_of(const struct adapter_file *f, const struct st_entry *alpha, const struct adapter_meta *meta, struct adapter *m)
{
	double v = NAN;

	if (!alpha) {
		m->from = meta->root ? ADAPTER_SCALE_METADATA : ADAPTER_SCALE_ONE;
		return adapter_meta_scale(meta, f->st.path, m->name, m->rank, &m->scale);
	}
	if (is_float(alpha->value.dtype) && tensor_count(alpha->value) == 1)
		dtype_convert(&v, F64, alpha->value.data, alpha->value.dtype, 1);
	if (!isfinite(v))
		return ace_fail(ACE_EDATA, "%s: %s is not one finite number of a float type", f->st.path, alpha->name);
	m->from = ADAPTER_SCALE_ALPHA;
	m->scale = (float)(v / (double)m->rank);
	return ACE_OK;
}

/* The hits [0, n) are those of one module. */
static enum status
make_module(struct adapter_file *f, const struct hit *hit, int n, const struct adapter_meta *meta)
{
	const struct st_entry *part[3] = { NULL };
	struct adapter *m = &f->module[f->n];
	char at[80], bt[80];

	for (int i = 0; i < n; i++) {
		if (part[hit[i].part])
			return ace_fail(ACE_EDATA, "%s: %s and %s are the same tensor of module %s", f->st.path,
			                part[hit[i].part]->name, hit[i].e->name, hit[i].module);
		part[hit[i].part] = hit[i].e;
	}
	if (!part[ADAPTER_A] || !part[ADAPTER_B])
		return ace_fail(ACE_EDATA, "%s: %s has no %s beside it", f->st.path, hit[0].e->name,
		                part[ADAPTER_A] ? "lora_B (up)" : "lora_A (down)");
	*m = (struct adapter){ .name = hit[0].module };
	ACE_TRY(as_matrix(f, part[ADAPTER_A], &m->a));
	ACE_TRY(as_matrix(f, part[ADAPTER_B], &m->b));
	m->rank = m->a.dim[0];
	if (m->rank > ADAPTER_RANK)
		return ace_fail(ACE_EDATA, "%s: %s has rank %lld; at most %d is read", f->st.path, part[ADAPTER_A]->name,
		                (long long)m->rank, ADAPTER_RANK);
	if (m->b.dim[1] != m->rank)
		return ace_fail(ACE_EDATA, "%s: %s is %s and %s is %s: rows of the first must be columns of the second", f->st.path,
		                part[ADAPTER_A]->name, tensor_shape_text(m->a, at, sizeof at), part[ADAPTER_B]->name,
		                tensor_shape_text(m->b, bt, sizeof bt));
	ACE_TRY(scale_of(f, part[ADAPTER_ALPHA], meta, m));
	f->n++;
	return ACE_OK;
}

static void
read_step(struct adapter_file *f)
{
	const char *text = st_meta(&f->st, "global_step");
	size_t n = text ? strlen(text) : 0;

	f->global_step = -1;
	if (!text)
		return;
	if (n >= 1 && n <= 15 && strspn(text, "0123456789") == n)
		f->global_step = strtoll(text, NULL, 10);
	else
		msg_warn("%s: global_step \"%.40s\" of its metadata is not a step; passed over", f->st.path, text);
}

static enum status
read_all(struct adapter_file *f, const struct params *ps, const struct adapter_meta *meta)
{
	size_t room = (size_t)f->st.n + 1;
	struct hit *hit = calloc(room, sizeof *hit);
	enum status st = ACE_OK;
	int n = 0, from = 0;

	f->module = calloc(room, sizeof *f->module);
	f->unknown = calloc(room, sizeof *f->unknown);
	f->text = calloc(room, sizeof *f->text);
	if (!hit || !f->module || !f->unknown || !f->text)
		st = ace_fail(ACE_ENOMEM, "%s: no memory for %d tensors", f->st.path, f->st.n);
	if (st == ACE_OK)
		st = collect(f, ps, hit, &n);
	for (int i = 1; st == ACE_OK && i <= n; i++)
		if (i == n || strcmp(hit[i].module, hit[from].module) != 0) {
			st = make_module(f, hit + from, i - from, meta);
			from = i;
		}
	free(hit);
	return st;
}

enum status
adapter_file_open(struct adapter_file *f, const char *path, const struct params *ps)
{
	struct adapter_meta meta = { 0 };
	char *inside = file_is_dir(path) ? file_path("%s/%s", path, ADAPTER_FILE) : strdup(path);
	enum status st;

	*f = (struct adapter_file){ .global_step = -1 };
	st = inside ? st_open(&f->st, inside) : ace_fail(ACE_ENOMEM, "%s: no memory", path);
	free(inside);
	ACE_TRY(st);
	if ((st = adapter_meta_read(&meta, &f->st)) == ACE_OK)
		st = read_all(f, ps, &meta);
	if (st == ACE_OK)
		read_step(f);
	adapter_meta_free(&meta);
	if (st != ACE_OK)
		adapter_file_close(f);
	return st;
}

void
adapter_file_close(struct adapter_file *f)
{
	if (!f)
		return;
	for (int i = 0; i < f->n_texts; i++)
		free(f->text[i]);
	for (int i = 0; i < f->n_unknown; i++)
		free(f->unknown[i]);
	free(f->text);
	free(f->unknown);
	free(f->module);
	st_close(&f->st);
	*f = (struct adapter_file){ .global_step = -1 };
}

const char *
adapter_unknown_text(const struct adapter_file *f, char *text, size_t size)
{
	size_t at = 0;
	int i;

	text[0] = 0;
	for (i = 0; i < f->n_unknown; i++) {
		size_t need = strlen(f->unknown[i]) + 2;
		if (at + need + 24 > size)
			break;
		at += (size_t)snprintf(text + at, size - at, "%s%s", i ? ", " : "", f->unknown[i]);
	}
	if (i < f->n_unknown)
		snprintf(text + at, size - at, "%s%d%s", i ? " and " : "", f->n_unknown - i, i ? " more" : " keys");
	return text;
}

/* Sums over n of products of the rows i and j of x [r, n]: the lower triangle of g [r, r]. Eight sums side by side, F64. */
static void
gram(double *g, const float *x, int64_t r, int64_t n)
{
	for (int64_t i = 0; i < r; i++)
		for (int64_t j = 0; j <= i; j++) {
			const float *p = x + i * n, *q = x + j * n;
			double s[8] = { 0 };
			int64_t k = 0;
			for (; k + 8 <= n; k += 8)
				for (int l = 0; l < 8; l++)
					s[l] += (double)p[k + l] * (double)q[k + l];
			for (; k < n; k++)
				s[0] += (double)p[k] * (double)q[k];
			g[i * r + j] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
		}
}

/* |B A|^2 = trace(A' B' B A) = sum over i, j of (B' B)_ij (A A')_ij */
enum status
adapter_norm(const struct adapter *m, double *norm)
{
	int64_t r = m->rank, in = m->a.dim[1], out = m->b.dim[0];
	double *ga = calloc((size_t)r, (size_t)r * sizeof *ga), *gb = calloc((size_t)r, (size_t)r * sizeof *gb), sum = 0;
	float *a = malloc((size_t)(r * in) * sizeof *a), *b = malloc((size_t)(r * out) * sizeof *b),
	      *bt = malloc((size_t)(r * out) * sizeof *bt);
	enum status st = ACE_OK;

	if (!ga || !gb || !a || !b || !bt) {
		st = ace_fail(ACE_ENOMEM, "%s: no memory for an adapter of rank %lld", m->name, (long long)r);
	} else {
		dtype_convert(a, F32, m->a.data, m->a.dtype, r * in);
		dtype_convert(b, F32, m->b.data, m->b.dtype, r * out);
		for (int64_t o = 0; o < out; o++)
			for (int64_t i = 0; i < r; i++)
				bt[i * out + o] = b[o * r + i];
		gram(ga, a, r, in);
		gram(gb, bt, r, out);
		for (int64_t i = 0; i < r; i++)
			for (int64_t j = 0; j <= i; j++)
				sum += (i == j ? 1 : 2) * ga[i * r + j] * gb[i * r + j];
		*norm = fabs((double)m->scale) * sqrt(sum > 0 || isnan(sum) ? sum : 0.0);
	}
	free(ga);
	free(gb);
	free(a);
	free(b);
	free(bt);
	return st;
}
