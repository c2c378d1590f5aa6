/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/prepare.h"

#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double
member(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsNumber(v))
		fail_msg("a case lacks %s", key);
	return v->valuedouble;
}

/* [2, n] of the fixture against samples from `at` of the clip. */
static void
part(struct st_file *f, const char *file, const char *which, const struct clip *c, int64_t at, bool from_end)
{
	char name[160];

	snprintf(name, sizeof name, "%s.%s", file, which);
	struct tensor want = golden_f32(f, name);
	int64_t n = want.dim[1];
	if (from_end)
		at -= n;
	for (int k = 0; k < 2; k++)
		for (int64_t i = 0; i < n; i++) {
			float w = ((const float *)want.data)[k * n + i], g = c->data[k * c->n + at + i];
			if (!(fabsf(g - w) <= 1e-6f))
				fail_msg("%s: channel %d sample %lld is %.9g, wanted %.9g", name, k, (long long)i, (double)g, (double)w);
		}
	free(want.data);
}

static void
check_file(struct st_file *f, const cJSON *one)
{
	const char *name = cJSON_GetObjectItemCaseSensitive(one, "file")->valuestring;
	const cJSON *rms = cJSON_GetObjectItemCaseSensitive(one, "rms");
	bool silent = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "silent"));
	struct clip in, out;
	char path[200];
	int64_t before = 0, zeros = 0;

	snprintf(path, sizeof path, "wav/%s", name);
	assert_ok(audio_decode(golden_path("logmel", path), &in));
	assert_int_equal(in.rate, (int)member(one, "decoded_rate"));
	assert_int_equal(in.channels, (int)member(one, "decoded_channels"));
	assert_int_equal(in.n, (int64_t)member(one, "decoded_samples"));
	if (silent) {
		assert_int_equal(audio_prepare(&in, NULL, &out, NULL), ACE_EDATA);
		assert_int_equal(out.reason, AUDIO_SILENT);
		assert_null(out.data);
		clip_free(&in);
		return;
	}
	assert_ok(audio_prepare(&in, NULL, &out, &before));
	assert_int_equal(before, (int64_t)member(one, "samples_48k"));
	assert_int_equal(out.n, (int64_t)member(one, "prepared_samples"));
	assert_int_equal(out.channels, 2);
	assert_int_equal(out.rate, PREPARE_RATE);
	part(f, name, "prepared_head", &out, 0, false);
	part(f, name, "prepared_tail", &out, before, true);
	double peak = 0;
	for (int c = 0; c < 2; c++) {
		double sum = 0;
		for (int64_t i = 0; i < out.n; i++) {
			double v = (double)out.data[c * out.n + i];
			sum += v * v;
			peak = fabs(v) > peak ? fabs(v) : peak;
		}
		assert_true(fabs(sqrt(sum / (double)out.n) - cJSON_GetArrayItem(rms, c)->valuedouble) < 1e-6);
	}
	assert_true(fabs(peak - member(one, "peak")) < 1e-6);
	for (int64_t i = 0; i < out.n; i++)
		zeros += out.data[i] == 0.f && out.data[out.n + i] == 0.f;
	assert_true(fabs((double)zeros / (double)out.n - member(one, "zero_ratio")) < 1e-6);
	clip_free(&in);
	clip_free(&out);
}

static void
every_file_is_prepared_as_the_reference_does(void **state)
{
	cJSON *manifest = golden_json("logmel", "manifest.json"), *one;
	struct st_file f;
	int n = 0;

	(void)state;
	golden_open(&f, "logmel", "files.safetensors");
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(manifest, "files"), "cases")) {
		check_file(&f, one);
		n++;
	}
	assert_true(n > 0);
	st_close(&f);
	cJSON_Delete(manifest);
}

/* A clip at 48 kHz whose sample i is (i + 1) / (2 n), never 0. */
static struct clip
ramp(int64_t n, int channels)
{
	struct clip c = { .channels = channels, .rate = 48000, .n = n, .codec = "pcm_s16le" };

	c.data = malloc((size_t)(n * channels) * sizeof *c.data);
	assert_non_null(c.data);
	for (int k = 0; k < channels; k++)
		for (int64_t i = 0; i < n; i++)
			c.data[k * n + i] = (float)((double)(i + 1) / (2. * (double)n)) * (k == 0 ? 1.f : -1.f);
	return c;
}

