/* SPDX-License-Identifier: Apache-2.0 */
/* Whole models on a cuda device, beside the cpu's: a random model of the preset small, whose sizes let weights and adapters lie
 * side by side. */
#include "base/file.h"
#include "jobs/init_model.h"
#include "kernels/kernels.h"
#include "models/codec.h"
#include "models/dit.h"
#include "models/umt5.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/twins.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *model;

static int
write_model(void **state)
{
	static char path[512];
	struct init_model_job job = { .preset = "small", .dir = path, .seed = 3, .dtype = BF16 };

	(void)state;
	snprintf(path, sizeof path, "%s/model", golden_tmp());
	model = path;
	return init_model_write(&job) == ACE_OK ? 0 : -1;
}

static int
remove_model(void **state)
{
	(void)state;
	model[strlen(model) - strlen("/model")] = 0;
	return file_remove_tree(model) == ACE_OK ? 0 : -1;
}

static const char *
part(const char *name)
{
	static char path[600];

	snprintf(path, sizeof path, "%s/%s", model, name);
	return path;
}

/* A model, an input and room for a step on one device. */
struct trial {
	struct dev d;
	struct arena act;
	struct ctx c;
	struct dit m;
	struct dit_input in;
	struct tensor v, dv, grads;
	void *owned[16];
	int n_owned;
};

struct trial_options {
	enum dev_kind kind;
	enum dtype dtype;
	int rank, interval;
	float dropout;		/* of the adapters; the lyric encoder drops as much */
	bool full;
	enum dtype base;	/* I8, F8: the frozen weights' */
	bool tf32;
};

enum { B = 2, T = 37, S = 9, Y = 21 };

enum fill { NORMAL, ONES, RAGGED, IDS, TIMES };

static struct tensor
input(struct trial *t, enum dtype dtype, enum fill how, int rank, const int64_t dim[])
{
	struct tensor x = tensor_make(NULL, dtype, rank, dim);
	int64_t n = tensor_count(x), cols = tensor_cols(x);
	float *host = malloc((size_t)n * sizeof *host);
	struct rng r = rng_stream(11, RNG_TEST, 0, (uint64_t)t->n_owned);
	void *data;

	assert_non_null(host);
	for (int64_t i = 0; i < n; i++) {
		float v = 1.f;
		switch (how) {
		case NORMAL: v = rng_normal(r, (uint64_t)i); break;
		case ONES: break;
		case RAGGED: v = i / cols == 0 || i % cols < cols / 2 ? 1.f : 0.f; break;
		case IDS: v = (float)(1 + i % 50); break;
		case TIMES: v = i ? 312.4f : 871.9f; break;
		}
		if (dtype == I32)
			((int32_t *)(void *)host)[i] = (int32_t)v;
		else
			host[i] = v;
	}
	assert_ok(dev_alloc(&t->d, tensor_bytes(x), "an input", &data));
	t->owned[t->n_owned++] = data;
	t->d.m->upload(&t->d, data, host, tensor_bytes(x));
	free(host);
	x.data = data;
	return x;
}

#define INPUT(dtype, how, ...) \
	input(t, dtype, how, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (const int64_t[TENSOR_RANK]){ __VA_ARGS__ })

static void
adapters(struct trial *t, const struct trial_options *o)
{
	static const char *const targets[] = { "linear_q", "linear_k", "linear_v", "to_q", "to_k", "to_v", "to_out.0" };
	const struct lora_options lora = { .target = targets, .n_targets = 7, .rank = o->rank, .alpha = 0.5f * (float)o->rank,
		.dropout = o->dropout, .seed = 1 };

	assert_ok(dit_add_lora(&t->m, &lora));
	for (int i = 0; i < dit_n_params(&t->m); i++) {
		struct param *p = dit_param(&t->m, i);
		int64_t n = tensor_count(p->value);
		float *b;
		if (!strstr(p->name, "lora_B"))
			continue;
		b = malloc((size_t)n * sizeof *b);
		assert_non_null(b);
		rng_normal_fill(rng_stream(4, RNG_TEST, 0, (uint64_t)i), b, n);
		for (int64_t k = 0; k < n; k++)
			b[k] *= 0.05f;
		t->d.m->upload(&t->d, p->value.data, b, tensor_bytes(p->value));
		free(b);
	}
}

