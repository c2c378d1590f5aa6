/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optim.h"

#include "kernels/kernels.h"
#include "kernels/optim_formula.h"
#include "support/golden.h"
#include "support/test.h"
#include "train/optim_parts.h"
#include "train/schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };		/* parameters of a run */

struct run {
	struct st_file in, out;
	struct dev d;
	struct optim o;
	struct param p[MOST];
	int n;
	float limits[2];
	double rate;
	struct schedule schedule;
	bool half;
};

static const struct { const char *name; enum optim_rule rule; } rules[] = {
	{ "torch_adamw", OPTIM_ADAMW }, { "torch_adamw_upstream", OPTIM_ADAMW }, { "torch_adam", OPTIM_ADAM },
	{ "torch_sgd", OPTIM_SGD }, { "torch_adafactor", OPTIM_ADAFACTOR }, { "optimi_adamw", OPTIM_OPTIMI_ADAMW },
	{ "optimi_lion", OPTIM_LION }, { "optimi_stableadamw", OPTIM_STABLEADAMW }, { "ao_adamw8bit", OPTIM_ADAMW8BIT },
	{ "adamw_schedulefree", OPTIM_SCHEDULEFREE }, { "bf16_optimi_adamw_kahan", OPTIM_OPTIMI_ADAMW },
	{ "bf16_optimi_lion_kahan", OPTIM_LION }, { "bf16_ao_adamw8bit", OPTIM_ADAMW8BIT },
	{ "bf16_master_adamw", OPTIM_ADAMW },
	{ "prodigy", OPTIM_PRODIGY }, { "prodigy_factored", OPTIM_PRODIGY },
};

/* Runs of the reference that no rule here is meant to follow: they show what goes wrong. */
static const char *const not_followed[] = { "bf16_torch_adamw", "bf16_adamw_stochastic_reference" };

static double
number(const cJSON *hyper, const char *key, double missing)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(hyper, key);

	return cJSON_IsNumber(v) ? v->valuedouble : cJSON_IsBool(v) ? cJSON_IsTrue(v) : missing;
}

static void
read_settings(struct optim_settings *s, const cJSON *hyper, enum optim_rule rule)
{
	const cJSON *betas = cJSON_GetObjectItemCaseSensitive(hyper, "betas");

	*s = (struct optim_settings){ .rule = rule,
		.beta1 = number(hyper, "beta1", 0), .beta2 = number(hyper, "beta2", 0), .eps = number(hyper, "eps", 0x1p-23),
		.weight_decay = number(hyper, "weight_decay", 0), .momentum = number(hyper, "momentum", 0),
		.dampening = number(hyper, "dampening", 0), .nesterov = number(hyper, "nesterov", 0) != 0,
		.beta2_decay = number(hyper, "beta2_decay", -0.8), .eps2 = number(hyper, "eps2", 1e-3),
		.d = number(hyper, "d", 1),
		.warmup = (int64_t)number(hyper, "warmup_steps", 0), .d0 = number(hyper, "d0", 1e-6),
		.d_coef = number(hyper, "d_coef", 1), .factored = number(hyper, "factored", 0) != 0 };
	if (betas) {
		s->beta1 = cJSON_GetArrayItem(betas, 0)->valuedouble;
		s->beta2 = cJSON_GetArrayItem(betas, 1)->valuedouble;
	}
}

/* "upstream_linear warmup 10 total 50", or a constant rate. */
static void
read_schedule(struct run *r, const cJSON *hyper)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(hyper, "lr_schedule"));
	long long warmup, total;

	r->schedule = (struct schedule){ .rate = number(hyper, "lr", 0) };
	if (!text)
		return;
	assert_int_equal(sscanf(text, "upstream_linear warmup %lld total %lld", &warmup, &total), 2);
	r->schedule.warmup = warmup;
	r->schedule.steps = total;
	assert_ok(schedule_named(&r->schedule, "linear"));
}

