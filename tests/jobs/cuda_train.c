/* SPDX-License-Identifier: Apache-2.0 */
/* Training on a cuda device: beside the cpu, recorded and not, gone on with, in bf16; and the memory that was planned for it */
#include "jobs/train.h"

#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "jobs/init_model.h"
#include "jobs/train_model.h"
#include "kernels/kernels.h"
#include "models/adapter.h"
#include "support/golden.h"
#include "support/stores.h"
#include "support/test.h"
#include "support/twins.h"
#include "train/tiny.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder, *tiny_data, *small_data, *small, *small_part;

static const char *
at(const char *name)
{
	static char text[4][600];
	static int i;
	char *to = text[i++ % 4];

	snprintf(to, sizeof text[0], "%s/%s", folder, name);
	return to;
}

#define PAIRS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void
settle(struct settings *s, const char *model, const char *data, const char *out, const char *const *pair)
{
	static const char *const base[] = { "max_train_steps", "6", "mixed_precision", "no", "optimizer", "torch-adamw", "learning_rate",
		"1e-2", "lora_rank", "4", "checkpoint_step_interval", "2", "train_batch_size", "2", "seed", "7",
		"disable_tf32", "true", NULL };

	assert_ok(settings_init(s, program_named("ace-train")));
	assert_ok(settings_set(s, "pretrained_model_name_or_path", model, "command line"));
	assert_ok(settings_set(s, "data_backend_config", data, "command line"));
	assert_ok(settings_set(s, "output_dir", out, "command line"));
	for (int i = 0; base[i]; i += 2)
		assert_ok(settings_set(s, base[i], base[i + 1], "command line"));
	for (int i = 0; pair && pair[i]; i += 2)
		assert_ok(settings_set(s, pair[i], pair[i + 1], "command line"));
}

static void
must(const char *model, const char *data, const char *out, const char *const *pair, const char *const *more)
{
	struct settings s;

	settle(&s, model, data, out, pair);
	for (int i = 0; more && more[i]; i += 2)
		assert_ok(settings_set(&s, more[i], more[i + 1], "command line"));
	if (train_run(&s, NULL) != ACE_OK)
		fail_msg("%s: %s", out, ace_message());
	settings_free(&s);
}

static int
metric(const char *out, const char *key, double v[64])
{
	char path[700], *text;
	size_t size;
	int n = 0;

	snprintf(path, sizeof path, "%s/logs/metrics.jsonl", out);
	assert_ok(file_read(path, 1 << 20, &text, &size));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		cJSON *o = cJSON_Parse(line);
		const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, key);
		assert_true(cJSON_IsNumber(x) && n < 63);
		v[++n] = x->valuedouble;
		cJSON_Delete(o);
	}
	free(text);
	return n;
}

static void
same_file(const char *a, const char *b, const char *name)
{
	char path[700], *x, *y;
	size_t n, m;

	snprintf(path, sizeof path, "%s/%s", a, name);
	assert_ok(file_read(path, 1 << 28, &x, &n));
	snprintf(path, sizeof path, "%s/%s", b, name);
	assert_ok(file_read(path, 1 << 28, &y, &m));
	assert_int_equal(n, m);
	assert_memory_equal(x, y, n);
	free(x);
	free(y);
}

static const char *const keys[] = { "train_loss", "optimization_loss", "grad_norm", "learning_rate", "epoch" };

static void
same_run(const char *a, const char *b, int steps)
{
	double x[64], y[64];

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_int_equal(metric(a, keys[i], x), steps);
		assert_int_equal(metric(b, keys[i], y), steps);
		for (int k = 1; k <= steps; k++)
			if (memcmp(&x[k], &y[k], sizeof *x) != 0)
				fail_msg("%s of step %d: %.17g in %s, %.17g in %s", keys[i], k, x[k], a, y[k], b);
	}
}

/* Largest relative difference of losses and norms. */
static void
near(const char *a, const char *b, int steps, double tol)
{
	double x[64], y[64], worst = 0;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_int_equal(metric(a, keys[i], x), steps);
		assert_int_equal(metric(b, keys[i], y), steps);
		for (int k = 1; k <= steps; k++) {
			double e = fabs(x[k] - y[k]) / (fabs(y[k]) + 1e-30);
			worst = x[k] == y[k] || e < worst ? worst : e;
		}
	}
	print_message("%s and %s: %.3g\n", a, b, worst);
	if (!(worst <= tol))
		fail_msg("%s and %s: numbers differ by %.3g of themselves, at most %.3g is right", a, b, worst, tol);
}

