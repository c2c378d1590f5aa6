/* SPDX-License-Identifier: Apache-2.0 */
#include "text/lyric.h"

#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The published vocabulary; skips when it is absent. */
static void
open_published(struct lyric *l)
{
	const char *path = golden_data("lyric_vocab.json");

	if (!path) {
		print_message("# SKIP lyric_vocab.json is not there\n");
		skip();
	}
	assert_ok(lyric_open(l, path));
}

#define HEAD                                                                                                                 \
	"{\"added_tokens\": [{\"id\": 0, \"content\": \"[STOP]\"}, {\"id\": 1, \"content\": \"[UNK]\"}, "                    \
	"{\"id\": 2, \"content\": \"[SPACE]\"}, {\"id\": 3, \"content\": \"[START]\"}, {\"id\": 4, \"content\": \"[en]\"}, " \
	"{\"id\": 5, \"content\": \"[verse]\"}], \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"Whitespace\"}, "
#define VOCAB                                                                                                  \
	"\"[UNK]\": 1, \"a\": 6, \"b\": 7, \"c\": 8, \"d\": 9, \"ab\": 10, \"cd\": 11, \"abcd\": 12, \"bc\": 13, \"'\": 14, \"aa\": 15"
#define SMALL HEAD "\"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": {" VOCAB "}, " \
              "\"merges\": [\"a b\", [\"c\", \"d\"], \"ab cd\", \"b c\", \"a a\"]}}"

/* A small vocabulary in a file of its own. */
static void
open_small(struct lyric *l, const char *json)
{
	const char *dir = golden_tmp();

	assert_ok(lyric_open(l, text_file(dir, "vocab.json", json)));
	assert_ok(file_remove_tree(dir));
}

static void
english_lines_give_the_reference_s_text_and_ids(void **state)
{
	cJSON *root = text_json("lyrics-tokens", "lines.json"), *v;
	struct lyric l;
	int cases = 0, at = 0;

	(void)state;
	open_published(&l);
	cJSON_ArrayForEach(v, root) {
		const char *lang = cJSON_GetObjectItem(v, "lang")->valuestring;
		char what[64], *text, *clean;
		struct lyric_line line;
		size_t len, n;
		int32_t *ids;
		int m;
		at++;
		if (strncmp(lang, "en", 2) != 0 || (lang[2] != 0 && lang[2] != '-'))
			continue;
		text = text_of(cJSON_GetObjectItem(v, "text"), &len);
		clean = text_of(cJSON_GetObjectItem(v, "clean"), &n);
		ids = text_numbers(cJSON_GetObjectItem(v, "ids"), &m);
		assert_ok(lyric_line(&l, lang, text, len, &line));
		if (line.len != n || memcmp(line.clean, clean, n) != 0)
			fail_msg("case %d: \"%s\" is cleaned to \"%s\", wanted \"%s\"", at, text, line.clean, clean);
		snprintf(what, sizeof what, "ids of case %d", at);
		text_same_numbers(what, line.id, line.n, ids, m);
		lyric_line_free(&line);
		free(text);
		free(clean);
		free(ids);
		cases++;
	}
	assert_true(cases > 0);
	lyric_close(&l);
	cJSON_Delete(root);
}

static void
languages_that_are_not_built_are_an_error_of_the_line(void **state)
{
	cJSON *root = text_json("lyrics-tokens", "lines.json"), *v;
	struct lyric_line line;
	struct lyric l;

	(void)state;
	open_published(&l);
	cJSON_ArrayForEach(v, root)
		if (cJSON_GetObjectItem(v, "error")) {
		assert_int_equal(lyric_line(&l, cJSON_GetObjectItem(v, "lang")->valuestring, "a", 1, &line),
				 ACE_EDATA);
		assert_null(line.id);
		}
	lyric_close(&l);
	cJSON_Delete(root);
}

