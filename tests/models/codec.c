/* SPDX-License-Identifier: Apache-2.0 */
#include "models/codec.h"

#include "audio/mel.h"
#include "audio/prepare.h"
#include "audio/resample.h"
#include "base/file.h"
#include "formats/safetensors.h"
#include "kernels/kernels.h"
#include "models/codec_fixture.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* audio_codec.md section 10: scaled latents from a sound file, absolute */
#define LATENT_TOL 3e-4

static int64_t
number(const cJSON *o, const char *key)
{
	return (int64_t)fixture_part(o, key)->valuedouble;
}

struct bench {
	cJSON *manifest;
	struct codec codec;
	struct dev dev;
};

static void
begin(struct bench *b, enum dev_kind kind, int threads)
{
	b->manifest = golden_json("codec-pipeline", "manifest.json");
	const char *dir = fixture_folder(b->manifest);
	assert_ok(dev_open(&b->dev, kind, threads));
	kernels_attach(&b->dev);
	assert_ok(codec_open(&b->codec, dir, F32, &b->dev));
	assert_ok(file_remove_tree(dir));
}

static void
end(struct bench *b)
{
	codec_close(&b->codec);
	dev_close(&b->dev);
	cJSON_Delete(b->manifest);
}

static float *
encode(struct bench *b, const float *wave, int64_t n48, int64_t *count)
{
	*count = codec_channels(&b->codec) * codec_rows(&b->codec) * codec_frames(n48);
	float *z = malloc((size_t)*count * sizeof *z);

	assert_non_null(z);
	assert_ok(codec_encode(&b->codec, wave, n48, z));
	return z;
}

static void
prepared_input(struct clip *p, int64_t *before)
{
	struct clip in;

	assert_ok(audio_decode(golden_path("codec-pipeline", "input.wav"), &in));
	assert_ok(audio_prepare(&in, NULL, p, before));
	clip_free(&in);
}

static void
from_file(enum dev_kind kind)
{
	struct bench b;
	struct st_file f;
	struct clip p;
	int64_t before, count;

	begin(&b, kind, 2);
	const cJSON *facts = fixture_part(b.manifest, "main");
	golden_open(&f, "codec-pipeline", "main.safetensors");
	prepared_input(&p, &before);
	assert_int_equal(before, number(facts, "samples_48k"));
	assert_int_equal(p.n, number(facts, "samples_48k_after_min_pad"));
	assert_int_equal(resample_length(48000, 44100, p.n), number(facts, "samples_44k"));
	assert_int_equal(codec_frames(p.n), number(facts, "latent_frames"));
	assert_int_equal(codec_real_frames(p.n), number(facts, "latent_length"));
	struct tensor wave = golden_f32(&f, "wave_48k_before_padding"), want = golden_f32(&f, "latents");
	for (int c = 0; c < 2; c++)
		fixture_close("wave_48k", p.data + c * p.n, (float *)wave.data + c * before, before, 1e-6);
	float *z = encode(&b, p.data, p.n, &count);
	assert_int_equal(count, tensor_count(want));
	fixture_close("latents", z, want.data, count, LATENT_TOL);
	assert_true(b.codec.stored_buffers);
	free(z);
	free(wave.data);
	free(want.data);
	clip_free(&p);
	st_close(&f);
	end(&b);
}

static void
a_sound_file_gives_the_references_latents_on_cpu(void **state)
{
	(void)state;
	from_file(DEV_CPU);
}

static void
a_sound_file_gives_the_references_latents_on_ref(void **state)
{
	(void)state;
	from_file(DEV_REF);
}

