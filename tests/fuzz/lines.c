/* SPDX-License-Identifier: Apache-2.0 */
/* One line in one language, good or bad: what comes out is checked against itself. An input is a byte that picks the language and
 * the text behind it; seeds are the files of tests/fuzz/lines.seeds, which each round mixes and damages. ACE_FUZZ is the number
 * of rounds (of 50). Japanese counts where ACE_UNIDIC names a dictionary. */
#include "text/line.h"

#include "base/file.h"
#include "jobs/init_model_parts.h"
#include "support/golden.h"
#include "support/test.h"
#include "text/bpe.h"
#include "text/chars.h"
#include "text/tables.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 256, ROUND = 50, LONGEST = 1200 };

static struct lines *l;
static struct line_work work, fresh;
static struct {
	char *data;
	size_t len;
} seed[SEEDS];
static int seeds;

/* What holds of every cleaned line. */
static void
check_clean(enum language lang, const struct buffer *clean)
{
	assert_int_equal(utf8_valid(clean->data, clean->len), clean->len);
	for (size_t i = 0; i < clean->len; i++)
		assert_true(lang == LANG_HI || lang == LANG_JA || clean->data[i] != '"');
	for (size_t i = 1; i < clean->len; i++)
		assert_true(lang == LANG_JA || clean->data[i] != ' ' || clean->data[i - 1] != ' ');
	if (clean->len && lang != LANG_HI)
		assert_true(clean->data[0] != ' ' && clean->data[clean->len - 1] != ' ');
	for (size_t i = 0; i < clean->len && lang == LANG_ZH; i++)
		assert_false(clean->data[i] >= 'A' && clean->data[i] <= 'Z');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum language lang = size ? (enum language)(data[0] % LANGUAGES) : LANG_EN;
	const char *code = language_code(lang), *text = size ? (const char *)data + 1 : "";
	struct numbers ids = { 0 }, again = { 0 };
	size_t len = size ? size - 1 : 0;
	enum status st = line_encode(l, code, text, len, &work, &ids);
	bool valid = utf8_valid(text, len) == len;

	assert_true(st == ACE_OK || st == ACE_EDATA);
	assert_true(valid || st == ACE_EDATA);
	if (st != ACE_OK) {
		assert_int_equal(ids.len, 0);
		assert_true(!valid || lang == LANG_JA);		/* no other language fails */
		assert_true(*ace_message() && !strchr(ace_message(), '\n'));
		return 0;
	}
	check_clean(lang, &work.clean);
	assert_true(ids.len >= 1);
	for (size_t i = 0; i < ids.len; i++)
		assert_in_range(ids.data[i], 0, lines_bpe(l)->size - 1);
	assert_ok(line_encode(l, code, text, len, &fresh, &again));		/* whatever was before it */
	assert_int_equal(again.len, ids.len);
	assert_memory_equal(again.data, ids.data, ids.len * sizeof *ids.data);
	line_work_free(&fresh);
	fresh = (struct line_work){ 0 };
	numbers_free(&ids);
	numbers_free(&again);
	return 0;
}

static void
seeds_are_encoded_or_refused(void **state)
{
	(void)state;
	for (int i = 0; i < seeds; i++)
		LLVMFuzzerTestOneInput((const uint8_t *)seed[i].data, seed[i].len);
	assert_true(seeds > 10);
}

static uint64_t dice = 88172645463325252u;

static size_t
roll(size_t n)
{
	dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
	return n ? (size_t)((dice >> 11) % n) : 0;
}

