/* SPDX-License-Identifier: Apache-2.0 */
/* device_train [--shape B,T,LYRIC,TEXT] [--rank R] [--dropout P] [--full] [--recompute K] [--layers N] [--fp32|--fp16] [--exact] [--accumulate N]
 *      [--base int8|int4|fp8] [--feed-forward] [--unmodified] [--offload] [--offload-gradients] [--one-by-one] [--steps N] [--preset NAME] [--name TEXT]: whole training
 *      steps on a cuda device with random weights, as one JSON
 *      line
 *
 * A step is what ace-train does: noise and time are drawn, the batch is brought over, forward pass, loss, backward pass, clipping,
 * AdamW, and loss and norm read back. ms: median of the time on the clock from result to result; host_ms: of that in which the
 * host was at work. peak: bytes asked of the device at most. */
#include "base/clock.h"
#include "base/file.h"
#include "bench/sparse.h"
#include "kernels/kernels.h"
#include "train/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *preset, *name;
	struct step_shape shape;
	int rank, interval, layers, steps;
	int64_t accumulation;
	float dropout;
	bool full, fp32, fp16, exact, one_by_one, feed_forward, unmodified, offload, offload_grads;
	enum dtype base;
};

static void
ones(float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = 1.f;
}

static float *
numbers(int64_t n)
{
	float *x = calloc((size_t)n + 1, sizeof *x);

	if (!x)
		exit(1);
	return x;
}

static struct batch
random_batch(struct step_shape n, const struct dit_config *cfg)
{
	static uint64_t id[64];
	static int64_t samples[64];
	static const char *name[64];
	struct batch b = { .B = n.B, .T = n.T, .S = n.S, .Y = n.Y, .channels = DIT_CHANNELS, .rows = DIT_ROWS,
		.text_width = cfg->text_dim, .speaker_width = cfg->speaker_dim, .sample_id = id, .samples = samples, .name = name };

	b.latents = numbers(n.B * DIT_CHANNELS * DIT_ROWS * n.T);
	b.text = numbers(n.B * n.S * cfg->text_dim);
	b.frame_mask = numbers(n.B * n.T);
	b.text_mask = numbers(n.B * n.S);
	b.lyric_mask = numbers(n.B * n.Y);
	b.speaker = numbers(n.B * cfg->speaker_dim);
	b.lyric_ids = malloc((size_t)(n.B * n.Y + 1) * sizeof(int32_t));
	if (!b.lyric_ids)
		exit(1);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), b.latents, n.B * DIT_CHANNELS * DIT_ROWS * n.T);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 1), b.text, n.B * n.S * cfg->text_dim);
	ones(b.frame_mask, n.B * n.T);
	ones(b.text_mask, n.B * n.S);
	ones(b.lyric_mask, n.B * n.Y);
	for (int64_t i = 0; i < n.B * n.Y; i++)
		b.lyric_ids[i] = (int32_t)(1 + i * 7919 % (cfg->lyric_vocab - 1));
	for (int64_t i = 0; i < n.B; i++) {
		id[i] = (uint64_t)i;
		name[i] = "random";
	}
	return b;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(double *x, int n)
{
	qsort(x, (size_t)n, sizeof *x, by_size);
	return x[n / 2];
}

static void
take(struct step *s, struct batch *b)
{
	b->number++;
	sparse_ok(step_run(s, b, NULL), "step");
}

static void
train(struct step *s, struct batch *b, const struct options *o)
{
	double *ms = calloc((size_t)o->steps, sizeof *ms), *host = calloc((size_t)o->steps, sizeof *host), least, last = 0;
	struct step_report r;
	size_t before = 0, after = 0, all = 0;
	enum { WARM = 4 };

	if (!ms || !host)
		exit(1);
	for (int i = -WARM; i < o->steps; i++) {
		double from = clock_now(), asked, now;
		if (i == 1 - WARM)
			dev_memory(s->dev, &before, &all);
		if (i == 0)
			dev_memory(s->dev, &after, &all);
		while (s->now.micro < o->accumulation)
			take(s, b);
		sparse_ok(step_ask(s), "update");
		if (s->later)
			take(s, b);
		asked = clock_now();
		sparse_ok(step_result(s, &r), "update");
		now = clock_now();
		if (i >= 0) {
			ms[i] = 1e3 * (now - last);
			host[i] = 1e3 * (asked - from);
		}
		last = now;
	}
	double mid = median(ms, o->steps);
	least = ms[0];
	printf("{\"name\": \"%s\", \"preset\": \"%s\", \"B\": %lld, \"T\": %lld, \"lyric\": %lld, \"text\": %lld, \"rank\": %d, "
	       "\"dropout\": %g, \"full\": %s, \"recompute\": %d, \"type\": \"%s\", \"base\": \"%s\", \"offload\": \"%s\", \"accumulate\": %lld, \"recorded\": %s, \"ms\": %.3f, "
	       "\"least\": %.3f, \"host_ms\": %.3f, \"loss\": %.5g, \"peak_GiB\": %.3f, \"step_GiB\": %.3f, "
	       "\"graph_MiB\": %.1f}\n", o->name, o->preset,
	       (long long)o->shape.B, (long long)o->shape.T, (long long)o->shape.Y, (long long)o->shape.S, o->rank, (double)o->dropout,
	       o->full ? "true" : "false", o->interval, o->fp32 ? o->exact ? "fp32" : "tf32" : o->fp16 ? "fp16" : "bf16",
	       o->base == I8 ? o->feed_forward ? "int8 with feed-forward" : "int8" : o->base == F8 ? "fp8" : o->base == I4 ? o->feed_forward ? "int4 with feed-forward" : "int4" : "plain",
	       o->offload_grads ? "states and gradients" : o->offload ? "states" : "no", (long long)o->accumulation,
	       o->one_by_one ? "false" : "true", mid, least, median(host, o->steps), r.loss, (double)s->dev->peak / 0x1p30,
	       (double)s->act.size / 0x1p30, ((double)before - (double)after) / 0x1p20);
	fflush(stdout);
	free(ms);
	free(host);
}

