/* SPDX-License-Identifier: Apache-2.0 */
/* the tensors of a random model: their list, their numbers, and the file that is written piece by
 * piece */
#include "jobs/init_model_parts.h"

#include "formats/safetensors.h"
#include "num/rng.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK = 1 << 22,   /* numbers in memory at a time */
	SEGMENT = 1 << 15, /* of one tensor, made by one thread */
	SEGMENTS = 2048,
	STRIP = 1024, /* on the stack, before they are rounded */
};

void
init_add(struct init_list *l, enum init_rule rule, double scale, int rank, const int64_t dim[],
	 const char *fmt, ...)
{
	struct init_tensor *t;
	va_list ap;

	if (l->n == l->cap) {
		int cap = l->cap ? 2 * l->cap : 256;
		t = realloc(l->v, (size_t)cap * sizeof *t);
		if (!t) {
			l->bad = true;
			return;
		}
		l->v = t;
		l->cap = cap;
	}
	t = &l->v[l->n++];
	*t = (struct init_tensor){ .rank = rank, .rule = rule, .scale = (float)scale };
	for (int i = 0; i < rank; i++)
		t->dim[i] = dim[i];
	va_start(ap, fmt);
	int len = vsnprintf(t->name, sizeof t->name, fmt, ap);
	va_end(ap);
	assert(len > 0 && len < (int)sizeof t->name);
	(void)len;
}

void
init_linear(struct init_list *l, bool bias, const char *name, int rank, const int64_t dim[])
{
	double inputs = 1;

	for (int i = 1; i < rank; i++)
		inputs *= (double)dim[i];
	init_add(l, INIT_UNIFORM, 1 / sqrt(inputs), rank, dim, "%s.weight", name);
	if (bias)
		init_add(l, INIT_UNIFORM, 1 / sqrt(inputs), 1, dim, "%s.bias", name);
}

void
init_norm(struct init_list *l, const char *name, int64_t width)
{
	init_add(l, INIT_CONSTANT, 1, 1, &width, "%s.weight", name);
	init_add(l, INIT_CONSTANT, 0, 1, &width, "%s.bias", name);
}

void
init_list_free(struct init_list *l)
{
	free(l->v);
	*l = (struct init_list){ 0 };
}

static int64_t
count(const struct init_tensor *t)
{
	return tensor_count(tensor_make(NULL, F32, t->rank, t->dim));
}

int64_t
init_list_count(const struct init_list *l)
{
	int64_t n = 0;

	for (int i = 0; i < l->n; i++)
		n += count(&l->v[i]);
	return n;
}

/* Numbers of the stream from any index on; ranges begin at multiples of 4. */
static void
draw(struct rng r, bool normal, int64_t from, int64_t n, float *x)
{
	int64_t skip = from % 4, head = skip ? (4 - skip < n ? 4 - skip : n) : 0;
	float four[4];

	if (head > 0) {
		if (normal)
			rng_normal_range(r, (uint64_t)(from - skip), four, 4);
		else
			rng_uniform_range(r, (uint64_t)(from - skip), four, 4);
		memcpy(x, four + skip, (size_t)head * sizeof *x);
	}
	if (head == n)
		return;
	if (normal)
		rng_normal_range(r, (uint64_t)(from + head), x + head, n - head);
	else
		rng_uniform_range(r, (uint64_t)(from + head), x + head, n - head);
}

static float
row_norm(const struct init_list *l, int number, uint64_t seed, uint64_t part, int64_t row)
{
	int64_t width = count(&l->v[number]) / l->v[number].dim[0];
	double sum = 0;

	for (int64_t at = 0; at < width; at += STRIP) {
		float x[STRIP];
		int64_t n = width - at < STRIP ? width - at : STRIP;
		init_numbers(l, number, seed, part, row * width + at, n, x);
		for (int64_t i = 0; i < n; i++)
			sum += (double)x[i] * (double)x[i];
	}
	return (float)sqrt(sum);
}

