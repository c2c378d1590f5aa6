/* SPDX-License-Identifier: Apache-2.0 */
/* What a step's numbers do not depend on, and what they do: seed, recomputing, threads, room, accumulation, types, bad data */
#include "train/tiny.h"

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UPDATES = 4, MICRO = 2 };

static struct step_options
dropping(const struct tiny *t)
{
	struct step_options o = tiny_step_options(t);

	o.dropout = (struct flow_dropout){ 0.15f, 0.5f, 0.15f };
	o.accumulation = MICRO;
	return o;
}

/* Some updates on the fixture's batch, as if it were met in several places; losses and norms into number. */
static void
train(struct tiny *t, double number[2 * UPDATES])
{
	for (int i = 0; i < UPDATES; i++) {
		struct step_report r;
		for (int k = 0; k < MICRO; k++) {
			t->b.epoch = i / 2;
			t->b.number = i * MICRO + k;
			assert_ok(step_run(&t->step, &t->b, NULL));
		}
		assert_ok(step_update(&t->step, &r));
		number[2 * i] = r.loss;
		number[2 * i + 1] = r.grad_norm;
	}
}

static void
same_values(struct tiny *a, struct tiny *b)
{
	double moved = 0;

	for (int i = 0; i < dit_n_params(&a->m); i++) {
		const struct param *p = dit_param(&a->m, i), *q = dit_param(&b->m, i);
		if (!p->train)
			continue;
		assert_memory_equal(p->value.data, q->value.data, tensor_bytes(p->value));
		if (strstr(p->name, "lora_B"))
			for (int64_t k = 0; k < tensor_count(p->value); k++)
				moved += fabs((double)((float *)p->value.data)[k]);
	}
	assert_true(moved > 0);
}

static const struct tiny_options dropped = { .kind = DEV_CPU, .threads = 1, .lora_dropout = 0.1f, .lyric_dropout = 0.1f };

static void
neither_recomputing_nor_threads_nor_room_change_a_bit(void **state)
{
	struct step_options o;
	struct tiny a;
	double want[2 * UPDATES], got[2 * UPDATES];

	(void)state;
	tiny_open(&a, &dropped);
	o = dropping(&a);
	tiny_start(&a, &o);
	train(&a, want);
	for (int i = 1; i <= 3; i++) {
		struct tiny_options other = dropped;
		struct tiny b;
		other.threads = i;
		other.checkpoint_interval = i == 1 ? 1 : i == 2 ? 2 : 0;
		tiny_open(&b, &other);
		assert_ok(step_open(&b.step, &b.m, &o, (struct step_shape){ b.b.B + i, b.b.T + 5 * i, b.b.S + i, b.b.Y + i }));
		train(&b, got);
		assert_memory_equal(got, want, sizeof want);
		same_values(&a, &b);
		tiny_close(&b);
	}
	tiny_close(&a);
}

static void
another_seed_or_place_draws_other_numbers(void **state)
{
	struct step_options o;
	double loss[3];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct step_report r;
		struct tiny t;
		tiny_open(&t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2 });
		o = tiny_step_options(&t);
		o.seed += i == 1;
		tiny_start(&t, &o);
		t.b.number = i == 2;
		assert_ok(step_run(&t.step, &t.b, NULL));
		assert_ok(step_update(&t.step, &r));
		loss[i] = r.loss;
		tiny_close(&t);
	}
	assert_true(loss[0] != loss[1] && loss[0] != loss[2] && loss[1] != loss[2]);
}

/* The same batch and noise, once as one micro step and once as three: the same mean, the same update but for rounding. */
static void
accumulated_micro_steps_are_averaged(void **state)
{
	struct step_options o;
	struct step_report one, three;
	struct tiny a, b;
	float *noise, sigma[16], time[16];
	struct step_given given = { NULL, sigma, time };

	(void)state;
	tiny_open(&a, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2 });
	tiny_open(&b, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2 });
	noise = malloc((size_t)(a.b.B * 128 * a.b.T) * sizeof *noise);
	assert_non_null(noise);
	rng_normal_fill(rng_stream(7, RNG_TEST, 0, 0), noise, a.b.B * 128 * a.b.T);
	given.noise = noise;
	for (int i = 0; i < 16; i++)
		time[i] = 1000.f * (sigma[i] = 0.3f + 0.02f * (float)i);
	o = tiny_step_options(&a);
	o.clip.max = 0;
	tiny_start(&a, &o);
	o.accumulation = 3;
	tiny_start(&b, &o);
	assert_ok(step_run(&a.step, &a.b, &given));
	assert_ok(step_update(&a.step, &one));
	for (int i = 0; i < 3; i++)
		assert_ok(step_run(&b.step, &b.b, &given));
	assert_ok(step_update(&b.step, &three));
	assert_true(fabs(one.loss - three.loss) < 1e-6 * one.loss && fabs(three.last_loss - one.loss) < 1e-6 * one.loss);
	assert_true(fabs(one.grad_norm - three.grad_norm) < 1e-5 * one.grad_norm);
	assert_int_equal(three.samples, 3 * one.samples);
	free(noise);
	tiny_close(&a);
	tiny_close(&b);
}

