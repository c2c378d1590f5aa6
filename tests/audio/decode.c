/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/decode.h"

#include "audio/prepare.h"
#include "audio/write.h"
#include "base/file.h"
#include "base/sha256.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static double
member(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsNumber(v))
		fail_msg("an item lacks %s", key);
	return v->valuedouble;
}

static const char *
text(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

static void
interleaved_hash(const struct clip *c, char hex[65])
{
	struct sha256 s;

	sha256_init(&s);
	for (int64_t i = 0; i < c->n; i++)
		for (int k = 0; k < c->channels; k++)
			sha256_add(&s, c->data + k * c->n + i, sizeof *c->data);
	sha256_hex(&s, hex);
}

static void
check_sound(const char *file, const struct clip *c, const cJSON *item)
{
	const cJSON *rms = cJSON_GetObjectItemCaseSensitive(item, "rms_per_channel"), *one;
	double most = member(item, "num_samples_tolerance"), peak = 0;
	bool exact = most == 0;
	char hex[65];
	int k = 0;

	assert_string_equal(c->codec, text(item, "codec"));
	assert_int_equal(c->rate, (int)member(item, "sample_rate"));
	assert_int_equal(c->channels, (int)member(item, "channels"));
	if (!(fabs((double)c->n - member(item, "num_samples")) <= most))
		fail_msg("%s: %lld samples, wanted %g within %g", file, (long long)c->n, member(item, "num_samples"), most);
	assert_int_equal(c->short_data, strcmp(text(item, "warning"), "data_shorter_than_header") == 0);
	cJSON_ArrayForEach(one, rms) {
		double sum = 0;
		for (int64_t i = 0; i < c->n; i++) {
			double v = (double)c->data[k * c->n + i];
			sum += v * v;
			peak = fabs(v) > peak ? fabs(v) : peak;
		}
		if (!(fabs(sqrt(sum / (double)c->n) - one->valuedouble) <= member(item, "rms_tolerance")))
			fail_msg("%s: channel %d has RMS %.9g, wanted %.9g", file, k, sqrt(sum / (double)c->n), one->valuedouble);
		k++;
	}
	if (rms && exact)
		assert_true(peak == member(item, "abs_peak"));
	else if (rms)
		assert_true(fabs(peak - member(item, "abs_peak")) <= 0.05);
	if (*text(item, "sha256_f32le_interleaved")) {
		interleaved_hash(c, hex);
		assert_string_equal(hex, text(item, "sha256_f32le_interleaved"));
	}
}

static void
check_prepared(const struct clip *in, const cJSON *item)
{
	const cJSON *want = cJSON_GetObjectItemCaseSensitive(item, "prepared");
	struct clip out;
	int64_t before;

	assert_ok(audio_prepare(in, NULL, &out, &before));
	if (want) {
		/* of a lossy codec the count may differ; the others' are exact */
		double most = member(item, "num_samples_tolerance") * PREPARE_RATE / in->rate;
		assert_int_equal(out.rate, (int)member(want, "sample_rate"));
		assert_int_equal(out.channels, (int)member(want, "channels"));
		assert_true(fabs((double)before - member(want, "num_samples_before_padding")) <= most);
		assert_true(fabs((double)out.n - member(want, "num_samples")) <= most);
	}
	clip_free(&out);
}

/* What the item is as sound: captions are another room's. */
static void
check_item(const char *folder, const cJSON *item)
{
	const char *file = text(item, "file"), *status = text(item, "status"), *reason = text(item, "reason");
	bool caption = strncmp(reason, "caption_", 8) == 0;
	struct clip c, p;
	char path[1600];
	enum status st;

	snprintf(path, sizeof path, "%s/%s", folder, file);
	st = audio_decode(path, &c);
#ifndef HAVE_FFMPEG
	if (st && c.reason == AUDIO_NOT_BUILT)
		return;
#endif
	if (strcmp(status, "error") == 0 && !caption) {
		assert_int_equal(st, ACE_EDATA);
		assert_string_equal(audio_reason_name(c.reason), reason);
		assert_non_null(strstr(ace_message(), file));
		assert_null(c.data);
		return;
	}
	if (st)
		fail_msg("%s", ace_message());
	if (strcmp(status, "ok") == 0) {
		check_sound(file, &c, item);
		check_prepared(&c, item);
	} else if (!caption) {
		assert_int_equal(audio_prepare(&c, NULL, &p, NULL), ACE_EDATA);
		assert_string_equal(audio_reason_name(p.reason), reason);
	}
	clip_free(&c);
}

static void
every_item_decodes_and_prepares_as_expected(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json"), *item;
	char folder[1400];
	int n = 0;

	(void)state;
	snprintf(folder, sizeof folder, "%s", golden_path("local-audio", text(expected, "instance_data_dir")));
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(expected, "items")) {
		check_item(folder, item);
		n++;
	}
	assert_true(n > 0);
	cJSON_Delete(expected);
}