/* Whether a song of the fixture is all English, and not by a guess over letters that are skipped here. */
static bool
is_english(const cJSON *lines)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, lines) {
		const char *text = cJSON_GetObjectItem(v, "line")->valuestring;
		enum lyric_kind kind = lyric_kind_of(text, strlen(text));
		if (strcmp(cJSON_GetObjectItem(v, "used")->valuestring, "en") != 0 || kind == LYRIC_FOREIGN)
			return false;
	}
	return cJSON_IsArray(lines);
}

static void
english_songs_give_the_reference_s_ids(void **state)
{
	cJSON *root = text_json("lyrics-tokens", "songs.json"), *v;
	struct lyric l;
	int cases = 0, others = 0, at = 0;

	(void)state;
	open_published(&l);
	cJSON_ArrayForEach(v, root) {
		const cJSON *inference = cJSON_GetObjectItem(v, "inference");
		struct lyric_ids got;
		char what[64], *text;
		int32_t *ids;
		size_t len;
		int m;
		at++;
		text = text_of(cJSON_GetObjectItem(v, "lyrics"), &len);
		if (len > 0 && !is_english(cJSON_GetObjectItem(inference, "lines"))) {
			others++;
			free(text);
			continue;
		}
		ids = text_numbers(cJSON_GetObjectItem(inference, "ids"), &m);
		assert_ok(lyric_encode(&l, text, len, &got));
		snprintf(what, sizeof what, "ids of song %d", at);
		if (strstr(text, "song that genre is")) {	/* here the product departs: a request is no lyrics */
			text_same_numbers(what, got.id, got.n, (const int32_t[]){ 0 }, 1);
			assert_int_equal(got.mask, 0);
		} else {
			text_same_numbers(what, got.id, got.n, ids, m < l.max_tokens ? m : l.max_tokens);
			assert_int_equal(got.mask, (int)cJSON_GetObjectItem(inference, "mask_value")->valuedouble);
		}
		assert_int_equal(got.skipped, 0);
		lyric_ids_free(&got);
		free(text);
		free(ids);
		cases++;
	}
	print_message("# %d songs all in English, %d others\n", cases, others);
	assert_true(cases > 0);
	lyric_close(&l);
	cJSON_Delete(root);
}

static void
encode_small(struct lyric *l, const char *text, size_t len, const int32_t *want, int n)
{
	struct lyric_ids got;

	assert_ok(lyric_encode(l, text, len, &got));
	text_same_numbers(text, got.id, got.n, want, n);
	lyric_ids_free(&got);
}

