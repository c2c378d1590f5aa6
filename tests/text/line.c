/* SPDX-License-Identifier: Apache-2.0 */
#include "text/line.h"

#include "base/datadir.h"
#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"
#include "text/romaji.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct lines *lines;
static bool published;		/* with the published vocabulary; else with a small one of our own */

#define SMALL                                                                                                      \
	"{\"added_tokens\": [{\"id\": 1, \"content\": \"[UNK]\"}, {\"id\": 2, \"content\": \"[SPACE]\"}], "        \
	"\"pre_tokenizer\": "                                                                                      \
	"{\"type\": \"Whitespace\"}, \"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": "         \
	"{\"[UNK]\": 1, "                                                                                          \
	"\"a\": 3, \"b\": 4}, \"merges\": []}}"

static int
open_lines(void **state)
{
	const char *vocab = golden_data("lyric_vocab.json"), *dir = golden_tmp();
	struct lines_from from = { .vocab = vocab ? vocab : text_file(dir, "vocab.json", SMALL) };

	(void)state;
	published = vocab != NULL;
	assert_ok(lines_open(&lines, &from));
	assert_ok(file_remove_tree(dir));
	return 0;
}

static int
close_lines(void **state)
{
	(void)state;
	lines_close(lines);
	return 0;
}

/* Case v of lines.json, number at: cleaned text and ids, or an error of the line. */
static void
check_case(const cJSON *v, int at, struct line_work *w)
{
	const char *lang = cJSON_GetObjectItem(v, "lang")->valuestring;
	struct numbers got = { 0 };
	char *text, *clean, what[64];
	size_t len, n;
	int32_t *ids;
	int m;

	text = text_of(cJSON_GetObjectItem(v, "text"), &len);
	if (cJSON_GetObjectItem(v, "error")) {
		assert_int_equal(line_encode(lines, lang, text, len, w, &got), ACE_EDATA);
		assert_int_equal(got.len, 0);
		free(text);
		return;
	}
	clean = text_of(cJSON_GetObjectItem(v, "clean"), &n);
	if (published)
		assert_ok(line_encode(lines, lang, text, len, w, &got));
	else
		assert_ok(line_clean(lines, lang, text, len, w));
	if (w->clean.len != n || memcmp(w->clean.data, clean, n) != 0)
		fail_msg("case %d, %s: \"%s\" is cleaned to \"%s\", wanted \"%s\"", at, lang, text, w->clean.data,
			 clean);
	ids = text_numbers(cJSON_GetObjectItem(v, "ids"), &m);
	snprintf(what, sizeof what, "ids of case %d (%s)", at, lang);
	if (published)
		text_same_numbers(what, got.data, (int)got.len, ids, m);
	numbers_free(&got);
	free(text);
	free(clean);
	free(ids);
}

static void
lines_give_the_reference_s_text_and_ids(void **state)
{
	cJSON *root = text_json("lyrics-tokens", "lines.json"), *v;
	struct line_work w = { 0 };
	int cases = 0, at = 0, japanese = 0;

	(void)state;
	cJSON_ArrayForEach(v, root) {
		const char *lang = cJSON_GetObjectItem(v, "lang")->valuestring;
		at++;
		if (line_language(lang) && !line_readable(lines, lang) &&
		    *cJSON_GetObjectItem(v, "text")->valuestring) {
			japanese++;
			continue;
		}
		check_case(v, at, &w);
		cases++;
	}
	if (japanese)
		print_message("# %d Japanese lines left out: ACE_UNIDIC names no dictionary\n", japanese);
	print_message("# %d lines%s\n", cases, published ? "" : ", without ids");
	assert_true(cases > 0);
	line_work_free(&w);
	cJSON_Delete(root);
}

static struct slice
field(const cJSON *v, const char *name)
{
	const cJSON *s = cJSON_GetObjectItem(v, name);

	return cJSON_IsString(s) ? (struct slice){ s->valuestring, strlen(s->valuestring) } : (struct slice){ 0 };
}

static void
recorded_nodes_give_the_reference_s_romaji(void **state)
{
	cJSON *root = text_json("lyrics-tokens", "ja_nodes.json"), *v, *one;
	char *folder = datadir_find("text");
	struct tables t;
	int cases = 0;

	(void)state;
	assert_non_null(folder);
	assert_ok(tables_open(&t, folder));
	cJSON_ArrayForEach(v, root) {
		const cJSON *list = cJSON_GetObjectItem(v, "nodes");
		const char *want = cJSON_GetObjectItem(v, "romaji")->valuestring;
		struct ja_node *node = calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *node);
		struct buffer b = { 0 }, spare = { 0 };
		size_t n = 0;
		assert_non_null(node);
		buffer_str(&b, cJSON_GetObjectItem(v, "text")->valuestring);
		assert_ok(romaji_prepare(&b, &spare));
		assert_string_equal(b.data, cJSON_GetObjectItem(v, "normalized")->valuestring);
		cJSON_ArrayForEach(one, list)
			node[n++] = (struct ja_node){
				.surface = field(one, "surface"), .space = field(one, "white_space"),
				.pos1 = field(one, "pos1"), .pos2 = field(one, "pos2"), .lemma = field(one, "lemma"),
				.pron = field(one, "pron"), .kana = field(one, "kana"),
				.char_type = cJSON_GetObjectItem(one, "char_type")->valueint,
				.unknown = cJSON_IsTrue(cJSON_GetObjectItem(one, "is_unk")),
			};
		buffer_clear(&spare);
		assert_true(romaji_write(&t, node, n, &spare));
		if (strcmp(spare.data ? spare.data : "", want) != 0)
			fail_msg("\"%s\" is \"%s\", wanted \"%s\"", b.data, spare.data, want);
		buffer_free(&b);
		buffer_free(&spare);
		free(node);
		cases++;
	}
	assert_true(cases > 0);
	tables_close(&t);
	free(folder);
	cJSON_Delete(root);
}