static void
the_dry_run_measures_a_step_of_any_shape(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct step_needs needs;
		struct step_options o;
		struct tiny t;
		tiny_open(&t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2, .checkpoint_interval = i % 3, .full = i == 3 });
		o = tiny_step_options(&t);
		o.form.target = i % 2 ? FLOW_VELOCITY : FLOW_X0;
		assert_ok(step_open(&t.step, &t.m, &o, (struct step_shape){ 2 * t.b.B, 2 * t.b.T, t.b.S + 1, t.b.Y + 3 }));
		assert_ok(step_measure(&t.step, (struct step_shape){ t.b.B, t.b.T, t.b.S, t.b.Y }, &needs));
		assert_ok(step_run(&t.step, &t.b, NULL));
		assert_int_equal(t.step.act.peak, needs.arena);
		assert_int_equal(t.dev.scratch_bytes, needs.workspace);
		assert_true(needs.arena < t.step.act.size && needs.flops > 0);
		tiny_close(&t);
	}
}

static void
a_loss_that_is_no_number_stops_naming_the_clips(void **state)
{
	struct step_options o;
	struct step_report r;
	struct tiny t;
	float *before;
	struct param *p;

	(void)state;
	tiny_open(&t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2 });
	o = tiny_step_options(&t);
	o.accumulation = 2;
	tiny_start(&t, &o);
	p = dit_param(&t.m, dit_n_params(&t.m) - 1);
	before = malloc(tensor_bytes(p->value));
	assert_non_null(before);
	memcpy(before, p->value.data, tensor_bytes(p->value));
	assert_ok(step_run(&t.step, &t.b, NULL));
	t.b.latents[tensor_count(tensor_of(NULL, F32, 4, 1, t.b.channels, t.b.rows, t.b.T)) + 3] = NAN;	/* the second clip */
	t.b.name[1] = "songs/broken.wav";
	assert_ok(step_run(&t.step, &t.b, NULL));
	assert_int_equal(step_update(&t.step, &r), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "songs/broken.wav"));
	assert_non_null(strstr(ace_message(), "step 1"));
	assert_memory_equal(before, p->value.data, tensor_bytes(p->value));
	assert_int_equal(t.step.updates, 0);
	free(before);
	tiny_close(&t);
}

static void
a_batch_larger_than_foreseen_is_refused(void **state)
{
	struct step_options o;
	struct tiny t;

	(void)state;
	tiny_open(&t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2 });
	o = tiny_step_options(&t);
	assert_ok(step_open(&t.step, &t.m, &o, (struct step_shape){ t.b.B, t.b.T - 1, t.b.S, t.b.Y }));
	assert_int_equal(step_run(&t.step, &t.b, NULL), ACE_EBUG);
	tiny_close(&t);
}

/* Weights of 8 bits of mantissa: near, not the same. */
static void
a_bf16_base_trains_fp32_adapters_to_about_the_same_losses(void **state)
{
	struct step_options o;
	double want[2 * UPDATES], got[2 * UPDATES];
	struct tiny a, b;

	(void)state;
	tiny_open(&a, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2 });
	tiny_open(&b, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2, .dtype = BF16 });
	o = dropping(&a);
	tiny_start(&a, &o);
	tiny_start(&b, &o);
	train(&a, want);
	train(&b, got);
	for (int i = 0; i < UPDATES; i++)
		assert_true(fabs(got[2 * i] - want[2 * i]) < 0.02 * want[2 * i] && got[2 * i] != want[2 * i]);
	for (int i = 0; i < dit_n_params(&b.m); i++)
		if (dit_param(&b.m, i)->train)
			assert_true(dit_param(&b.m, i)->value.dtype == F32);
	tiny_close(&a);
	tiny_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neither_recomputing_nor_threads_nor_room_change_a_bit),
		cmocka_unit_test(another_seed_or_place_draws_other_numbers),
		cmocka_unit_test(accumulated_micro_steps_are_averaged),
		cmocka_unit_test(the_dry_run_measures_a_step_of_any_shape),
		cmocka_unit_test(a_loss_that_is_no_number_stops_naming_the_clips),
		cmocka_unit_test(a_batch_larger_than_foreseen_is_refused),
		cmocka_unit_test(a_bf16_base_trains_fp32_adapters_to_about_the_same_losses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
