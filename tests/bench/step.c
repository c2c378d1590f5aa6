/* SPDX-License-Identifier: Apache-2.0 */
/* step [threads [updates [model folder]]]: time and peak memory of an update of ace-train's own step code, one JSON object a case.
 * Without a folder a random model of the preset small is made. Every case runs in a process of its own. */
#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "jobs/init_model.h"
#include "kernels/kernels.h"
#include "train/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const targets[] = { "to_q", "to_k", "to_v", "to_out.0", "linear_q", "linear_k", "linear_v" };

static const struct bench_case {
	const char *name;
	struct step_shape shape;
	enum dtype dtype;
	int interval;
	float lora_dropout;
} cases[] = {
	{ "lora_fp32", { 1, 323, 32, 200 }, F32, 0, 0.f },
	{ "lora_fp32_ckpt", { 1, 323, 32, 200 }, F32, 1, 0.f },
	{ "lora_fp32_dropout", { 1, 323, 32, 200 }, F32, 0, 0.1f },
	{ "lora_bf16", { 1, 323, 32, 200 }, BF16, 0, 0.f },
};

static int
complain(const char *what)
{
	fprintf(stderr, "step: %s: %s\n", what, ace_message());
	return 1;
}

static void
fill(float *x, int64_t n, float value)
{
	for (int64_t i = 0; i < n; i++)
		x[i] = value;
}

/* A batch of random numbers; never freed, the process ends. */
static struct batch
random_batch(struct step_shape n, const struct dit_config *cfg)
{
	static uint64_t id[64];
	static int64_t samples[64];
	static const char *name[64];
	struct batch b = { .B = n.B, .T = n.T, .S = n.S, .Y = n.Y, .channels = DIT_CHANNELS, .rows = DIT_ROWS,
		.text_width = cfg->text_dim, .speaker_width = cfg->speaker_dim, .sample_id = id, .samples = samples, .name = name };

	b.latents = malloc((size_t)(n.B * DIT_CHANNELS * DIT_ROWS * n.T) * sizeof(float));
	b.frame_mask = malloc((size_t)(n.B * n.T) * sizeof(float));
	b.text = malloc((size_t)(n.B * n.S * cfg->text_dim) * sizeof(float));
	b.text_mask = malloc((size_t)(n.B * n.S) * sizeof(float));
	b.speaker = calloc((size_t)(n.B * cfg->speaker_dim), sizeof(float));
	b.lyric_ids = malloc((size_t)(n.B * n.Y) * sizeof(int32_t));
	b.lyric_mask = malloc((size_t)(n.B * n.Y) * sizeof(float));
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), b.latents, n.B * DIT_CHANNELS * DIT_ROWS * n.T);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 1), b.text, n.B * n.S * cfg->text_dim);
	fill(b.frame_mask, n.B * n.T, 1.f);
	fill(b.text_mask, n.B * n.S, 1.f);
	fill(b.lyric_mask, n.B * n.Y, 1.f);
	for (int64_t i = 0; i < n.B * n.Y; i++)
		b.lyric_ids[i] = (int32_t)(1 + rng_below(rng_stream(1, RNG_TEST, 0, 2), (uint64_t)i, (uint64_t)cfg->lyric_vocab - 1));
	for (int64_t i = 0; i < n.B; i++) {
		id[i] = (uint64_t)i;
		name[i] = "random";
	}
	return b;
}