static const char *const words[] = {"0",
				    "1",
				    "2",
				    "9",
				    "12",
				    "100",
				    "1000",
				    "999999",
				    "000",
				    ".",
				    ",",
				    "$",
				    "£",
				    "€",
				    "%",
				    "％",
				    "/",
				    "-",
				    "+86 ",
				    "138",
				    "年",
				    "月",
				    "日",
				    "元",
				    "万",
				    "多",
				    "个",
				    "块",
				    "二",
				    "点",
				    "十",
				    "^",
				    "st",
				    "nd",
				    "th",
				    "º",
				    "a",
				    "er",
				    "ème",
				    "-й",
				    "번째",
				    "번",
				    "inci",
				    "adik",
				    "de",
				    "ين",
				    ".$",
				    "mr.",
				    "dr.",
				    "г-н",
				    "& ",
				    "@",
				    "#",
				    "°",
				    "  ",
				    "\t",
				    "\n",
				    "\xc2\xa0",
				    "\xe3\x80\x80",
				    "٣",
				    "१",
				    "９",
				    "½",
				    "²",
				    "İ",
				    "ß",
				    "Σ",
				    "ſ",
				    "ı",
				    "e\xcc\x81",
				    "한",
				    "가",
				    "꺽",
				    "水",
				    "了不起",
				    "〇",
				    "𠀀",
				    "ー",
				    "ッ",
				    "ャ",
				    "々",
				    "ん",
				    "東京",
				    "ｶﾞ",
				    "'",
				    "’",
				    "\"",
				    "(",
				    "[",
				    "]",
				    "[verse]",
				    "\xe2\x80\xae",
				    "\xe2\x80\x8b",
				    "\xff",
				    "\xed\xa0\x80",
				    "\xf0\x9f\x98\x80",
				    "X"};

static void
insert(char *text, size_t *len, const char *w, size_t n)
{
	size_t at = 1 + roll(*len);

	if (*len + n >= LONGEST)
		return;
	while (roll(16) && at < *len && ((unsigned char)text[at] & 0xc0) == 0x80)
		at++;
	at = at > *len ? *len : at;
	memmove(text + at + n, text + at, *len - at);
	memcpy(text + at, w, n);
	*len += n;
}

static void
mixed_and_damaged_lines_do_no_harm(void **state)
{
	int rounds = test_rounds("ACE_FUZZ", 20);

	(void)state;
	for (int i = 0; i < rounds * ROUND; i++) {
		char text[LONGEST] = { 0 }, *exact;
		size_t len = 1, hits = roll(12);
		for (size_t parts = roll(3); parts-- > 0;) {
			size_t s = roll((size_t)seeds), from = 1 + roll(seed[s].len), n;
			n = from < seed[s].len ? roll(seed[s].len - from + 1) : 0;
			insert(text, &len, seed[s].data + (n ? from : 0), n > LONGEST / 3 ? LONGEST / 3 : n);
		}
		while (hits-- > 0) {
			const char *w = words[roll(sizeof words / sizeof *words)];
			insert(text, &len, w, strlen(w));
		}
		text[0] = (char)roll(LANGUAGES);
		if (roll(20) == 0)
			text[roll(len)] = (char)roll(256);
		exact = malloc(len);		/* exactly as long as it is, for the sanitizer */
		assert_non_null(exact);
		memcpy(exact, text, len);
		LLVMFuzzerTestOneInput((const uint8_t *)exact, len);
		free(exact);
	}
}

static int
setup(void **state)
{
	const char *top = getenv("top_srcdir"), *dir = golden_tmp();
	char *where = file_path("%s/tests/fuzz/lines.seeds", top ? top : "."),
	     *vocab = file_path("%s/lyric_vocab.json", dir);
	DIR *d = opendir(where);
	enum status st = init_lyric_vocab(dir);

	(void)state;
	if (st == ACE_OK)
		st = lines_open(&l, &(struct lines_from){ .vocab = vocab });
	for (struct dirent *e; d && st == ACE_OK && (e = readdir(d)) && seeds < SEEDS;) {
		char *path = file_path("%s/%s", where, e->d_name);
		if (e->d_name[0] != '.')
			st = file_read(path, 1 << 20, &seed[seeds].data, &seed[seeds].len);
		seeds += e->d_name[0] != '.' && st == ACE_OK;
		free(path);
	}
	if (d)
		closedir(d);
	if (st != ACE_OK)
		print_error("%s\n", ace_message());
	free(where);
	free(vocab);
	return st != ACE_OK || file_remove_tree(dir) != ACE_OK;
}

static int
teardown(void **state)
{
	(void)state;
	line_work_free(&work);
	lines_close(l);
	for (int i = 0; i < seeds; i++)
		free(seed[i].data);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeds_are_encoded_or_refused),
		cmocka_unit_test(mixed_and_damaged_lines_do_no_harm),
	};

	return cmocka_run_group_tests_name("fuzz/lines", tests, setup, teardown);
}