#define ENCODE(l, text, ...)                                                                           \
	encode_small(l, text, sizeof(text) - 1, (const int32_t[]){ __VA_ARGS__ },                      \
	             (int)(sizeof((const int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t)))

static void
merges_go_by_rank_then_from_the_left(void **state)
{
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	assert_int_equal(l.start, 3);
	assert_int_equal(l.blank, 2);
	ENCODE(&l, "abcd", 3, 4, 12, 2);
	ENCODE(&l, "bcd", 3, 4, 7, 11, 2);		/* c d has the lower rank than b c */
	ENCODE(&l, "aaab aaa", 3, 4, 15, 10, 2, 15, 6, 2);
	ENCODE(&l, "A \"B\"  zyc", 3, 4, 6, 2, 7, 2, 1, 1, 8, 2);
	lyric_close(&l);
}

static void
special_tokens_blank_lines_and_structure_lines(void **state)
{
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	ENCODE(&l, "[verse]\n\n  \r\na\n", 3, 4, 5, 2, 2, 2, 4, 6, 2, 2);
	ENCODE(&l, "a[verse]b", 3, 4, 6, 5, 7, 2);
	ENCODE(&l, "[\xc3\xa9]", 3, 4, 1, 1, 1, 2);		/* a structure line may hold any letters */
	lyric_close(&l);
}

static void
no_lyrics_are_one_0_with_mask_0(void **state)
{
	static const char *const none[] = { "", "a\nwrite a happy song that genre is pop\nb" };
	struct lyric_ids got;
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	for (int i = 0; i < 2; i++) {
		assert_ok(lyric_encode(&l, none[i], strlen(none[i]), &got));
		assert_int_equal(got.n, 1);
		assert_int_equal(got.id[0], 0);
		assert_int_equal(got.mask, 0);
		lyric_ids_free(&got);
	}
	assert_ok(lyric_encode(&l, "write a song\n that genre is", 27, &got));
	assert_int_equal(got.mask, 1);
	lyric_ids_free(&got);
	lyric_close(&l);
}

static void
lines_with_other_letters_are_skipped_and_counted(void **state)
{
	static const char text[] = "a\nna\xc3\xafve\nb\xe2\x80\x99\n\xe4\xbd\xa0\nc";
	const int32_t want[] = { 3, 4, 6, 2, 4, 7, 1, 2, 4, 8, 2 };
	struct lyric_ids got;
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	assert_ok(lyric_encode(&l, text, strlen(text), &got));
	text_same_numbers("ids", got.id, got.n, want, 11);
	assert_int_equal(got.skipped, 2);
	assert_int_equal(got.skipped_line[0], 2);
	assert_int_equal(got.skipped_line[1], 4);
	assert_int_equal(got.lines, 5);
	assert_int_equal(got.unknown, 1);
	lyric_ids_free(&got);
	lyric_close(&l);
}

static void
ids_are_cut_at_max_tokens(void **state)
{
	struct lyric_ids got;
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	l.max_tokens = 5;
	assert_ok(lyric_encode(&l, "a\nb\nc\nd", 7, &got));
	assert_int_equal(got.n, 5);
	assert_true(got.cut);
	lyric_ids_free(&got);
	lyric_close(&l);
}

static void
text_that_is_not_utf8_names_its_line(void **state)
{
	struct lyric_ids got;
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	assert_int_equal(lyric_encode(&l, "a\nb\nc\xff", 6, &got), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "line 3"));
	assert_null(got.id);
	lyric_close(&l);
}

static void
nuls_and_lines_of_100000_characters_are_fine(void **state)
{
	enum { N = 100000 };
	char *text = malloc(N);
	struct lyric_ids got;
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	ENCODE(&l, "a\0b", 3, 4, 6, 1, 7, 2);
	for (int kind = 0; kind < 4; kind++) {
		for (int i = 0; i < N; i++)
			text[i] = "abcd" "1,11" "$1.$" "st.8"[4 * kind + i % 4];
		assert_ok(lyric_encode(&l, text, N, &got));
		assert_true(got.n > 1);
		lyric_ids_free(&got);
	}
	free(text);
	lyric_close(&l);
}

/* json, as a vocabulary, is refused with a message that holds word and the file's name. */
static void
refused(const char *dir, const char *json, const char *word)
{
	const char *path = text_file(dir, "vocab.json", json);
	struct lyric l;

	if (lyric_open(&l, path) == ACE_OK)
		fail_msg("was read: %s", json);
	if (!strstr(ace_message(), word) || !strstr(ace_message(), path) || strchr(ace_message(), '\n'))
		fail_msg("says \"%s\", wanted \"%s\"", ace_message(), word);
}

