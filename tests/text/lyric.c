/* SPDX-License-Identifier: Apache-2.0 */
#include "text/lyric.h"

#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"
#include "text/bpe.h"
#include "text/segment.h"

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
	assert_ok(lyric_open(l, &(struct lines_from){ .vocab = path }));
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

	assert_ok(lyric_open(l, &(struct lines_from){ .vocab = text_file(dir, "vocab.json", json) }));
	assert_ok(file_remove_tree(dir));
}

/* --- the reference's songs --- */

/* Lines as they pass, against the fixture's. */
struct lines_seen {
	const cJSON *line;		/* the next one */
	int at, bad;
	bool readable;			/* every language so far can be encoded here */
	bool japanese;			/* some line is Japanese */
	const struct lyric *l;
};

static bool
same_counts(const struct segments *s, const cJSON *want)
{
	if (!s || s->counts != cJSON_GetArraySize(want))
		return false;
	for (int i = 0; i < s->counts; i++) {
		const cJSON *v = cJSON_GetArrayItem(want, i);
		if (strcmp(s->count[i].lang, cJSON_GetArrayItem(v, 0)->valuestring) != 0 ||
		    s->count[i].chars != cJSON_GetArrayItem(v, 1)->valueint)
			return false;
	}
	return true;
}

static enum status
see_line(void *me, const struct lyric_shown *v)
{
	struct lines_seen *w = me;
	size_t len;
	char *text;

	if (v->kind == LYRIC_BLANK)
		return ACE_OK;
	w->japanese = w->japanese || strcmp(v->used, "ja") == 0;
	w->readable = w->readable && (strcmp(v->used, "ja") == 0 || line_readable(w->l->lines, v->used));
	if (!w->line)
		return ACE_OK;
	text = text_of(cJSON_GetObjectItem(w->line, "line"), &len);
	if (len != v->len || memcmp(text, v->text, len) != 0 ||
	    strcmp(v->detected, cJSON_GetObjectItem(w->line, "detected")->valuestring) != 0 ||
	    strcmp(v->used, cJSON_GetObjectItem(w->line, "used")->valuestring) != 0 ||
	    !same_counts(v->segments, cJSON_GetObjectItem(w->line, "counts"))) {
		print_message("# line %d of song %d, \"%s\": found to be %s, used %s\n", v->line, w->at, text, v->detected, v->used);
		w->bad++;
	}
	free(text);
	w->line = w->line->next;
	return ACE_OK;
}

/* The ids of song number at, unless it has lines in a language that cannot be encoded here. */
static bool
check_ids(const char *what, int at, const struct lyric *l, const struct lyric_ids *got, const cJSON *want)
{
	char name[64];
	int32_t *ids;
	int m;

	ids = text_numbers(want, &m);
	snprintf(name, sizeof name, "%s, ids of song %d", what, at);
	text_same_numbers(name, got->id, got->n, ids, m < l->max_tokens ? m : l->max_tokens);
	free(ids);
	return true;
}

static void
songs_per_line_have_the_reference_s_languages_and_ids(void **state)
{
	cJSON *root = text_json("lyrics-tokens", "songs.json"), *v;
	struct lyric l;
	int cases = 0, others = 0, bad = 0, at = 0;

	(void)state;
	open_published(&l);
	cJSON_ArrayForEach(v, root) {
		const cJSON *inference = cJSON_GetObjectItem(v, "inference"), *plain = cJSON_GetObjectItem(v, "simpletuner");
		const cJSON *lines = cJSON_GetObjectItem(inference, "lines");
		struct lines_seen w = { .line = lines ? lines->child : NULL, .at = ++at, .readable = true, .l = &l };
		enum lyric_fault fault;
		struct lyric_ids got;
		size_t len;
		char *text = text_of(cJSON_GetObjectItem(v, "lyrics"), &len);
		assert_ok(lyric_encode_watched(&l, text, len, &got, &fault, see_line, &w));
		bad += w.bad;
		if (strstr(text, "song that genre is")) {	/* here the product departs: a request is no lyrics */
			assert_true(got.none && got.n == 1 && got.id[0] == 0 && got.mask == 0);
			cases++;
		} else if (w.readable) {
			bool without = w.japanese && !line_readable(l.lines, "ja");
			assert_null(w.line);
			check_ids("per line", at, &l, &got,
			          without ? cJSON_GetObjectItem(plain, "ids_without_japanese_support")
			                  : cJSON_GetObjectItem(inference, "ids"));
			assert_int_equal(got.mask, cJSON_GetObjectItem(inference, "mask_value")->valueint);
			cases++;
		} else {
			others++;
		}
		lyric_ids_free(&got);
		free(text);
	}
	print_message("# %d songs, %d with languages that are not built\n", cases, others);
	assert_true(cases > 0);
	assert_int_equal(bad, 0);
	lyric_close(&l);
	cJSON_Delete(root);
}