/* What stands between the wave and the encoder. */
static void
the_wave_at_44_khz_and_its_mel_are_the_references(void **state)
{
	struct bench b;
	struct st_file f;
	struct clip p;
	int64_t before;

	(void)state;
	begin(&b, DEV_CPU, 2);
	golden_open(&f, "codec-pipeline", "main.safetensors");
	prepared_input(&p, &before);
	struct tensor head = golden_f32(&f, "wave_44k_head"), want = golden_f32(&f, "mel_norm");
	int64_t bands = want.dim[want.rank - 2], frames = want.dim[want.rank - 1], n = codec_frames(p.n) * 4096;
	int64_t some = head.dim[1], pad = n - resample_length(48000, 44100, p.n);
	float *wave = calloc((size_t)n, sizeof *wave), *logs = malloc((size_t)(bands * frames) * sizeof *logs);
	assert_true(wave && logs);
	assert_int_equal(pad, number(fixture_part(b.manifest, "main"), "pad_44k"));
	assert_int_equal(frames, n / 512);
	for (int c = 0; c < 2; c++) {
		resample(b.codec.to_model, wave, p.data + c * p.n, p.n);
		fixture_close("wave_44k_head", wave, (float *)head.data + c * some, some, 1e-6);
		assert_ok(mel_spectra(b.codec.mel, wave, n, NULL, NULL, logs));
		mel_normalise(logs, bands * frames);
		fixture_close("mel_norm", logs, (float *)want.data + c * bands * frames, bands * frames, 1e-3 / 7);
	}
	free(wave);
	free(logs);
	free(head.data);
	free(want.data);
	clip_free(&p);
	st_close(&f);
	end(&b);
}

/* A batch of the reference is clips padded with zeros to one length, each encoded at that length. */
static void
padded_clips_give_the_references_batch(void **state)
{
	struct bench b;
	struct st_file f;
	int64_t longest = 0, count;
	int n = 0;
	const cJSON *lengths, *one;

	(void)state;
	begin(&b, DEV_CPU, 2);
	golden_open(&f, "codec-pipeline", "batch.safetensors");
	lengths = fixture_part(fixture_part(b.manifest, "batch"), "lengths_48k");
	cJSON_ArrayForEach(one, lengths)
		longest = (int64_t)one->valuedouble > longest ? (int64_t)one->valuedouble : longest;
	struct tensor want = golden_f32(&f, "latents"), real = golden_i64(&f, "latent_lengths");
	cJSON_ArrayForEach(one, lengths) {
		char name[64];
		struct clip in;
		float *wave = calloc(2 * (size_t)longest, sizeof *wave);
		snprintf(name, sizeof name, "batch%d.wav", n);
		assert_ok(audio_decode(golden_path("codec-pipeline", name), &in));
		assert_int_equal(in.n, (int64_t)one->valuedouble);
		for (int c = 0; c < 2; c++)
			memcpy(wave + c * longest, in.data + c * in.n, (size_t)in.n * sizeof *wave);
		float *z = encode(&b, wave, longest, &count);
		assert_int_equal(count * want.dim[0], tensor_count(want));
		fixture_close(name, z, (float *)want.data + n * count, count, LATENT_TOL);
		assert_int_equal(codec_real_frames(in.n), ((int64_t *)real.data)[n]);
		clip_free(&in);
		free(wave);
		free(z);
		n++;
	}
	assert_int_equal(n, want.dim[0]);
	free(want.data);
	free(real.data);
	st_close(&f);
	end(&b);
}

static void
lengths_follow_the_references_single_precision(void **state)
{
	cJSON *manifest = golden_json("codec-pipeline", "manifest.json");
	const cJSON *one;
	int n = 0;

	(void)state;
	cJSON_ArrayForEach(one, fixture_part(manifest, "length_table")) {
		int64_t n48 = number(one, "samples_48k");
		assert_int_equal(resample_length(48000, 44100, n48), number(one, "samples_44k"));
		assert_int_equal(codec_frames(n48), number(one, "latent_frames"));
		assert_int_equal(codec_frames(n48) * 4096, number(one, "padded_44k"));
		assert_int_equal(codec_real_frames(n48), number(one, "latent_length"));
		n++;
	}
	assert_true(n > 0);
	assert_int_equal(codec_real_frames(713317), 160);	/* exact arithmetic says 159 (section 6) */
	cJSON_Delete(manifest);
}