static void
check(const char *lang, const char *text, size_t len, const char *want)
{
	struct line_work w = { 0 };

	assert_ok(line_clean(lines, lang, text, len, &w));
	if (w.clean.len != strlen(want) || memcmp(w.clean.data, want, w.clean.len) != 0)
		fail_msg("%s: \"%s\" is cleaned to \"%s\", wanted \"%s\"", lang, text, w.clean.data, want);
	line_work_free(&w);
}

#define CHECK(lang, text, want) check(lang, text, sizeof(text) - 1, want)

static void
a_failing_amount_keeps_the_currencies_before_it(void **state)
{
	(void)state;
	CHECK("en", "£2 and $1.2.3 and 5€", "two pounds sterling and dollar one point two.three and five€");
	CHECK("pl", "£2 $2", "funt dwa dolar dwa");		/* pounds fail, so dollars are not tried */
}

static void
a_number_beyond_words_undoes_the_whole_step(void **state)
{
	char text[400], want[420];

	(void)state;
	memset(text, '9', 320);
	strcpy(text + 320, " 1,000 $5");
	snprintf(want, sizeof want, "%.320s 1,000 dollar 5", text);
	check("en", text, strlen(text), want);
	CHECK("cs", "1.234 a 5 &", "1.234 a 5 a");		/* Czech never has words */
}

static void
thousands_lose_their_separators_only_in_whole_numbers(void **state)
{
	(void)state;
	CHECK("en", "1,234 1234,567 a1,234 1,23 12,345,678",
	      "one thousand, two hundred and thirty-four one thousand, two hundred and thirty-four point five six "
	      "seven aone point "
	      "two three four one point two three twelve million, three hundred and forty-five thousand, six "
	      "hundred and "
	      "seventy-eight");
	CHECK("de", "1.234 1.234.567,8 1.23", "eintausendzweihundertvierunddreißig eine Million "
	      "zweihundertvierunddreißigtausendfünfhundertsiebenundsechzig Komma acht eins Komma zwei drei");
	CHECK("nl", "\xd9\xa1.\xd9\xa2\xd9\xa3\xd9\xa4 5",
	      "\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4 vijf"); /* digits of any script */
}

static void
abbreviations_want_a_boundary_and_go_in_order(void **state)
{
	(void)state;
	CHECK("en", "Mr. X, hamr. co.st. st.co.", "mister x, hamr. companysaint saintco.");
	CHECK("en", "\xc5\xbft. m\xcc\x81r.", "saint m\xcc\x81r."); /* a long s is an s; a mark is no letter */
	CHECK("ru", "г-н и г-нов", "господин и г-нов");
}

static void
case_and_spaces_are_unicode_s(void **state)
{
	(void)state;
	CHECK("en", "ΑΣ ΣΑ", "ας σα");
	CHECK("tr", "İÖÜI", "iöüi");
	CHECK("de", "İ", "i\xcc\x87");
	CHECK("fr", "\xe3\x80\x80"
	      "a\x1c \xe2\x80\xa8"
	      "b\xe2\x80\x8b\xc2\xa0", "a b\xe2\x80\x8b");
	CHECK("hi", "  \"A\"\t b ", " \"a\" b ");
}