static int64_t
window_start(const struct clip *in, enum truncation mode, double seconds, uint64_t seed)
{
	struct prepare_options o = { .seconds = seconds, .mode = mode, .rng = rng_stream(seed, RNG_TRUNCATE, 0, 0) };
	struct clip out;
	int64_t n, at;

	assert_ok(audio_prepare(in, &o, &out, &n));
	assert_int_equal(n, prepare_window(seconds, in->rate, in->n));
	for (at = 0; at < in->n && in->data[at] != out.data[0]; at++)
		;
	assert_true(out.data[n - 1] == in->data[at + n - 1]);
	clip_free(&out);
	return at;
}

static void
a_window_begins_where_the_mode_says(void **state)
{
	struct clip in = ramp(200000, 2);
	int64_t first, other = 0;

	(void)state;
	assert_int_equal(window_start(&in, TRUNCATE_BEGINNING, 3.5, 0), 0);
	assert_int_equal(window_start(&in, TRUNCATE_END, 3.5, 0), 200000 - 168000);
	first = window_start(&in, TRUNCATE_RANDOM, 3.5, 1);
	assert_int_equal(window_start(&in, TRUNCATE_RANDOM, 3.5, 1), first);
	for (uint64_t seed = 2; seed < 8; seed++) {
		int64_t at = window_start(&in, TRUNCATE_RANDOM, 3.5, seed);
		assert_true(at >= 0 && at <= 200000 - 168000);
		other += at != first;
	}
	assert_true(other > 0);
	assert_int_equal(window_start(&in, TRUNCATE_END, 60, 0), 0);	/* longer than the clip: all of it */
	clip_free(&in);
}

static void
window_lengths_round_half_to_even(void **state)
{
	(void)state;
	assert_int_equal(prepare_window(0.5, 1001, 100000), 500);
	assert_int_equal(prepare_window(1.5, 1001, 100000), 1502);
	assert_int_equal(prepare_window(1e9, 48000, 77), 77);
}

static void
at_most_240_seconds_are_kept(void **state)
{
	struct clip in = ramp(PREPARE_MAX + 1000, 1), out;
	int64_t before;

	(void)state;
	assert_ok(audio_prepare(&in, NULL, &out, &before));
	assert_int_equal(out.n, PREPARE_MAX);
	assert_int_equal(before, PREPARE_MAX + 1000);
	assert_memory_equal(out.data, in.data, PREPARE_MAX * sizeof *out.data);
	assert_memory_equal(out.data + PREPARE_MAX, in.data, PREPARE_MAX * sizeof *out.data);	/* mono is doubled */
	clip_free(&in);
	clip_free(&out);
}

static void
a_clip_below_150_ms_is_always_silent(void **state)
{
	struct clip in = ramp(7199, 2), out;

	(void)state;
	assert_int_equal(audio_prepare(&in, NULL, &out, NULL), ACE_EDATA);
	assert_int_equal(out.reason, AUDIO_SILENT);
	clip_free(&in);
	in = ramp(7201, 2);
	assert_ok(audio_prepare(&in, NULL, &out, NULL));
	assert_int_equal(out.n, PREPARE_MIN);
	clip_free(&in);
	clip_free(&out);
}

static void
samples_that_are_no_numbers_are_refused(void **state)
{
	struct clip in = ramp(200000, 2), out;

	(void)state;
	in.data[70000] = NAN;
	assert_int_equal(audio_prepare(&in, NULL, &out, NULL), ACE_EDATA);
	assert_int_equal(out.reason, AUDIO_DECODE_FAILED);
	clip_free(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_file_is_prepared_as_the_reference_does),
		cmocka_unit_test(a_window_begins_where_the_mode_says),
		cmocka_unit_test(window_lengths_round_half_to_even),
		cmocka_unit_test(at_most_240_seconds_are_kept),
		cmocka_unit_test(a_clip_below_150_ms_is_always_silent),
		cmocka_unit_test(samples_that_are_no_numbers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