static struct tensor
as_weights(const struct st_file *f, const char *name, bool half)
{
	struct tensor x = golden_f32(f, name), y = x;

	if (half) {
		y.dtype = BF16;
		y.data = malloc(tensor_bytes(y) + 2);
		assert_non_null(y.data);
		assert_true(dtype_convert(y.data, BF16, x.data, F32, tensor_count(x)));
		free(x.data);
	}
	return y;
}

/* Parameters whose start is in the inputs and whose values are in the run's file at its first kept step. */
static void
open_run(struct run *r, const cJSON *c, enum optim_rule rule, enum dev_kind kind, int threads)
{
	const cJSON *hyper = cJSON_GetObjectItemCaseSensitive(c, "hyper");
	const char *file = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "file"));
	struct optim_settings set;
	char text[80];

	memset(r, 0, sizeof *r);
	r->half = strncmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "param_dtype")), "bfloat16", 8) == 0;
	golden_open(&r->in, "optim", "inputs.safetensors");
	golden_open(&r->out, "optim", file);
	assert_ok(dev_open(&r->d, kind, threads));
	kernels_attach(&r->d);
	read_settings(&set, hyper, rule);
	read_schedule(r, hyper);
	optim_init(&r->o, &r->d, &set, 1);
	r->limits[0] = 1.f;
	r->limits[1] = INFINITY;
	for (int i = 0; i < r->in.n; i++) {
		const char *name = r->in.entry[i].name;
		struct param *p = &r->p[r->n];
		snprintf(text, sizeof text, "s1.%s", name + 3);
		if (strncmp(name, "p0.", 3) != 0 || !st_find(&r->out, text))
			continue;
		assert_true(r->n < MOST);
		*p = (struct param){ .name = name + 3, .value = as_weights(&r->in, name, r->half), .train = true };
		p->grad = tensor_make(calloc((size_t)tensor_count(p->value), sizeof(float)), F32, p->value.rank, p->value.dim);
		assert_ok(optim_add(&r->o, p, 0, r->n, 0));
		r->n++;
	}
	assert_true(r->n > 0);
	assert_ok(optim_alloc(&r->o));
}

static void
close_run(struct run *r)
{
	for (int i = 0; i < r->n; i++) {
		free(r->p[i].value.data);
		free(r->p[i].grad.data);
	}
	optim_free(&r->o);
	dev_close(&r->d);
	st_close(&r->in);
	st_close(&r->out);
}

static void
load_gradients(struct run *r, int t)
{
	for (int i = 0; i < r->n; i++) {
		char name[80];
		struct tensor g;
		snprintf(name, sizeof name, "g%d.%s", t, r->p[i].name);
		g = golden_f32(&r->in, name);
		memcpy(r->p[i].grad.data, g.data, tensor_bytes(g));
		free(g.data);
	}
}

static void
step_run(struct run *r, int t)
{
	double rate[OPTIM_GROUPS] = { schedule_rate(&r->schedule, t - 1), 0 };

	load_gradients(r, t);
	optim_step(&r->o, rate, tensor_of(r->limits, F32, 1, 2), t);
	assert_int_equal(r->d.status, ACE_OK);
}

static float *
widened(struct tensor x)
{
	float *y = malloc((size_t)tensor_count(x) * sizeof *y + 4);

	assert_non_null(y);
	assert_true(dtype_convert(y, F32, x.data, x.dtype, tensor_count(x)));
	return y;
}

/* got must be what the file has: codes exactly, bf16 to the last place, f32 to 1e-5 of the largest. */
static void
same(const struct run *r, const char *name, struct tensor got)
{
	const struct st_entry *e = st_find(&r->out, name);
	struct tensor want;
	float *g;

	if (!e)
		return;
	assert_int_equal(tensor_count(got), tensor_count(e->value));
	if (got.dtype == U8) {
		assert_memory_equal(got.data, e->value.data, tensor_bytes(got));
		return;
	}
	want = golden_f32(&r->out, name);
	g = widened(got);
	if (got.dtype == F32)
		golden_close(name, g, want.data, tensor_count(want), 1e-5);
	for (int64_t i = 0; got.dtype == BF16 && i < tensor_count(want); i++)
		if (fabsf(g[i] - ((float *)want.data)[i]) > 0.0078125f * fabsf(((float *)want.data)[i]))
			fail_msg("%s, entry %lld: %.9g, wanted %.9g", name, (long long)i, (double)g[i],
			         (double)((float *)want.data)[i]);
	free(g);
	free(want.data);
}