static void
chinese_reads_at_the_first_place_with_the_same_characters(void **state)
{
	(void)state;
	/* 2 of the second is found in the first, whose 1 is then a number of its own */
	CHECK("zh", "12块2个", "shi2er4kuai4er4ge4");
	CHECK("zh", "o2o\xf3\xb0\x83\xb7", "o2o\xf3\xb0\x83\xb7");
	CHECK("zh", "\xe3\x90\x82",
	      "\xe3\x90\x82"
	      "5"); /* Chinese by its code point, without a reading */
	CHECK("zh", "^^a^$", "a,");
}

static void
what_is_no_text_or_no_language_is_an_error_of_the_line(void **state)
{
	static const char *const bad[][2] = {
	    {"en", "a\xff"}, {"en", "\xed\xa0\x80"}, {"zh", "\xc0\x80"}, {"EN", "a"}, {"", "a"},
	    {"sv", "a"},     {"xx-en", "a"}};
	char *text = calloc(1, LINE_BYTES_MAX + 1);
	struct line_work w = { 0 };
	struct numbers ids = { 0 };

	(void)state;
	numbers_add(&ids, 7);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(line_encode(lines, bad[i][0], bad[i][1], strlen(bad[i][1]), &w, &ids), ACE_EDATA);
		assert_true(*ace_message() && !strchr(ace_message(), '\n'));
	}
	assert_non_null(text);
	assert_int_equal(line_encode(lines, "en", text, LINE_BYTES_MAX + 1, &w, &ids), ACE_EDATA);
	assert_true(ids.len == 1 && ids.data[0] == 7);
	assert_true(line_language("pt-BR") && !line_language("pt_BR") && !line_language("sv"));
	free(text);
	numbers_free(&ids);
	line_work_free(&w);
}

static void
long_lines_of_hard_kinds_take_no_longer(void **state)
{
	static const char *const kinds[][2] = {
	    {"en", "1,11"},  {"de", "$1.$"},   {"fr", "1."},	    {"es", "9"},	 {"ru", "г-"},
	    {"zh", "5 3个"}, {"zh", "1"},      {"zh", "一"},	    {"zh", "12元"},	 {"ko", "한"},
	    {"it", "  \t"},  {"pl", "£1"},     {"tr", "i\xcc\x87"}, {"hu", "1.234.567"}, {"hi", "\xe2\x80\xae"},
	    {"ja", "9"},     {"ar", "[verse]"}};
	enum { N = 100000 };
	struct line_work w = { 0 };
	struct numbers ids = { 0 };

	(void)state;
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		size_t n = strlen(kinds[k][1]), len = N / n * n;
		char *text = malloc(len);
		clock_t began = clock();
		enum status st;
		assert_non_null(text);
		for (size_t i = 0; i < len; i += n)
			memcpy(text + i, kinds[k][1], n);
		ids.len = 0;
		st = line_encode(lines, kinds[k][0], text, len, &w, &ids);
		assert_int_equal(st, strcmp(kinds[k][0], "ja") == 0 ? ACE_EDATA
								    : ACE_OK); /* too long, or no dictionary */
		if (clock() - began > 20 * CLOCKS_PER_SEC)	/* a tenth of a second; hours were it not linear */
			fail_msg("%s, \"%s\" %d times takes %g s", kinds[k][0], kinds[k][1], (int)(len / n),
			         (double)(clock() - began) / CLOCKS_PER_SEC);
		free(text);
	}
	numbers_free(&ids);
	line_work_free(&w);
}

static const char *const many[][2] = {
    {"en", "The 3rd of 12.5 & $7"},
    {"zh", "2020年5月3日, 12块5, 水壶"},
    {"ko", "토끼 12번째"},
    {"de", "Am 3. Tag 1.234,5"},
    {"ja", "やかんが誰も書かない歌を口ずさむ"},
    {"it", "33,3 e 3º"},
    {"ru", "21-й г-н"},
    {"ar", "200 و 2.5"},
};
enum { MANY = sizeof many / sizeof *many, THREADS = 4, TIMES = 200 };

static void *
encode_many(void *me)
{
	struct line_work w = { 0 };
	struct numbers *to = me;

	for (int i = 0; i < TIMES * MANY; i++)
		if (line_encode(lines, many[i % MANY][0], many[i % MANY][1], strlen(many[i % MANY][1]), &w, to) !=
		    ACE_OK)
			numbers_add(to, -1);
	line_work_free(&w);
	return NULL;
}

