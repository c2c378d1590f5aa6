/* SPDX-License-Identifier: Apache-2.0 */
/* Whole lyrics, good and bad, in both variants: what comes out is checked against itself. Seeds are the files of
 * tests/fuzz/lyrics.seeds; each round mixes and damages them. ACE_FUZZ is the number of rounds (of 50). */
#include "text/lyric.h"

#include "base/file.h"
#include "jobs/init_model_parts.h"
#include "support/golden.h"
#include "support/test.h"
#include "text/chars.h"
#include "text/segment.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEDS = 256, ROUND = 50, LONGEST = 2000 };

static struct lyric l;
static struct {
	char *data;
	size_t len;
} seed[SEEDS];
static int seeds;

/* Lines as they pass, put together again. */
struct together {
	struct numbers ids;
	int last, skipped;
};

static void
check_segments(const struct segments *s)
{
	size_t at = 0;
	int64_t sum = 0;

	for (int i = 0; i < s->n; i++) {
		assert_int_equal(s->seg[i].from, at);
		assert_true(s->seg[i].len > 0 && s->seg[i].score >= 0 && s->seg[i].score <= 1);
		assert_int_equal(utf8_valid(s->text.data + at, s->seg[i].len), s->seg[i].len);
		assert_true(i == 0 || strcmp(s->seg[i].lang, s->seg[i - 1].lang) != 0);
		at += s->seg[i].len;
	}
	assert_int_equal(at, s->text.len);
	assert_true(s->counts >= 1);
	for (int i = 0; i < s->counts; i++) {
		assert_true(i == 0 || s->count[i].chars <= s->count[i - 1].chars);
		sum += s->count[i].chars;
	}
	assert_true((sum > 0) == (s->n > 0) || sum > 0);
}

static enum status
put_together(void *me, const struct lyric_shown *v)
{
	struct together *t = me;

	assert_int_equal(v->line, ++t->last);
	for (int i = 0; i < v->n; i++) {
		assert_in_range(v->id[i], 0, lyric_size(&l) - 1);
		numbers_add(&t->ids, v->id[i]);
	}
	if (v->segments)
		check_segments(v->segments);
	switch (v->kind) {
	case LYRIC_SKIPPED:
		t->skipped++;
		assert_true(v->n == 0 && *v->why);
		return ACE_OK;
	case LYRIC_BLANK:
		break;
	case LYRIC_STRUCTURE:
	case LYRIC_SUNG:
		assert_true(v->n > 0 && line_language(v->used));
		assert_int_equal(utf8_valid(v->clean, v->clean_len), v->clean_len);
	}
	numbers_add(&t->ids, l.blank);
	return ACE_OK;
}

static void
encode_and_check(const char *text, size_t len)
{
	struct together t = { 0 };
	struct lyric_ids ids, again;
	enum lyric_fault fault, other;
	enum status st;

	numbers_add(&t.ids, l.start);
	st = lyric_encode_watched(&l, text, len, &ids, &fault, put_together, &t);
	assert_true(st == ACE_OK || st == ACE_EDATA);
	assert_int_equal(st == ACE_OK, fault == LYRIC_GOOD);
	assert_int_equal(fault == LYRIC_NOT_UTF8, utf8_valid(text, len) != len);
	assert_true(fault == LYRIC_GOOD || fault == LYRIC_NOT_UTF8 || (fault == LYRIC_LANGUAGE && l.per_song));
	assert_int_equal(lyric_encode(&l, text, len, &again, &other), st);
	assert_int_equal(other, fault);
	if (st == ACE_OK) {
		assert_true(ids.n >= 1 && ids.n <= l.max_tokens && again.n == ids.n && again.unknown == ids.unknown);
		assert_memory_equal(ids.id, again.id, (size_t)ids.n * sizeof *ids.id);
		assert_int_equal(ids.skipped, t.skipped);
		assert_true(ids.mask == (!ids.none || l.per_song));
		assert_true(ids.cut || ids.none || (size_t)ids.n == t.ids.len);
		if (!ids.none)
			assert_memory_equal(ids.id, t.ids.data, (size_t)ids.n * sizeof *ids.id);
	} else {
		assert_true(!ids.id && *ace_message());
	}
	numbers_free(&t.ids);
	lyric_ids_free(&ids);
	lyric_ids_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int song = 0; song < 2; song++) {
		l.per_song = song;
		encode_and_check((const char *)data, size);
	}
	return 0;
}

static void
seeds_are_read_or_refused_whole(void **state)
{
	(void)state;
	for (int i = 0; i < seeds; i++)
		LLVMFuzzerTestOneInput((const uint8_t *)seed[i].data, seed[i].len);
	assert_true(seeds > 10);
}

/* --- damage --- */

static uint64_t dice = 88172645463325252u;

static size_t
roll(size_t n)
{
	dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
	return n ? (size_t)((dice >> 11) % n) : 0;
}