/* fp32 throughout: sums differ in their order alone. Dropping is on, as it is by default. */
static void
a_run_is_that_of_the_cpu(void **state)
{
	static const char *const rules[] = { "torch-adamw", "adamw_bf16", "optimi-lion", "prodigy" };
	const char *model = golden_set(TINY_SET);
	char names[2][32];

	(void)state;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		const char *const pair[] = { "optimizer", rules[i], "learning_rate", i == 3 ? "1" : "1e-3", "gradient_accumulation_steps",
			i % 2 ? "2" : "1", NULL };
		snprintf(names[0], sizeof names[0], "cpu-%zu", i);
		snprintf(names[1], sizeof names[1], "cuda-%zu", i);
		must(model, tiny_data, at(names[0]), pair, PAIRS("device", "cpu", "threads", "2"));
		must(model, tiny_data, at(names[1]), pair, PAIRS("device", "cuda"));
		near(at(names[1]), at(names[0]), 6, 1e-3);
	}
}

/* Rollouts, whose length differs from batch to batch. */
static void
a_run_with_rollouts_is_that_of_the_cpu(void **state)
{
	static const char *const pair[] = { "scheduled_sampling_max_step_offset", "3", "scheduled_sampling_probability", "0.7",
		"learning_rate", "1e-3", NULL };
	const char *model = golden_set(TINY_SET);

	(void)state;
	must(model, tiny_data, at("cpu-rolled"), pair, PAIRS("device", "cpu", "threads", "2"));
	must(model, tiny_data, at("cuda-rolled"), pair, PAIRS("device", "cuda"));
	near(at("cuda-rolled"), at("cpu-rolled"), 6, 1e-3);
	must(model, tiny_data, at("cpu-reflex"), pair, PAIRS("device", "cpu", "threads", "2", "scheduled_sampling_reflexflow", "true"));
	must(model, tiny_data, at("cuda-reflex"), pair, PAIRS("device", "cuda", "scheduled_sampling_reflexflow", "true"));
	near(at("cuda-reflex"), at("cpu-reflex"), 6, 1e-3);
}

static void
a_run_goes_on_bit_for_bit(void **state)
{
	static const char *const full[] = { "model_type", "full", "mixed_precision", "bf16", "optimizer", "adamw_bf16", "learning_rate",
		"1e-3", "device", "cuda", "max_train_steps", "9", NULL };
	static const char *const lora[] = { "mixed_precision", "bf16", "device", "cuda", "lora_rank", "16", "max_train_steps", "9", NULL };

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *const *pair = i ? full : lora;
		const char *whole = at(i ? "full" : "lora"), *parts = at(i ? "full-parts" : "lora-parts");
		must(small, small_data, whole, pair, NULL);
		must(small, small_data, parts, pair, PAIRS("max_train_steps", "3"));
		must(small, small_data, parts, pair, PAIRS("max_train_steps", "4"));
		must(small, small_data, parts, pair, NULL);
		same_run(whole, parts, 9);
		same_file(whole, parts, i ? "ace_step_transformer/diffusion_pytorch_model.safetensors" : ADAPTER_FILE);
	}
}

enum { STEPS = 20 };

/* A step on the model of a folder, with batches of two shapes in turn. */
struct trial {
	struct dev d;
	struct dit m;
	struct step s;
	struct batch b[2];
	double loss[STEPS], norm[STEPS];
};

struct trial_options {
	enum dev_kind kind;
	enum dtype dtype;
	bool full, one_by_one, half_grads;
	int64_t accumulation;
	double drop;
};