static void
a_probe_tells_what_decoding_finds(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json"), *item;
	char path[1600];

	(void)state;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(expected, "items")) {
		struct clip c;
		if (strcmp(text(item, "status"), "ok"))
			continue;
		snprintf(path, sizeof path, "%s/%s", golden_path("local-audio", text(expected, "instance_data_dir")),
		         text(item, "file"));
		if (audio_probe(path, &c)) {
#ifndef HAVE_FFMPEG
			if (c.reason == AUDIO_NOT_BUILT)
				continue;
#endif
			fail_msg("%s", ace_message());
		}
		assert_null(c.data);
		assert_string_equal(c.codec, text(item, "codec"));
		assert_int_equal(c.rate, (int)member(item, "sample_rate"));
		assert_int_equal(c.channels, (int)member(item, "channels"));
		assert_true(fabs((double)c.n / c.rate - member(item, "duration_seconds")) < 0.1);
	}
	cJSON_Delete(expected);
}

static void
the_sample_track_decodes_to_its_known_facts(void **state)
{
	const char *path = golden_data("test_track_001.mp3");
	struct clip c;

	(void)state;
	if (!path)
		skip();
	assert_ok(audio_decode(path, &c));
	assert_int_equal(c.rate, 48000);
	assert_int_equal(c.channels, 2);
	assert_int_equal(c.n, 2879471);
	assert_string_equal(c.codec, "mp3");
	const double rms[2] = { 0.2433555549, 0.2479564830 }, peak[2] = { 0.9770666, 0.9903372 };
	for (int k = 0; k < 2; k++) {
		double sum = 0, top = 0;
		for (int64_t i = 0; i < c.n; i++) {
			double v = (double)c.data[k * c.n + i];
			sum += v * v;
			top = fabs(v) > top ? fabs(v) : top;
		}
		assert_true(fabs(sqrt(sum / (double)c.n) - rms[k]) < 1e-6);
		assert_true(fabs(top - peak[k]) < 5e-6);
	}
	for (int64_t i = 0; i < 624; i++)
		assert_true(c.data[i] == 0.f || c.data[c.n + i] == 0.f);
	assert_true(c.data[624] != 0.f && c.data[c.n + 624] != 0.f);
	clip_free(&c);
}

static enum audio_reason
decode_bytes(const char *name, const void *data, size_t size, struct clip *c)
{
	const char *dir = golden_tmp();
	char path[400];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_ok(file_write(path, data, size));
	if (audio_decode(path, c) == ACE_OK)
		assert_int_equal(c->reason, AUDIO_OK);
	assert_ok(file_remove_tree(dir));
	return c->reason;
}

static void
what_is_no_sound_says_so(void **state)
{
	static const char words[] = "these are only words\nof a letter\n", html[] = "<html><body>404</body></html>";
	struct clip c;

	(void)state;
	assert_int_equal(decode_bytes("a.wav", words, sizeof words - 1, &c), AUDIO_NOT_AUDIO);
	assert_int_equal(decode_bytes("a.mp3", html, sizeof html - 1, &c), AUDIO_NOT_AUDIO);
	assert_int_equal(decode_bytes("a.flac", "\x89PNG\r\n\x1a\n", 8, &c), AUDIO_NOT_AUDIO);
	assert_int_equal(decode_bytes("a.wav", "", 0, &c), AUDIO_EMPTY_FILE);
	assert_int_equal(decode_bytes("a.wav", "RIFF\x24\0\0\0WAVEfmt ", 16, &c), AUDIO_DECODE_FAILED);
	assert_int_equal(audio_decode("/nonexistent/file.wav", &c), ACE_ENOINPUT);
	assert_int_equal(c.reason, AUDIO_MISSING);
	assert_int_equal(audio_decode("/", &c), ACE_ENOINPUT);
	assert_int_equal(c.reason, AUDIO_MISSING);
}

/* A playlist must not make the decoder open what it names. */
static void
playlists_are_not_followed(void **state)
{
	static const char m3u[] = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.aac\n#EXT-X-ENDLIST\n";
	static const char concat[] = "ffconcat version 1.0\nfile other.wav\n";
	struct clip c;

	(void)state;
	assert_int_not_equal(decode_bytes("a.m4a", m3u, sizeof m3u - 1, &c), AUDIO_OK);
	assert_int_not_equal(decode_bytes("a.m3u8", m3u, sizeof m3u - 1, &c), AUDIO_OK);
	assert_int_not_equal(decode_bytes("a.wma", concat, sizeof concat - 1, &c), AUDIO_OK);
}

