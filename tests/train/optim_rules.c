/* SPDX-License-Identifier: Apache-2.0 */
/* what is true of every update rule, without an oracle */
#include "train/optim.h"

#include "kernels/kernels.h"
#include "kernels/optim_formula.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS = 3, STEPS = 6 };

static const enum optim_rule all[] = { OPTIM_ADAMW, OPTIM_ADAM, OPTIM_SGD, OPTIM_ADAFACTOR, OPTIM_ADAMW_BF16,
	OPTIM_OPTIMI_ADAMW, OPTIM_STABLEADAMW, OPTIM_LION, OPTIM_ADAMW8BIT, OPTIM_SCHEDULEFREE, OPTIM_PRODIGY };
enum { RULES = sizeof all / sizeof *all };

/* one of many values, a vector, one of whole blocks */
static const int64_t dims[PARAMS][2] = { { 96, 200 }, { 200, 0 }, { 64, 64 } };

struct run {
	struct dev d;
	struct optim o;
	struct param p[PARAMS];
	float limits[2];
};

static void
open_run(struct run *r, enum optim_rule rule, enum dtype type, enum dev_kind kind, int threads)
{
	static const char *const names[PARAMS] = { "w", "b", "u" };
	struct optim_settings set = { .rule = rule, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-7, .weight_decay = 0.1,
		.momentum = 0.9,
		.dampening = 0.1, .beta2_decay = -0.8, .eps2 = 1e-3, .d = 1, .d0 = 1e-6, .d_coef = 1, .warmup = 2 };

	memset(r, 0, sizeof *r);
	assert_ok(dev_open(&r->d, kind, threads));
	kernels_attach(&r->d);
	optim_init(&r->o, &r->d, &set, 77);
	r->limits[0] = 0.5f;
	r->limits[1] = 2.f;
	for (int i = 0; i < PARAMS; i++) {
		struct rng s = rng_stream(5, RNG_TEST, 1, (uint64_t)i);
		struct param *p = &r->p[i];
		p->name = names[i];
		p->train = true;
		p->value = tensor_make(NULL, type, dims[i][1] ? 2 : 1, dims[i]);
		p->grad = tensor_make(NULL, F32, p->value.rank, dims[i]);
		p->value.data = malloc(tensor_bytes(p->value));
		p->grad.data = malloc(tensor_bytes(p->grad));
		assert_true(p->value.data && p->grad.data);
		for (int64_t k = 0; k < tensor_count(p->value); k++) {
			float v = 0.1f * rng_normal(s, (uint64_t)k);
			if (type == BF16)
				((uint16_t *)p->value.data)[k] = f32_to_bf16(v);
			else
				((float *)p->value.data)[k] = v;
		}
		assert_ok(optim_add(&r->o, p, i == 1, i, 0));
	}
	assert_ok(optim_alloc(&r->o));
}

static void
close_run(struct run *r)
{
	for (int i = 0; i < PARAMS; i++) {
		free(r->p[i].value.data);
		free(r->p[i].grad.data);
	}
	optim_free(&r->o);
	dev_close(&r->d);
}

static void
step(struct run *r, int t, double rate0, double rate1)
{
	const double rate[OPTIM_GROUPS] = { rate0, rate1 };

	for (int i = 0; i < PARAMS; i++)
		rng_normal_fill(rng_stream(6, RNG_TEST, (uint64_t)t, (uint64_t)i), r->p[i].grad.data,
		                tensor_count(r->p[i].grad));
	optim_step(&r->o, rate, tensor_of(r->limits, F32, 1, 2), t);
	assert_int_equal(r->d.status, ACE_OK);
}

static void
same(const char *what, const struct run *a, const struct run *b)
{
	for (int i = 0; i < PARAMS; i++) {
		if (memcmp(a->p[i].value.data, b->p[i].value.data, tensor_bytes(a->p[i].value)) != 0)
			fail_msg("%s, rule %s: weights of %s differ", what, optim_rule_name(a->o.set.rule), a->p[i].name);
		for (int k = 0; k < OPTIM_STATES && a->o.item[i].state[k].name; k++)
			if (memcmp(a->o.item[i].state[k].value.data, b->o.item[i].state[k].value.data,
			           tensor_bytes(a->o.item[i].state[k].value)) != 0)
				fail_msg("%s, rule %s: %s of %s differs", what, optim_rule_name(a->o.set.rule),
				         a->o.item[i].state[k].name, a->p[i].name);
	}
}

static void
updates_do_not_depend_on_the_thread_count(void **state)
{
	(void)state;
	for (int k = 0; k < 2 * RULES; k++) {
		struct run a, b;
		open_run(&a, all[k / 2], k % 2 ? BF16 : F32, DEV_CPU, 1);
		open_run(&b, all[k / 2], k % 2 ? BF16 : F32, DEV_CPU, 3);
		for (int t = 1; t <= STEPS; t++) {
			step(&a, t, 1e-2, 1e-3);
			step(&b, t, 1e-2, 1e-3);
		}
		same("threads", &a, &b);
		close_run(&a);
		close_run(&b);
	}
}

