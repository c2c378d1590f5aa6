/* SPDX-License-Identifier: Apache-2.0 */
#include "text/unigram.h"

#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLENTY = 1 << 16 };

static void
open_golden(struct unigram *u, const char *file)
{
	assert_ok(unigram_open(u, golden_path("umt5-tiny", file)));
}

/* Every case of token_ids.json that has a list of that name, by the tokenizer at path. */
static void
check_ids_of(const char *path, const char *name, int cap)
{
	cJSON *root = text_json("umt5-tiny", "token_ids.json"), *v;
	int32_t *ids = malloc(PLENTY * sizeof *ids);
	struct unigram u;
	int cases = 0;

	assert_ok(unigram_open(&u, path));
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(root, "cases")) {
		const cJSON *list = cJSON_GetObjectItem(v, name);
		char what[64];
		int32_t *want;
		size_t len;
		char *text;
		int n, m;
		if (!list)
			continue;
		text = text_of(cJSON_GetObjectItem(v, "text"), &len);
		want = text_numbers(list, &m);
		assert_ok(unigram_encode(&u, text, len, ids, cap, &n));
		snprintf(what, sizeof what, "%s of case %d", name, cases++);
		text_same_numbers(what, ids, n, want, m);
		free(want);
		free(text);
	}
	assert_true(cases > 0);
	unigram_close(&u);
	cJSON_Delete(root);
	free(ids);
}

static void
check_ids(const char *file, const char *name, int cap)
{
	check_ids_of(golden_path("umt5-tiny", file), name, cap);
}

static void
the_published_pipeline_gives_the_reference_ids(void **state)
{
	(void)state;
	check_ids("umt5/tokenizer.json", "main", PLENTY);
}

static void
the_legacy_pipeline_gives_the_reference_ids(void **state)
{
	(void)state;
	check_ids("variants/tokenizer_legacy.json", "legacy", PLENTY);
}

static void
byte_fallback_gives_the_reference_ids(void **state)
{
	(void)state;
	check_ids("variants/tokenizer_bytefallback.json", "bytefallback", PLENTY);
}

static void
an_unsplit_metaspace_gives_the_reference_ids(void **state)
{
	(void)state;
	check_ids("variants/tokenizer_precompiled_only.json", "precompiled_only", PLENTY);
}

static void
long_texts_are_cut_with_the_end_token_kept(void **state)
{
	(void)state;
	check_ids("umt5", "main_trunc256", UNIGRAM_CAP);
}

static void
a_sentencepiece_file_alone_gives_the_same_ids(void **state)
{
	static const char *const names[] = { "spiece.model", "added_tokens.json" };
	const char *from[] = { golden_path("umt5-tiny", "umt5/spiece.model"),
			       golden_path("umt5-tiny", "umt5/added_tokens.json") };
	const char *dir = golden_tmp();

	(void)state;
	for (int i = 0; i < 2; i++) {
		char *to = file_path("%s/%s", dir, names[i]);
		size_t size;
		char *data;
		assert_ok(file_read(from[i], 1 << 24, &data, &size));
		assert_ok(file_write(to, data, size));
		free(data);
		free(to);
	}
	check_ids_of(dir, "main", PLENTY);
	assert_ok(file_remove_tree(dir));
}

/* A field of normalized.json: what file makes of the text, by step. */
static void
check_texts(const char *file, const char *field,
            enum status (*step)(const struct unigram *, const char *, size_t, char **, size_t *))
{
	cJSON *root = text_json("umt5-tiny", "normalized.json"), *v;
	struct unigram u;
	int cases = 0;

	open_golden(&u, file);
	cJSON_ArrayForEach(v, root) {
		const cJSON *want = cJSON_GetObjectItem(v, field), *one;
		char *text, *got, *at;
		size_t len, n;
		if (!want)
			continue;
		text = text_of(cJSON_GetObjectItem(v, "text"), &len);
		assert_ok(step(&u, text, len, &got, &n));
		at = got;
		if (cJSON_IsString(want)) {
			char *w = text_of(want, &len);
			if (len != n || memcmp(w, got, n) != 0)
				fail_msg("%s of case %d is \"%s\", wanted \"%s\"", field, cases, got, w);
			free(w);
		}
		cJSON_ArrayForEach(one, want) {
			char *w = text_of(one, &len);
			if ((size_t)(got + n - at) < len || memcmp(w, at, len) != 0)
				fail_msg("%s of case %d: \"%s\", wanted \"%s\"", field, cases, at, w);
			at += len + (at + len < got + n);
			free(w);
		}
		if (cJSON_IsArray(want) && at != got + n)
			fail_msg("%s of case %d: \"%s\" is too much", field, cases, at);
		cases++;
		free(got);
		free(text);
	}
	assert_true(cases > 0);
	unigram_close(&u);
	cJSON_Delete(root);
}

static void
normal_forms_are_the_reference_s(void **state)
{
	(void)state;
	check_texts("umt5", "normalized", unigram_normalized);
	check_texts("variants/tokenizer_precompiled_only.json", "precompiled", unigram_normalized);
}

