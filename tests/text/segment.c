/* SPDX-License-Identifier: Apache-2.0 */
#include "text/segment.h"

#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"
#include "text/segment_work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct langid id;

static int
open_id(void **state)
{
	(void)state;
	return langid_open(&id, NULL) != ACE_OK;
}

static int
close_id(void **state)
{
	(void)state;
	langid_close(&id);
	return 0;
}

/* "en 'I am ' 1.000; zh 6 ja 2", to be compared and to be read. */
static char *
shown(const struct segments *s)
{
	struct buffer b = { 0 };
	char text[64];

	for (int i = 0; i < s->n; i++) {
		snprintf(text, sizeof text, "' %.3f; ", s->seg[i].score);
		buffer_str(&b, s->seg[i].lang);
		buffer_str(&b, " '");
		buffer_add(&b, s->text.data + s->seg[i].from, s->seg[i].len);
		buffer_str(&b, text);
	}
	for (int i = 0; i < s->counts; i++) {
		snprintf(text, sizeof text, " %s %lld", s->count[i].lang, (long long)s->count[i].chars);
		buffer_str(&b, text);
	}
	assert_true(buffer_done(&b));
	return b.data;
}

static char *
wanted(const cJSON *segments, const cJSON *counts)
{
	struct buffer b = { 0 };
	const cJSON *v;
	char text[64];

	cJSON_ArrayForEach(v, segments) {
		bool list = cJSON_IsArray(v);
		const cJSON *t = list ? cJSON_GetArrayItem(v, 1) : cJSON_GetObjectItem(v, "text");
		const cJSON *score = list ? cJSON_GetArrayItem(v, 2) : cJSON_GetObjectItem(v, "score");
		size_t len;
		char *p = text_of(t, &len);
		buffer_str(&b, (list ? cJSON_GetArrayItem(v, 0) : cJSON_GetObjectItem(v, "lang"))->valuestring);
		buffer_str(&b, " '");
		buffer_add(&b, p, len);
		snprintf(text, sizeof text, "' %.3f; ", score->valuedouble);
		buffer_str(&b, text);
		free(p);
	}
	cJSON_ArrayForEach(v, counts) {
		snprintf(text, sizeof text, " %s %d", cJSON_GetArrayItem(v, 0)->valuestring, cJSON_GetArrayItem(v, 1)->valueint);
		buffer_str(&b, text);
	}
	assert_true(buffer_done(&b));
	return b.data;
}

/* Returns whether they are the same, and shows where not. */
static bool
same(const char *what, int at, const struct segments *s, const cJSON *segments, const cJSON *counts)
{
	char *a = shown(s), *b = wanted(segments, counts);
	bool ok = strcmp(a, b) == 0;

	if (!ok)
		print_message("# %s %d:\n#  %s\n# wanted\n#  %s\n", what, at, a, b);
	free(a);
	free(b);
	return ok;
}

static void
lines_have_the_reference_s_segments_and_counts(void **state)
{
	cJSON *root = text_json("langid", "segments.json"), *v;
	struct segments s = { 0 };
	int cases = 0, bad = 0;

	(void)state;
	cJSON_ArrayForEach(v, root) {
		size_t len;
		char *text = text_of(cJSON_GetObjectItem(v, "text"), &len);
		if (cJSON_GetObjectItem(v, "error")) {
			assert_int_equal(segments_of(&id, text, len, &s), ACE_EDATA);
			free(text);
			continue;
		}
		assert_ok(segments_of(&id, text, len, &s));
		bad += !same("line", cases, &s, cJSON_GetObjectItem(v, "segments"), cJSON_GetObjectItem(v, "counts"));
		free(text);
		cases++;
	}
	assert_true(cases > 0);
	if (bad)
		fail_msg("%d of %d lines differ", bad, cases);
	segments_free(&s);
	cJSON_Delete(root);
}

static void
whole_songs_have_the_reference_s_segments_and_counts(void **state)
{
	cJSON *root = text_json("lyrics-tokens", "songs.json"), *v;
	struct segments s = { 0 };
	int cases = 0, bad = 0;

	(void)state;
	cJSON_ArrayForEach(v, root) {
		const cJSON *t = cJSON_GetObjectItem(v, "trainer");
		size_t len;
		char *text = text_of(cJSON_GetObjectItem(v, "lyrics"), &len);
		if (cJSON_GetObjectItem(t, "segments")) {
			assert_ok(segments_of(&id, text, len, &s));
			bad += !same("song", cases, &s, cJSON_GetObjectItem(t, "segments"), cJSON_GetObjectItem(t, "counts"));
			cases++;
		}
		free(text);
	}
	assert_true(cases > 0);
	if (bad)
		fail_msg("%d of %d songs differ", bad, cases);
	segments_free(&s);
	cJSON_Delete(root);
}

/* segments_of a text, shown. Owned by the caller. */
static char *
split(const char *text, size_t len)
{
	struct segments s = { 0 };
	char *out;

	assert_ok(segments_of(&id, text, len, &s));
	out = shown(&s);
	segments_free(&s);
	return out;
}

