/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/resample.h"

#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* audio_codec.md section 10: kernels and outputs, absolute */
#define TOL 1e-6

struct one {
	int from, to, width, channels;
	int64_t n, length;
};

static int64_t
member(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsNumber(v))
		fail_msg("a case lacks %s", key);
	return (int64_t)v->valuedouble;
}

static int
for_each_case(void (*f)(struct st_file *file, const struct one *c))
{
	cJSON *manifest = golden_json("logmel", "manifest.json"), *v;
	struct st_file file;
	int n = 0;

	golden_open(&file, "logmel", "resample.safetensors");
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(manifest, "resample"), "cases")) {
		struct one c = { .from = (int)member(v, "orig"), .to = (int)member(v, "new"), .width = (int)member(v, "width"),
			         .channels = (int)member(v, "channels"), .n = member(v, "n_in"), .length = member(v, "n_out") };
		f(&file, &c);
		n++;
	}
	st_close(&file);
	cJSON_Delete(manifest);
	return n;
}

static void
check_kernel(struct st_file *file, const struct one *c)
{
	struct resampler *r;
	char name[64];

	snprintf(name, sizeof name, "kernel.%d.%d", c->from, c->to);
	struct tensor want = golden_f32(file, name);
	const float *w = want.data;
	assert_ok(resampler_open(&r, c->from, c->to));
	assert_int_equal(resampler_phases(r), want.dim[0]);
	assert_int_equal(resampler_taps(r), want.dim[want.rank - 1]);
	for (int j = 0; j < resampler_phases(r); j++)
		for (int k = 0; k < resampler_taps(r); k++, w++)
			if (!(fabs((double)(resampler_tap(r, j, k) - *w)) <= TOL))
				fail_msg("%s: entry %d, %d is %.9g, wanted %.9g", name, j, k, (double)resampler_tap(r, j, k), (double)*w);
	resampler_close(r);
	free(want.data);
}

static void
check_output(struct st_file *file, const struct one *c)
{
	struct resampler *r;
	char name[64];

	snprintf(name, sizeof name, "in.%d.%d.%lld", c->from, c->to, (long long)c->n);
	struct tensor x = golden_f32(file, name);
	snprintf(name, sizeof name, "out.%d.%d.%lld", c->from, c->to, (long long)c->n);
	struct tensor y = golden_f32(file, name);
	assert_int_equal(resample_length(c->from, c->to, c->n), c->length);
	assert_int_equal(tensor_count(x), c->channels * c->n);
	assert_int_equal(tensor_count(y), c->channels * c->length);
	float *got = malloc((size_t)c->length * sizeof *got);
	assert_non_null(got);
	assert_ok(resampler_open(&r, c->from, c->to));
	for (int i = 0; i < c->channels; i++) {
		const float *want = (const float *)y.data + i * c->length;
		resample(r, got, (const float *)x.data + i * c->n, c->n);
		for (int64_t k = 0; k < c->length; k++)
			if (!(fabs((double)(got[k] - want[k])) <= TOL) && !(isnan(got[k]) && isnan(want[k])))
				fail_msg("%s: sample %lld is %.9g, wanted %.9g", name, (long long)k, (double)got[k], (double)want[k]);
	}
	resampler_close(r);
	free(got);
	free(x.data);
	free(y.data);
}

static void
kernels_are_the_references(void **state)
{
	(void)state;
	assert_true(for_each_case(check_kernel) > 0);
}

static void
outputs_and_their_lengths_are_the_references(void **state)
{
	(void)state;
	assert_true(for_each_case(check_output) > 0);
}

static void
equal_rates_copy(void **state)
{
	float x[5] = { 1, -2, 3, -4, 5 }, y[5];
	struct resampler *r;

	(void)state;
	assert_ok(resampler_open(&r, 48000, 48000));
	assert_int_equal(resample_length(48000, 48000, 5), 5);
	resample(r, y, x, 5);
	assert_memory_equal(x, y, sizeof x);
	resampler_close(r);
}

/* A constant stays itself away from the ends, whatever the ratio: the taps of each phase add up to 1. */
static void
odd_ratios_keep_a_constant(void **state)
{
	static const int rates[][2] = { { 11025, 48000 }, { 47999, 48000 }, { 768000, 48000 }, { 1000, 48000 }, { 48000, 44101 } };

	(void)state;
	for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
		int64_t n = rates[i][0] / 10, length = resample_length(rates[i][0], rates[i][1], n);
		float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)length * sizeof *y);
		struct resampler *r;
		assert_non_null(x);
		assert_non_null(y);
		for (int64_t k = 0; k < n; k++)
			x[k] = 0.5f;
		assert_ok(resampler_open(&r, rates[i][0], rates[i][1]));
		resample(r, y, x, n);
		for (int64_t k = length / 4; k < length / 2; k++)
			if (!(fabsf(y[k] - 0.5f) < 2e-3f))
				fail_msg("%d to %d Hz: sample %lld is %g", rates[i][0], rates[i][1], (long long)k, (double)y[k]);
		resampler_close(r);
		free(x);
		free(y);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels_are_the_references),
		cmocka_unit_test(outputs_and_their_lengths_are_the_references),
		cmocka_unit_test(equal_rates_copy),
		cmocka_unit_test(odd_ratios_keep_a_constant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