static const char *const words[] = { "【", "》", "（", "）", "“", "”", "‘", "’", "\"", "'", "<", ">", "/", "-", "|", "…", "。", ".", "?",
	"!", "\n", "\n\n", " ", "⑥", "$", "0", "12", "3.4", "٣", "A", "bC", "à", "ỹ", "ø", "<en>", "</en>", "<ja>", "<number>",
	"<currency>", "<date>", "<>", "<zh|ja>", "⑥00000000⑥", "⑥$5000000⑥", "⑥$4000000⑥", "⑥1234567⑥", "⑥123456⑥", "한국", "สวัส",
	"Привет", "你好", "日本語", "ひら", "カタ", "漢", "iPhone", "LCD", "\xe3\x80\x80", "\xc2\xa0", "e\xcc\x81", "\x1c", "\xc2\x85",
	"\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x80\x8b", "hello ", "la la ", "[verse]", "[", "]", "\xff", "\xed\xa0\x80", "aaaa", "哈哈",
	"İ", "ß", "Σς", "\xf0\x9f\x98\x80", "½", "℃", "%", "&", "£5", "$6.50", "7€", "2nd", "\r" };

/* A start of a code point at or before at, mostly: else any byte. */
static size_t
place(const char *text, size_t len)
{
	size_t at = roll(len + 1);

	if (roll(16))
		while (at > 0 && at < len && ((unsigned char)text[at] & 0xc0) == 0x80)
			at--;
	return at;
}

static void
damage(char *text, size_t *len)
{
	const char *w = words[roll(sizeof words / sizeof *words)];
	size_t n = strlen(w), at = place(text, *len), to = place(text, *len);

	switch (roll(8)) {
	case 0:			/* take something out */
		if (at < to) {
			memmove(text + at, text + to, *len - to);
			*len -= to - at;
		}
		return;
	case 1:			/* a piece once more, elsewhere */
		if (at < to && to - at < 40 && *len + 40 < LONGEST) {
			char piece[40];
			n = to - at;
			memcpy(piece, text + at, n);
			at = place(text, *len);
			memmove(text + at + n, text + at, *len - at);
			memcpy(text + at, piece, n);
			*len += n;
		}
		return;
	case 2:			/* one byte */
		if (*len && roll(4) == 0)
			text[roll(*len)] = (char)roll(256);
		return;
	default:
		if (*len + n < LONGEST) {
			memmove(text + at + n, text + at, *len - at);
			memcpy(text + at, w, n);
			*len += n;
		}
	}
}

static void
mixed_and_damaged_lyrics_do_no_harm(void **state)
{
	int rounds = test_rounds("ACE_FUZZ", 10);

	(void)state;
	for (int i = 0; i < rounds * ROUND; i++) {
		char text[LONGEST];
		size_t len = 0, parts = 1 + roll(3), hits = roll(8);
		while (parts-- > 0) {
			size_t s = roll((size_t)seeds), from = place(seed[s].data, seed[s].len);
			size_t n = roll(seed[s].len - from + 1);
			n = n > LONGEST / 3 ? LONGEST / 3 : n;
			memcpy(text + len, seed[s].data + from, n);
			len += n;
		}
		while (hits-- > 0)
			damage(text, &len);
		/* exactly as long as it is, for the sanitizer */
		char *exact = malloc(len ? len : 1);
		memcpy(exact, text, len);
		LLVMFuzzerTestOneInput((const uint8_t *)exact, len);
		free(exact);
	}
}

/* --- */

static int
setup(void **state)
{
	const char *top = getenv("top_srcdir"), *dir = golden_tmp();
	char *where = file_path("%s/tests/fuzz/lyrics.seeds", top ? top : "."), *vocab = file_path("%s/lyric_vocab.json", dir);
	DIR *d = opendir(where);
	enum status st = init_lyric_vocab(dir);

	(void)state;
	if (st == ACE_OK)
		st = lyric_open(&l, &(struct lines_from){ .vocab = vocab });
	for (struct dirent *e; d && st == ACE_OK && (e = readdir(d)) && seeds < SEEDS;) {
		char *path = file_path("%s/%s", where, e->d_name);
		if (e->d_name[0] != '.')
			st = file_read(path, 1 << 20, &seed[seeds].data, &seed[seeds].len);
		seeds += e->d_name[0] != '.' && st == ACE_OK;
		free(path);
	}
	if (d)
		closedir(d);
	l.max_tokens = 300;	/* so that some are cut */
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
	lyric_close(&l);
	for (int i = 0; i < seeds; i++)
		free(seed[i].data);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeds_are_read_or_refused_whole),
		cmocka_unit_test(mixed_and_damaged_lyrics_do_no_harm),
	};

	return cmocka_run_group_tests_name("fuzz/lyrics", tests, setup, teardown);
}