/* What a checkpoint does: weights, state tensors and scalars into a fresh optimiser. */
static void
state_and_scalars_are_all_that_a_run_goes_on_from(void **state)
{
	(void)state;
	for (int k = 0; k < 2 * RULES; k++) {
		struct run a, b;
		open_run(&a, all[k / 2], k % 2 ? BF16 : F32, DEV_CPU, 2);
		open_run(&b, all[k / 2], k % 2 ? BF16 : F32, DEV_CPU, 2);
		for (int t = 1; t <= STEPS; t++)
			step(&a, t, 1e-2, 1e-3);
		for (int i = 0; i < PARAMS; i++) {
			memcpy(b.p[i].value.data, a.p[i].value.data, tensor_bytes(a.p[i].value));
			for (int s = 0; s < OPTIM_STATES && a.o.item[i].state[s].name; s++) {
				struct tensor from = optim_state(&a.o, &a.p[i], a.o.item[i].state[s].name);
				struct tensor to = optim_state(&b.o, &b.p[i], a.o.item[i].state[s].name);
				assert_true(tensor_same(from, to));
				memcpy(to.data, from.data, tensor_bytes(from));
			}
		}
		for (int s = 0; s < OPTIM_SCALARS && a.o.scalar[s].name; s++) {
			assert_string_equal(a.o.scalar[s].name, b.o.scalar[s].name);
			b.o.scalar[s].value = a.o.scalar[s].value;
		}
		for (int t = STEPS + 1; t <= STEPS + 3; t++) {
			step(&a, t, 1e-2, 1e-3);
			step(&b, t, 1e-2, 1e-3);
		}
		same("resumed", &a, &b);
		close_run(&a);
		close_run(&b);
	}
}

static void
a_dry_run_knows_the_memory_of_the_state(void **state)
{
	(void)state;
	for (int k = 0; k < 2 * RULES; k++) {
		struct run a, b;
		open_run(&a, all[k / 2], k % 2 ? BF16 : F32, DEV_CPU, 1);
		open_run(&b, all[k / 2], k % 2 ? BF16 : F32, DEV_DRY, 1);
		step(&b, 1, 1e-2, 1e-3);
		optim_average(&b.o, true);
		assert_true(a.o.bytes == b.o.bytes && a.o.bytes > 0 && b.o.memory == NULL);
		close_run(&a);
		close_run(&b);
	}
}

static void
a_group_follows_its_own_rate(void **state)
{
	struct run a, b;

	(void)state;
	open_run(&a, OPTIM_ADAMW, F32, DEV_CPU, 1);
	open_run(&b, OPTIM_ADAMW, F32, DEV_CPU, 1);
	step(&a, 1, 1e-2, 0);
	step(&b, 1, 0, 1e-2);
	for (int i = 0; i < PARAMS; i++) {
		struct run *moved = i == 1 ? &b : &a, *still = i == 1 ? &a : &b;
		assert_true(memcmp(a.p[i].value.data, b.p[i].value.data, tensor_bytes(a.p[i].value)) != 0);
		float first = 0.1f * rng_normal(rng_stream(5, RNG_TEST, 1, (uint64_t)i), 0);
		assert_true(((float *)still->p[i].value.data)[0] == first);
		assert_true(((float *)moved->p[i].value.data)[0] != ((float *)still->p[i].value.data)[0]);
	}
	close_run(&a);
	close_run(&b);
}

static void
a_frozen_param_is_left_out(void **state)
{
	float x[4] = { 1, 2, 3, 4 };
	struct param p = { .name = "x", .value = tensor_of(x, F32, 1, 4), .grad = tensor_of(NULL, F32, 1, 4) };
	struct optim_settings set = { .rule = OPTIM_ADAMW };
	struct optim o;
	struct dev d;

	(void)state;
	assert_ok(dev_open(&d, DEV_CPU, 1));
	kernels_attach(&d);
	optim_init(&o, &d, &set, 1);
	assert_ok(optim_add(&o, &p, 0, 0, 0));
	assert_ok(optim_alloc(&o));
	assert_true(o.n == 0 && optim_state(&o, &p, "exp_avg").rank == 0);
	optim_free(&o);
	dev_close(&d);
}