/* "s10.w1", "s10.master.w1", "s10.state.exp_avg.w1", "s10.state.exp_avg.codes.w2". */
static int
check_step(const struct run *r, int t)
{
	int checked = 0;

	for (int i = 0; i < r->n; i++) {
		const struct optim_item *it = &r->o.item[i];
		char name[120];
		snprintf(name, sizeof name, "s%d.%s", t, r->p[i].name);
		checked += st_find(&r->out, name) != NULL;
		same(r, name, r->p[i].value);
		for (int k = 0; k < OPTIM_STATES && it->state[k].name; k++) {
			bool master = strcmp(it->state[k].name, "master") == 0;
			snprintf(name, sizeof name, "s%d.%s%s.%s", t, master ? "" : "state.", it->state[k].name, r->p[i].name);
			same(r, name, it->state[k].value);
		}
	}
	return checked;
}

/* Error of all weights, or of a state ("state.z."), at a step, over their norm; -1 when the file has none of them. */
static double
error_of_all(const struct run *r, const char *step, const char *what)
{
	double error = 0, norm = 0;

	for (int i = 0; i < r->n; i++) {
		struct tensor got = *what ? optim_state(&r->o, &r->p[i], "z") : r->p[i].value, want;
		char name[120];
		snprintf(name, sizeof name, "%s.%s%s", step, what, r->p[i].name);
		if (!st_find(&r->out, name))
			return -1;
		want = golden_f32(&r->out, name);
		for (int64_t k = 0; k < tensor_count(want); k++) {
			double w = (double)((float *)want.data)[k], e = (double)((float *)got.data)[k] - w;
			error += e * e;
			norm += w * w;
		}
		free(want.data);
	}
	return sqrt(error / norm);
}

/* prodigy learns its step size from sums of differences of nearly equal numbers, whose rounding grows a thousandfold in fifty
 * updates: a trajectory, to 1e-3 of the norm of all weights; the step size to 5e-3. */
static int
check_trajectory(const struct run *r, const char *step)
{
	double e = error_of_all(r, step, ""), z = error_of_all(r, step, "state.z.");
	char name[40];

	if (e > 1e-3 || z > 1e-3)
		fail_msg("%s: error %.3g of the weights' norm, %.3g of z's", step, e, z);
	snprintf(name, sizeof name, "%s.d", step);
	if (st_find(&r->out, name)) {
		struct tensor d = golden_f32(&r->out, name);
		double want = (double)*(float *)d.data, got = r->o.scalar[SCALAR_D].value;
		if (fabs(got - want) > 5e-3 * want)
			fail_msg("%s: %.9g, wanted %.9g", name, got, want);
		free(d.data);
	}
	return e >= 0;
}

static void
follow_prodigy(const cJSON *c, enum dev_kind kind)
{
	int steps = cJSON_GetObjectItemCaseSensitive(c, "steps")->valueint, checked = 0;
	struct run r;

	open_run(&r, c, OPTIM_PRODIGY, kind, 2);
	for (int t = 1; t <= steps; t++) {
		char step[20];
		snprintf(step, sizeof step, "s%d", t);
		step_run(&r, t);
		checked += check_trajectory(&r, step);
	}
	assert_true(checked > 0);
	optim_average(&r.o, true);
	assert_true(check_trajectory(&r, "eval") == 1);
	close_run(&r);
}

