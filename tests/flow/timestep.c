/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/timestep.h"

#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
same_bits(const char *what, const float *got, struct tensor want)
{
	for (int64_t i = 0; i < tensor_count(want); i++)
		if (got[i] != ((const float *)want.data)[i])
			fail_msg("%s, entry %lld: %.9g, wanted %.9g", what, (long long)i, (double)got[i],
			         (double)((const float *)want.data)[i]);
}

/* "shift3", "small_shift3": shifts as the file names them. */
static void
check_table(const struct st_file *f, const char *prefix, double shift)
{
	struct flow_options o = FLOW_OPTIONS_DEFAULT;
	char sigmas[64], timesteps[64];
	struct tensor s, t;
	float *got_s, *got_t;

	snprintf(sigmas, sizeof sigmas, "sigmas_%sshift%g", prefix, shift);
	snprintf(timesteps, sizeof timesteps, "timesteps_%sshift%g", prefix, shift);
	if (*prefix && !st_find(f, sigmas))
		return;			/* the other length is there for some shifts only */
	s = golden_f32(f, sigmas);
	t = golden_f32(f, timesteps);
	o.n = tensor_count(s);
	o.shift = shift;
	got_s = malloc((size_t)o.n * sizeof *got_s);
	got_t = malloc((size_t)o.n * sizeof *got_t);
	assert_true(got_s && got_t);
	flow_table(&o, got_s, got_t);
	same_bits(sigmas, got_s, s);
	same_bits(timesteps, got_t, t);
	free(got_s);
	free(got_t);
	free(s.data);
	free(t.data);
}

static cJSON *
group(cJSON *root, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, "groups"), name);
}

static void
tables_have_the_bits_of_the_reference(void **state)
{
	cJSON *root = golden_json("timesteps", "manifest.json"), *shift;
	struct st_file f;
	int n = 0;

	(void)state;
	golden_open(&f, "timesteps", "tables.safetensors");
	cJSON_ArrayForEach(shift, cJSON_GetObjectItemCaseSensitive(group(root, "tables"), "shifts")) {
		check_table(&f, "", shift->valuedouble);
		check_table(&f, "small_", shift->valuedouble);
		n++;
	}
	assert_true(n > 0);
	st_close(&f);
	cJSON_Delete(root);
}

static struct tensor
named(const struct st_file *f, const char *tag, const char *name, bool whole)
{
	char text[200];

	snprintf(text, sizeof text, "%s.%s", tag, name);
	return whole ? golden_i64(f, text) : golden_f32(f, text);
}

static void
check_rule(const struct st_file *f, const char *tag, const struct flow_options *o, struct tensor z)
{
	const char *rule = o->rule == FLOW_UPSTREAM ? "upstream" : "compat";
	struct tensor want[3];
	char text[3][40];

	snprintf(text[0], 40, "index_%s", rule);
	snprintf(text[1], 40, "sigma_%s", rule);
	snprintf(text[2], 40, "timestep_%s", rule);
	for (int i = 0; i < 3; i++)
		want[i] = named(f, tag, text[i], i == 0);
	for (int64_t i = 0; i < tensor_count(z); i++) {
		int64_t index = flow_index(o, flow_logistic(o, ((const float *)z.data)[i]));
		struct flow_time t = flow_time_at(o, index);
		assert_int_equal(index, ((const int64_t *)want[0].data)[i]);
		assert_int_equal(t.index, index);
		assert_true(t.sigma == ((const float *)want[1].data)[i] && t.timestep == ((const float *)want[2].data)[i]);
	}
	for (int i = 0; i < 3; i++)
		free(want[i].data);
}

static void
normal_numbers_give_the_table_entries_of_the_reference(void **state)
{
	cJSON *root = golden_json("timesteps", "manifest.json"), *c;
	struct st_file f;
	struct tensor z, u;
	int n = 0;

	(void)state;
	golden_open(&f, "timesteps", "draws.safetensors");
	z = golden_f32(&f, "normal");
	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(group(root, "draws"), "cases")) {
		const char *tag = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "tag"));
		struct flow_options o = FLOW_OPTIONS_DEFAULT;

		o.logit_mean = cJSON_GetObjectItemCaseSensitive(c, "logit_mean")->valuedouble;
		o.logit_std = cJSON_GetObjectItemCaseSensitive(c, "logit_std")->valuedouble;
		u = named(&f, tag, "u", false);
		for (int64_t i = 0; i < tensor_count(z); i++)
			assert_true(fabsf(flow_logistic(&o, ((float *)z.data)[i]) - ((float *)u.data)[i]) <= 1e-6f);
		free(u.data);
		check_rule(&f, tag, &o, z);
		o.rule = FLOW_COMPAT;
		check_rule(&f, tag, &o, z);
		n++;
	}
	assert_true(n > 0);
	free(z.data);
	st_close(&f);
	cJSON_Delete(root);
}

