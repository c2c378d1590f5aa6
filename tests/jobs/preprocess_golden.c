/* SPDX-License-Identifier: Apache-2.0 */
/* The fixture local-audio through the whole of preparation, with the fixtures' tiny models. */
#include "base/file.h"
#include "preprocess_bench.h"

#include "audio/prepare.h"
#include "base/sha256.h"
#include "models/codec.h"
#include "models/umt5.h"
#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"
#include "text/unigram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char vocab[] =
	"{\"added_tokens\": [{\"id\": 1, \"content\": \"[UNK]\"}, {\"id\": 2, \"content\": \"[SPACE]\"}, {\"id\": 3, "
	"\"content\": \"[START]\"}, {\"id\": 4, \"content\": \"[en]\"}, {\"id\": 5, \"content\": \"[verse]\"}], "
	"\"pre_tokenizer\": {\"type\": \"Whitespace\"}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", "
	"\"vocab\": {\"[UNK]\": 1, \"a\": 6, \"e\": 7, \"o\": 8}, \"merges\": []}}";

static void
link_to(const struct bench *b, const char *set, const char *folder, const char *name)
{
	char *from = realpath(golden_path(set, folder), NULL), *to = file_path("%s/%s", b->model, name);

	assert_non_null(from);
	assert_int_equal(symlink(from, to), 0);
	free(from);
	free(to);
}

/* The fixtures' models beside each other, and their songs as the data set. */
static void
open_golden(struct bench *b, const cJSON *expected)
{
	const char *folder = cJSON_GetObjectItemCaseSensitive(expected, "instance_data_dir")->valuestring;
	char *path;

	bench_open(b, "");
	assert_ok(file_mkdirs(b->model));
	link_to(b, "dcae-tiny", "music_dcae_f8c8", "music_dcae_f8c8");
	link_to(b, "vocoder-tiny", "music_vocoder", "music_vocoder");
	link_to(b, "umt5-tiny", "umt5", "umt5-base");
	path = file_path("%s/lyric_vocab.json", b->model);
	assert_ok(file_write(path, vocab, strlen(vocab)));
	free(path);
	free(b->list.entry[0].folder);
	b->list.entry[0].folder = file_path("%s", golden_path("local-audio", folder));
}

static double
member(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsNumber(v))
		fail_msg("no number %s", key);
	return v->valuedouble;
}

static const char *
text_of_member(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

static void
check_words(struct bench *b, struct latents *s, int64_t i, const cJSON *item)
{
	const struct latent_item *a = latents_item(s, i);
	const cJSON *captions = cJSON_GetObjectItemCaseSensitive(item, "captions");
	const cJSON *lyrics = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(item, "lyrics"),
	                                                       "{filename}.lyrics");
	struct texts *t = bench_texts(b);
	char key[65], hex[65] = "";
	int32_t *id = calloc((size_t)a->lyrics, sizeof *id);
	uint8_t *mask = calloc((size_t)a->lyrics, 1);

	assert_int_equal(a->captions, cJSON_GetArraySize(captions));
	for (int c = 0; c < a->captions; c++) {
		const char *want = cJSON_GetArrayItem(captions, c)->valuestring;
		texts_key(want, strlen(want), key);
		assert_string_equal(a->caption[c], key);
		assert_true(texts_find(t, key) >= 0);
	}
	texts_close(t);
	if (cJSON_IsString(lyrics))
		sha256_of(lyrics->valuestring, strlen(lyrics->valuestring), hex);
	assert_string_equal(a->lyrics_sha256, hex);
	assert_ok(latents_read_lyrics(s, i, id, mask));
	for (int k = 0; k < a->lyrics; k++)
		assert_int_equal(mask[k], *hex != 0);
	if (!*hex) {
		assert_int_equal(a->lyrics, 1);
		assert_int_equal(id[0], 0);
	} else {
		assert_int_equal(id[0], 3);
	}
	free(id);
	free(mask);
}

/* An item that is good lies in the store with the golden numbers; another is named with the golden reason. */
static void
check_item(struct bench *b, struct latents *s, const cJSON *item)
{
	const char *file = text_of_member(item, "file");
	const cJSON *p = cJSON_GetObjectItemCaseSensitive(item, "prepared");
	int64_t i = latents_find(s, file);
	const struct latent_item *a;

	if (strcmp(text_of_member(item, "status"), "ok") != 0) {
		assert_true(i < 0);
		assert_string_equal(bench_failure(b, file), text_of_member(item, "reason"));
		return;
	}
#ifndef HAVE_FFMPEG
	if (strcmp(bench_failure(b, file), "not_built") == 0)
		return;
#endif
	if (i < 0)
		fail_msg("%s is not in the store: %s", file, bench_failure(b, file));
	assert_string_equal(bench_failure(b, file), "");
	a = latents_item(s, i);
	check_words(b, s, i, item);
	double slack = member(item, "num_samples_tolerance") / member(item, "sample_rate");
	assert_true(fabs(a->seconds - member(item, "duration_seconds")) <= slack + 1e-6);
	if (p) {
		double most = slack * PREPARE_RATE + 1;
		assert_true(fabs((double)a->real_samples - member(p, "num_samples_before_padding")) <=
			    (slack > 0 ? most : 0));
		assert_int_equal(a->samples, (int64_t)member(p, "num_samples"));
		assert_int_equal(a->frames, (int64_t)member(p, "latent_frames_total"));
		assert_int_equal(codec_real_frames(a->samples), (int64_t)member(p, "latent_frames_real"));
	}
}

