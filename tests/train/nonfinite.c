/* SPDX-License-Identifier: Apache-2.0 */
/* Losses and gradients that are not finite, on a rank alone: an update that is skipped, and when that is enough (step.h) */
#include "train/tiny.h"

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum poison { NOTHING, LOSS, GRADIENT };

static enum status
update(struct tiny *t, int number, enum poison poison, struct step_report *r)
{
	float kept = t->b.latents[3];

	t->b.number = number;
	if (poison == LOSS)
		t->b.latents[3] = NAN;
	if (poison == GRADIENT)
		((float *)t->step.grads.data)[5] = -INFINITY;
	assert_ok(step_run(&t->step, &t->b, NULL));
	t->b.latents[3] = kept;
	return step_update(&t->step, r);
}

static void
start(struct tiny *t, const char *rule, int64_t nonfinite)
{
	const struct optim_wish wish = { .optimizer = rule, .beta1 = (double)NAN, .beta2 = (double)NAN, .adam_beta1 = (double)NAN,
		.adam_beta2 = (double)NAN, .adam_epsilon = (double)NAN, .adam_weight_decay = (double)NAN };
	char unknown[32];
	struct step_options o;

	tiny_open(t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 1 });
	o = tiny_step_options(t);
	o.nonfinite = nonfinite;
	assert_ok(optim_settings_resolve(&o.optim, &wish, unknown, sizeof unknown));
	o.schedule.warmup = 0;
	tiny_start(t, &o);
}

/* Values and states of both are the same bits, and so is where the optimisers stand. */
static void
same(const struct tiny *a, const struct tiny *b)
{
	const struct optim *x = &a->step.optim, *y = &b->step.optim;

	assert_true(x->n == y->n && x->n > 0);
	for (int i = 0; i < x->n; i++) {
		struct tensor v = x->item[i].p->value;
		assert_memory_equal(v.data, y->item[i].p->value.data, tensor_bytes(v));
		for (int k = 0; k < OPTIM_STATES && x->item[i].state[k].name; k++) {
			v = x->item[i].state[k].value;
			assert_memory_equal(v.data, y->item[i].state[k].value.data, tensor_bytes(v));
		}
	}
	for (int i = 0; i < OPTIM_SCALARS && x->scalar[i].name; i++)
		assert_true(x->scalar[i].value == y->scalar[i].value);
}

static void
a_spoilt_update_leaves_what_there_would_be_without_it(void **state)
{
	static const char *const rules[] = { "torch-adamw", "optimi-lion", "torch-adafactor", "prodigy" };
	struct step_report r, want;
	struct tiny with, without;

	(void)state;
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		start(&with, rules[i], 1);
		start(&without, rules[i], 0);
		for (int k = 0; k < 5; k++) {
			enum poison p = k == 1 ? LOSS : k == 3 ? GRADIENT : NOTHING;
			assert_ok(update(&with, k, p, &r));
			assert_true(r.skipped == (p != NOTHING) && !r.why == !r.skipped && with.step.spoilt == (p != NOTHING));
			if (p != NOTHING)
				continue;
			assert_ok(update(&without, k, NOTHING, &want));
			assert_true(r.loss == want.loss && r.grad_norm == want.grad_norm && r.rate == want.rate);
		}
		assert_true(with.step.updates == 5 && without.step.updates == 3 && with.step.scaler.skipped == 2);
		same(&with, &without);
		tiny_close(&with);
		tiny_close(&without);
	}
}

static void
the_clips_are_named_and_the_first_stops_where_none_may_be(void **state)
{
	struct step_report r;
	struct tiny t;

	(void)state;
	for (enum poison p = LOSS; p <= GRADIENT; p++) {
		start(&t, "torch-adamw", 0);
		assert_int_equal(update(&t, 0, p, &r), ACE_EDATA);
		assert_non_null(strstr(ace_message(), p == LOSS ? "step 1: the loss is nan" : "step 1: the norm of the gradients is inf"));
		assert_non_null(strstr(ace_message(), "songs/a.wav"));
		assert_null(strstr(ace_message(), "nonfinite_limit"));
		assert_true(t.step.updates == 0);
		tiny_close(&t);
	}
}

static void
one_more_than_the_limit_stops(void **state)
{
	struct step_report r;
	struct tiny t;

	(void)state;
	start(&t, "torch-adamw", 2);
	assert_ok(update(&t, 0, GRADIENT, &r));
	assert_non_null(strstr(r.why, "songs/a.wav"));
	assert_ok(update(&t, 1, LOSS, &r));
	assert_ok(update(&t, 2, NOTHING, &r));
	assert_ok(update(&t, 3, LOSS, &r));
	assert_ok(update(&t, 4, LOSS, &r));
	assert_int_equal(update(&t, 5, GRADIENT, &r), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "step 6: the norm of the gradients is inf"));
	assert_non_null(strstr(ace_message(), "2 updates in a row skipped before it, as many as nonfinite_limit allows"));
	tiny_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spoilt_update_leaves_what_there_would_be_without_it),
		cmocka_unit_test(the_clips_are_named_and_the_first_stops_where_none_may_be),
		cmocka_unit_test(one_more_than_the_limit_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