/* "beta.sigma_shift3": its base numbers are in "beta"; "sigmoid" stands for the logistic of "normal". */
static void
check_continuous(const struct st_file *f, const char *mode, double shift, double scale)
{
	struct flow_options o = FLOW_OPTIONS_DEFAULT;
	bool logistic = strcmp(mode, "sigmoid") == 0;
	struct tensor base = golden_f32(f, logistic ? "normal" : mode), want;
	char text[40];
	float *got = base.data;

	o.shift = shift;
	o.sigmoid_scale = scale;
	snprintf(text, sizeof text, "sigma_shift%g", shift);
	want = named(f, mode, text, false);
	for (int64_t i = 0; i < tensor_count(base); i++) {
		struct flow_time t = flow_time_of_level(&o, logistic ? flow_logistic(&o, got[i]) : got[i]);
		assert_int_equal(t.index, -1);
		assert_true(t.timestep == t.sigma * 1000.f);
		got[i] = t.sigma;
	}
	golden_close(mode, got, want.data, tensor_count(want), 1e-6);
	free(base.data);
	free(want.data);
}

static void
noise_levels_are_shifted_as_in_the_reference(void **state)
{
	static const char *const mode[] = { "sigmoid", "uniform", "beta" };
	cJSON *root = golden_json("timesteps", "manifest.json"), *shift;
	double scale = cJSON_GetObjectItemCaseSensitive(group(root, "continuous"), "flow_sigmoid_scale")->valuedouble;
	struct st_file f;
	char text[40];
	int n = 0;

	(void)state;
	golden_open(&f, "timesteps", "continuous.safetensors");
	cJSON_ArrayForEach(shift, cJSON_GetObjectItemCaseSensitive(group(root, "tables"), "shifts")) {
		snprintf(text, sizeof text, "beta.sigma_shift%g", shift->valuedouble);
		for (int i = 0; i < 3 && st_find(&f, text); i++, n++)
			check_continuous(&f, mode[i], shift->valuedouble, scale);
	}
	assert_true(n > 0);
	st_close(&f);
	cJSON_Delete(root);
}

enum { DRAWS = 20000 };

static struct flow_time
draw(const struct flow_options *o, int i)
{
	return flow_draw(o, rng_stream(11, RNG_TIMESTEP, (uint64_t)(i / 4), (uint64_t)(i % 4)));
}

static void
draws_of_the_default_have_the_logit_normal_shape(void **state)
{
	struct flow_options o = FLOW_OPTIONS_DEFAULT;
	/* shares of u below these quantiles: the normal distribution at ln(q / (1 - q)) */
	static const double q[] = { 0.1, 0.3, 0.5, 0.8 }, share[] = { 0.01400, 0.19841, 0.5, 0.91717 };
	int below[4] = { 0 };

	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		struct flow_time t = draw(&o, i);
		assert_true(t.index >= 0 && t.index < o.n);
		for (int j = 0; j < 4; j++)
			below[j] += (double)t.index < q[j] * (double)o.n;
	}
	for (int j = 0; j < 4; j++)		/* five deviations of a share */
		assert_true(fabs((double)below[j] / DRAWS - share[j]) < 5 * sqrt(share[j] * (1 - share[j]) / DRAWS));
}

static void
draws_do_not_depend_on_the_order_and_differ_by_seed_step_and_sample(void **state)
{
	struct flow_options o = FLOW_OPTIONS_DEFAULT;
	float a, b, c, e;

	(void)state;
	o.density = FLOW_UNIFORM;
	a = flow_draw(&o, rng_stream(1, RNG_TIMESTEP, 5, 7)).sigma;
	b = flow_draw(&o, rng_stream(2, RNG_TIMESTEP, 5, 7)).sigma;
	c = flow_draw(&o, rng_stream(1, RNG_TIMESTEP, 6, 7)).sigma;
	e = flow_draw(&o, rng_stream(1, RNG_TIMESTEP, 5, 8)).sigma;
	assert_true(a != b && a != c && a != e && b != c && c != e);
	assert_true(a == flow_draw(&o, rng_stream(1, RNG_TIMESTEP, 5, 7)).sigma);
}