static struct batch
random_batch(struct step_shape n, const struct dit_config *cfg)
{
	static uint64_t id[2] = { 3, 4 };
	static int64_t samples[2];
	static const char *name[2] = { "songs/a.wav", "songs/b.wav" };
	struct batch b = { .B = n.B, .T = n.T, .S = n.S, .Y = n.Y, .channels = DIT_CHANNELS, .rows = DIT_ROWS,
		.text_width = cfg->text_dim, .speaker_width = cfg->speaker_dim, .sample_id = id, .samples = samples, .name = name };
	int64_t count[] = { n.B * DIT_CHANNELS * DIT_ROWS * n.T, n.B * n.S * cfg->text_dim };

	b.latents = malloc((size_t)count[0] * sizeof(float));
	b.text = malloc((size_t)count[1] * sizeof(float));
	b.frame_mask = malloc((size_t)(n.B * n.T) * sizeof(float));
	b.text_mask = malloc((size_t)(n.B * n.S) * sizeof(float));
	b.lyric_mask = malloc((size_t)(n.B * n.Y) * sizeof(float));
	b.speaker = calloc((size_t)(n.B * cfg->speaker_dim), sizeof(float));
	b.lyric_ids = malloc((size_t)(n.B * n.Y) * sizeof(int32_t));
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), b.latents, count[0]);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 1), b.text, count[1]);
	for (int64_t i = 0; i < n.B * n.T; i++)
		b.frame_mask[i] = 1.f;
	for (int64_t i = 0; i < n.B * n.S; i++)
		b.text_mask[i] = 1.f;
	for (int64_t i = 0; i < n.B * n.Y; i++) {
		b.lyric_mask[i] = i % n.Y < n.Y - 2 ? 1.f : 0.f;
		b.lyric_ids[i] = (int32_t)(1 + i * 7919 % (cfg->lyric_vocab - 1));
	}
	return b;
}

static void
free_batch(struct batch *b)
{
	void *own[] = { b->latents, b->text, b->frame_mask, b->text_mask, b->lyric_mask, b->speaker, b->lyric_ids };

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		free(own[i]);
}

static void
trial_open(struct trial *t, const struct trial_options *o)
{
	static const char *const targets[] = { "to_q", "to_k", "to_v", "to_out.0", "linear_q", "linear_k", "linear_v" };
	const struct lora_options lora = { .target = targets, .n_targets = 7, .rank = 16, .alpha = 16, .dropout = (float)o->drop,
		.seed = 1 };
	const struct dit_options dit = { .dtype = o->dtype, .attention_masks = true, .lyric_dropout = (float)o->drop,
		.half_grads = o->half_grads };
	struct step_options how = { .seed = 42, .flow = FLOW_OPTIONS_DEFAULT, .accumulation = o->accumulation ? o->accumulation : 1,
		.clip = { CLIP_NORM, 1 }, .optim = { .rule = OPTIM_ADAMW_BF16, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-6,
		.weight_decay = 0.01 }, .schedule = { .kind = SCHEDULE_CONSTANT, .rate = 1e-3 }, .one_by_one = o->one_by_one };

	*t = (struct trial){ 0 };
	assert_ok(dev_open(&t->d, o->kind, 0));
	kernels_attach(&t->d);
	assert_ok(dit_open(&t->m, small_part, &dit, &t->d));
	assert_ok(o->full ? dit_train(&t->m, DIT_FULL) : dit_add_lora(&t->m, &lora));
	assert_ok(step_open(&t->s, &t->m, &how, (struct step_shape){ 2, 61, 13, 70 }));
	t->b[0] = random_batch((struct step_shape){ 2, 61, 13, 70 }, &t->m.cfg);
	t->b[1] = random_batch((struct step_shape){ 1, 40, 5, 21 }, &t->m.cfg);
}

static void
trial_run(struct trial *t, bool same_shape)
{
	for (int i = 0; i < STEPS; i++) {
		struct step_report r;
		for (int64_t k = 0; k < t->s.o.accumulation; k++) {
			struct batch *b = &t->b[same_shape ? 0 : (i + k) % 2];
			b->number = i * t->s.o.accumulation + k;
			assert_ok(step_run(&t->s, b, NULL));
		}
		if (step_update(&t->s, &r) != ACE_OK)
			fail_msg("%s", ace_message());
		t->loss[i] = r.loss;
		t->norm[i] = r.grad_norm;
	}
}

static void
trial_close(struct trial *t)
{
	free_batch(&t->b[0]);
	free_batch(&t->b[1]);
	step_close(&t->s);
	dit_close(&t->m);
	dev_close(&t->d);
}

static void *
here(struct trial *t, struct tensor x)
{
	void *p = malloc(tensor_bytes(x) + 4);

	assert_non_null(p);
	t->d.m->download(&t->d, p, x.data, tensor_bytes(x));
	return p;
}