static void
pre_tokens_are_the_reference_s(void **state)
{
	(void)state;
	check_texts("umt5", "pretokens", unigram_pretokens);
}

static void
the_size_holds_added_tokens(void **state)
{
	cJSON *root = golden_json("umt5-tiny", "umt5/tokenizer.json"), *v;
	struct unigram u;
	int top = 0;

	(void)state;
	open_golden(&u, "umt5");
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(root, "added_tokens"))
		if (cJSON_GetObjectItem(v, "id")->valueint > top)
			top = cJSON_GetObjectItem(v, "id")->valueint;
	assert_int_equal(unigram_size(&u), top + 1);
	unigram_close(&u);
	cJSON_Delete(root);
}

/* A whole small tokenizer.json, parts to be exchanged. */
static char *
small_json(const char *norm, const char *pre, const char *model)
{
	return file_path(
		"{\"version\": \"1.0\", \"added_tokens\": [{\"id\": 1, \"content\": \"</s>\"}], \"normalizer\": %s, "
		"\"pre_tokenizer\": %s, \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": "
		"{\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"</s>\"}}], \"special_tokens\": {\"</s>\": {\"ids\": [1]}}}, "
		"\"model\": %s}",
		norm, pre, model);
}

#define META "{\"type\": \"Metaspace\", \"replacement\": \"_\"}"
#define MODEL                                                                                                          \
	"{\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"<unk>\", 0], [\"</s>\", 0], [\"_\", -1], [\"a\", -2], " \
	"[\"aa\", -4], [\"aaa\", -5.5], [\"\\u00e9\", -2]]}"

static void
encode_small(const char *json, const char *text, int32_t *ids, int cap, int *n)
{
	const char *dir = golden_tmp();
	struct unigram u;

	assert_ok(unigram_open(&u, text_file(dir, "tokenizer.json", json)));
	assert_ok(unigram_encode(&u, text, strlen(text), ids, cap, n));
	unigram_close(&u);
	assert_ok(file_remove_tree(dir));
}

static void
of_equal_ways_the_first_found_stays(void **state)
{
	char *json = small_json("null", META, MODEL);
	int32_t ids[16];
	int n;

	(void)state;
	/* "aa" scores -4 as one piece, offered first, and -4 as two */
	encode_small(json, "aa aaa", ids, 16, &n);
	text_same_numbers("ids", ids, n, (const int32_t[]){ 2, 4, 2, 5, 1 }, 5);
	free(json);
}

static void
unknown_characters_in_a_row_are_one_token(void **state)
{
	char *json = small_json("null", META, MODEL);
	int32_t ids[16];
	int n;

	(void)state;
	encode_small(json, "axyz\xc3\xa9", ids, 16, &n);
	text_same_numbers("ids", ids, n, (const int32_t[]){ 2, 3, 0, 6, 1 }, 5);
	encode_small(json, "a</s>a", ids, 16, &n);
	text_same_numbers("ids", ids, n, (const int32_t[]){ 2, 3, 1, 2, 3, 1 }, 6);
	encode_small(json, "aaa a a a", ids, 3, &n);
	text_same_numbers("ids", ids, n, (const int32_t[]){ 2, 5, 1 }, 3);
	encode_small(json, "aaa", ids, 1, &n);
	text_same_numbers("ids", ids, n, (const int32_t[]){ 1 }, 1);
	free(json);
}

/* json, as a file, is refused with a message that holds word and the file's name. */
static void
refused(const char *dir, const char *json, const char *word)
{
	const char *path = text_file(dir, "tokenizer.json", json);
	struct unigram u;

	if (unigram_open(&u, path) == ACE_OK)
		fail_msg("was read: %s", json);
	if (!strstr(ace_message(), word) || !strstr(ace_message(), path) || strchr(ace_message(), '\n'))
		fail_msg("says \"%s\", wanted \"%s\"", ace_message(), word);
}

static void
what_is_not_built_is_refused_by_name(void **state)
{
	static const char *const bad[][4] = {
		{"{\"type\": \"NFKC\"}", META, MODEL, "NFKC"},
		{"{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Lowercase\"}]}", META, MODEL,
		 "Lowercase"},
		{"{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"AAAA\"}", META, MODEL,
		 "precompiled_charsmap"},
		{"{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"?\"}", META, MODEL, "base64"},
		{"{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"a+\"}, \"content\": \"\"}", META, MODEL,
		 "a+"},
		{"null", "{\"type\": \"ByteLevel\"}", MODEL, "ByteLevel"},
		{"null", "{\"type\": \"Metaspace\", \"replacement\": \"ab\"}", MODEL, "replacement"},
		{"null", "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"last\"}",
		 MODEL, "last"},
		{"null", META, "{\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}", "vocab"},
		{"null", META, "{\"type\": \"WordPiece\", \"vocab\": [[\"a\", 0]]}", "WordPiece"},
		{"null", META, "{\"type\": \"Unigram\", \"unk_id\": 7, \"vocab\": [[\"a\", 0]]}", "unk_id"},
		{"null", META, "{\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]]}", "unk_id"},
		{"null", META, "{\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": []}", "no pieces"},
		{"null", META, "{\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"a\", 0], [\"b\"]]}",
		 "entry 1"},
		{"null", META, "{\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"\\ud800\", 0]]}",
		 "entry 0"},
		{"null", META, "{\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"a\", 0]], \"fuse\": 1}",
		 "fuse"},
		{"null", META, "7", "model"},
	};
	const char *dir = golden_tmp();

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char *json = small_json(bad[i][0], bad[i][1], bad[i][2]);
		refused(dir, json, bad[i][3]);
		free(json);
	}
	refused(dir, "", "JSON");
	refused(dir, "[]", "model");
	refused(dir, "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"a\", 0]]}}", "post_processor");
	assert_ok(file_remove_tree(dir));
}

