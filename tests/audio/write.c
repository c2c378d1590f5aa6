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
		cmocka_unit_test(a_folder_that_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