void
init_numbers(const struct init_list *l, int number, uint64_t seed, uint64_t part, int64_t from,
	     int64_t n, float *x)
{
	const struct init_tensor *t = &l->v[number];
	struct rng r = rng_stream(seed, RNG_INIT, part, (uint64_t)number);

	switch (t->rule) {
	case INIT_UNIFORM:
		draw(r, false, from, n, x);
		for (int64_t i = 0; i < n; i++)
			x[i] = t->scale * (2.f * x[i] - 1.f);
		break;
	case INIT_NORMAL:
		draw(r, true, from, n, x);
		for (int64_t i = 0; i < n; i++)
			x[i] *= t->scale;
		break;
	case INIT_CONSTANT:
		for (int64_t i = 0; i < n; i++)
			x[i] = t->scale;
		break;
	case INIT_VALUES: memcpy(x, t->values + from, (size_t)n * sizeof *x); break;
	case INIT_ROW_NORMS:
		for (int64_t i = 0; i < n; i++)
			x[i] = row_norm(l, number - 1, seed, part, from + i);
		break;
	}
}

struct segment {
	int number;
	int64_t from, n, at; /* numbers; at: place in the chunk */
};

static void
make_segment(const struct init_list *l, const struct init_writing *w, const struct segment *s,
	     void *chunk)
{
	for (int64_t done = 0; done < s->n; done += STRIP) {
		int64_t n = s->n - done < STRIP ? s->n - done : STRIP;
		float strip[STRIP];
		if (w->dtype == F32) {
			init_numbers(l, s->number, w->seed, w->part, s->from + done, n,
				     (float *)chunk + s->at + done);
			continue;
		}
		init_numbers(l, s->number, w->seed, w->part, s->from + done, n, strip);
		for (int64_t i = 0; i < n; i++)
			((uint16_t *)chunk)[s->at + done + i] = f32_to_bf16(strip[i]);
	}
}

/* All tensors in the file's order, chunk by chunk. */
static enum status
write_chunks(const struct init_list *l, const struct init_writing *w,
	     const struct init_tensor **order, struct st_writer *out, struct segment *segment,
	     void *chunk)
{
	int64_t from = 0;

	for (int k = 0; k < l->n;) {
		int64_t fill = 0;
		int n = 0;
		while (k < l->n && n < SEGMENTS && fill < CHUNK) {
			struct segment *s = &segment[n++];
			int64_t left = count(order[k]) - from;
			*s = (struct segment){ .number = (int)(order[k] - l->v),
					       .from = from,
					       .at = fill,
					       .n = left };
			s->n = s->n < SEGMENT ? s->n : SEGMENT;
			s->n = s->n < CHUNK - fill ? s->n : CHUNK - fill;
			fill += s->n;
			from += s->n;
			if (s->n == left) {
				k++;
				from = 0;
			}
		}
#pragma omp parallel for schedule(dynamic) num_threads(w->threads)
		for (int i = 0; i < n; i++)
			make_segment(l, w, &segment[i], chunk);
		size_t bytes = (size_t)fill * dtype_size(w->dtype);
		ACE_TRY(st_writer_put(out, chunk, bytes));
		ACE_TRY(w->done(w->me, (int64_t)bytes));
	}
	return ACE_OK;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(const struct init_tensor *const *)a)->name,
		      (*(const struct init_tensor *const *)b)->name);
}

enum status
init_list_write(const struct init_list *l, const char *path, const struct init_writing *w)
{
	static const char *const meta[] = { "format", "pt" };
	struct st_item *item = calloc((size_t)l->n + 1, sizeof *item);
	struct segment *segment = malloc(SEGMENTS * sizeof *segment);
	void *chunk = malloc(CHUNK * dtype_size(w->dtype));
	const struct init_tensor **order = malloc(((size_t)l->n + 1) * sizeof *order);
	struct st_writer *out = NULL;
	enum status st = ACE_OK;

	if (l->bad || !item || !segment || !chunk || !order)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	for (int i = 0; i < l->n && st == ACE_OK; i++) {
		item[i] = (struct st_item){ l->v[i].name, tensor_make(NULL, w->dtype, l->v[i].rank,
								      l->v[i].dim) };
		order[i] = &l->v[i];
	}
	if (st == ACE_OK)
		st = st_writer_open(&out, path, item, l->n, meta, 1);
	if (st == ACE_OK) {
		qsort(order, (size_t)l->n, sizeof *order,
		      by_name); /* the writer's order, all being of one type */
		assert(l->n == 0 || &l->v[st_writer_next(out)] == order[0]);
		st = write_chunks(l, w, order, out, segment, chunk);
		if (st == ACE_OK)
			st = st_writer_commit(out);
		else
			st_writer_abort(out);
	}
	free(order);
	free(chunk);
	free(segment);
	free(item);
	return st;
}