static void
same_values(struct trial *a, struct trial *b)
{
	for (int i = 0; i < dit_n_params(&a->m); i++) {
		struct param *p = dit_param(&a->m, i), *q = dit_param(&b->m, i);
		if (!p->train)
			continue;
		void *x = here(a, p->value), *y = here(b, q->value);
		if (memcmp(x, y, tensor_bytes(p->value)) != 0)
			fail_msg("%s differs", p->name);
		free(x);
		free(y);
	}
}

static void
recorded_or_not_the_bits_are_the_same(void **state)
{
	static const struct trial_options all[] = { { .kind = DEV_CUDA, .dtype = BF16, .drop = 0.1 }, { .kind = DEV_CUDA, .dtype = F32, .drop = 0.1, .accumulation = 2 },
		{ .kind = DEV_CUDA, .dtype = BF16, .full = true, .drop = 0.1 },
		{ .kind = DEV_CUDA, .dtype = BF16, .full = true, .half_grads = true, .accumulation = 2 } };

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct trial_options o = all[i];
		struct trial a, b;
		trial_open(&a, &o);
		o.one_by_one = true;
		trial_open(&b, &o);
		trial_run(&a, false);
		trial_run(&b, false);
		/* two shapes; of full tuning the first pass of an update is another one than those that add to its gradients */
		assert_int_equal(a.s.passes.n, o.full && o.accumulation > 1 ? 4 : 2);
		assert_non_null(a.s.passes.item[0].g);
		assert_non_null(a.s.rounds.item[0].g);
		assert_int_equal(b.s.passes.n, 0);
		assert_memory_equal(a.loss, b.loss, sizeof a.loss);
		assert_memory_equal(a.norm, b.norm, sizeof a.norm);
		for (int k = 1; k < STEPS; k++)		/* no step draws what one before drew */
			assert_true(a.loss[k] != a.loss[k - 1]);
		same_values(&a, &b);
		trial_close(&a);
		trial_close(&b);
	}
}

/* 20 steps of a against b: each loss within 2 %, their mean within 0.5 % (a few dozen results on the way are off by up to 2^-9
 * each). */
static void
follows(const char *what, const struct trial_options *one, const struct trial_options *other)
{
	struct trial a, b;
	double worst = 0, sum = 0, all = 0;

	trial_open(&a, one);
	trial_open(&b, other);
	trial_run(&a, true);
	trial_run(&b, true);
	for (int i = 0; i < STEPS; i++) {
		double e = fabs(a.loss[i] - b.loss[i]) / b.loss[i];
		worst = e > worst || isnan(e) ? e : worst;
		sum += a.loss[i];
		all += b.loss[i];
	}
	print_message("%s: a loss %.3g, the mean %.3g\n", what, worst, fabs(sum - all) / all);
	assert_true(worst <= 0.02 && fabs(sum - all) / all <= 0.005);
	trial_close(&a);
	trial_close(&b);
}

/* Adapters, with base and activations in bf16. */
static void
bf16_follows_fp32(void **state)
{
	(void)state;
	follows("bf16 beside fp32", &(struct trial_options){ .kind = DEV_CUDA, .dtype = BF16 },
	        &(struct trial_options){ .kind = DEV_CUDA, .dtype = F32 });
}

static void
gradients_in_bf16_follow_those_in_fp32(void **state)
{
	struct trial_options half = { .kind = DEV_CUDA, .dtype = BF16, .full = true, .half_grads = true, .accumulation = 2 }, full = half;

	(void)state;
	full.half_grads = false;
	follows("gradients in bf16", &half, &full);
}

static void
what_is_not_finite_changes_nothing(void **state)
{
	struct trial a, b;
	struct step_report r;

	(void)state;
	trial_open(&a, &(struct trial_options){ .kind = DEV_CUDA, .dtype = BF16 });
	trial_open(&b, &(struct trial_options){ .kind = DEV_CUDA, .dtype = BF16 });
	trial_run(&a, false);
	trial_run(&b, false);
	a.b[0].latents[17] = NAN;
	assert_ok(step_run(&a.s, &a.b[0], NULL));
	assert_int_equal(step_update(&a.s, &r), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "songs/a.wav, songs/b.wav"));
	assert_non_null(strstr(ace_message(), "step 21"));
	assert_int_equal(a.s.updates, STEPS);
	same_values(&a, &b);
	trial_close(&a);
	trial_close(&b);
}

