/* SPDX-License-Identifier: Apache-2.0 */
/* device_step [--shape B,T,LYRIC,TEXT] [--rank R] [--dropout P] [--full] [--recompute K] [--layers N] [--fp32] [--infer] [--once]
 *      [--preset NAME] [--base int8|fp8] [--feed-forward]: the music transformer's training step on a cuda device with random weights, as one JSON line
 *
 * The model's files are made sparse and filled on the device: no weights are read. ms: median of recorded steps (forward, a given
 * gradient of the loss, backward), eager: launched one by one. --infer: the forward pass alone. --once: two steps, not
 * recorded, for a profiler. */
#include "base/file.h"
#include "bench/sparse.h"
#include "kernels/kernels.h"
#include "num/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPEATS = 15 };

struct options {
	const char *preset;
	int64_t B, T, Y, S;
	int rank, interval, layers;
	float dropout;
	bool full, fp32, infer, once, feed_forward;
	enum dtype base;
};

static void
make_input(struct dev *d, struct dit_input *in, const struct dit *m, const struct options *o, struct tensor block)
{
	int32_t *ids = malloc((size_t)(o->B * o->Y) * sizeof *ids);
	float t[16];

	*in = (struct dit_input){ .latents = ROOM(d, F32, o->B, 8, 16, o->T), .frame_mask = ROOM(d, F32, o->B, o->T),
		.text = ROOM(d, F32, o->B, o->S, m->cfg.text_dim), .text_mask = ROOM(d, F32, o->B, o->S),
		.speaker = ROOM(d, F32, o->B, m->cfg.speaker_dim), .lyric_ids = ROOM(d, I32, o->B, o->Y),
		.lyric_mask = ROOM(d, F32, o->B, o->Y), .timestep = ROOM(d, F32, o->B) };
	for (int64_t i = 0; i < o->B * o->Y; i++)
		ids[i] = (int32_t)(i * 7919 % m->cfg.lyric_vocab);
	for (int i = 0; i < 16; i++)
		t[i] = 100.f + 37.f * (float)i;
	sparse_randomize(d, in->latents, block, 1.f);
	sparse_randomize(d, in->text, block, 1.f);
	d->k->fill(d, in->frame_mask, 1.f);
	d->k->fill(d, in->text_mask, 1.f);
	d->k->fill(d, in->lyric_mask, 1.f);
	d->k->fill(d, in->speaker, 0.f);
	d->m->upload(d, in->lyric_ids.data, ids, tensor_bytes(in->lyric_ids));
	d->m->upload(d, in->timestep.data, t, tensor_bytes(in->timestep));
	free(ids);
}

struct run {
	struct dev *d;
	struct ctx c;
	struct arena act;
	struct dit *m;
	struct dit_input in;
	struct tensor v, dv, grads;
	bool infer;
};

