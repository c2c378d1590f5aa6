/* SPDX-License-Identifier: Apache-2.0 */
/* The real sample track through resampling, padding and log-mel (fixture logmel, group track). */
#include "audio/decode.h"
#include "audio/mel.h"
#include "audio/prepare.h"
#include "audio/resample.h"

#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RATE = 44100, HOP = 512, FRAME = 4096 };

static struct {
	cJSON *manifest, *track;
	struct st_file f;
	struct clip in, p;		/* decoded, prepared */
	float *wave;			/* [2][padded] at 44.1 kHz */
	int64_t n44, padded;
} t;

static int64_t
fact(const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(t.track, key);

	if (!cJSON_IsNumber(v))
		fail_msg("the manifest's track lacks %s", key);
	return (int64_t)v->valuedouble;
}

/* False: the fixture or the song is absent. */
static bool
ready(void)
{
	const char *song = golden_data("test_track_001.mp3");
	struct resampler *r;

	if (t.wave)
		return true;
	if (!song || !golden_set("logmel"))
		return false;
	t.manifest = golden_json("logmel", "manifest.json");
	t.track = cJSON_GetObjectItemCaseSensitive(t.manifest, "track");
	if (!t.track)
		return false;
	golden_open(&t.f, "logmel", "track.safetensors");
	assert_ok(audio_decode(song, &t.in));
	assert_ok(audio_prepare(&t.in, NULL, &t.p, NULL));
	assert_ok(resampler_open(&r, PREPARE_RATE, RATE));
	t.n44 = resample_length(PREPARE_RATE, RATE, t.p.n);
	t.padded = (t.n44 + FRAME - 1) / FRAME * FRAME;
	t.wave = calloc(2 * (size_t)t.padded, sizeof *t.wave);
	assert_non_null(t.wave);
	for (int c = 0; c < 2; c++)
		resample(r, t.wave + c * t.padded, t.p.data + c * t.p.n, t.p.n);
	resampler_close(r);
	return true;
}

static void
its_counts_are_the_references(void **state)
{
	(void)state;
	if (!ready())
		skip();
	assert_int_equal(t.p.n, fact("samples_48k"));
	assert_int_equal(t.n44, fact("samples_44k"));
	assert_int_equal(t.padded, fact("padded_44k"));
	assert_int_equal(t.padded / HOP, fact("mel_frames"));
	assert_int_equal(t.padded / FRAME, fact("latent_frames"));
}

/* Slices NAME.FROM of the fixture against x [2][rows][n] at columns FROM ... */
static int
slices(const char *name, const float *x, int64_t rows, int64_t n, double most, double rms)
{
	int seen = 0;

	for (int i = 0; i < t.f.n; i++) {
		const char *full = t.f.entry[i].name;
		double sum = 0;
		if (strncmp(full, name, strlen(name)) || full[strlen(name)] != '.')
			continue;
		int64_t from = strtoll(full + strlen(name) + 1, NULL, 10);
		struct tensor want = golden_f32(&t.f, full);
		int64_t wide = want.dim[want.rank - 1], lines = tensor_count(want) / wide;
		assert_int_equal(lines, 2 * rows);
		assert_true(from >= 0 && from + wide <= n);
		for (int64_t l = 0; l < lines; l++)
			for (int64_t k = 0; k < wide; k++) {
				double d = (double)x[l * n + from + k] - (double)((const float *)want.data)[l * wide + k];
				if (!(fabs(d) <= most))
					fail_msg("%s: line %lld, column %lld is off by %g", full, (long long)l, (long long)k, d);
				sum += d * d;
			}
		assert_true(sqrt(sum / (double)tensor_count(want)) <= rms);
		free(want.data);
		seen++;
	}
	return seen;
}

/* Another MP3 decoder differs by up to 5e-6. */
static void
its_waves_are_the_references(void **state)
{
	(void)state;
	if (!ready())
		skip();
	assert_true(slices("wave48", t.p.data, 1, t.p.n, 1e-5, 1e-6) > 0);
	assert_true(slices("wave44", t.wave, 1, t.padded, 1e-5, 1e-6) > 0);
}

/* Mean, deviation, least and largest of all log-mels, as the manifest's object says. */
static void
statistics(const char *key, const float *x, int64_t n)
{
	const cJSON *o = cJSON_GetObjectItemCaseSensitive(t.track, key);
	double sum = 0, square = 0, low = INFINITY, high = -INFINITY;

	for (int64_t i = 0; i < n; i++) {
		double v = (double)x[i];
		sum += v;
		square += v * v;
		low = fmin(low, v);
		high = fmax(high, v);
	}
	double mean = sum / (double)n, deviation = sqrt(square / (double)n - mean * mean);
	assert_true(fabs(mean - cJSON_GetObjectItemCaseSensitive(o, "mean")->valuedouble) < 1e-4);
	assert_true(fabs(deviation - cJSON_GetObjectItemCaseSensitive(o, "std")->valuedouble) < 1e-4);
	assert_true(fabs(low - cJSON_GetObjectItemCaseSensitive(o, "min")->valuedouble) < 2e-2);
	assert_true(fabs(high - cJSON_GetObjectItemCaseSensitive(o, "max")->valuedouble) < 1e-3);
}

static void
log_mels(const char *name, const float *window, const float *fb, int64_t n_fft, int64_t bands)
{
	struct mel_options o = { .rate = RATE, .n_fft = (int)n_fft, .hop = HOP, .bands = (int)bands, .f_min = 40, .f_max = 16000 };
	int64_t frames = t.padded / HOP;
	float *logs = malloc((size_t)(2 * bands * frames) * sizeof *logs);
	struct mel *m;

	assert_non_null(logs);
	assert_ok(mel_open(&m, &o, window, fb));
	for (int c = 0; c < 2; c++)
		assert_ok(mel_spectra(m, t.wave + c * t.padded, t.padded, NULL, NULL, logs + c * bands * frames));
	assert_true(slices(name, logs, bands, frames, 2e-2, 1e-3) > 0);
	statistics(name, logs, 2 * bands * frames);
	mel_close(m);
	free(logs);
}

static void
its_log_mels_are_the_references_with_either_buffers(void **state)
{
	struct st_file f;

	(void)state;
	if (!ready())
		skip();
	golden_open(&f, "logmel", "mel.safetensors");
	struct tensor window = golden_f32(&f, "window_bf16"), fb = golden_f32(&f, "fb_bf16");
	log_mels("logmel", NULL, NULL, tensor_count(window), fb.dim[1]);
	log_mels("logmel_bf16buf", window.data, fb.data, tensor_count(window), fb.dim[1]);
	free(window.data);
	free(fb.data);
	st_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_counts_are_the_references),
		cmocka_unit_test(its_waves_are_the_references),
		cmocka_unit_test(its_log_mels_are_the_references_with_either_buffers),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	clip_free(&t.in);
	clip_free(&t.p);
	free(t.wave);
	st_close(&t.f);
	cJSON_Delete(t.manifest);
	return failed;
}