static void
prepared_items_have_the_frames_that_are_expected(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json");
	const cJSON *item;
	int n = 0;

	(void)state;
	cJSON_ArrayForEach(item, fixture_part(expected, "items")) {
		const cJSON *p = cJSON_GetObjectItemCaseSensitive(item, "prepared");
		if (!p)
			continue;
		assert_int_equal(codec_frames(number(p, "num_samples")), number(p, "latent_frames_total"));
		assert_int_equal(codec_real_frames(number(p, "num_samples")), number(p, "latent_frames_real"));
		n++;
	}
	assert_true(n > 0);
	cJSON_Delete(expected);
}

static void
a_clip_of_the_least_length_can_be_encoded(void **state)
{
	static float wave[2 * 837];
	struct bench b;
	int64_t count;

	(void)state;
	begin(&b, DEV_CPU, 2);
	float *z = encode(&b, wave, 837, &count);
	assert_int_equal(count, codec_channels(&b.codec) * codec_rows(&b.codec));
	assert_true(isfinite(z[0]));
	free(z);
	end(&b);
}

static void
latents_do_not_depend_on_the_number_of_threads(void **state)
{
	struct clip p;
	float *z[2];
	int64_t count = 0;

	(void)state;
	prepared_input(&p, &count);
	for (int i = 0; i < 2; i++) {
		struct bench b;
		begin(&b, DEV_CPU, i ? 3 : 1);
		z[i] = encode(&b, p.data, p.n, &count);
		end(&b);
	}
	assert_memory_equal(z[0], z[1], (size_t)count * sizeof *z[0]);
	free(z[0]);
	free(z[1]);
	clip_free(&p);
}

/* Copies of both config.json in a fresh folder with links to the weights; one key of one file replaced. */
static enum status
open_changed(const cJSON *manifest, const char *in, const char *key, const char *value)
{
	char dir[300], path[700], from[800], to[800], line[200];
	const char *source = fixture_folder(manifest);
	static const char *const parts[] = { "music_dcae_f8c8", "music_vocoder" };
	struct codec codec;
	struct dev d;
	enum status st;

	snprintf(dir, sizeof dir, "%s", golden_tmp());
	for (int i = 0; i < 2; i++) {
		cJSON *config;
		char absolute[4096];
		snprintf(path, sizeof path, "%s/%s", dir, parts[i]);
		assert_int_equal(mkdir(path, 0700), 0);
		snprintf(from, sizeof from, "%s/%s/config.json", source, parts[i]);
		assert_ok(json_read(from, 1 << 20, &config));
		if (strcmp(parts[i], in) == 0) {
			cJSON *v = cJSON_Parse(value);
			assert_non_null(v);
			cJSON_DeleteItemFromObjectCaseSensitive(config, key);
			cJSON_AddItemToObject(config, key, v);
		}
		snprintf(to, sizeof to, "%s/config.json", path);
		assert_ok(json_write(to, config));
		cJSON_Delete(config);
		snprintf(from, sizeof from, "%s/%s/diffusion_pytorch_model.safetensors", source, parts[i]);
		assert_non_null(realpath(from, absolute));
		snprintf(to, sizeof to, "%s/diffusion_pytorch_model.safetensors", path);
		assert_int_equal(symlink(absolute, to), 0);
	}
	assert_ok(dev_open(&d, DEV_CPU, 1));
	kernels_attach(&d);
	st = codec_open(&codec, dir, F32, &d);
	if (st == ACE_OK)
		codec_close(&codec);
	dev_close(&d);
	snprintf(line, sizeof line, "%s %s", key, value);
	if (st && !strstr(ace_message(), "config.json") && !strstr(ace_message(), "tensor"))
		fail_msg("%s: the message names no file: %s", line, ace_message());
	assert_ok(file_remove_tree(dir));
	assert_ok(file_remove_tree(source));
	return st;
}