/* Mean and variance of Beta(a, b), and both for very small and very large parameters. */
static void
beta_draws_have_the_mean_and_variance_of_their_parameters(void **state)
{
	static const double ab[][2] = { { 2, 2 }, { 1, 1 }, { 0.5, 3 }, { 0.02, 0.05 }, { 40, 9 } };

	(void)state;
	for (size_t k = 0; k < sizeof ab / sizeof *ab; k++) {
		double a = ab[k][0], b = ab[k][1], s = 0, ss = 0, mean = a / (a + b);
		double variance = a * b / ((a + b) * (a + b) * (a + b + 1));
		for (int i = 0; i < DRAWS; i++) {
			double x = (double)flow_beta(rng_stream(3, RNG_TEST, k, (uint64_t)i), a, b);
			assert_true(x >= 0 && x <= 1);
			s += x;
			ss += (x - mean) * (x - mean);
		}
		assert_true(fabs(s / DRAWS - mean) < 5 * sqrt(variance / DRAWS));
		assert_true(fabs(ss / DRAWS / variance - 1) < 0.06);
	}
}

static void
times_of_a_list_are_its_own(void **state)
{
	struct flow_options o = FLOW_OPTIONS_DEFAULT;
	static const float sigma[] = { 0.801f, 0.25f, 0, 1 };
	int times[4] = { 0 };

	(void)state;
	assert_ok(flow_list_read(&o, "[801, 0.25,0,1]"));
	assert_int_equal(o.levels, 4);
	assert_ok(flow_list_read(&o, "801, 0.25,0,1"));
	assert_int_equal(o.levels, 4);
	for (int i = 0; i < DRAWS; i++) {
		struct flow_time t = draw(&o, i);
		int k = 0;
		while (k < 4 && t.sigma != sigma[k])
			k++;
		assert_true(k < 4 && t.index == -1 && t.timestep == 1000 * t.sigma);
		times[k]++;
	}
	for (int k = 0; k < 4; k++)		/* five deviations of a share */
		assert_true(fabs((double)times[k] / DRAWS - 0.25) < 5 * sqrt(0.1875 / DRAWS));
	for (uint64_t k = 0; k < 9; k++)
		assert_true(flow_turn(&o, k).sigma == sigma[k % 4]);
}

/* How steeply the share below x grows there, by a central difference of its inverse. */
static double
density_at(const struct flow_options *o, double x, double *share)
{
	double low = 0, high = 1, h = 1e-4;

	for (int k = 0; k < 60; k++) {
		*share = (low + high) / 2;
		if ((double)flow_cubic(o, *share) < x)
			low = *share;
		else
			high = *share;
	}
	return 2 * h / ((double)flow_cubic(o, *share + h) - (double)flow_cubic(o, *share - h));
}

static void
a_density_goes_through_its_knots(void **state)
{
	static const double knot[] = { 1, 4, 4.5, 2, 0.5, 3 };
	struct flow_options o = FLOW_OPTIONS_DEFAULT;
	double share, last = 0, first;

	(void)state;
	assert_ok(flow_cubic_read(&o, "[1, 4, 4.5, 2.0, 5e-1, 3]"));
	assert_true(o.density == FLOW_CUBIC && o.levels == 6);
	first = density_at(&o, 0.2, &share) / knot[1];
	for (int k = 1; k < 5; k++)
		assert_true(fabs(density_at(&o, 0.2 * k, &share) / knot[k] / first - 1) < 2e-3);
	for (int i = 3; i < 97; i++) {		/* between two knots, and monotone */
		int k = (int)(i / 100. * 5);
		double d = density_at(&o, i / 100., &share) / first, a = knot[k], b = knot[k + 1];
		assert_true(share > last && d > fmin(a, b) * 0.995 && d < fmax(a, b) * 1.005);
		last = share;
	}
	assert_true(flow_cubic(&o, 0) < 1e-6f && flow_cubic(&o, 1) > 1 - 1e-6f);
}