static void
trial_open(struct trial *t, const struct trial_options *o)
{
	const struct dit_options options = { .dtype = o->dtype, .attention_masks = true, .checkpoint_interval = o->interval,
		.lyric_dropout = o->dropout, .base = o->base, .quantize_feed_forward = true };
	struct arena measure = { 0 };
	struct dev dry;
	struct ctx c;
	void *base;

	*t = (struct trial){ 0 };
	assert_ok(dev_open(&t->d, o->kind, 0));
	t->d.tf32 = o->tf32;
	kernels_attach(&t->d);
	assert_ok(dit_open(&t->m, part("ace_step_transformer"), &options, &t->d));
	if (o->rank)
		adapters(t, o);
	if (o->full)
		assert_ok(dit_train(&t->m, DIT_FULL));
	assert_ok(dit_alloc_grads(&t->m, &t->grads));
	t->in.latents = INPUT(F32, NORMAL, B, 8, 16, T);
	t->in.frame_mask = INPUT(F32, RAGGED, B, T);
	t->in.text = INPUT(F32, NORMAL, B, S, t->m.cfg.text_dim);
	t->in.text_mask = INPUT(F32, ONES, B, S);
	t->in.speaker = INPUT(F32, NORMAL, B, t->m.cfg.speaker_dim);
	t->in.lyric_ids = INPUT(I32, IDS, B, Y);
	t->in.lyric_mask = INPUT(F32, RAGGED, B, Y);
	t->in.timestep = INPUT(F32, TIMES, B);
	t->v = INPUT(F32, ONES, B, 8, 16, T);
	t->dv = INPUT(F32, NORMAL, B, 8, 16, T);
	t->c = (struct ctx){ .dev = &t->d, .act = &t->act, .rng = rng_stream(1, RNG_DROPOUT, 0, 0), .training = true };
	assert_ok(dev_open(&dry, DEV_DRY, 1));
	kernels_attach(&dry);
	c = t->c;
	c.dev = &dry;
	c.act = &measure;
	dit_forward(&c, &t->m, t->v, &t->in);
	dit_backward(&c, &t->m, &t->in, t->dv);
	dev_close(&dry);
	assert_ok(dev_alloc(&t->d, measure.peak, "a step", &base));
	t->act = (struct arena){ .base = base, .size = measure.peak };
	t->owned[t->n_owned++] = base;
}

static void
launch(struct trial *t)
{
	t->act.used = 0;
	t->d.k->fill(&t->d, t->grads, 0.f);
	dit_forward(&t->c, &t->m, t->v, &t->in);
	dit_backward(&t->c, &t->m, &t->in, t->dv);
}

static void
trial_run(struct trial *t)
{
	launch(t);
	t->d.m->sync(&t->d);
	if (t->d.status != ACE_OK)
		fail_msg("%s", ace_message());
}

static float *
here(struct trial *t, struct tensor x)
{
	float *p = malloc(tensor_bytes(x) + 4);

	assert_non_null(p);
	t->d.m->download(&t->d, p, x.data, tensor_bytes(x));
	return p;
}

static void
trial_close(struct trial *t)
{
	for (int i = 0; i < t->n_owned; i++)
		t->d.m->free(&t->d, t->owned[i]);
	dit_close(&t->m);
	dev_close(&t->d);
}

