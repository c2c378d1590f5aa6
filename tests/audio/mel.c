/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/mel.h"

#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* The real vocoder's settings (audio_codec.md section 1); the fixture has no others. */
static struct mel_options
real(int64_t n_fft, int64_t bands)
{
	return (struct mel_options){ .rate = 44100, .n_fft = (int)n_fft, .hop = 512, .bands = (int)bands, .f_min = 40, .f_max = 16000 };
}

static float
largest(struct tensor x)
{
	float top = 0;

	for (int64_t i = 0; i < tensor_count(x); i++)
		top = fmaxf(top, fabsf(((const float *)x.data)[i]));
	return top;
}

/* |got - want| <= absolute + relative |want| */
static void
near(const char *name, const float *got, struct tensor want, double absolute, double relative)
{
	const float *w = want.data;

	for (int64_t i = 0; i < tensor_count(want); i++)
		if (!(fabs((double)got[i] - (double)w[i]) <= absolute + relative * fabs((double)w[i])))
			fail_msg("%s: entry %lld is %.9g, wanted %.9g", name, (long long)i, (double)got[i], (double)w[i]);
}

struct spectra {
	float *magnitude, *sums, *logs;		/* [2][...] */
	int64_t frames;
};

static struct spectra
spectra_of(const struct mel *m, struct tensor wave, int64_t bins, int64_t bands)
{
	int64_t n = wave.dim[1], frames = n / 512;
	struct spectra s = { malloc((size_t)(2 * bins * frames) * sizeof(float)), malloc((size_t)(2 * bands * frames) * sizeof(float)),
		             malloc((size_t)(2 * bands * frames) * sizeof(float)), frames };

	assert_true(s.magnitude && s.sums && s.logs);
	assert_int_equal(wave.dim[0], 2);
	for (int c = 0; c < 2; c++)
		assert_ok(mel_spectra(m, (const float *)wave.data + c * n, n, s.magnitude + c * bins * frames,
		                      s.sums + c * bands * frames, s.logs + c * bands * frames));
	return s;
}

static void
spectra_free(struct spectra *s)
{
	free(s->magnitude);
	free(s->sums);
	free(s->logs);
}

/* absolute + peak times the largest entry + relative */
static void
named(struct st_file *f, const char *which, const char *what, const float *got, double absolute, double peak, double relative)
{
	char name[96];

	snprintf(name, sizeof name, "%s.%s", which, what);
	struct tensor want = golden_f32(f, name);
	near(name, got, want, absolute + peak * (double)largest(want), relative);
	free(want.data);
}

static void
every_case_gives_the_references_spectra(void **state)
{
	cJSON *manifest = golden_json("logmel", "manifest.json"), *one;
	struct mel *computed, *rounded;
	struct st_file f;
	int n = 0;

	(void)state;
	golden_open(&f, "logmel", "mel.safetensors");
	struct tensor window = golden_f32(&f, "window_bf16"), fb = golden_f32(&f, "fb_bf16");
	int64_t bins = fb.dim[0], bands = fb.dim[1];
	struct mel_options o = real(tensor_count(window), bands);
	assert_ok(mel_open(&computed, &o, NULL, NULL));
	assert_ok(mel_open(&rounded, &o, window.data, fb.data));
	cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(manifest, "mel"), "cases")) {
		const char *name = one->valuestring;
		char text[64];
		snprintf(text, sizeof text, "%s.wave", name);
		struct tensor wave = golden_f32(&f, text);
		struct spectra s = spectra_of(computed, wave, bins, bands), r = spectra_of(rounded, wave, bins, bands);
		named(&f, name, "magnitude", s.magnitude, 0, 3e-7, 1e-5);
		named(&f, name, "mel", s.sums, 0, 1e-5, 0);
		named(&f, name, "logmel", s.logs, 1e-3, 0, 0);
		named(&f, name, "logmel_bf16buf", r.logs, 1e-3, 0, 0);
		mel_normalise(s.logs, 2 * bands * s.frames);
		named(&f, name, "norm", s.logs, 1e-3 / 7, 0, 0);
		spectra_free(&s);
		spectra_free(&r);
		free(wave.data);
		n++;
	}
	assert_true(n > 0);
	mel_close(computed);
	mel_close(rounded);
	free(window.data);
	free(fb.data);
	cJSON_Delete(manifest);
	st_close(&f);
}

static void
computed_buffers_are_the_references(void **state)
{
	struct st_file f;
	struct mel *m;

	(void)state;
	golden_open(&f, "logmel", "mel.safetensors");
	struct tensor window = golden_f32(&f, "window"), fb = golden_f32(&f, "fb");
	struct mel_options o = real(tensor_count(window), fb.dim[1]);
	assert_ok(mel_open(&m, &o, NULL, NULL));
	near("window", mel_window(m), window, 1e-7, 0);
	near("fb", mel_filters(m), fb, 1e-5 * (double)largest(fb), 0);
	for (int64_t i = 0; i < tensor_count(fb); i++)
		assert_int_equal(mel_filters(m)[i] != 0.f, ((const float *)fb.data)[i] != 0.f);
	mel_close(m);
	free(window.data);
	free(fb.data);
	st_close(&f);
}

static void
normalising_and_back_changes_nothing_much(void **state)
{
	float x[4] = { -11.f, -4.f, 3.f, 5.f }, y[4];

	(void)state;
	memcpy(y, x, sizeof x);
	mel_normalise(y, 4);
	assert_true(y[0] == -1.f && y[1] == 0.f && y[2] == 1.f && y[3] > 1.f);
	mel_denormalise(y, 4);
	for (int i = 0; i < 4; i++)
		assert_true(fabsf(x[i] - y[i]) < 1e-5f);
}

static void
options_that_make_no_sense_are_refused(void **state)
{
	struct mel_options bad[4];
	struct mel *m;

	(void)state;
	for (int i = 0; i < 4; i++)
		bad[i] = real(2048, 128);
	bad[0].n_fft = 2000;
	bad[1].hop = 0;
	bad[2].f_max = 30000;
	bad[3].bands = 1 << 20;
	for (int i = 0; i < 4; i++)
		assert_int_equal(mel_open(&m, &bad[i], NULL, NULL), ACE_EDATA);
}

#ifdef _OPENMP
static void
spectra_do_not_depend_on_the_number_of_threads(void **state)
{
	enum { SAMPLES = 512 * 33 };
	static float wave[SAMPLES], a[128 * 33], b[128 * 33];
	struct mel_options o = real(2048, 128);
	int threads = omp_get_max_threads();
	struct mel *m;

	(void)state;
	for (int i = 0; i < SAMPLES; i++)
		wave[i] = sinf(0.07f * (float)i) * 0.3f + 0.1f * cosf(1.3f * (float)i);
	assert_ok(mel_open(&m, &o, NULL, NULL));
	omp_set_num_threads(1);
	assert_ok(mel_spectra(m, wave, SAMPLES, NULL, NULL, a));
	omp_set_num_threads(3);
	assert_ok(mel_spectra(m, wave, SAMPLES, NULL, NULL, b));
	omp_set_num_threads(threads);
	assert_memory_equal(a, b, sizeof a);
	mel_close(m);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_gives_the_references_spectra),
		cmocka_unit_test(computed_buffers_are_the_references),
		cmocka_unit_test(normalising_and_back_changes_nothing_much),
		cmocka_unit_test(options_that_make_no_sense_are_refused),
#ifdef _OPENMP
		cmocka_unit_test(spectra_do_not_depend_on_the_number_of_threads),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
