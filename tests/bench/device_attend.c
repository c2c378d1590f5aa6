/* SPDX-License-Identifier: Apache-2.0 */
/* device_attend [T MEMORY LYRIC [bf16|tf32|fp32]]: the attentions of the preset 3.5b alone, on a cuda device: T frames (softmax: over
 * MEMORY keys; linear), the lyric encoder's LYRIC tokens. A JSON line each: median of microseconds, recorded TIMES to a sequence. */
#include "bench/sparse.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMES = 10, REPEATS = 15, HEADS = 20, WIDTH = 128, LYRIC_HEADS = 16, LYRIC_WIDTH = 64 };

struct work {
	struct tensor q, k, v, o, go, dq, dk, dv, lse, qmask, kmask;
	struct tensor p, bu, bv;
};

static void
softmax_forward(struct dev *d, const struct work *w)
{
	d->k->attention(d, w->o, w->lse, w->q, w->k, w->v, w->qmask, w->kmask);
}

static void
softmax_backward(struct dev *d, const struct work *w)
{
	d->k->attention_backward(d, w->dq, w->dk, w->dv, w->go, w->q, w->k, w->v, w->o, w->lse, w->qmask, w->kmask);
}

static void
frames_forward(struct dev *d, const struct work *w)
{
	d->k->linear_attention(d, w->o, w->lse, w->q, w->k, w->v);
}

static void
frames_backward(struct dev *d, const struct work *w)
{
	d->k->linear_attention_backward(d, w->dq, w->dk, w->dv, w->go, w->q, w->k, w->v, w->o, w->lse);
}

static void
relative_forward(struct dev *d, const struct work *w)
{
	d->k->relative_attention(d, w->o, w->lse, w->q, w->k, w->v, w->p, w->bu, w->bv, w->kmask);
}

static void
relative_backward(struct dev *d, const struct work *w)
{
	struct tensor none = { 0 };

	d->k->relative_attention_backward(d, w->dq, w->dk, w->dv, none, none, none, w->go, w->q, w->k, w->v, w->p, w->bu, w->bv, w->o,
	                                  w->lse, w->kmask);
}

static struct tensor
random_room(struct dev *d, struct tensor block, enum dtype t, int64_t rows, int64_t columns)
{
	struct tensor x = ROOM(d, t, 1, rows, columns);

	sparse_randomize(d, x, block, 1.f);
	return x;
}

static struct work
make_work(struct dev *d, struct tensor block, enum dtype t, int64_t T, int64_t M, int64_t heads, int64_t width)
{
	int64_t D = heads * width;
	struct work w = { .lse = ROOM(d, F32, 1, T, heads), .qmask = ROOM(d, F32, 1, T), .kmask = ROOM(d, F32, 1, M),
		.bu = ROOM(d, F32, heads, width), .bv = ROOM(d, F32, heads, width) };

	w.q = random_room(d, block, t, T, D), w.k = random_room(d, block, t, M, D), w.v = random_room(d, block, t, M, D);
	w.o = random_room(d, block, t, T, D), w.go = random_room(d, block, t, T, D);
	w.dq = random_room(d, block, t, T, D), w.dk = random_room(d, block, t, M, D), w.dv = random_room(d, block, t, M, D);
	w.p = ROOM(d, t, 2 * T - 1, D);
	sparse_randomize(d, w.p, block, 1.f);
	sparse_randomize(d, w.bu, block, 1.f);
	sparse_randomize(d, w.bv, block, 1.f);
	d->k->fill(d, w.qmask, 1.f);
	d->k->fill(d, w.kmask, 1.f);
	d->k->fill(d, w.lse, 1.f);
	return w;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
measure(struct dev *d, const char *name, void (*call)(struct dev *, const struct work *), const struct work *w)
{
	struct dev_event *e[2];
	struct dev_graph *g = NULL;
	double us[REPEATS];

	call(d, w);
	sparse_ok(dev_graph_begin(d), "graph");
	for (int i = 0; i < TIMES; i++)
		call(d, w);
	sparse_ok(dev_graph_end(d, &g), "graph");
	for (int i = 0; i < 2; i++)
		sparse_ok(dev_event_open(d, &e[i]), "events");
	for (int i = -2; i < REPEATS; i++) {
		dev_event_record(d, e[0]);
		sparse_ok(dev_graph_launch(d, g), "graph");
		dev_event_record(d, e[1]);
		dev_event_wait(d, e[1]);
		sparse_ok(d->status, name);
		if (i >= 0)
			us[i] = 1e3 * dev_event_ms(d, e[0], e[1]) / TIMES;
	}
	qsort(us, REPEATS, sizeof *us, by_size);
	printf("{\"name\": \"%s\", \"rows\": %lld, \"keys\": %lld, \"us\": %.1f, \"least\": %.1f}\n", name, (long long)w->q.dim[1],
	       (long long)w->k.dim[1], us[REPEATS / 2], us[0]);
	fflush(stdout);
	for (int i = 0; i < 2; i++)
		dev_event_close(d, e[i]);
	dev_graph_free(d, g);
}

int
main(int argc, char **argv)
{
	int64_t T = argc > 1 ? atoll(argv[1]) : 2584, M = argc > 2 ? atoll(argv[2]) : 1265, Y = argc > 3 ? atoll(argv[3]) : 1200;
	const char *type = argc > 4 ? argv[4] : "bf16";
	enum dtype t = strcmp(type, "bf16") == 0 ? BF16 : F32;
	struct work w;
	struct dev d;

	if (dev_cuda_count() == 0) {
		printf("{\"name\": \"attend\", \"skipped\": \"no cuda device is here\"}\n");
		return 77;
	}
	if (T < 1 || M < 1 || Y < 1 || (t == F32 && strcmp(type, "tf32") != 0 && strcmp(type, "fp32") != 0)) {
		fprintf(stderr, "device_attend: numbers from 1 on are wanted, and bf16, tf32 or fp32\n");
		return 64;
	}
	sparse_ok(dev_open(&d, DEV_CUDA, 0), "device");
	kernels_attach(&d);
	d.tf32 = strcmp(type, "tf32") == 0;
	struct tensor block = sparse_normal(&d);
	w = make_work(&d, block, t, T, M, HEADS, WIDTH);
	measure(&d, "attention", softmax_forward, &w);
	measure(&d, "attention_backward", softmax_backward, &w);
	w = make_work(&d, block, t, T, T, HEADS, WIDTH);
	measure(&d, "linear_attention", frames_forward, &w);
	measure(&d, "linear_attention_backward", frames_backward, &w);
	w = make_work(&d, block, t, Y, Y, LYRIC_HEADS, LYRIC_WIDTH);
	measure(&d, "relative_attention", relative_forward, &w);
	measure(&d, "relative_attention_backward", relative_backward, &w);
	dev_close(&d);
	return 0;
}