/* v and gradients of a and b: norms of the differences, together and of the worst param, over those of b. */
static void
compare(struct trial *a, struct trial *b, double v_tol, double all_tol, double one_tol)
{
	float *x = here(a, a->v), *y = here(b, b->v);
	double e = golden_norm_error(x, y, tensor_count(a->v)), diff = 0, square = 0, worst = 0;
	const char *name = "";

	free(x);
	free(y);
	if (!(e <= v_tol))
		fail_msg("velocity: error %.3g of the norm, at most %.3g is right", e, v_tol);
	for (int i = 0; i < dit_n_params(&a->m); i++) {
		struct param *p = dit_param(&a->m, i), *q = dit_param(&b->m, i);
		double own = 0, d = 0;
		if (!p->train)
			continue;
		x = here(a, p->grad), y = here(b, q->grad);
		for (int64_t k = 0; k < tensor_count(p->grad); k++) {
			d += ((double)x[k] - (double)y[k]) * ((double)x[k] - (double)y[k]);
			own += (double)y[k] * (double)y[k];
		}
		/* zero but for rounding: all keys of a softmax may move alike */
		if (!strstr(p->name, "linear_k.bias") && !(own > 0 && sqrt(d / own) <= worst)) {
			worst = own > 0 ? sqrt(d / own) : worst;
			name = p->name;
		}
		diff += d;
		square += own;
		free(x);
		free(y);
	}
	print_message("velocity %.3g, gradients %.3g, worst %s %.3g\n", e, sqrt(diff / square), name, worst);
	if (!(sqrt(diff / square) <= all_tol && worst <= one_tol))
		fail_msg("gradients: error %.3g of the norm, at most %.3g is right; of %s %.3g, at most %.3g", sqrt(diff / square), all_tol,
		         name, worst, one_tol);
}

static void
agrees(struct trial_options o, double v_tol, double all_tol, double one_tol)
{
	struct trial a, b;
	struct trial_options cpu = o;

	cpu.kind = DEV_CPU;
	cpu.dtype = o.base == I8 ? o.dtype : F32;		/* whose rounding is part of what I8 says */
	trial_open(&b, &cpu);
	trial_run(&b);
	trial_open(&a, &o);
	trial_run(&a);
	compare(&a, &b, v_tol, all_tol, one_tol);
	trial_close(&a);
	trial_close(&b);
}

/* In F32 sums differ in their order alone. In BF16 each of a few dozen stored results on the way is off by up to 2^-9. */
static void
adapters_learn_as_on_the_cpu(void **state)
{
	(void)state;
	agrees((struct trial_options){ DEV_CUDA, F32, 16, 0, 0.f, false, F32, false }, 1e-5, 1e-4, 1e-3);
	agrees((struct trial_options){ DEV_CUDA, BF16, 16, 0, 0.f, false, F32, false }, 2e-2, 3e-2, 0.15);
	agrees((struct trial_options){ DEV_CUDA, BF16, 5, 0, 0.f, false, F32, false }, 2e-2, 3e-2, 0.15);
}

static void
dropped_numbers_are_those_of_the_cpu(void **state)
{
	(void)state;
	agrees((struct trial_options){ DEV_CUDA, F32, 16, 0, 0.1f, false, F32, false }, 1e-5, 1e-4, 1e-3);
	agrees((struct trial_options){ DEV_CUDA, BF16, 16, 0, 0.1f, false, F32, false }, 2e-2, 3e-2, 0.15);
}

static void
all_weights_learn_as_on_the_cpu(void **state)
{
	(void)state;
	agrees((struct trial_options){ DEV_CUDA, F32, 0, 0, 0.f, true, F32, false }, 1e-5, 1e-4, 1e-2);
	agrees((struct trial_options){ DEV_CUDA, BF16, 0, 0, 0.f, true, F32, false }, 2e-2, 3e-2, 0.3);
}