static void
follow(const cJSON *c, enum optim_rule rule, enum dev_kind kind)
{
	int steps = cJSON_GetObjectItemCaseSensitive(c, "steps")->valueint, checked = 0;
	struct run r;

	open_run(&r, c, rule, kind, 2);
	for (int t = 1; t <= steps; t++) {
		step_run(&r, t);
		checked += check_step(&r, t);
	}
	assert_true(checked > 0);
	optim_average(&r.o, true);
	for (int i = 0; i < r.n; i++) {
		char name[80];
		snprintf(name, sizeof name, "eval.%s", r.p[i].name);
		same(&r, name, r.p[i].value);
	}
	optim_average(&r.o, false);
	check_step(&r, steps);
	close_run(&r);
}

static bool
is_not_followed(const char *name)
{
	for (size_t i = 0; i < sizeof not_followed / sizeof *not_followed; i++)
		if (strcmp(name, not_followed[i]) == 0)
			return true;
	return strcmp(name, "bf16_adamw_stochastic") == 0;	/* by a test of its own */
}

static void
every_run_of_the_reference_is_followed(void **state)
{
	cJSON *root = golden_json("optim", "manifest.json"), *c;
	int followed = 0;

	(void)state;
	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(root, "runs")) {
		const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "name"));
		size_t i = 0, n = sizeof rules / sizeof *rules;

		while (i < n && strcmp(rules[i].name, name) != 0)
			i++;
		if (i == n) {
			if (!is_not_followed(name))
				print_message("# run %s is not followed yet\n", name);
			continue;
		}
		for (int kind = DEV_REF; kind <= DEV_CPU; kind++)
			if (rules[i].rule == OPTIM_PRODIGY)
				follow_prodigy(c, (enum dev_kind)kind);
			else
				follow(c, rules[i].rule, (enum dev_kind)kind);
		followed++;
	}
	assert_true(followed > 0);
	cJSON_Delete(root);
}

/* The words of the run in place of the product's own stream. */
static void
adamw_bf16_rounds_by_the_words_of_the_reference(void **state)
{
	cJSON *root = golden_json("optim", "manifest.json"), *c, *found = NULL;
	struct run r;

	(void)state;
	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(root, "runs"))
		if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "name")), "bf16_adamw_stochastic") == 0)
			found = c;
	assert_non_null(found);
	open_run(&r, found, OPTIM_ADAMW_BF16, DEV_REF, 1);
	for (int t = 1; t <= cJSON_GetObjectItemCaseSensitive(found, "steps")->valueint; t++) {
		float n[OPTIM_NUMBERS];
		load_gradients(&r, t);
		optim_numbers(&r.o, 0, schedule_rate(&r.schedule, t - 1), t, n);
		for (int i = 0; i < r.n; i++) {
			uint16_t *p = r.p[i].value.data, *m = optim_state(&r.o, &r.p[i], "exp_avg").data;
			uint16_t *v = optim_state(&r.o, &r.p[i], "exp_avg_sq").data;
			const struct st_entry *word;
			char name[80];

			snprintf(name, sizeof name, "r%d.%s", t, r.p[i].name);
			word = st_find(&r.out, name);
			assert_true(word && word->value.dtype == U16);
			for (int64_t k = 0; k < tensor_count(r.p[i].value); k++)
				p[k] = adamw_number_by_chance(p[k], ((float *)r.p[i].grad.data)[k], m + k, v + k,
				                              ((const uint16_t *)word->value.data)[k], n);
		}
		assert_true(check_step(&r, t) > 0);
	}
	close_run(&r);
	cJSON_Delete(root);
}

static void
code_tables_have_the_bits_of_the_reference(void **state)
{
	float table[2][256];
	struct st_file f;
	struct tensor s, u;

	(void)state;
	golden_open(&f, "optim", "qmap8.safetensors");
	s = golden_f32(&f, "signed");
	u = golden_f32(&f, "unsigned");
	optim_code_tables(table);
	assert_memory_equal(table[0], s.data, sizeof table[0]);
	assert_memory_equal(table[1], u.data, sizeof table[1]);
	free(s.data);
	free(u.data);
	st_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_run_of_the_reference_is_followed),
		cmocka_unit_test(adamw_bf16_rounds_by_the_words_of_the_reference),
		cmocka_unit_test(code_tables_have_the_bits_of_the_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