static void
golden_songs_become_golden_entries(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json"), *item;
	const cJSON *summary = cJSON_GetObjectItemCaseSensitive(expected, "summary");
	int warned = 0, not_built = 0;
	struct latents *s;
	struct bench b;

	(void)state;
	open_golden(&b, expected);
	b.job.max_bad = 100;
	bench_run(&b, ACE_OK);
	s = bench_latents(&b);
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(expected, "items")) {
		check_item(&b, s, item);
		warned += strcmp(text_of_member(item, "warning"), "data_shorter_than_header") == 0;
		not_built += strcmp(bench_failure(&b, text_of_member(item, "file")), "not_built") == 0;
	}
	assert_int_equal(b.r.short_data, warned);
	assert_int_equal(latents_count(s) + not_built, (int64_t)member(summary, "ok"));
	assert_int_equal(b.r.fresh, latents_count(s));
	assert_int_equal(b.r.failed + b.r.skipped - not_built,
			 (int64_t)(member(summary, "skipped") + member(summary, "error")));
	latents_close(s);
	b.job.max_bad = 0;
	bench_run(&b, member(summary, "error") > 0 ? ACE_EDATA : ACE_OK);
	assert_int_equal(b.r.kept, b.r.files - b.r.failed - b.r.skipped);
	bench_close(&b);
	cJSON_Delete(expected);
}

/* What the store has is what the models give, rounded to the store's type and no more. */
static void
stored_numbers_are_the_models_numbers(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json");
	struct latents *s;
	struct codec codec;
	struct dev dev;
	struct bench b;
	int tried = 0;

	(void)state;
	open_golden(&b, expected);
	b.job.max_bad = 100;
	b.job.latent_dtype = F32;
	bench_run(&b, ACE_OK);
	s = bench_latents(&b);
	assert_ok(dev_open(&dev, DEV_CPU, 2));
	kernels_attach(&dev);
	assert_ok(codec_open(&codec, b.model, F32, &dev));
	for (int64_t i = 0; i < latents_count(s); i += 4, tried++) {
		const struct latent_item *a = latents_item(s, i);
		int64_t n = a->channels * a->rows * a->frames;
		float *got = malloc((size_t)n * sizeof *got), *want = malloc((size_t)n * sizeof *want);
		struct clip raw, p;
		char hex[65];
		assert_ok(audio_decode(a->source, &raw));
		assert_ok(audio_prepare(&raw, NULL, &p, NULL));
		sha256_of(p.data, 2 * (size_t)p.n * sizeof *p.data, hex);
		assert_string_equal(hex, a->audio_sha256);
		assert_ok(codec_encode(&codec, p.data, p.n, want));
		assert_ok(latents_read(s, i, got));
		assert_memory_equal(got, want, (size_t)n * sizeof *got);
		clip_free(&raw);
		clip_free(&p);
		free(got);
		free(want);
	}
	assert_true(tried > 0);
	latents_close(s);
	codec_close(&codec);
	dev_close(&dev);
	bench_close(&b);
	cJSON_Delete(expected);
}

static void
stored_captions_are_the_encoders_numbers(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json");
	struct unigram u;
	struct umt5 m;
	struct texts *t;
	struct dev dev;
	struct bench b;
	char key[65], *folder;

	(void)state;
	open_golden(&b, expected);
	b.job.max_bad = 100;
	bench_run(&b, ACE_OK);
	folder = file_path("%s/umt5-base", b.model);
	assert_ok(dev_open(&dev, DEV_CPU, 2));
	kernels_attach(&dev);
	assert_ok(unigram_open(&u, folder));
	assert_ok(umt5_open(&m, folder, F32, &dev));
	t = bench_texts(&b);
	texts_key("", 0, key);
	assert_true(texts_find(t, key) >= 0);		/* the empty caption */
	for (int64_t i = 0; i < texts_count(t); i++) {
		int64_t rows = texts_item(t, i)->rows, width = texts_width(t);
		float *got = malloc((size_t)(rows * width) * sizeof *got),
		      *want = malloc((size_t)(256 * width) * sizeof *want);
		int32_t ids[256];
		size_t len;
		char *caption;
		int n;
		assert_ok(texts_caption(t, i, &caption, &len));
		assert_ok(unigram_encode(&u, caption, len, ids, 256, &n));
		assert_int_equal(n, rows);
		assert_ok(umt5_encode(&m, ids, n, want));
		assert_ok(texts_read(t, i, got));
		for (int64_t k = 0; k < rows * width; k++)
			assert_true(bf16_to_f32(f32_to_bf16(want[k])) == got[k]);
		free(caption);
		free(got);
		free(want);
	}
	texts_close(t);
	umt5_close(&m);
	unigram_close(&u);
	dev_close(&dev);
	free(folder);
	bench_close(&b);
	cJSON_Delete(expected);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_songs_become_golden_entries),
		cmocka_unit_test(stored_numbers_are_the_models_numbers),
		cmocka_unit_test(stored_captions_are_the_encoders_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