/* Two shards draw the words of their places in the whole tensor. */
static void
shards_round_as_the_whole_does(void **state)
{
	enum { N = 3000, CUT = 1237 };
	uint16_t whole[N], parts[N];
	float g[N], limits[2] = { 1.f, INFINITY };
	struct optim_settings set = { .rule = OPTIM_ADAMW_BF16, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .weight_decay = 0.1 };
	const double rate[OPTIM_GROUPS] = { 1e-3, 0 };
	struct param w = { .name = "w", .value = tensor_of(whole, BF16, 1, N), .grad = tensor_of(g, F32, 1, N), .train = true };
	struct param a = w, b = w;
	struct optim one, two;
	struct dev d;

	(void)state;
	assert_ok(dev_open(&d, DEV_CPU, 2));
	kernels_attach(&d);
	for (int i = 0; i < N; i++)
		whole[i] = parts[i] = f32_to_bf16(rng_normal(rng_stream(1, RNG_TEST, 0, 0), (uint64_t)i));
	a.value = tensor_of(parts, BF16, 1, CUT), a.grad = tensor_of(g, F32, 1, CUT);
	b.value = tensor_of(parts + CUT, BF16, 1, N - CUT), b.grad = tensor_of(g + CUT, F32, 1, N - CUT);
	optim_init(&one, &d, &set, 5);
	optim_init(&two, &d, &set, 5);
	assert_ok(optim_add(&one, &w, 0, 9, 0));
	assert_ok(optim_add(&two, &a, 0, 9, 0));
	assert_ok(optim_add(&two, &b, 0, 9, CUT));
	assert_ok(optim_alloc(&one));
	assert_ok(optim_alloc(&two));
	for (int t = 1; t <= 4; t++) {
		rng_normal_fill(rng_stream(2, RNG_TEST, (uint64_t)t, 0), g, N);
		optim_step(&one, rate, tensor_of(limits, F32, 1, 2), t);
		optim_step(&two, rate, tensor_of(limits, F32, 1, 2), t);
	}
	assert_memory_equal(whole, parts, sizeof whole);
	optim_free(&one);
	optim_free(&two);
	dev_close(&d);
}

static void
rounding_by_chance_is_right_on_average(void **state)
{
	enum { N = 40000 };
	const float x = 1.f + 0.3f * 0x1p-7f;		/* three tenths of the way to the next bf16 */
	struct rng r = rng_stream(3, RNG_ROUND, 1, 0);
	int up = 0;

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		float y = bf16_to_f32(bf16_by_chance(x, rounding_word(r, i)));
		assert_true(y == 1.f || y == 1.f + 0x1p-7f);
		up += y > 1.f;
	}
	assert_true(fabs((double)up / N - 0.3) < 5 * sqrt(0.21 / N));
	assert_true(bf16_by_chance(-1.5f, 0xffff) == f32_to_bf16(-1.5f));	/* what fits stays */
	assert_true(bf16_by_chance(INFINITY, 0xffff) == f32_to_bf16(INFINITY));
	assert_true(isnan(bf16_to_f32(bf16_by_chance(NAN, 0xffff))));
}

/* bf16 weights of 1 and steps of 2^-11, an eighth of their spacing: nearest rounding would never move. */
static void
small_steps_are_not_lost_in_bf16(void **state)
{
	static const enum optim_rule kept[] = { OPTIM_ADAMW, OPTIM_ADAMW_BF16, OPTIM_OPTIMI_ADAMW, OPTIM_LION, OPTIM_SGD,
		OPTIM_STABLEADAMW };

	(void)state;
	for (size_t k = 0; k < sizeof kept / sizeof *kept; k++) {
		enum { N = 512, T = 64 };
		uint16_t p[N];
		float g[N], limits[2] = { 1.f, INFINITY };
		double sum = 0;
		const double rate[OPTIM_GROUPS] = { 0x1p-11, 0 };
		struct optim_settings set = { .rule = kept[k], .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8 };
		struct param w = { .name = "w", .value = tensor_of(p, BF16, 1, N), .grad = tensor_of(g, F32, 1, N),
			.train = true };
		struct optim o;
		struct dev d;

		assert_ok(dev_open(&d, DEV_CPU, 1));
		kernels_attach(&d);
		for (int i = 0; i < N; i++) {
			p[i] = f32_to_bf16(1.f);
			g[i] = 1.f;
		}
		optim_init(&o, &d, &set, 8);
		assert_ok(optim_add(&o, &w, 0, 0, 0));
		assert_ok(optim_alloc(&o));
		for (int t = 1; t <= T; t++)
			optim_step(&o, rate, tensor_of(limits, F32, 1, 2), t);
		for (int i = 0; i < N; i++)
			sum += 1 - (double)bf16_to_f32(p[i]);
		if (!(fabs(sum / N - T * 0x1p-11) < 0.05 * T * 0x1p-11))
			fail_msg("%s went %g, wanted %g", optim_rule_name(kept[k]), sum / N, T * 0x1p-11);
		optim_free(&o);
		dev_close(&d);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(updates_do_not_depend_on_the_thread_count),
		cmocka_unit_test(state_and_scalars_are_all_that_a_run_goes_on_from),
		cmocka_unit_test(a_dry_run_knows_the_memory_of_the_state),
		cmocka_unit_test(a_group_follows_its_own_rate),
		cmocka_unit_test(a_frozen_param_is_left_out),
		cmocka_unit_test(shards_round_as_the_whole_does),
		cmocka_unit_test(rounding_by_chance_is_right_on_average),
		cmocka_unit_test(small_steps_are_not_lost_in_bf16),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