static void
configs_that_ask_for_what_is_not_built_are_refused(void **state)
{
	static const struct { const char *in, *key, *value; bool fine; } table[] = {
		{ "music_dcae_f8c8", "_name_or_path", "\"anything\"", true },
		{ "music_dcae_f8c8", "scaling_factor", "7", true },
		{ "music_dcae_f8c8", "decoder_conv_act_fn", "\"silu\"", true },
		{ "music_dcae_f8c8", "decoder_norm_types", "[\"rms_norm\",\"rms_norm\",\"rms_norm\",\"rms_norm\"]", true },
		{ "music_dcae_f8c8", "encoder_block_types", "\"GLUMBConv\"", false },
		{ "music_dcae_f8c8", "encoder_block_types", "\"ResBlock\"", false },
		{ "music_dcae_f8c8", "decoder_norm_types", "\"batch_norm\"", false },
		{ "music_dcae_f8c8", "decoder_act_fns", "\"relu\"", false },
		{ "music_dcae_f8c8", "decoder_conv_act_fn", "\"gelu\"", false },
		{ "music_dcae_f8c8", "downsample_block_type", "\"pixel_unshuffle\"", false },
		{ "music_dcae_f8c8", "upsample_block_type", "\"pixel_shuffle\"", false },
		{ "music_dcae_f8c8", "encoder_layers_per_block", "[0,2,3,3]", false },
		{ "music_dcae_f8c8", "encoder_layers_per_block", "[2,2,3]", false },
		{ "music_dcae_f8c8", "encoder_block_out_channels", "[8,16,32,1e9]", false },
		{ "music_dcae_f8c8", "attention_head_dim", "0", false },
		{ "music_dcae_f8c8", "in_channels", "1", false },
		{ "music_vocoder", "use_template", "true", false },
		{ "music_vocoder", "kernel_sizes", "[3,7]", false },
		{ "music_vocoder", "upsample_rates", "[4,4,2,2,2,2]", false },
		{ "music_vocoder", "n_mels", "64", false },
		{ "music_vocoder", "win_length", "1024", false },
	};
	cJSON *manifest = golden_json("codec-pipeline", "manifest.json");

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		enum status st = open_changed(manifest, table[i].in, table[i].key, table[i].value);
		if ((st == ACE_OK) != table[i].fine)
			fail_msg("%s %s: %s", table[i].key, table[i].value, st ? ace_message() : "was taken");
	}
	cJSON_Delete(manifest);
}

/* The buffers are part of what a cache depends on; without them they are computed. */
static void
a_vocoder_without_buffers_gets_computed_ones_and_another_hash(void **state)
{
	struct bench b;
	struct codec bare;
	char from[700], to[700], with[65];
	float one = 1.f;
	struct st_item item = { "head.conv_post.bias", tensor_of(&one, F32, 1, 1) };

	(void)state;
	begin(&b, DEV_CPU, 1);
	snprintf(with, sizeof with, "%s", codec_hash(&b.codec));
	assert_int_equal(strlen(with), 64);
	const char *dir = fixture_folder(b.manifest);
	cJSON *config;
	snprintf(from, sizeof from, "%s/music_vocoder/config.json", dir);
	assert_ok(json_read(from, 1 << 20, &config));
	snprintf(to, sizeof to, "%s/music_vocoder", dir);
	assert_int_equal(unlink(to), 0);
	assert_int_equal(mkdir(to, 0700), 0);
	assert_ok(json_write(from, config));
	snprintf(to, sizeof to, "%s/music_vocoder/diffusion_pytorch_model.safetensors", dir);
	assert_ok(st_write(to, &item, 1, NULL, 0));
	assert_ok(codec_open(&bare, dir, F32, &b.dev));
	assert_false(bare.stored_buffers);
	assert_string_not_equal(codec_hash(&bare), with);
	codec_close(&bare);
	cJSON_Delete(config);
	assert_ok(file_remove_tree(dir));
	end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sound_file_gives_the_references_latents_on_cpu),
		cmocka_unit_test(a_sound_file_gives_the_references_latents_on_ref),
		cmocka_unit_test(the_wave_at_44_khz_and_its_mel_are_the_references),
		cmocka_unit_test(padded_clips_give_the_references_batch),
		cmocka_unit_test(lengths_follow_the_references_single_precision),
		cmocka_unit_test(prepared_items_have_the_frames_that_are_expected),
		cmocka_unit_test(a_clip_of_the_least_length_can_be_encoded),
		cmocka_unit_test(latents_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(configs_that_ask_for_what_is_not_built_are_refused),
		cmocka_unit_test(a_vocoder_without_buffers_gets_computed_ones_and_another_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
