/* SPDX-License-Identifier: Apache-2.0 */
/* Training in fp16: its losses, and the loss scale that keeps small gradients and gives way to large ones. With ACE_TEST_DEVICE=cuda there */
#include "train/tiny.h"

#include "support/test.h"
#include "support/twins.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct tiny_options half = { .kind = DEV_CPU, .threads = 2, .dtype = F16 };

static struct step_report
update(struct tiny *t, int number)
{
	struct step_report r;

	t->b.number = number;
	assert_ok(step_run(&t->step, &t->b, NULL));
	assert_ok(step_update(&t->step, &r));
	return r;
}

/* All values that train, one behind the other; owned by the caller. */
static float *
values(struct tiny *t, int64_t *count)
{
	float *all = NULL;

	*count = 0;
	for (int i = 0; i < dit_n_params(&t->m); i++) {
		const struct param *p = dit_param(&t->m, i);
		int64_t n = tensor_count(p->value);
		if (!p->train)
			continue;
		assert_int_equal(p->value.dtype, F32);
		all = realloc(all, (size_t)(*count + n) * sizeof *all);
		assert_non_null(all);
		t->dev.m->download(&t->dev, all + *count, p->value.data, (size_t)n * sizeof *all);
		*count += n;
	}
	return all;
}

/* Weights of 11 bits of mantissa: a part in 500 at most, an eighth of what bf16 is allowed. */
static void
an_fp16_base_trains_fp32_adapters_to_nearly_the_same_losses(void **state)
{
	struct step_options o;
	struct tiny a, b;

	(void)state;
	tiny_open(&a, &(struct tiny_options){ .kind = half.kind, .threads = half.threads });
	tiny_open(&b, &half);
	o = tiny_step_options(&a);
	tiny_start(&a, &o);
	o.scaler = SCALER_DEFAULT;
	tiny_start(&b, &o);
	for (int i = 0; i < 5; i++) {
		struct step_report want = update(&a, i), got = update(&b, i);
		assert_true(fabs(got.loss - want.loss) < 0.0025 * want.loss && got.loss != want.loss);
		assert_true(fabs(got.grad_norm - want.grad_norm) < 0.01 * want.grad_norm);
		assert_true(got.loss_scale == 65536 && !got.skipped && want.loss_scale == 0);
	}
	tiny_close(&a);
	tiny_close(&b);
}

/* Powers of two take nothing away: with F32 between products the scale changes no bit of what is learnt. A GPU's products round to F16,
 * where what is small loses bits: there twice the default scale is nearly the default one. */
static void
the_scale_is_taken_back_exactly(void **state)
{
	bool exact = half.kind == DEV_CPU;
	struct step_options o;
	int64_t n, m;
	struct tiny a, b;
	float *x, *y;

	(void)state;
	tiny_open(&a, &half);
	tiny_open(&b, &half);
	o = tiny_step_options(&a);
	o.scaler = exact ? (struct scaler){ 0 } : SCALER_DEFAULT;
	tiny_start(&a, &o);
	o.scaler = (struct scaler){ .scale = exact ? 1024 : 131072, .interval = 2 };
	tiny_start(&b, &o);
	for (int i = 0; i < 5; i++) {
		struct step_report want = update(&a, i), got = update(&b, i);
		assert_true(got.loss_scale == ldexp(exact ? 1024 : 131072, i / 2));
		assert_true(fabs(got.grad_norm - want.grad_norm) <= (exact ? 0 : 1e-3) * want.grad_norm);
		assert_true(fabs(got.loss - want.loss) < (exact ? 1e-6 : 1e-5) * want.loss);
	}
	x = values(&a, &n);
	y = values(&b, &m);
	assert_true(n == m && n > 0);
	if (exact)
		assert_memory_equal(x, y, (size_t)n * sizeof *x);
	free(x);
	free(y);
	tiny_close(&a);
	tiny_close(&b);
}

/* Gradients beyond what F32 can square (F16 can hold, where products round to it): weights, moments, t, rate and average stay, the update counts, the scale is halved;
 * then all goes on as in a run that began there. */
