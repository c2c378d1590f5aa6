/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/write.h"

#include "audio/decode.h"
#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 10000 };

static void
round_trip(enum audio_format format, const float *want, const float *data, float tol)
{
	const char *dir = golden_tmp();
	char path[400];
	struct clip c;

	snprintf(path, sizeof path, "%s/a.wav", dir);
	assert_ok(audio_write(path, data, 2, SAMPLES, 44100, format));
	assert_ok(audio_decode(path, &c));
	assert_int_equal(c.n, SAMPLES);
	assert_int_equal(c.channels, 2);
	assert_int_equal(c.rate, 44100);
	for (int i = 0; i < 2 * SAMPLES; i++)
		assert_true(fabsf(c.data[i] - want[i]) <= tol);
	clip_free(&c);
	assert_ok(file_remove_tree(dir));
}

static void
float_files_hold_the_very_samples(void **state)
{
	static float x[2 * SAMPLES];

	(void)state;
	for (int i = 0; i < 2 * SAMPLES; i++)
		x[i] = 1.7f * sinf(0.01f * (float)i);
	round_trip(AUDIO_FLOAT, x, x, 0.f);
}

static void
integer_files_are_rounded_and_clamped(void **state)
{
	static float x[2 * SAMPLES], want[2 * SAMPLES];

	(void)state;
	for (int i = 0; i < 2 * SAMPLES; i++) {
		x[i] = 1.7f * sinf(0.01f * (float)i);
		want[i] = fminf(fmaxf(x[i], -1.f), 32767.f / 32768.f);
	}
	round_trip(AUDIO_PCM16, want, x, 0.5f / 32768.f + 1e-7f);
}

/* How alike two waves are where both have samples: 1 the same, 0 nothing in common. */
static double
likeness(const float *a, const float *b, int64_t n)
{
	double ab = 0, aa = 1e-30, bb = 1e-30;

	for (int64_t i = 0; i < n; i++) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	return ab / sqrt(aa * bb);
}

static void
every_format_that_is_offered_is_read_again(void **state)
{
	static const enum audio_format formats[] = { AUDIO_FLAC, AUDIO_OGG, AUDIO_MP3 };
	enum { RATE = 44100, N = RATE };
	float *x = malloc(sizeof *x * 2 * N);
	const char *dir = golden_tmp();

	(void)state;
	assert_non_null(x);
	for (int i = 0; i < 2 * N; i++)
		x[i] = 0.5f * sinf(0.05f * (float)i);
	for (int k = 0; k < 3; k++) {
		char path[400];
		struct clip c;
		if (!audio_can_write(formats[k]))
			continue;
		snprintf(path, sizeof path, "%s/a.%s", dir, audio_ending(formats[k]));
		assert_ok(audio_write(path, x, 2, N, RATE, formats[k]));
		assert_ok(audio_decode(path, &c));
		assert_int_equal(c.channels, 2);
		assert_int_equal(c.rate, RATE);
		assert_in_range(c.n, N - 2500, N + 2500);
		assert_true(likeness(c.data, x, N - 5000) > (formats[k] == AUDIO_FLAC ? 0.99999 : 0.99));
		clip_free(&c);
	}
	assert_true(audio_can_write(AUDIO_PCM16) && audio_can_write(AUDIO_FLAC));
	assert_ok(file_remove_tree(dir));
	free(x);
}

static void
a_folder_that_is_not_there_is_told(void **state)
{
	static const float x[2] = { 0, 0 };

	(void)state;
	assert_int_equal(audio_write("/nonexistent/a.wav", x, 2, 1, 48000, AUDIO_PCM16), ACE_ECREATE);
	assert_false(file_exists("/nonexistent/a.wav"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(float_files_hold_the_very_samples),
		cmocka_unit_test(integer_files_are_rounded_and_clamped),
		cmocka_unit_test(every_format_that_is_offered_is_read_again),
		cmocka_unit_test(a_folder_that_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
