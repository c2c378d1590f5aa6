/* SPDX-License-Identifier: Apache-2.0 */
/* What must be true of a step whatever its numbers: recomputing, threads, memory, dropout, adjointness */
#include "models/dit_fixture.h"

#include "kernels/kernels.h"
#include "support/jvp.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const targets[] = { "to_q", "to_k", "to_v", "to_out.0", "speaker_embedder", "linear_q", "linear_k", "linear_v" };
static const struct lora_options adapters = { .target = targets, .n_targets = 8, .rank = 3, .alpha = 6, .dropout = 0.2f, .seed = 9 };

/* A fixture in which adapters (B made nonzero) or everything trains. */
static void
open_training(struct dit_fixture *f, enum dev_kind kind, int threads, int interval, bool full)
{
	const struct dit_options o = { .dtype = F32, .attention_masks = true, .checkpoint_interval = interval, .lyric_dropout = 0.1f };

	dit_fixture_open(f, kind, threads, &o, false);
	assert_ok(dit_add_lora(&f->m, &adapters));
	for (int i = 0; i < f->m.params.n_modules; i++) {
		const struct linear *l = f->m.params.module[i].l;
		if (!l->rank)
			continue;
		rng_normal_fill(rng_stream(4, RNG_TEST, 0, (uint64_t)i), l->lora_b.value.data, tensor_count(l->lora_b.value));
		for (int64_t k = 0; k < tensor_count(l->lora_b.value); k++)
			((float *)l->lora_b.value.data)[k] *= 0.1f;
	}
	if (full)
		assert_ok(dit_train(&f->m, DIT_FULL));
	assert_ok(dit_alloc_grads(&f->m, NULL));
	memcpy(f->in.frame_mask.data, f->ragged.data, tensor_bytes(f->ragged));
}

static void
same_gradients(struct dit_fixture *a, struct dit_fixture *b)
{
	double sum = 0;

	assert_memory_equal(a->v.data, b->v.data, tensor_bytes(a->v));
	for (int i = 0; i < dit_n_params(&a->m); i++) {
		const struct param *p = dit_param(&a->m, i), *q = dit_param(&b->m, i);
		if (!p->train)
			continue;
		if (memcmp(p->grad.data, q->grad.data, tensor_bytes(p->grad)) != 0)
			fail_msg("%s: gradients differ", p->name);
		for (int64_t k = 0; k < tensor_count(p->grad); k++)
			sum += fabs((double)((float *)p->grad.data)[k]);
	}
	assert_true(sum > 0);
}

static void
recomputing_gives_the_same_bits(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct dit_fixture a, b;
		open_training(&a, DEV_CPU, 2, 0, full);
		dit_fixture_step(&a);
		dit_fixture_forward(&a, true);
		for (int interval = 1; interval <= 2; interval++) {
			open_training(&b, DEV_CPU, 2, interval, full);
			dit_fixture_step(&b);
			same_gradients(&a, &b);
			dit_fixture_forward(&b, true);
			assert_true(b.act.used < a.act.used);
			dit_fixture_close(&b);
		}
		dit_fixture_close(&a);
	}
}

static void
the_number_of_threads_changes_no_bit(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct dit_fixture a, b;
		open_training(&a, DEV_CPU, 1, 0, full);
		dit_fixture_step(&a);
		for (int threads = 2; threads <= 3; threads++) {
			open_training(&b, DEV_CPU, threads, 0, full);
			dit_fixture_step(&b);
			same_gradients(&a, &b);
			dit_fixture_close(&b);
		}
		dit_fixture_close(&a);
	}
}

/* The fixture's arena is as large as the dry run said: more would have been an assertion, less shows here. */
static void
the_dry_device_measures_the_exact_peak(void **state)
{
	(void)state;
	for (int interval = 0; interval < 3; interval++) {
		struct dit_fixture f;
		open_training(&f, DEV_CPU, 1, interval, interval == 2);
		dit_fixture_step(&f);
		assert_int_equal(f.act.peak, f.act.size);
		dit_fixture_forward(&f, false);
		assert_int_equal(f.act.used, 0);
		dit_fixture_close(&f);
	}
}

/* Gradients included: the fixture's step asks for no more work space than the dry run foresaw. */
static void
the_dry_device_measures_the_work_space_of_a_cpu(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct dit_fixture f;
		struct arena measure = { 0 };
		struct dev dry;
		struct ctx c;
		open_training(&f, DEV_CPU, 2, 1, full);
		dit_fixture_step(&f);
		assert_ok(dev_open(&dry, DEV_DRY, 1));
		kernels_attach(&dry);
		c = (struct ctx){ .dev = &dry, .act = &measure, .rng = f.c.rng, .training = true, .half = f.c.half };
		dit_forward(&c, &f.m, f.v, &f.in);
		dit_backward(&c, &f.m, &f.in, f.dv);
		assert_int_equal(dry.scratch_bytes, f.dev.scratch_bytes);
		dev_close(&dry);
		dit_fixture_close(&f);
	}
}

