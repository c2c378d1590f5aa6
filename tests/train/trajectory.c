/* SPDX-License-Identifier: Apache-2.0 */
/* Trajectories of the reference (transformer.md section 12), given its noise and times: losses, norms, rates, what is reached */
#include "train/tiny.h"

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* |got - want| over |want| */
static void
close_number(const char *what, int64_t step, double got, double want, double tol)
{
	double error = fabs(got - want) / (fabs(want) > 1e-30 ? fabs(want) : 1.0);

	if (!(error <= tol))
		fail_msg("step %lld: %s is %.9g, wanted %.9g: off by %.3g, allowed %.3g", (long long)step, what, got, want, error, tol);
}

static double
entry(const struct st_file *f, const char *name, int64_t i)
{
	struct tensor x = golden_f32(f, name);
	double v = (double)((float *)x.data)[i];

	free(x.data);
	return v;
}

/* The tensors of the file named prefix + name; into x (upload) or compared with it. */
static void
start_from(const struct st_file *f, struct tiny *t)
{
	for (int i = 0; i < dit_n_params(&t->m); i++) {
		struct param *p = dit_param(&t->m, i);
		char name[200];
		struct tensor x;
		snprintf(name, sizeof name, "init.%s", p->name);
		if (!p->train || !st_find(f, name))
			continue;
		x = golden_f32(f, name);
		assert_true(tensor_same(x, p->value));
		t->dev.m->upload(&t->dev, p->value.data, x.data, tensor_bytes(x));
		free(x.data);
	}
}

/* x [...] of the device, or of the host (here). */
static void
compare(const struct st_file *f, struct tiny *t, const char *name, struct tensor x, bool here, double tol)
{
	struct tensor want = golden_f32(f, name);
	float *got = malloc(tensor_bytes(want) + 4);

	assert_non_null(got);
	assert_true(tensor_same(x, want));
	if (here)
		memcpy(got, x.data, tensor_bytes(x));
	else
		t->dev.m->download(&t->dev, got, x.data, tensor_bytes(x));
	golden_close(name, got, want.data, tensor_count(want), tol);
	free(got);
	free(want.data);
}

/* Every final.* and moment of the file: those of tensors that do not train are the model's own. Returns how many of a kind. */
static int
compare_kind(const struct st_file *f, struct tiny *t, const char *kind, double tol)
{
	size_t n = strlen(kind);
	int count = 0;

	for (int i = 0; i < f->n; i++) {
		const char *name = f->entry[i].name;
		struct param *p;
		if (strncmp(name, kind, n) != 0 || name[n] != '.')
			continue;
		p = params_find(&t->m.params, name + n + 1);
		if (p)
			compare(f, t, name, strcmp(kind, "final") == 0 ? p->value : optim_state(&t->step.optim, p, kind), false, tol);
		else	/* a tensor that the pass never reads: untouched */
			compare(f, t, name, weights_find(&t->m.weights, name + n + 1)->value, true, 0);
		count++;
	}
	return count;
}

static void
follow(struct tiny *t, const struct st_file *f, double loss_tol, double norm_tol)
{
	struct tensor noise = golden_f32(f, "noise"), sigma = golden_f32(f, "sigmas"), time = golden_f32(f, "timesteps");
	int64_t steps = noise.dim[0], each = tensor_count(noise) / steps, B = sigma.dim[1];

	assert_true(steps > 1 && B == t->b.B && each == t->b.B * t->b.channels * t->b.rows * t->b.T);
	for (int64_t i = 0; i < steps; i++) {
		const struct step_given given = { (float *)noise.data + i * each, (float *)sigma.data + i * B,
			(float *)time.data + i * B };
		struct step_report r;
		t->b.number = i;
		assert_ok(step_run(&t->step, &t->b, &given));
		assert_int_equal(t->step.act.peak, t->step.act.size);
		assert_ok(step_update(&t->step, &r));
		close_number("the loss", i, r.loss, entry(f, "loss", i), loss_tol);
		close_number("the norm of the gradients", i, r.grad_norm, entry(f, "grad_norm", i), norm_tol);
		close_number("the rate", i, r.rate, entry(f, "lr", i), 1e-7);
		assert_int_equal(r.samples, B);
	}
	assert_int_equal(t->step.updates, steps);
	free(noise.data);
	free(sigma.data);
	free(time.data);
}

static void
adapters(enum dev_kind kind, int threads, int interval)
{
	struct step_options o;
	struct st_file f;
	struct tiny t;

	tiny_open(&t, &(struct tiny_options){ .kind = kind, .threads = threads, .checkpoint_interval = interval });
	golden_open(&f, TINY_SET, "train_lora.safetensors");
	start_from(&f, &t);
	o = tiny_step_options(&t);
	tiny_start(&t, &o);
	follow(&t, &f, 2e-5, 1e-4);
	assert_true(compare_kind(&f, &t, "final", 2e-3) > 0);
	assert_true(compare_kind(&f, &t, "exp_avg", 2e-3) > 0);
	assert_true(compare_kind(&f, &t, "exp_avg_sq", 2e-3) > 0);
	st_close(&f);
	tiny_close(&t);
}

static void
everything(enum dev_kind kind, int threads, int interval)
{
	struct step_options o;
	struct st_file f;
	struct tiny t;

	tiny_open(&t, &(struct tiny_options){ .kind = kind, .threads = threads, .checkpoint_interval = interval, .full = true });
	golden_open(&f, TINY_SET, "train_full.safetensors");
	o = tiny_step_options(&t);
	tiny_start(&t, &o);
	follow(&t, &f, 2e-4, 1e-3);
	assert_true(compare_kind(&f, &t, "final", 2e-2) > 0);
	st_close(&f);
	tiny_close(&t);
}

static void
adapters_follow_the_reference_on_the_cpu(void **state)
{
	(void)state;
	adapters(DEV_CPU, 2, 0);
	adapters(DEV_CPU, 1, 1);
}

static void
adapters_follow_the_reference_by_the_plain_formulas(void **state)
{
	(void)state;
	adapters(DEV_REF, 1, 2);
}

static void
everything_follows_the_reference_on_the_cpu(void **state)
{
	(void)state;
	everything(DEV_CPU, 2, 0);
}

static void
everything_follows_the_reference_by_the_plain_formulas(void **state)
{
	(void)state;
	everything(DEV_REF, 1, 1);
}

/* Skipped where there is no device. */
static void
adapters_and_everything_follow_the_reference_on_cuda(void **state)
{
	(void)state;
	if (dev_cuda_count() == 0)
		skip();
	adapters(DEV_CUDA, 0, 0);
	adapters(DEV_CUDA, 0, 1);
	everything(DEV_CUDA, 0, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adapters_follow_the_reference_on_the_cpu),
		cmocka_unit_test(adapters_follow_the_reference_by_the_plain_formulas),
		cmocka_unit_test(everything_follows_the_reference_on_the_cpu),
		cmocka_unit_test(everything_follows_the_reference_by_the_plain_formulas),
		cmocka_unit_test(adapters_and_everything_follow_the_reference_on_cuda),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