static void
threads_share_the_tables(void **state)
{
	struct numbers ids[THREADS + 1] = { 0 };
	pthread_t thread[THREADS];

	(void)state;
	encode_many(&ids[THREADS]);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, encode_many, &ids[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_true(ids[i].len == ids[THREADS].len && ids[i].len > TIMES);
		assert_memory_equal(ids[i].data, ids[THREADS].data, ids[i].len * sizeof *ids[i].data);
		numbers_free(&ids[i]);
	}
	numbers_free(&ids[THREADS]);
}

/* Tables with a few bytes changed, or cut, are read and then usable, or refused with the file's name. */
static void
damaged_tables_are_read_or_refused(void **state)
{
	static const char *const names[] = { "rules.txt", "numbers.txt", "pinyin.txt" };
	const char *vocab = golden_data("lyric_vocab.json");
	char *folder = datadir_find("text"), dir[300];
	int read = 0, refused = 0, rounds = test_rounds("ACE_FUZZ", 20);
	uint64_t x = 88172645463325252u;
	struct line_work w = { 0 };
	char *data[3];
	size_t size[3];

	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	for (int k = 0; k < 3; k++) {
		char *path = file_path("%s/%s", folder, names[k]);
		assert_ok(file_read(path, 1 << 24, &data[k], &size[k]));
		free(path);
	}
	for (int i = 0; i < rounds; i++) {
		struct lines_from from = {.vocab = vocab ? vocab : text_file(dir, "vocab.json", SMALL),
					  .tables = dir};
		struct lines *l;
		for (int k = 0; k < 3; k++) {
			char *copy = malloc(size[k]), *path = file_path("%s/%s", dir, names[k]);
			size_t n = size[k];
			FILE *f;
			memcpy(copy, data[k], n);
			for (int hit = 0; hit < 2 && k == i % 3; hit++) {
				x ^= x << 13, x ^= x >> 7, x ^= x << 17;
				copy[x % n] = i % 2 ? (char)(x >> 32) : (char)(33 + (x >> 32) % 90);
			}
			n = k == i % 3 && i % 7 == 6 ? (size_t)(x >> 8) % n : n;
			f = fopen(path, "wb");
			assert_non_null(f);
			assert_int_equal(fwrite(copy, 1, n, f), n);
			assert_int_equal(fclose(f), 0);
			free(copy);
			free(path);
		}
		if (lines_open(&l, &from) == ACE_OK) {
			for (int m = 0; m < MANY; m++)
				if (line_clean(l, many[m][0], many[m][1], strlen(many[m][1]), &w) != ACE_OK)
					assert_true(*ace_message());
			line_work_free(&w);
			w = (struct line_work){ 0 };
			lines_close(l);
			read++;
		} else {
			assert_non_null(strstr(ace_message(), names[i % 3]));
			refused++;
		}
	}
	assert_true(read > 0 && refused > 0);
	for (int k = 0; k < 3; k++)
		free(data[k]);
	free(folder);
	assert_ok(file_remove_tree(dir));
}

static void
missing_tables_and_dictionaries_are_named(void **state)
{
	const char *vocab = golden_data("lyric_vocab.json"), *dir = golden_tmp();
	struct lines_from from = { .vocab = vocab ? vocab : text_file(dir, "vocab.json", SMALL), .tables = dir };
	struct lines *l;

	(void)state;
	assert_int_equal(lines_open(&l, &from), ACE_ENOINPUT);
	assert_null(l);
	assert_non_null(strstr(ace_message(), "rules.txt"));
	from = (struct lines_from){ .vocab = from.vocab, .unidic = dir };
	assert_int_not_equal(lines_open(&l, &from), ACE_OK);
	assert_non_null(strstr(ace_message(), dir));
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_give_the_reference_s_text_and_ids),
		cmocka_unit_test(recorded_nodes_give_the_reference_s_romaji),
		cmocka_unit_test(a_failing_amount_keeps_the_currencies_before_it),
		cmocka_unit_test(a_number_beyond_words_undoes_the_whole_step),
		cmocka_unit_test(thousands_lose_their_separators_only_in_whole_numbers),
		cmocka_unit_test(abbreviations_want_a_boundary_and_go_in_order),
		cmocka_unit_test(case_and_spaces_are_unicode_s),
		cmocka_unit_test(chinese_reads_at_the_first_place_with_the_same_characters),
		cmocka_unit_test(what_is_no_text_or_no_language_is_an_error_of_the_line),
		cmocka_unit_test(long_lines_of_hard_kinds_take_no_longer),
		cmocka_unit_test(threads_share_the_tables),
		cmocka_unit_test(damaged_tables_are_read_or_refused),
		cmocka_unit_test(missing_tables_and_dictionaries_are_named),
	};

	return cmocka_run_group_tests(tests, open_lines, close_lines);
}