static void
run(struct dev *d, const char *folder, const struct options *o)
{
	static const char *const targets[] = { "linear_q", "linear_k", "linear_v", "to_q", "to_k", "to_v", "to_out.0" };
	const struct dit_options how = { .dtype = o->fp32 ? F32 : o->fp16 ? F16 : BF16, .attention_masks = true, .checkpoint_interval = o->interval,
		.half_grads = o->unmodified, .far_grads = o->offload_grads, .base = o->base, .quantize_feed_forward = o->feed_forward };
	const struct lora_options lora = { .target = targets, .n_targets = 7, .rank = o->rank, .alpha = (float)o->rank,
		.dropout = o->dropout, .seed = 1 };
	const struct step_options so = { .seed = 42, .flow = FLOW_OPTIONS_DEFAULT, .accumulation = o->accumulation,
		.clip = { CLIP_NORM, 1 }, .optim = { .rule = OPTIM_ADAMW_BF16, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-6,
		.weight_decay = 0.01, .far = o->offload }, .schedule = { .kind = SCHEDULE_CONSTANT, .rate = 1e-5 }, .one_by_one = o->one_by_one, .scaler = o->fp16 ? SCALER_DEFAULT : (struct scaler){ 0 } };
	struct tensor block = sparse_normal(d);
	struct batch b;
	struct step s;
	struct dit m;

	sparse_ok(dit_open(&m, folder, &how, d), "model");
	sparse_ok(o->full ? dit_train(&m, DIT_FULL) : dit_add_lora(&m, &lora), "what trains");
	sparse_fill(&m, block);
	d->m->sync(d);
	d->m->free(d, block.data);
	d->peak = d->bytes;
	sparse_ok(step_open(&s, &m, &so, o->shape), "step");
	b = random_batch(o->shape, &m.cfg);
	train(&s, &b, o);
	step_close(&s);
	dit_close(&m);
}

static void
read_options(struct options *o, int argc, char **argv)
{
	struct step_shape *n = &o->shape;

	for (int i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "--shape") == 0 && sscanf(next, "%ld,%ld,%ld,%ld", &n->B, &n->T, &n->Y, &n->S) == 4)
			i++;
		else if (strcmp(argv[i], "--rank") == 0)
			o->rank = atoi(next), i++;
		else if (strcmp(argv[i], "--dropout") == 0)
			o->dropout = (float)atof(next), i++;
		else if (strcmp(argv[i], "--recompute") == 0)
			o->interval = atoi(next), i++;
		else if (strcmp(argv[i], "--layers") == 0)
			o->layers = atoi(next), i++;
		else if (strcmp(argv[i], "--accumulate") == 0)
			o->accumulation = atoi(next), i++;
		else if (strcmp(argv[i], "--steps") == 0)
			o->steps = atoi(next), i++;
		else if (strcmp(argv[i], "--preset") == 0)
			o->preset = next, i++;
		else if (strcmp(argv[i], "--name") == 0)
			o->name = next, i++;
		else if (strcmp(argv[i], "--full") == 0)
			o->full = true, o->rank = 0;
		else if (strcmp(argv[i], "--fp32") == 0)
			o->fp32 = true;
		else if (strcmp(argv[i], "--fp16") == 0)
			o->fp16 = true;
		else if (strcmp(argv[i], "--exact") == 0)
			o->exact = true;
		else if (strcmp(argv[i], "--offload") == 0)
			o->offload = true;
		else if (strcmp(argv[i], "--offload-gradients") == 0)
			o->offload = o->offload_grads = true;
		else if (strcmp(argv[i], "--base") == 0)
			o->base = strcmp(next, "int8") == 0 ? I8 : strcmp(next, "int4") == 0 ? I4 : F8, i++;
		else if (strcmp(argv[i], "--unmodified") == 0)
			o->unmodified = true;
		else if (strcmp(argv[i], "--feed-forward") == 0)
			o->feed_forward = true;
		else if (strcmp(argv[i], "--one-by-one") == 0)
			o->one_by_one = true;
		else {
			fprintf(stderr, "device_train: what is %s?\n", argv[i]);
			exit(64);
		}
	}
	if (o->steps < 1 || o->accumulation < 1 || n->B < 1 || n->B > 64)
		exit(64);
}

int
main(int argc, char **argv)
{
	struct options o = { .preset = "3.5b", .name = "train", .shape = { 1, 646, 64, 600 }, .rank = 16, .steps = 15, .accumulation = 1 };
	char folder[] = "/tmp/ace-step-XXXXXX";
	struct dev d;

	read_options(&o, argc, argv);
	if (dev_cuda_count() == 0) {
		printf("{\"name\": \"%s\", \"skipped\": \"no cuda device is here\"}\n", o.name);
		return 77;
	}
	sparse_ok(dev_open(&d, DEV_CUDA, 0), "device");
	kernels_attach(&d);
	d.tf32 = !o.exact;
	if (!mkdtemp(folder))
		return 1;
	sparse_model(folder, o.preset, o.layers);
	run(&d, folder, &o);
	dev_close(&d);
	sparse_ok(file_remove_tree(folder), "files");
	return 0;
}
