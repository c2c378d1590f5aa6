/* SPDX-License-Identifier: Apache-2.0 */
#include "models/sound.h"

#include "base/file.h"
#include "kernels/kernels.h"
#include "models/codec_fixture.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* audio_codec.md section 10: waves of given latents, plain and chunked */
#define PLAIN_TOL 5e-4
#define CHUNKED_TOL 1e-3

/* Whether sanitizers watch, under which long clips take minutes. */
static bool
watched(void)
{
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return true;
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#else
	return false;
#endif
}

struct bench {
	cJSON *manifest;
	struct sound sound;
	struct dev dev;
};

static void
begin(struct bench *b)
{
	const char *dir;

	b->manifest = golden_json("codec-pipeline", "manifest.json");
	dir = fixture_folder(b->manifest);
	assert_ok(dev_open(&b->dev, DEV_CPU, 2));
	kernels_attach(&b->dev);
	assert_ok(sound_open(&b->sound, dir, &b->dev));
	assert_ok(file_remove_tree(dir));
}

static void
end(struct bench *b)
{
	sound_close(&b->sound);
	dev_close(&b->dev);
	cJSON_Delete(b->manifest);
}

/* Both channels of want [2, count] against samples from .. of got [2][n]. */
static void
near(const char *what, const float *got, int64_t n, int64_t from, struct tensor want, double tol)
{
	int64_t count = want.dim[1];

	assert_true(from + count <= n);
	for (int64_t c = 0; c < 2; c++)
		for (int64_t i = 0; i < count; i++) {
			double x = (double)got[c * n + from + i], y = (double)((float *)want.data)[c * count + i];
			if (!(fabs(x - y) <= tol))
				fail_msg("%s: sample %lld of channel %lld is %.9g, wanted %.9g within %g", what, (long long)(from + i),
				         (long long)c, x, y, tol);
		}
}

static void
latents_give_the_references_mel_and_waves(void **state)
{
	struct tensor z, mel, want;
	struct st_file f;
	struct bench b;
	const cJSON *facts;
	int64_t frames, n;
	float *wave, *logs;

	(void)state;
	begin(&b);
	golden_open(&f, "codec-pipeline", "main.safetensors");
	facts = fixture_part(b.manifest, "main");
	z = golden_f32(&f, "latents");
	mel = golden_f32(&f, "decoded_logmel");
	frames = z.dim[z.rank - 1];
	logs = malloc(tensor_bytes(mel));
	assert_ok(sound_mel(&b.sound, z.data, frames, false, logs));
	for (int64_t i = 0; i < tensor_count(mel); i++)
		assert_true(fabsf(logs[i] - ((float *)mel.data)[i]) <= 1e-3f);
	free(logs);
	assert_ok(sound_decode(&b.sound, z.data, frames, false, 44100, &wave, &n));
	assert_int_equal(n, (int64_t)fixture_part(facts, "decoded_samples_44k")->valuedouble);
	want = golden_f32(&f, "decoded_44k");
	near("44.1 kHz", wave, n, 0, want, PLAIN_TOL);
	free(want.data);
	free(wave);
	assert_ok(sound_decode(&b.sound, z.data, frames, false, 48000, &wave, &n));
	assert_int_equal(n, (int64_t)fixture_part(facts, "decoded_samples_48k")->valuedouble);
	want = golden_f32(&f, "decoded_48k");
	near("48 kHz", wave, n, 0, want, PLAIN_TOL);
	free(want.data);
	want = golden_f32(&f, "decoded_48k_tail");
	near("the end at 48 kHz", wave, n, n - want.dim[1], want, PLAIN_TOL);
	free(want.data);
	free(wave);
	free(z.data);
	free(mel.data);
	st_close(&f);
	end(&b);
}

static void
check_chunks(struct bench *b, const struct st_file *f, const cJSON *one)
{
	int frames = fixture_part(one, "latent_frames")->valueint, rate = fixture_part(one, "rate")->valueint;
	struct tensor z, rms;
	const cJSON *probe;
	char name[80];
	float *wave;
	int64_t n;

	snprintf(name, sizeof name, "w%d.latents", frames);
	z = golden_f32(f, name);
	assert_ok(sound_decode(&b->sound, z.data, frames, true, rate, &wave, &n));
	assert_int_equal(n, (int64_t)fixture_part(one, "samples")->valuedouble);
	snprintf(name, sizeof name, "w%d.rms4096", frames);
	rms = golden_f32(f, name);
	for (int64_t c = 0; c < 2; c++)
		for (int64_t k = 0; k < rms.dim[1]; k++) {
			double sum = 0;
			for (int64_t i = 0; i < 4096; i++)
				sum += pow((double)wave[c * n + k * 4096 + i], 2) / 4096;
			assert_true(fabs(sqrt(sum) - (double)((float *)rms.data)[c * rms.dim[1] + k]) <= CHUNKED_TOL);
		}
	cJSON_ArrayForEach(probe, fixture_part(one, "probes")) {
		struct tensor want;
		snprintf(name, sizeof name, "w%d.probe.%d", frames, probe->valueint);
		want = golden_f32(f, name);
		near(name, wave, n, probe->valueint, want, CHUNKED_TOL);
		free(want.data);
	}
	free(z.data);
	free(rms.data);
	free(wave);
}

static void
chunks_are_joined_as_the_reference_joins_them(void **state)
{
	const cJSON *one;
	struct st_file f;
	struct bench b;
	int n = 0;

	(void)state;
	begin(&b);
	golden_open(&f, "codec-pipeline", "overlap.safetensors");
	cJSON_ArrayForEach(one, fixture_part(fixture_part(b.manifest, "overlap"), "cases")) {
		if (watched() && fixture_part(one, "latent_frames")->valueint > 100)
			continue;
		check_chunks(&b, &f, one);
		n++;
	}
	assert_true(n > 0);
	assert_true(sound_memory(&b.sound, 2584, true) == sound_memory(&b.sound, 10000, true));
	assert_true(sound_memory(&b.sound, 2584, false) > sound_memory(&b.sound, 2584, true));
	st_close(&f);
	end(&b);
}

static void
one_frame_is_sound_and_none_is_an_error(void **state)
{
	struct bench b;
	float *z, *wave;
	int64_t n;

	(void)state;
	begin(&b);
	z = calloc((size_t)(sound_channels(&b.sound) * sound_rows(&b.sound)), sizeof *z);
	for (int chunked = 0; chunked < 2; chunked++) {
		assert_ok(sound_decode(&b.sound, z, 1, chunked, 44100, &wave, &n));
		assert_int_equal(n, 4096);
		for (int64_t i = 0; i < 2 * n; i++)
			assert_true(isfinite(wave[i]));
		free(wave);
		assert_int_equal(sound_decode(&b.sound, z, 0, chunked, 44100, &wave, &n), ACE_EDATA);
		assert_null(wave);
	}
	free(z);
	end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(latents_give_the_references_mel_and_waves),
		cmocka_unit_test(chunks_are_joined_as_the_reference_joins_them),
		cmocka_unit_test(one_frame_is_sound_and_none_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