/* Seconds of processor time of all threads: what a step takes of a machine that others use as well. */
static double
processor(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int
run_case(const struct bench_case *c, const char *model, int threads, int updates)
{
	const struct lora_options lora = { .target = targets, .n_targets = 7, .rank = 16, .alpha = 16, .dropout = c->lora_dropout,
		.seed = 1 };
	const struct dit_options dit = { .dtype = c->dtype, .attention_masks = true, .checkpoint_interval = c->interval,
		.lyric_dropout = 0.1f };
	struct step_options o = { .seed = 42, .flow = FLOW_OPTIONS_DEFAULT, .accumulation = 1, .clip = { CLIP_NORM, 1 },
		.optim = { .rule = OPTIM_ADAMW, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01 },
		.schedule = { .kind = SCHEDULE_CONSTANT, .rate = 1e-4 } };
	double *ms = calloc((size_t)updates, sizeof *ms), *cpu = calloc((size_t)updates, sizeof *cpu);
	struct rusage use;
	struct batch b;
	struct step s;
	struct dev d;
	struct dit m;

	if (!ms || !cpu || dev_open(&d, DEV_CPU, threads) != ACE_OK)
		return complain("device");
	kernels_attach(&d);
	if (dit_open(&m, model, &dit, &d) != ACE_OK || dit_add_lora(&m, &lora) != ACE_OK)
		return complain("model");
	if (step_open(&s, &m, &o, c->shape) != ACE_OK)
		return complain("step");
	b = random_batch(c->shape, &m.cfg);
	for (int i = -2; i < updates; i++) {
		struct step_report r;
		double from = clock_now(), busy = processor();
		b.number = i + 2;
		if (step_run(&s, &b, NULL) != ACE_OK || step_update(&s, &r) != ACE_OK)
			return complain("update");
		if (i < 0)
			continue;
		ms[i] = 1e3 * (clock_now() - from);
		cpu[i] = 1e3 * (processor() - busy);
	}
	qsort(ms, (size_t)updates, sizeof *ms, by_size);
	qsort(cpu, (size_t)updates, sizeof *cpu, by_size);
	getrusage(RUSAGE_SELF, &use);
	printf("{\"name\": \"%s\", \"preset\": \"small\", \"shape\": [%lld, %lld, %lld, %lld], \"threads\": %d, \"ms\": %.1f, "
	       "\"best_ms\": %.1f, \"cpu_ms\": %.1f, \"best_cpu_ms\": %.1f, \"peak_MiB\": %.1f, \"arena_MiB\": %.1f}\n", c->name, (long long)c->shape.B, (long long)c->shape.T,
	       (long long)c->shape.Y, (long long)c->shape.S, d.threads, ms[updates / 2], ms[0], cpu[updates / 2], cpu[0], (double)use.ru_maxrss / 1024,
	       (double)s.act.size / 0x1p20);
	fflush(stdout);
	step_close(&s);
	dit_close(&m);
	dev_close(&d);
	return 0;
}

/* What runs in a process of its own: its threads are not shared, and its memory is its own. */
static int
apart(int (*run)(void *me), void *me)
{
	int state = 0;
	pid_t p = fork();

	if (p == 0)
		_exit(run(me));
	return p < 0 || waitpid(p, &state, 0) != p || state != 0;
}

static int
make_model(void *me)
{
	const struct init_model_job job = { .preset = "small", .dir = me, .seed = 42, .dtype = F32 };

	return init_model_write(&job) == ACE_OK ? 0 : complain("model");
}

struct order {
	const struct bench_case *c;
	const char *model;
	int threads, updates;
};

static int
run_order(void *me)
{
	const struct order *o = me;

	return run_case(o->c, o->model, o->threads, o->updates);
}

int
main(int argc, char **argv)
{
	struct order o = { .threads = argc > 1 ? atoi(argv[1]) : 0, .updates = argc > 2 ? atoi(argv[2]) : 9 };
	const char *tmp = getenv("TMPDIR");
	char *made = NULL, *model;
	int bad = 0;

	msg_setup("step", MSG_WARN, PROGRESS_NONE, 10);
	if (argc <= 3)
		made = file_path("%s/ace-bench-step.%ld", tmp ? tmp : "/tmp", (long)getpid());
	if (o.updates < 1 || (made && apart(make_model, made)))
		return 1;
	model = file_path("%s/ace_step_transformer", made ? made : argv[3]);
	o.model = model;
	for (size_t i = 0; model && i < sizeof cases / sizeof *cases; i++) {
		o.c = &cases[i];
		bad |= apart(run_order, &o);
	}
	if (made && file_remove_tree(made) != ACE_OK)
		bad = complain(made);
	free(made);
	free(model);
	return bad;
}