static void
bad_vocabularies_are_refused_by_name(void **state)
{
	static const char *const bad[][2] = {
		{"", "JSON"},
		{"[]", "pre_tokenizer"},
		{HEAD "\"model\": {}}", "BPE"},
		{HEAD "\"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": {" VOCAB "}}}",
		 "merges"},
		{HEAD "\"model\": {\"type\": \"BPE\", \"unk_token\": \"x\", \"vocab\": {" VOCAB
		      "}, \"merges\": []}}",
		 "unk_token"},
		{HEAD
		 "\"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": {\"[UNK]\": 1, \"a\": 1}, \"merges\": []}}",
		 "same id"},
		{HEAD
		 "\"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": {\"[UNK]\": -1}, \"merges\": []}}",
		 "id"},
		{HEAD "\"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": {" VOCAB
		      "}, \"merges\": [\"a z\"]}}",
		 "merge 0"},
		{HEAD "\"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": {" VOCAB
		      "}, \"merges\": [\"ab\"]}}",
		 "merge 0"},
		{HEAD
		 "\"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"byte_fallback\": true, \"vocab\": {}}}",
		 "byte_fallback"},
		{"{\"normalizer\": {\"type\": \"NFC\"}}", "normalizer"},
		{"{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}}", "ByteLevel"},
		{"{\"pre_tokenizer\": {\"type\": \"Whitespace\"}, \"added_tokens\": [], \"model\": {\"type\": \"BPE\", \"unk_token\": "
		 "\"u\", \"vocab\": {\"u\": 0}, \"merges\": []}}",
		 "[START]"},
	};
	const char *dir = golden_tmp();
	struct lyric l;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(dir, bad[i][0], bad[i][1]);
	assert_int_equal(lyric_open(&l, "/nonexistent/vocab.json"), ACE_ENOINPUT);
	assert_ok(file_remove_tree(dir));
}

/* A damaged copy is read and usable, or refused with a message; so is a damaged song. */
static void
damaged_vocabularies_and_songs_do_no_harm(void **state)
{
	static const char song[] =
		"[verse]\nMr. abcd has $1,234.50 & the 3rd of 12.5 %\n\n1,2,3 na\xc3\xafve d'abc 7th";
	uint64_t x = 88172645463325252u;
	struct lyric small;
	int read = 0, refusals = 0;
	const char *dir;

	(void)state;
	open_small(&small, SMALL);
	dir = golden_tmp();
	for (int i = 0; i < 2000; i++) {
		char json[sizeof SMALL], text[sizeof song];
		struct lyric_ids got;
		struct lyric l;
		memcpy(json, SMALL, sizeof json);
		memcpy(text, song, sizeof text);
		for (int j = 0; j < 1 + i % 3; j++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			json[x % (sizeof json - 1)] = (char)(32 + (x >> 32) % 95);
			text[(x >> 16) % (sizeof text - 1)] = (char)(x >> 40);
		}
		if (lyric_encode(&small, text, sizeof text - 1, &got) == ACE_OK)
			assert_true(got.n > 1);
		lyric_ids_free(&got);
		if (i % 2 == 0)
			continue;
		if (lyric_open(&l, text_file(dir, "vocab.json", json)) == ACE_OK) {
			assert_ok(lyric_encode(&l, song, sizeof song - 1, &got));
			lyric_ids_free(&got);
			lyric_close(&l);
			read++;
		} else {
			assert_true(ace_message()[0] != 0);
			refusals++;
		}
	}
	assert_true(read > 0 && refusals > 0);
	lyric_close(&small);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(english_lines_give_the_reference_s_text_and_ids),
		cmocka_unit_test(languages_that_are_not_built_are_an_error_of_the_line),
		cmocka_unit_test(english_songs_give_the_reference_s_ids),
		cmocka_unit_test(merges_go_by_rank_then_from_the_left),
		cmocka_unit_test(special_tokens_blank_lines_and_structure_lines),
		cmocka_unit_test(no_lyrics_are_one_0_with_mask_0),
		cmocka_unit_test(lines_with_other_letters_are_skipped_and_counted),
		cmocka_unit_test(ids_are_cut_at_max_tokens),
		cmocka_unit_test(text_that_is_not_utf8_names_its_line),
		cmocka_unit_test(nuls_and_lines_of_100000_characters_are_fine),
		cmocka_unit_test(bad_vocabularies_are_refused_by_name),
		cmocka_unit_test(damaged_vocabularies_and_songs_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