static void
songs_per_song_have_the_reference_s_ids(void **state)
{
	cJSON *root = text_json("lyrics-tokens", "songs.json"), *v;
	struct lyric l;
	int cases = 0, others = 0, refused = 0, at = 0;

	(void)state;
	open_published(&l);
	l.per_song = true;
	cJSON_ArrayForEach(v, root) {
		const cJSON *trainer = cJSON_GetObjectItem(v, "trainer"), *main = cJSON_GetObjectItem(trainer, "main_language");
		struct lines_seen w = { .at = ++at, .readable = true, .l = &l };
		enum lyric_fault fault;
		struct lyric_ids got;
		size_t len;
		char *text = text_of(cJSON_GetObjectItem(v, "lyrics"), &len);
		enum status st = lyric_encode_watched(&l, text, len, &got, &fault, see_line, &w);
		if (cJSON_GetObjectItem(trainer, "error")) {
			assert_int_equal(st, ACE_EDATA);
			assert_int_equal(fault, LYRIC_LANGUAGE);
			assert_non_null(strstr(ace_message(), main->valuestring));
			refused++;
		} else if (st != ACE_OK) {	/* its main language is not built yet */
			assert_int_equal(fault, LYRIC_LANGUAGE);
			others++;
		} else if (w.readable && (!w.japanese || line_readable(l.lines, "ja"))) {
			check_ids("per song", at, &l, &got, cJSON_GetObjectItem(trainer, "ids"));
			assert_int_equal(got.mask, cJSON_GetObjectItem(trainer, "mask_value")->valueint);
			cases++;
		} else {
			others++;
		}
		lyric_ids_free(&got);
		free(text);
	}
	print_message("# %d songs, %d refused as the reference does, %d with languages that are not readable here\n", cases, refused,
	              others);
	assert_true(cases > 0);
	lyric_close(&l);
	cJSON_Delete(root);
}

/* --- small vocabularies --- */

static enum status
encode(const struct lyric *l, const char *text, size_t len, struct lyric_ids *got)
{
	enum lyric_fault fault;
	enum status st = lyric_encode(l, text, len, got, &fault);

	assert_int_equal(fault == LYRIC_GOOD, st == ACE_OK);
	return st;
}

static void
encode_small(struct lyric *l, const char *text, size_t len, const int32_t *want, int n)
{
	struct lyric_ids got;

	assert_ok(encode(l, text, len, &got));
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
	/* a structure line is English, whatever it looks like */
	ENCODE(&l, "[verse]abcd", 3, 4, 5, 12, 2);
	ENCODE(&l, "[verse]bcd", 3, 4, 5, 7, 11, 2);	/* c d has the lower rank than b c */
	ENCODE(&l, "[verse]aaab aaa", 3, 4, 5, 15, 10, 2, 15, 6, 2);
	ENCODE(&l, "[verse]A \"B\"  zyc", 3, 4, 5, 6, 2, 7, 2, 1, 1, 8, 2);
	lyric_close(&l);
}

static void
special_tokens_blank_lines_and_structure_lines(void **state)
{
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	ENCODE(&l, "[verse]\n\n  \r\n[verse]a\n", 3, 4, 5, 2, 2, 2, 4, 5, 6, 2, 2);
	ENCODE(&l, "[verse]a[verse]b", 3, 4, 5, 6, 5, 7, 2);
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
		assert_ok(encode(&l, none[i], strlen(none[i]), &got));
		assert_int_equal(got.n, 1);
		assert_int_equal(got.id[0], 0);
		assert_int_equal(got.mask, 0);
		lyric_ids_free(&got);
	}
	assert_ok(encode(&l, "write a song\n that genre is", 27, &got));
	assert_int_equal(got.mask, 1);
	lyric_ids_free(&got);
	/* per song the mask is 1, and blank lyrics are none; per line they are blank lines */
	for (int song = 0; song < 2; song++) {
		l.per_song = song;
		assert_ok(encode(&l, " \n", 2, &got));
		text_same_numbers("blank", got.id, got.n, song ? (const int32_t[]){ 0 } : (const int32_t[]){ 3, 2, 2 }, song ? 1 : 3);
		assert_true(got.none == song);
		assert_int_equal(got.mask, 1);
		lyric_ids_free(&got);
		assert_ok(encode(&l, none[song], strlen(none[song]), &got));
		assert_true(got.none);
		assert_int_equal(got.mask, song);
		lyric_ids_free(&got);
	}
	lyric_close(&l);
}