static void
a_pipe_does_not_make_it_wait(void **state)
{
	const char *dir = golden_tmp();
	char path[400];
	struct clip c;

	(void)state;
	snprintf(path, sizeof path, "%s/pipe.wav", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(audio_decode(path, &c), ACE_ENOINPUT);
	assert_ok(file_remove_tree(dir));
}

static void
names_with_colons_and_percents_are_just_names(void **state)
{
	static const float x[4] = { 0.5f, -0.5f, 0.25f, 0.125f };
	const char *dir = golden_tmp();
	char path[400];
	struct clip c;

	(void)state;
	snprintf(path, sizeof path, "%s/http:--a%%sb: c.wav", dir);
	assert_ok(audio_write(path, x, 1, 4, 8000, AUDIO_FLOAT));
	assert_ok(audio_decode(path, &c));
	assert_memory_equal(c.data, x, sizeof x);
	assert_string_equal(c.codec, "pcm_f32le");
	clip_free(&c);
	assert_ok(file_remove_tree(dir));
}

/* The length in a header is never what memory is taken for. */
static void
what_is_behind_six_hours_is_left(void **state)
{
	static const unsigned char head[44] = { 'R', 'I', 'F', 'F', 0xff, 0xff, 0xff, 0x7f, 'W', 'A', 'V', 'E', 'f', 'm', 't', ' ',
		16, 0, 0, 0, 1, 0, 1, 0, 0xe8, 3, 0, 0, 0xe8, 3, 0, 0, 1, 0, 8, 0, 'd', 'a', 't', 'a', 0xff, 0xff, 0xff, 0x6f };
	const char *dir = golden_tmp();
	char path[400];
	struct clip c;

	(void)state;
	snprintf(path, sizeof path, "%s/long.wav", dir);	/* one channel of 8 bits at 1000 Hz, with a hole for data */
	assert_ok(file_write(path, head, sizeof head));
	assert_int_equal(truncate(path, 44 + AUDIO_MAX_SECONDS * 1000 - 1000), 0);
	assert_ok(audio_decode(path, &c));
	assert_int_equal(c.n, AUDIO_MAX_SECONDS * 1000 - 1000);
	assert_true(c.short_data && !c.cut);
	clip_free(&c);
	assert_int_equal(truncate(path, 44 + AUDIO_MAX_SECONDS * 1000 + 1000), 0);
	assert_ok(audio_decode(path, &c));
	assert_int_equal(c.n, AUDIO_MAX_SECONDS * 1000);
	assert_true(c.cut);
	clip_free(&c);
	assert_ok(file_remove_tree(dir));
}

static void
clips_are_decoded_side_by_side(void **state)
{
	enum { CLIPS = 12, SAMPLES = 50000 };
	static float x[SAMPLES];
	const char *dir = golden_tmp();
	char path[400];
	int good = 0;

	(void)state;
	for (int i = 0; i < SAMPLES; i++)
		x[i] = (float)(i % 1000) / 1000.f;
	snprintf(path, sizeof path, "%s/a.wav", dir);
	assert_ok(audio_write(path, x, 1, SAMPLES, 8000, AUDIO_FLOAT));
#pragma omp parallel for num_threads(4) reduction(+ : good)
	for (int i = 0; i < CLIPS; i++) {
		struct clip c;
		if (audio_decode(path, &c) == ACE_OK && c.n == SAMPLES)
			good += memcmp(c.data, x, sizeof x) == 0;
		clip_free(&c);
	}
	assert_int_equal(good, CLIPS);
	assert_ok(file_remove_tree(dir));
}

static void
the_decoders_name_themselves(void **state)
{
	bool ffmpeg;
	const char *text = audio_decoders(&ffmpeg);

	(void)state;
	assert_non_null(strstr(text, "libsndfile"));
	assert_int_equal(ffmpeg, strstr(text, "libavformat") != NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_item_decodes_and_prepares_as_expected),
		cmocka_unit_test(a_probe_tells_what_decoding_finds),
		cmocka_unit_test(the_sample_track_decodes_to_its_known_facts),
		cmocka_unit_test(what_is_no_sound_says_so),
		cmocka_unit_test(playlists_are_not_followed),
		cmocka_unit_test(a_pipe_does_not_make_it_wait),
		cmocka_unit_test(what_is_behind_six_hours_is_left),
		cmocka_unit_test(clips_are_decoded_side_by_side),
		cmocka_unit_test(the_decoders_name_themselves),
		cmocka_unit_test(names_with_colons_and_percents_are_just_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