/* TF32 keeps 11 bits of each factor: far from what F32 gives, and near enough. */
static void
tf32_is_between_the_two(void **state)
{
	const struct trial_options o = { DEV_CUDA, F32, 16, 0, 0.f, false, F32, true }, exact = { DEV_CUDA, F32, 16, 0, 0.f, false, F32, false };
	struct trial a, b;
	float *x, *y;

	(void)state;
	agrees(o, 2e-3, 3e-3, 0.15);
	trial_open(&a, &o);
	trial_run(&a);
	trial_open(&b, &exact);
	trial_run(&b);
	x = here(&a, a.v), y = here(&b, b.v);
	assert_true(golden_norm_error(x, y, tensor_count(a.v)) > 2e-5);
	free(x);
	free(y);
	trial_close(&a);
	trial_close(&b);
}

/* The same 8 bits on both; fp8 rounds what it multiplies to four bits as well. */
static void
adapters_learn_on_a_base_in_8_bits_as_on_the_cpu(void **state)
{
	(void)state;
	agrees((struct trial_options){ DEV_CUDA, F32, 16, 0, 0.1f, false, I8, false }, 1e-5, 1e-4, 1e-3);
	agrees((struct trial_options){ DEV_CUDA, BF16, 16, 0, 0.f, false, I8, false }, 2e-2, 3e-2, 0.15);
	agrees((struct trial_options){ DEV_CUDA, BF16, 5, 1, 0.1f, false, I8, false }, 2e-2, 3e-2, 0.15);
	agrees((struct trial_options){ DEV_CUDA, F32, 16, 0, 0.f, false, F8, false }, 1e-5, 1e-4, 1e-3);
	agrees((struct trial_options){ DEV_CUDA, BF16, 16, 0, 0.f, false, F8, false }, 0.1, 0.2, 0.5);
	agrees((struct trial_options){ DEV_CUDA, BF16, 5, 1, 0.1f, false, F8, false }, 0.1, 0.2, 0.5);
}

static void
same_bits(struct trial *a, struct trial *b)
{
	float *x = here(a, a->grads), *y = here(b, b->grads);

	assert_int_equal(tensor_count(a->grads), tensor_count(b->grads));
	assert_memory_equal(x, y, tensor_bytes(a->grads));
	free(x);
	free(y);
}

static void
recomputing_gives_the_same_bits(void **state)
{
	const struct trial_options of[] = {
		{ DEV_CUDA, BF16, 16, 0, 0.1f, false, F32, false },
		{ DEV_CUDA, BF16, 0, 0, 0.f, true, F32, false },
		{ DEV_CUDA, BF16, 16, 0, 0.f, false, F8, false },
	};

	(void)state;
	for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
		struct trial_options o = of[k];
		struct trial a, b;
		trial_open(&a, &o);
		o.interval = 1;
		trial_open(&b, &o);
		trial_run(&a);
		trial_run(&b);
		same_bits(&a, &b);
		trial_close(&a);
		trial_close(&b);
	}
}

static void
a_recorded_step_gives_the_same_bits(void **state)
{
	const struct trial_options o = { DEV_CUDA, BF16, 16, 0, 0.f, false, F32, false };
	struct trial a, b;
	struct dev_graph *g;

	(void)state;
	trial_open(&a, &o);
	trial_open(&b, &o);
	trial_run(&a);
	trial_run(&b);
	assert_ok(dev_graph_begin(&b.d));
	launch(&b);
	assert_ok(dev_graph_end(&b.d, &g));
	b.d.k->fill(&b.d, b.grads, 7.f);
	for (int i = 0; i < 3; i++)
		assert_ok(dev_graph_launch(&b.d, g));
	b.d.m->sync(&b.d);
	assert_int_equal(b.d.status, ACE_OK);
	same_bits(&a, &b);
	dev_graph_free(&b.d, g);
	trial_close(&a);
	trial_close(&b);
}