static void
check(const char *text, const char *want)
{
	char *got = split(text, strlen(text));

	if (strcmp(got, want) != 0)
		fail_msg("\"%s\": %s, wanted %s", text, got, want);
	free(got);
}

static void
english_gets_blanks_before_capitals_and_at_its_end(void **state)
{
	(void)state;
	check("<en>--iPhone LCD aB_C1D-</en>", "en 'i Phone L C D a B_ C1 D ' 1.000;  en 24");
	check("<EN>x</EN>", "en 'x ' 1.000;  en 2");
}

static void
tags_that_are_no_languages_are_chinese_readings_or_dropped(void **state)
{
	(void)state;
	check("<number>12.5</number>", "zh '一二点五' 1.000;  zh 8");
	check("<telephone>+8611a</telephone>", "zh '幺幺a' 1.000;  zh 6");
	check("<currency>100010</currency>", "zh '十万零一十' 1.000;  zh 10");
	check("<date>2024/8/24 10:05</date>",
	      "zh '二零二四年八月二十四日十点五分' 1.000;  zh 30");
	check("<nothing>x</nothing>", " zh 0");
	check("<zh-zu>x</zh-zu>", " zh 0");		/* a part of the list of labels, but none of them */
	check("<a>x</a>", "a 'x' 1.000;  a 1");		/* a part of the first label */
}

static void
blank_texts_have_no_segments(void **state)
{
	(void)state;
	check("", " zh 0");
	check(" \t\r\n\n", " zh 0");
}

/* What the reference marks with markers of its own may not be in the text; they are deleted, but nested ones come together. */
static void
typed_markers_are_deleted_or_refused(void **state)
{
	static const char six[] = "⑥", *const bad[] = { "0000000", "$9000000", "$$1000000", "１２３４５６７" };
	char text[200];

	(void)state;
	snprintf(text, sizeof text, "<en>a</en>%s$5000000%s%s123456789%s", six, six, six, six);
	check(text, "en 'a ' 1.000;  en 2");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct segments s = { 0 };
		snprintf(text, sizeof text, "%s%s1234567%s%s%s", six, six, six, bad[i], six);
		assert_int_equal(segments_of(&id, text, strlen(text), &s), ACE_EDATA);
		/* the next text is as if nothing had been */
		assert_ok(segments_of(&id, "<en>a</en>", 10, &s));
		assert_int_equal(s.n, 1);
		segments_free(&s);
	}
	/* a quote whose marker is typed into itself */
	snprintf(text, sizeof text, "（abc%s%s1234567%s$4000000%s%s%s1234567%s$4000000%s）x", six, six, six, six, six, six, six, six);
	struct segments s = { 0 };
	assert_int_equal(segments_of(&id, text, strlen(text), &s), ACE_EDATA);
	segments_free(&s);
}

static double
processor(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double
time_of(const char *unit, size_t times)
{
	size_t n = strlen(unit);
	char *text = malloc(n * times + 1), *p = text;
	struct segments s = { 0 };
	double start;

	for (size_t i = 0; i < times; i++)
		p = stpcpy(p, unit);
	start = processor();
	if (segments_of(&id, text, n * times, &s) != ACE_OK && strcmp(unit, "⑥⑥1234567⑥1234567⑥") != 0)
		fail_msg("%s", ace_message());
	start = processor() - start;
	segments_free(&s);
	free(text);
	return start;
}

/* Each of these would take the square of the length by the reference's own way, or by an unlucky one of ours. */
static void
time_is_linear_in_the_length_of_a_line(void **state)
{
	static const char *const units[] = { "1!", "a", "(", "（", "（a", "（（abc）", "'", "\"a'", "<", "<a>", "<a>x<b>", "</",
		"⑥", "⑥$", "⑥1", "⑥⑥1234567⑥1234567⑥", " ", "! ", "漢", "漢 ", "漢, ", "a漢", "A",
		"-", "12 ", "กั", "한!", "п1", "“ab漢”", "a. ", "a.漢", "\n", "a\n", "\xcc\x80",
		"<number>1</a>", "あ x, ", "1\n" };

	const size_t n = test_rounds("ACE_FUZZ", 0) > 0 ? 25000 : 6000;

	(void)state;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		double few, many;
		int tries = 10;		/* the processor's time, too, is another beside others: once it must fit */
		do {
			few = time_of(units[i], n);
			many = time_of(units[i], 4 * n);
		} while (many > 8 * few + 0.01 && --tries > 0);
		if (tries == 0)
			fail_msg("\"%s\": %.3f s for %zu of them, %.3f s for four times as many", units[i], few, n, many);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_have_the_reference_s_segments_and_counts),
		cmocka_unit_test(whole_songs_have_the_reference_s_segments_and_counts),
		cmocka_unit_test(english_gets_blanks_before_capitals_and_at_its_end),
		cmocka_unit_test(tags_that_are_no_languages_are_chinese_readings_or_dropped),
		cmocka_unit_test(blank_texts_have_no_segments),
		cmocka_unit_test(typed_markers_are_deleted_or_refused),
		cmocka_unit_test(time_is_linear_in_the_length_of_a_line),
	};

	return cmocka_run_group_tests_name("text/segment", tests, open_id, close_id);
}