static void
step(struct run *r)
{
	r->c.act->used = 0;
	if (!r->infer)
		r->c.dev->k->fill(r->c.dev, r->grads, 0.f);
	dit_forward(&r->c, r->m, r->v, &r->in);
	if (!r->infer)
		dit_backward(&r->c, r->m, &r->in, r->dv);
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Median and least of REPEATS steps, recorded or not. */
static void
measure(struct run *r, struct dev_graph *g, double *median, double *least)
{
	struct dev_event *e[2];
	double ms[REPEATS];

	for (int i = 0; i < 2; i++)
		sparse_ok(dev_event_open(r->d, &e[i]), "events");
	for (int i = -2; i < REPEATS; i++) {
		dev_event_record(r->d, e[0]);
		if (g)
			sparse_ok(dev_graph_launch(r->d, g), "graph");
		else
			step(r);
		dev_event_record(r->d, e[1]);
		dev_event_wait(r->d, e[1]);
		sparse_ok(r->d->status, "step");
		if (i >= 0)
			ms[i] = dev_event_ms(r->d, e[0], e[1]);
	}
	qsort(ms, REPEATS, sizeof *ms, by_size);
	*median = ms[REPEATS / 2];
	*least = ms[0];
	for (int i = 0; i < 2; i++)
		dev_event_close(r->d, e[i]);
}

static void
report(struct run *r, const struct options *o, double flops, int64_t calls)
{
	struct dev_graph *g = NULL;
	double ms, least, eager, eager_least;

	if (o->once) {
		step(r);
		r->d->m->sync(r->d);
		sparse_ok(r->d->status, "step");
		return;
	}
	measure(r, NULL, &eager, &eager_least);
	sparse_ok(dev_graph_begin(r->d), "graph");
	step(r);
	sparse_ok(dev_graph_end(r->d, &g), "graph");
	measure(r, g, &ms, &least);
	printf("{\"name\": \"%s\", \"preset\": \"%s\", \"B\": %lld, \"T\": %lld, \"lyric\": %lld, \"text\": %lld, \"rank\": %d, "
	       "\"dropout\": %g, \"full\": %s, \"recompute\": %d, \"type\": \"%s\", \"base\": \"%s\", \"ms\": %.3f, \"least\": %.3f, \"eager\": %.3f, "
	       "\"products_TFLOP\": %.3f, \"calls\": %lld, \"peak_GiB\": %.2f, \"step_GiB\": %.2f}\n", o->infer ? "forward" : "step",
	       o->preset, (long long)o->B, (long long)o->T, (long long)o->Y, (long long)o->S, o->rank, (double)o->dropout,
	       o->full ? "true" : "false", o->interval, o->fp32 ? "fp32" : "bf16",
	       o->base == I8 ? "int8" : o->base == F8 ? "fp8" : "plain", ms, least, eager, flops / 1e12, (long long)calls,
	       (double)r->d->peak / 0x1p30, (double)r->act.size / 0x1p30);
	fflush(stdout);
	dev_graph_free(r->d, g);
}

static void
run(struct dev *d, const char *folder, const struct options *o)
{
	static const char *const targets[] = { "linear_q", "linear_k", "linear_v", "to_q", "to_k", "to_v", "to_out.0" };
	const struct dit_options how = { .dtype = o->fp32 ? F32 : BF16, .attention_masks = true, .checkpoint_interval = o->interval,
		.base = o->base, .quantize_feed_forward = o->feed_forward };
	const struct lora_options lora = { .target = targets, .n_targets = 7, .rank = o->rank, .alpha = (float)o->rank,
		.dropout = o->dropout, .seed = 1 };
	struct dit m;
	struct run r = { .d = d, .m = &m, .infer = o->infer };
	struct tensor block = sparse_normal(d);
	struct arena plan = { 0 };
	struct dev dry;

	sparse_ok(dit_open(&m, folder, &how, d), "model");
	if (o->rank > 0)
		sparse_ok(dit_add_lora(&m, &lora), "adapters");
	if (o->full)
		sparse_ok(dit_train(&m, DIT_FULL), "weights");
	sparse_fill(&m, block);
	sparse_ok(o->infer ? dit_prepare(&m) : dit_alloc_grads(&m, &r.grads), "gradients");
	make_input(d, &r.in, &m, o, block);
	r.v = ROOM(d, F32, o->B, 8, 16, o->T);
	r.dv = ROOM(d, F32, o->B, 8, 16, o->T);
	sparse_randomize(d, r.dv, block, 1e-3f);
	r.c = (struct ctx){ .dev = &dry, .act = &plan, .rng = rng_stream(1, RNG_DROPOUT, 0, 0), .training = !o->infer };
	sparse_ok(dev_open(&dry, DEV_DRY, 1), "dry");
	kernels_attach(&dry);
	step(&r);
	r.act.size = plan.peak;
	sparse_ok(dev_alloc(d, plan.peak, "a step", (void **)&r.act.base), "memory");
	r.c.dev = d;
	r.c.act = &r.act;
	step(&r);
	d->m->sync(d);
	sparse_ok(d->status, "step");
	report(&r, o, dry.flops, dry.calls);
	dev_close(&dry);
	dit_close(&m);
}

static void
read_options(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "--shape") == 0 && sscanf(next, "%ld,%ld,%ld,%ld", &o->B, &o->T, &o->Y, &o->S) == 4)
			i++;
		else if (strcmp(argv[i], "--rank") == 0)
			o->rank = atoi(next), i++;
		else if (strcmp(argv[i], "--dropout") == 0)
			o->dropout = (float)atof(next), i++;
		else if (strcmp(argv[i], "--recompute") == 0)
			o->interval = atoi(next), i++;
		else if (strcmp(argv[i], "--layers") == 0)
			o->layers = atoi(next), i++;
		else if (strcmp(argv[i], "--preset") == 0)
			o->preset = next, i++;
		else if (strcmp(argv[i], "--base") == 0)
			o->base = strcmp(next, "int8") == 0 ? I8 : F8, i++;
		else if (strcmp(argv[i], "--feed-forward") == 0)
			o->feed_forward = true;
		else if (strcmp(argv[i], "--full") == 0)
			o->full = true, o->rank = 0;
		else if (strcmp(argv[i], "--fp32") == 0)
			o->fp32 = true;
		else if (strcmp(argv[i], "--infer") == 0)
			o->infer = true;
		else if (strcmp(argv[i], "--once") == 0)
			o->once = true;
		else {
			fprintf(stderr, "device_step: what is %s?\n", argv[i]);
			exit(64);
		}
	}
}

int
main(int argc, char **argv)
{
	struct options o = { .preset = "3.5b", .B = 1, .T = 646, .Y = 600, .S = 64, .rank = 16 };
	char folder[] = "/tmp/ace-step-XXXXXX";
	struct dev d;

	read_options(&o, argc, argv);
	if (dev_cuda_count() == 0) {
		printf("{\"name\": \"step\", \"skipped\": \"no cuda device is here\"}\n");
		return 77;
	}
	sparse_ok(dev_open(&d, DEV_CUDA, 0), "device");
	kernels_attach(&d);
	if (!mkdtemp(folder))
		return 1;
	sparse_model(folder, o.preset, o.layers);
	run(&d, folder, &o);
	dev_close(&d);
	sparse_ok(file_remove_tree(folder), "files");
	return 0;
}