/* Bytes that are asked of the device, against the plan of the same options. */
static void
memory_is_taken_as_planned(void **state)
{
	static const char *const more[][9] = { { "mixed_precision", "bf16", NULL }, { "mixed_precision", "no", NULL },
		{ "mixed_precision", "bf16", "model_type", "full", "optimizer", "adamw_bf16", NULL },
		{ "mixed_precision", "bf16", "model_type", "full", "gradient_precision", "unmodified", NULL },
		{ "mixed_precision", "bf16", "model_type", "full", "optimizer_cpu_offload_method", "torchao", NULL },
		{ "mixed_precision", "bf16", "model_type", "full", "optimizer_cpu_offload_method", "torchao", "optimizer_offload_gradients", "true", NULL },
		{ "mixed_precision", "bf16", "gradient_checkpointing", "true", "lora_rank", "128", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
		struct train_job j;
		struct settings s;
		struct plan p;
		struct step step;
		struct dit m;
		struct dev d;
		double planned, taken;
		const struct step_shape room = { 2, 300, 40, 500 };

		settle(&s, small, small_data, at("plan"), more[i]);
		assert_ok(settings_set(&s, "device", "cuda", "command line"));
		assert_ok(train_job_fill(&j, &s));
		assert_ok(train_plan(&p, &j, NULL, room));
		assert_ok(dev_open(&d, DEV_CUDA, 0));
		kernels_attach(&d);
		assert_ok(train_model_open(&m, &j, &d, NULL, NULL));
		assert_ok(step_open(&step, &m, &j.step, room));
		planned = (double)plan_total(&p), taken = (double)d.peak;
		print_message("planned %.1f MiB, taken %.1f MiB\n", planned / 0x1p20, taken / 0x1p20);
		if (!(fabs(planned - taken) <= 0.02 * taken))
			fail_msg("case %zu: %.1f MiB were planned, %.1f MiB taken", i, planned / 0x1p20, taken / 0x1p20);
		step_close(&step);
		dit_close(&m);
		dev_close(&d);
		train_job_free(&j);
		settings_free(&s);
	}
}

static int
prepare(void **state)
{
	struct stores_options o = { .clips = 9, .captions = 2, .channels = DIT_CHANNELS, .rows = DIT_ROWS, .frames = 40, .vary = 36,
		.text_rows = 5, .lyrics = 6, .dtype = F32, .seed = 11 };
	static char model[600], part[640];
	struct init_model_job job = { .preset = "small", .dir = model, .seed = 3, .dtype = BF16 };
	struct dit_config cfg;

	(void)state;
	msg_setup("train", MSG_QUIET, PROGRESS_NONE, 10);
	folder = strdup(golden_tmp());
	assert_ok(dit_config_read(&cfg, golden_path(TINY_SET, "ace_step_transformer")));
	o.text_width = cfg.text_dim;
	o.lyric_vocab = (int32_t)cfg.lyric_vocab;
	assert_ok(file_mkdirs(at("tiny-data")));
	tiny_data = stores_make(at("tiny-data"), &o);
	snprintf(model, sizeof model, "%s", at("model"));
	assert_ok(init_model_write(&job));
	snprintf(part, sizeof part, "%s/ace_step_transformer", model);
	small = model;
	small_part = part;
	assert_ok(dit_config_read(&cfg, small_part));
	o.text_width = cfg.text_dim;
	o.lyric_vocab = (int32_t)cfg.lyric_vocab;
	assert_ok(file_mkdirs(at("small-data")));
	small_data = stores_make(at("small-data"), &o);
	return 0;
}

static int
tidy(void **state)
{
	int bad = file_remove_tree(folder) != ACE_OK;

	(void)state;
	free(tiny_data);
	free(small_data);
	free(folder);
	return bad;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recorded_or_not_the_bits_are_the_same),
		cmocka_unit_test(bf16_follows_fp32),
		cmocka_unit_test(gradients_in_bf16_follow_those_in_fp32),
		cmocka_unit_test(what_is_not_finite_changes_nothing),
		cmocka_unit_test(memory_is_taken_as_planned),
		cmocka_unit_test(a_run_is_that_of_the_cpu),
		cmocka_unit_test(a_run_with_rollouts_is_that_of_the_cpu),
		cmocka_unit_test(a_run_goes_on_bit_for_bit),
	};

	return test_without_cuda() ? 0 : cmocka_run_group_tests(tests, prepare, tidy);
}
