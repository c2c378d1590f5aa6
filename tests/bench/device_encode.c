/* SPDX-License-Identifier: Apache-2.0 */
/* device_encode MODEL: what preparation asks of a cuda device, as JSON lines: the autoencoder's encoder over 60 s of sound, the prompt
 * encoder over 64 prompts of 64 tokens. MODEL is a folder of ace-init-model (3.5b). ms: median of recorded passes; eager: launched
 * one by one; weights and inputs are on the device. */
#include "base/file.h"
#include "bench/sparse.h"
#include "kernels/kernels.h"
#include "models/dcae.h"
#include "models/umt5.h"

#include <stdio.h>
#include <stdlib.h>

enum { REPEATS = 15, FRAMES = 646, SHRINK = 8, BANDS = 128, PROMPTS = 64, TOKENS = 64, ROWS = 203 };

/* A pass and its memory. */
struct work {
	struct dev *d;
	struct arena act;
	void (*ask)(struct work *w, struct dev *d, struct arena *act);
	void *me;
	struct tensor in, ids, mask, out;
};

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median_of(struct work *w, struct dev_graph *g)
{
	struct dev_event *e[2];
	double ms[REPEATS];

	for (int i = 0; i < 2; i++)
		sparse_ok(dev_event_open(w->d, &e[i]), "events");
	for (int i = -2; i < REPEATS; i++) {
		dev_event_record(w->d, e[0]);
		if (g)
			sparse_ok(dev_graph_launch(w->d, g), "graph");
		else
			w->ask(w, w->d, &w->act);
		dev_event_record(w->d, e[1]);
		dev_event_wait(w->d, e[1]);
		sparse_ok(w->d->status, "pass");
		if (i >= 0)
			ms[i] = dev_event_ms(w->d, e[0], e[1]);
	}
	for (int i = 0; i < 2; i++)
		dev_event_close(w->d, e[i]);
	qsort(ms, REPEATS, sizeof *ms, by_size);
	return ms[REPEATS / 2];
}

static void
measure(struct work *w, const char *name, const char *type)
{
	struct arena plan = { 0 };
	struct dev_graph *g;
	double eager, ms;
	struct dev dry;

	sparse_ok(dev_open(&dry, DEV_DRY, 1), "dry");
	kernels_attach(&dry);
	w->ask(w, &dry, &plan);
	w->act.size = plan.peak;
	sparse_ok(dev_alloc(w->d, plan.peak, "a pass", (void **)&w->act.base), "memory");
	eager = median_of(w, NULL);
	sparse_ok(dev_graph_begin(w->d), "graph");
	w->ask(w, w->d, &w->act);
	sparse_ok(dev_graph_end(w->d, &g), "graph");
	ms = median_of(w, g);
	printf("{\"name\": \"%s\", \"type\": \"%s\", \"ms\": %.3f, \"eager\": %.3f, \"products_TFLOP\": %.3f, \"peak_GiB\": %.3f}\n", name,
	       type, ms, eager, dry.flops / 1e12, (double)w->d->peak / 0x1p30);
	fflush(stdout);
	dev_graph_free(w->d, g);
	w->d->m->free(w->d, w->act.base);
	dev_close(&dry);
}

static void
ask_sound(struct work *w, struct dev *d, struct arena *act)
{
	struct ctx c = { .dev = d, .act = act };

	act->used = 0;
	dcae_encode(&c, w->me, w->out, w->in);
}

static void
sound(struct dev *d, const char *model, enum dtype type)
{
	char *folder = file_path("%s/music_dcae_f8c8", model);
	struct tensor block = sparse_normal(d);
	struct work w = { .d = d, .ask = ask_sound };
	struct dcae m;

	sparse_ok(dcae_open(&m, folder, type, d), "autoencoder");
	w.me = &m;
	w.in = ROOM(d, F32, 2, BANDS, FRAMES * SHRINK);
	w.out = ROOM(d, F32, m.config.latent, BANDS / SHRINK, FRAMES);
	sparse_randomize(d, w.in, block, 1.f);
	measure(&w, "autoencoder, 60 s", type == F32 ? "fp32" : "bf16");
	dcae_close(&m);
	free(folder);
}

static void
ask_prompts(struct work *w, struct dev *d, struct arena *act)
{
	struct ctx c = { .dev = d, .act = act };

	act->used = 0;
	umt5_forward(&c, w->me, w->out, w->ids, w->mask, 1.f);
}

static void
prompts(struct dev *d, const char *model, enum dtype type)
{
	char *folder = file_path("%s/umt5-base", model);
	struct work w = { .d = d, .ask = ask_prompts };
	static int32_t ids[PROMPTS * TOKENS];
	struct umt5 m, there;
	const void *table;

	for (int i = 0; i < PROMPTS * TOKENS; i++)
		ids[i] = 3 + i * 7919 % (ROWS - 3);
	sparse_ok(umt5_open(&m, folder, type, d), "prompt encoder");
	there = m;			/* the table stays with the host: only rows that are asked for go over */
	table = m.table.data;
	there.table = ROOM(d, m.table.dtype, ROWS, umt5_width(&m));
	d->m->upload(d, there.table.data, table, tensor_bytes(there.table));
	w.me = &there;
	w.ids = ROOM(d, I32, PROMPTS, TOKENS);
	w.mask = ROOM(d, F32, PROMPTS, TOKENS);
	w.out = ROOM(d, F32, PROMPTS, TOKENS, umt5_width(&m));
	d->m->upload(d, w.ids.data, ids, sizeof ids);
	d->k->fill(d, w.mask, 1.f);
	measure(&w, "prompts, 64 x 64", type == F32 ? "fp32" : "bf16");
	umt5_close(&m);
	free(folder);
}

int
main(int argc, char **argv)
{
	struct dev d;

	if (argc != 2) {
		fprintf(stderr, "device_encode: wanted the folder of a model\n");
		return 64;
	}
	if (dev_cuda_count() == 0) {
		printf("{\"name\": \"encode\", \"skipped\": \"no cuda device is here\"}\n");
		return 77;
	}
	for (int i = 0; i < 4; i++) {
		sparse_ok(dev_open(&d, DEV_CUDA, 0), "device");
		kernels_attach(&d);
		if (i < 2)
			sound(&d, argv[1], i ? F32 : BF16);
		else
			prompts(&d, argv[1], i == 2 ? BF16 : F32);
		dev_close(&d);
	}
	return 0;
}