/* v as the function of all params that train. A short step, for relu's sake. */
static void
forward(void *me)
{
	dit_fixture_forward(me, true);
}

static void
backward(void *me)
{
	struct dit_fixture *f = me;

	dit_backward(&f->c, &f->m, &f->in, f->dv);
}

static void
the_backward_pass_is_the_adjoint_of_the_forward_pass(void **state)
{
	(void)state;
	for (int full = 0; full < 2; full++) {
		struct dit_fixture f;
		struct jvp_pair *in, out;
		struct jvp j = { &f, forward, backward, NULL, &out, 0, 1, full ? 1e-5f : 1e-4f, 5, true };
		open_training(&f, DEV_CPU, 2, 0, full);
		in = calloc((size_t)dit_n_params(&f.m), sizeof *in);
		assert_non_null(in);
		for (int i = 0; i < dit_n_params(&f.m); i++)
			if (dit_param(&f.m, i)->train)
				in[j.n_in++] = (struct jvp_pair){ dit_param(&f.m, i)->value, dit_param(&f.m, i)->grad };
		j.in = in;
		out = (struct jvp_pair){ f.v, f.dv };
		jvp_check(full ? "full" : "adapters", &j, 1e-3);
		free(in);
		dit_fixture_close(&f);
	}
}

static void
ref_and_cpu_agree(void **state)
{
	struct dit_fixture a, b;

	(void)state;
	open_training(&a, DEV_REF, 1, 0, true);
	open_training(&b, DEV_CPU, 2, 0, true);
	dit_fixture_step(&a);
	dit_fixture_step(&b);
	golden_close("v", b.v.data, a.v.data, tensor_count(a.v), 1e-5);
	for (int i = 0; i < dit_n_params(&a.m); i++) {
		const struct param *p = dit_param(&a.m, i), *q = dit_param(&b.m, i);
		if (p->train && !strstr(p->name, "linear_k.bias"))	/* zero but for rounding: see dit_grads.c */
			golden_close(p->name, q->grad.data, p->grad.data, tensor_count(p->grad), 1e-4);
	}
	dit_fixture_close(&a);
	dit_fixture_close(&b);
}

/* LoRA's start: B is zero, so A's gradient is exactly zero and the output is the base's. */
static void
a_fresh_adapter_changes_nothing_and_only_b_moves(void **state)
{
	struct dit_fixture a, b;
	double moved = 0;

	(void)state;
	dit_fixture_open(&a, DEV_CPU, 2, NULL, false);
	dit_fixture_open(&b, DEV_CPU, 2, NULL, false);
	assert_ok(dit_add_lora(&b.m, &adapters));
	assert_ok(dit_alloc_grads(&b.m, NULL));
	dit_fixture_forward(&a, false);
	dit_fixture_step(&b);
	assert_memory_equal(a.v.data, b.v.data, tensor_bytes(a.v));
	for (int i = 0; i < b.m.params.n_modules; i++) {
		const struct linear *l = b.m.params.module[i].l;
		if (!l->rank)
			continue;
		assert_true(l->scale == 2.f);
		for (int64_t k = 0; k < tensor_count(l->lora_a.value); k++) {
			assert_true(((float *)l->lora_a.grad.data)[k] == 0.f);
			assert_true(fabsf(((float *)l->lora_a.value.data)[k]) <= 1.f / sqrtf((float)linear_in(l)));
		}
		for (int64_t k = 0; k < tensor_count(l->lora_b.value); k++)
			moved += fabs((double)((float *)l->lora_b.grad.data)[k]);
	}
	assert_true(moved > 0);
	dit_fixture_close(&a);
	dit_fixture_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recomputing_gives_the_same_bits),
		cmocka_unit_test(the_number_of_threads_changes_no_bit),
		cmocka_unit_test(the_dry_device_measures_the_exact_peak),
		cmocka_unit_test(the_dry_device_measures_the_work_space_of_a_cpu),
		cmocka_unit_test(the_backward_pass_is_the_adjoint_of_the_forward_pass),
		cmocka_unit_test(ref_and_cpu_agree),
		cmocka_unit_test(a_fresh_adapter_changes_nothing_and_only_b_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