static void
a_missing_file_is_a_missing_input(void **state)
{
	struct unigram u;

	(void)state;
	assert_int_equal(unigram_open(&u, "/nonexistent/tokenizer.json"), ACE_ENOINPUT);
}

static void
text_that_is_not_utf8_is_refused(void **state)
{
	char *json = small_json("null", META, MODEL);
	const char *dir = golden_tmp();
	struct unigram u;
	int32_t ids[8];
	int n;

	(void)state;
	assert_ok(unigram_open(&u, text_file(dir, "tokenizer.json", json)));
	assert_int_equal(unigram_encode(&u, "a\xff", 2, ids, 8, &n), ACE_EDATA);
	assert_int_equal(unigram_encode(&u, "\xed\xa0\x80", 3, ids, 8, &n), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "UTF-8"));
	unigram_close(&u);
	free(json);
	assert_ok(file_remove_tree(dir));
}

/* Bytes that the i-th copy keeps: mostly all. */
static size_t
n_kept(int i, size_t size, uint64_t x)
{
	return i % 5 ? size : 1 + (size_t)(x >> 8) % size;
}

/* Every damaged copy is either read and then usable, or refused with a message; with sanitizers, also without a
 * stray access. */
static void
damaged_files_are_read_or_refused(void **state)
{
	const char *from[] = { golden_path("umt5-tiny", "umt5/spiece.model"), NULL };
	const char *dir = golden_tmp();
	char *json = small_json("{\"type\": \"Strip\"}", META, MODEL), path[1024];
	uint64_t x = 88172645463325252u;
	int read = 0, refusals = 0;

	(void)state;
	for (int k = 0; k < 2; k++) {
		size_t size = strlen(json);
		char *data = NULL, *copy;
		if (k == 1)
			assert_ok(file_read(from[0], 1 << 24, &data, &size));
		size = k == 1 && size > 3000 ? 3000 : size;	/* the file's start: pieces, and a cut */
		copy = malloc(size);
		snprintf(path, sizeof path, "%s/%s", dir, k ? "spiece.model" : "tokenizer.json");
		for (int i = 0; i < 1500; i++) {
			struct unigram u;
			FILE *f;
			memcpy(copy, k ? data : json, size);
			for (int j = 0; j < 1 + i % 3; j++) {
				x ^= x << 13, x ^= x >> 7, x ^= x << 17;
				copy[x % size] = (char)(x >> 32);
			}
			f = fopen(path, "wb");
			assert_non_null(f);
			assert_true(fwrite(copy, 1, n_kept(i, size, x), f) > 0 || size == 0);
			assert_int_equal(fclose(f), 0);
			if (unigram_open(&u, path) == ACE_OK) {
				int32_t ids[32];
				int n;
				assert_ok(unigram_encode(&u, "a b\xc3\xa9", 5, ids, 32, &n));
				unigram_close(&u);
				read++;
			} else {
				assert_true(ace_message()[0] != 0);
				refusals++;
			}
		}
		free(copy);
		free(data);
	}
	assert_true(read > 0 && refusals > 0);
	free(json);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_pipeline_gives_the_reference_ids),
		cmocka_unit_test(the_legacy_pipeline_gives_the_reference_ids),
		cmocka_unit_test(byte_fallback_gives_the_reference_ids),
		cmocka_unit_test(an_unsplit_metaspace_gives_the_reference_ids),
		cmocka_unit_test(long_texts_are_cut_with_the_end_token_kept),
		cmocka_unit_test(a_sentencepiece_file_alone_gives_the_same_ids),
		cmocka_unit_test(normal_forms_are_the_reference_s),
		cmocka_unit_test(pre_tokens_are_the_reference_s),
		cmocka_unit_test(the_size_holds_added_tokens),
		cmocka_unit_test(of_equal_ways_the_first_found_stays),
		cmocka_unit_test(unknown_characters_in_a_row_are_one_token),
		cmocka_unit_test(what_is_not_built_is_refused_by_name),
		cmocka_unit_test(a_missing_file_is_a_missing_input),
		cmocka_unit_test(text_that_is_not_utf8_is_refused),
		cmocka_unit_test(damaged_files_are_read_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