static void
densities_that_are_known_have_their_shares(void **state)
{
	struct flow_options o = FLOW_OPTIONS_DEFAULT;
	int below = 0;

	(void)state;
	for (int i = 0; i <= 10; i++) {
		double u = i / 10.;
		static const char *const even[] = { "", "0", "[7]", "2,2", "3;3;3;3" };
		for (int k = 0; k < 5; k++) {
			assert_ok(flow_cubic_read(&o, even[k]));
			assert_true(fabs((double)flow_cubic(&o, u) - u) < 1e-6);
		}
		assert_ok(flow_cubic_read(&o, "0, 1"));		/* 2 x */
		assert_true(fabs((double)flow_cubic(&o, u) - sqrt(u)) < 1e-6);
		assert_ok(flow_cubic_read(&o, "[1,3,0.25,3,1]"));
		assert_true(fabs((double)flow_cubic(&o, u) + (double)flow_cubic(&o, 1 - u) - 1) < 1e-6);
	}
	assert_ok(flow_cubic_read(&o, "0,1,0"));	/* 6 x (1 - x): 5/32 lie below 1/4 */
	assert_true(fabsf(flow_cubic(&o, 0.15625) - 0.25f) < 1e-6f);
	for (int i = 0; i < DRAWS; i++) {
		struct flow_time t = draw(&o, i);
		assert_true(t.index == -1 && t.timestep == 1000 * t.sigma);
		below += t.sigma < 0.5f;		/* shifted by 3 from 1/4 */
	}
	assert_true(fabs((double)below / DRAWS - 0.15625) < 5 * sqrt(0.15625 * 0.84375 / DRAWS));
}

static void
knots_that_are_no_density_are_refused(void **state)
{
	static const char *const bad[] = { "a", "1,", "1,,1", "1 1", "-1,1", "nan,1", "0,0", "[1,2", "1]", "[1,2],3", "1e10,1" };
	struct flow_options o = FLOW_OPTIONS_DEFAULT;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (flow_cubic_read(&o, bad[i]) != ACE_ECONFIG)
			fail_msg("\"%s\" is taken", bad[i]);
		assert_non_null(strstr(ace_message(), "flow_cubic_schedule_weights"));
	}
}

static void
lists_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = { "", "a", "0.5,", "0.5,,1", "0.5 0.6", "-1", "1000.5", "nan", "inf", "1;2", "[]", "[1" };
	struct flow_options o = FLOW_OPTIONS_DEFAULT;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(flow_list_read(&o, bad[i]), ACE_ECONFIG);
		assert_non_null(strstr(ace_message(), "flow_custom_timesteps"));
	}
}

static void
options_that_give_no_time_are_refused_by_name(void **state)
{
	struct flow_options o = FLOW_OPTIONS_DEFAULT;

	(void)state;
	assert_ok(flow_options_check(&o));
	o.alpha = 0;
	assert_int_equal(flow_options_check(&o), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "flow_beta_schedule_alpha"));
	o = FLOW_OPTIONS_DEFAULT;
	o.shift = -1;
	assert_int_equal(flow_options_check(&o), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "flow_schedule_shift"));
	o = FLOW_OPTIONS_DEFAULT;
	o.n = 1;
	assert_int_equal(flow_options_check(&o), ACE_ECONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_have_the_bits_of_the_reference),
		cmocka_unit_test(normal_numbers_give_the_table_entries_of_the_reference),
		cmocka_unit_test(noise_levels_are_shifted_as_in_the_reference),
		cmocka_unit_test(draws_of_the_default_have_the_logit_normal_shape),
		cmocka_unit_test(draws_do_not_depend_on_the_order_and_differ_by_seed_step_and_sample),
		cmocka_unit_test(beta_draws_have_the_mean_and_variance_of_their_parameters),
		cmocka_unit_test(times_of_a_list_are_its_own),
		cmocka_unit_test(lists_that_are_none_are_refused),
		cmocka_unit_test(a_density_goes_through_its_knots),
		cmocka_unit_test(densities_that_are_known_have_their_shares),
		cmocka_unit_test(knots_that_are_no_density_are_refused),
		cmocka_unit_test(options_that_give_no_time_are_refused_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