static void
what_overflows_is_skipped_and_halves_the_scale(void **state)
{
	struct step_options o;
	struct step_report r;
	int64_t n, m, skipped = 0;
	struct tiny t;
	float *before, *after;
	double rate;
	int power = half.kind == DEV_CPU ? 80 : 40;

	(void)state;
	tiny_open(&t, &half);
	o = tiny_step_options(&t);
	o.scaler = (struct scaler){ .scale = ldexp(1, power), .interval = 2000 };
	o.ema = (struct ema_options){ .decay = 0.9, .interval = 1 };
	o.schedule.warmup = 0;
	tiny_start(&t, &o);
	rate = step_rate(&t.step);
	before = values(&t, &n);
	for (;;) {
		assert_true(skipped < 40);
		r = update(&t, (int)skipped);
		assert_true(isfinite(r.loss) && r.rate == rate);
		assert_true(r.loss_scale == ldexp(1, power - (int)skipped));
		if (!r.skipped)
			break;
		skipped++;
		assert_true(!isfinite(r.grad_norm) && r.ema_decay == -1);
		after = values(&t, &m);
		assert_memory_equal(before, after, (size_t)n * sizeof *after);
		free(after);
		assert_true(t.step.scaler.scale == ldexp(1, power - (int)skipped) && t.step.scaler.skipped == skipped);
		assert_true(t.step.updates == skipped && t.step.optim.scalar[0].value == 0);
	}
	assert_true(skipped > 0 && isfinite(r.grad_norm) && r.ema_decay >= 0);
	assert_true(t.step.updates == skipped + 1 && t.step.optim.scalar[0].value == 1 && step_rate(&t.step) < rate);
	after = values(&t, &m);
	assert_true(memcmp(before, after, (size_t)n * sizeof *after) != 0);
	free(after);
	free(before);
	tiny_close(&t);
}

/* Of 2000 good updates in a row, the rule itself being tests/train/scaler's. */
static void
good_updates_double_the_scale(void **state)
{
	struct step_options o;
	struct tiny t;

	(void)state;
	tiny_open(&t, &half);
	o = tiny_step_options(&t);
	o.scaler = SCALER_DEFAULT;
	o.scaler.good = o.scaler.interval - 2;
	tiny_start(&t, &o);
	assert_true(update(&t, 0).loss_scale == 65536 && update(&t, 1).loss_scale == 65536);
	assert_true(update(&t, 2).loss_scale == 131072 && t.step.scaler.good == 1);
	tiny_close(&t);
}

/* A loss that is no number is none at any scale; nor are gradients that no scale mends waited for. */
static void
what_no_scale_mends_stops(void **state)
{
	struct step_options o;
	struct tiny t;
	struct step_report r;
	struct param *p = NULL;
	float *noise;

	(void)state;
	tiny_open(&t, &half);
	o = tiny_step_options(&t);
	o.scaler = SCALER_DEFAULT;
	tiny_start(&t, &o);
	noise = calloc((size_t)(t.b.B * t.b.channels * t.b.rows * t.b.T), sizeof *noise);
	assert_non_null(noise);
	noise[0] = NAN;
	assert_ok(step_run(&t.step, &t.b, &(struct step_given){ .noise = noise }));
	assert_int_equal(step_update(&t.step, &r), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "the loss is nan"));
	free(noise);
	tiny_close(&t);

	tiny_open(&t, &half);
	o.scaler.scale = SCALER_LEAST;
	tiny_start(&t, &o);
	for (int i = 0; i < dit_n_params(&t.m) && !p; i++)
		if (dit_param(&t.m, i)->train)
			p = dit_param(&t.m, i);
	assert_non_null(p);
	assert_ok(step_run(&t.step, &t.b, NULL));
	t.dev.m->upload(&t.dev, p->grad.data, &(float){ INFINITY }, sizeof(float));
	assert_int_equal(step_update(&t.step, &r), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "smallest loss scale"));
	tiny_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_fp16_base_trains_fp32_adapters_to_nearly_the_same_losses),
		cmocka_unit_test(the_scale_is_taken_back_exactly),
		cmocka_unit_test(what_overflows_is_skipped_and_halves_the_scale),
		cmocka_unit_test(good_updates_double_the_scale),
		cmocka_unit_test(what_no_scale_mends_stops),
	};

	if (getenv("ACE_TEST_DEVICE") && strcmp(getenv("ACE_TEST_DEVICE"), "cuda") == 0) {
		if (test_without_cuda())
			return 0;
		half.kind = DEV_CUDA;
		half.threads = 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