static void
lines_that_cannot_be_encoded_are_skipped_and_counted(void **state)
{
	enum { LONG = LINE_BYTES_MAX + 1 };
	const int32_t want[] = { 3, 4, 5, 6, 2, 4, 5, 1, 7, 2, 4, 5, 8, 2 };
	char *text = malloc(2 * LONG + 64), *p = text;
	struct lyric_ids got;
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	p = stpcpy(p, "[verse]a\n");
	p = (char *)memset(p, 'd', LONG) + LONG;
	p = stpcpy(p, "\n[verse]\xe2\x80\x99" "b\n");
	p = (char *)memset(p, 'd', LONG) + LONG;
	p = stpcpy(p, "\n[verse]c");
	assert_ok(encode(&l, text, (size_t)(p - text), &got));
	text_same_numbers("ids", got.id, got.n, want, 14);
	assert_int_equal(got.skipped, 2);
	assert_int_equal(got.skipped_line[0], 2);
	assert_int_equal(got.skipped_line[1], 4);
	assert_non_null(strstr(got.why, "bytes"));
	assert_int_equal(got.lines, 5);
	assert_int_equal(got.unknown, 1);
	assert_true(lyric_unknown_share(&got) > LYRIC_UNKNOWN_MOST);
	lyric_ids_free(&got);
	lyric_close(&l);
	free(text);
}

static void
ids_are_cut_at_max_tokens(void **state)
{
	struct lyric_ids got;
	struct lyric l;

	(void)state;
	open_small(&l, SMALL);
	l.max_tokens = 5;
	assert_ok(encode(&l, "[verse]a\n[verse]b", 17, &got));
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
	assert_int_equal(encode(&l, "a\nb\nc\xff", 6, &got), ACE_EDATA);
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
	ENCODE(&l, "[verse]a\0b", 3, 4, 5, 6, 1, 7, 2);
	for (int kind = 0; kind < 4; kind++) {
		for (int i = 0; i < N; i++)
			text[i] = "abcd" "1,11" "$1.$" "st.8"[4 * kind + i % 4];
		memcpy(text, "[verse]", 7);
		assert_ok(encode(&l, text, N, &got));
		assert_true(got.n > 3);
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

	if (lyric_open(&l, &(struct lines_from){ .vocab = path }) == ACE_OK)
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
	assert_int_equal(lyric_open(&l, &(struct lines_from){ .vocab = "/nonexistent/vocab.json" }), ACE_ENOINPUT);
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
		struct bpe b;
		memcpy(json, SMALL, sizeof json);
		memcpy(text, song, sizeof text);
		for (int j = 0; j < 1 + i % 3; j++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			json[x % (sizeof json - 1)] = (char)(32 + (x >> 32) % 95);
			text[(x >> 16) % (sizeof text - 1)] = (char)(x >> 40);
		}
		if (encode(&small, text, sizeof text - 1, &got) == ACE_OK)
			assert_true(got.n > 1);
		lyric_ids_free(&got);
		if (i % 2 == 0)
			continue;
		if (bpe_open(&b, text_file(dir, "vocab.json", json)) == ACE_OK) {
			struct numbers ids = { 0 };
			assert_ok(bpe_encode(&b, song, sizeof song - 1, &ids));
			numbers_free(&ids);
			bpe_close(&b);
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
		cmocka_unit_test(songs_per_line_have_the_reference_s_languages_and_ids),
		cmocka_unit_test(songs_per_song_have_the_reference_s_ids),
		cmocka_unit_test(merges_go_by_rank_then_from_the_left),
		cmocka_unit_test(special_tokens_blank_lines_and_structure_lines),
		cmocka_unit_test(no_lyrics_are_one_0_with_mask_0),
		cmocka_unit_test(lines_that_cannot_be_encoded_are_skipped_and_counted),
		cmocka_unit_test(ids_are_cut_at_max_tokens),
		cmocka_unit_test(text_that_is_not_utf8_names_its_line),
		cmocka_unit_test(nuls_and_lines_of_100000_characters_are_fine),
		cmocka_unit_test(bad_vocabularies_are_refused_by_name),
		cmocka_unit_test(damaged_vocabularies_and_songs_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