static void
prompts_are_encoded_as_on_the_cpu(void **state)
{
	enum { TEXTS = 3, LENGTH = 23 };
	static const double tol[] = { 1e-5, 3e-2 };
	int32_t ids[TEXTS * LENGTH];
	float mask[TEXTS * LENGTH];

	(void)state;
	for (int i = 0; i < TEXTS * LENGTH; i++) {
		ids[i] = 3 + i % 40;
		mask[i] = i / LENGTH == 1 && i % LENGTH > 10 ? 0.f : 1.f;
	}
	for (int k = 0; k < 2; k++) {
		struct umt5 m;
		struct dev d;
		float *out[2];
		int64_t n = 0;
		for (int i = 0; i < 2; i++) {
			assert_ok(dev_open(&d, i ? DEV_CUDA : DEV_CPU, 0));
			kernels_attach(&d);
			assert_ok(umt5_open(&m, part("umt5-base"), k ? BF16 : F32, &d));
			n = TEXTS * LENGTH * umt5_width(&m);
			out[i] = malloc((size_t)n * sizeof(float));
			assert_non_null(out[i]);
			for (int j = 0; j < 2; j++)
				assert_ok(umt5_encode_batch(&m, ids, mask, TEXTS, LENGTH, 0.5f, out[i]));
			umt5_close(&m);
			dev_close(&d);
		}
		double e = golden_norm_error(out[1], out[0], n);
		print_message("prompts %s: %.3g\n", k ? "BF16" : "F32", e);
		assert_true(e <= tol[k]);
		free(out[0]);
		free(out[1]);
	}
}

/* The latents of a noise: on the cpu in fp32, on the device in type. */
static double
sound_error(enum dtype type)
{
	enum { SAMPLES = 61234 };
	float *wave = malloc(2 * SAMPLES * sizeof *wave), *z[2];
	int64_t n = 0;
	double e;

	assert_non_null(wave);
	rng_normal_fill(rng_stream(2, RNG_TEST, 0, 0), wave, 2 * SAMPLES);
	for (int i = 0; i < 2 * SAMPLES; i++)
		wave[i] *= 0.1f;
	for (int i = 0; i < 2; i++) {
		struct codec k;
		struct dev d;
		assert_ok(dev_open(&d, i ? DEV_CUDA : DEV_CPU, 0));
		kernels_attach(&d);
		assert_ok(codec_open(&k, model, i ? type : F32, &d));
		n = codec_channels(&k) * codec_rows(&k) * codec_frames(SAMPLES);
		z[i] = malloc((size_t)n * sizeof(float));
		assert_non_null(z[i]);
		assert_ok(codec_encode(&k, wave, SAMPLES, z[i]));
		codec_close(&k);
		dev_close(&d);
	}
	e = golden_norm_error(z[1], z[0], n);
	print_message("sound, %s: %.3g\n", dtype_name(type), e);
	free(z[0]);
	free(z[1]);
	free(wave);
	return e;
}

static void
sound_is_encoded_as_on_the_cpu(void **state)
{
	(void)state;
	assert_true(sound_error(F32) <= 1e-4);
}

/* The bound is that of tests/models/dcae, and half as much for another model. */
static void
in_bf16_sound_is_encoded_nearly_as_on_the_cpu(void **state)
{
	(void)state;
	assert_true(sound_error(BF16) <= 0.03);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adapters_learn_as_on_the_cpu),
		cmocka_unit_test(dropped_numbers_are_those_of_the_cpu),
		cmocka_unit_test(all_weights_learn_as_on_the_cpu),
		cmocka_unit_test(tf32_is_between_the_two),
		cmocka_unit_test(adapters_learn_on_a_base_in_8_bits_as_on_the_cpu),
		cmocka_unit_test(recomputing_gives_the_same_bits),
		cmocka_unit_test(a_recorded_step_gives_the_same_bits),
		cmocka_unit_test(prompts_are_encoded_as_on_the_cpu),
		cmocka_unit_test(sound_is_encoded_as_on_the_cpu),
		cmocka_unit_test(in_bf16_sound_is_encoded_nearly_as_on_the_cpu),
	};

	return test_without_cuda() ? 0 : cmocka_run_group_tests(tests, write_model, remove_model);
}
