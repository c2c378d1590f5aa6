/* SPDX-License-Identifier: Apache-2.0 */
#include "text/line.h"

#include "base/datadir.h"
#include "base/file.h"
#include "base/sha256.h"
#include "text/analyser.h"
#include "text/bpe.h"
#include "text/chars.h"
#include "text/clean.h"
#include "text/pinyin.h"

#include <stdlib.h>
#include <string.h>

struct lines {
	struct bpe bpe;
	struct tables tables;
	struct pinyin *pinyin;
	struct analyser *analyser;	/* NULL: no dictionary */
	char hash[65];
};

static enum status
open_tables(struct lines *l, const char *folder)
{
	char *path = file_path("%s/pinyin.txt", folder);
	enum status st = path ? tables_open(&l->tables, folder) : ace_fail(ACE_ENOMEM, "no memory for file names");

	if (st == ACE_OK)
		st = pinyin_open(&l->pinyin, path);
	free(path);
	return st;
}

static enum status
open_all(struct lines *l, const struct lines_from *from)
{
	const char *unidic = from->unidic ? from->unidic : getenv("ACE_UNIDIC");
	char *folder = from->tables ? file_path("%s", from->tables) : datadir_find("text");
	enum status st = ACE_OK;

	if (!folder)
		return ace_fail(ACE_ENOINPUT, "the word tables of lyrics, datasets/text, are not there\n"
		                "install them, or set ACE_DATADIR to the folder that holds datasets");
	if ((st = bpe_open(&l->bpe, from->vocab)) == ACE_OK && (st = sha256_file(from->vocab, l->hash)) == ACE_OK)
		st = open_tables(l, folder);
	if (st == ACE_OK && unidic && *unidic)
		st = analyser_open(&l->analyser, unidic);
	free(folder);
	return st;
}

enum status
lines_open(struct lines **to, const struct lines_from *from)
{
	struct lines *l = calloc(1, sizeof *l);
	enum status st;

	*to = NULL;
	if (!l)
		return ace_fail(ACE_ENOMEM, "%s: no memory", from->vocab);
	st = open_all(l, from);
	if (st != ACE_OK) {
		lines_close(l);
		return st;
	}
	*to = l;
	return ACE_OK;
}

void
lines_close(struct lines *l)
{
	if (!l)
		return;
	bpe_close(&l->bpe);
	tables_close(&l->tables);
	pinyin_close(l->pinyin);
	analyser_close(l->analyser);
	free(l);
}

void
line_work_free(struct line_work *w)
{
	buffer_free(&w->clean);
	for (size_t i = 0; i < sizeof w->spare / sizeof *w->spare; i++)
		buffer_free(&w->spare[i]);
	if (w->lattice)
		analyser_lattice_free(w->analyser, w->lattice);
	w->lattice = NULL;
}

const struct bpe *
lines_bpe(const struct lines *l)
{
	return &l->bpe;
}

const char *
lines_vocab_hash(const struct lines *l)
{
	return l->hash;
}

const char *
lines_japanese(const struct lines *l)
{
	return l->analyser ? analyser_name(l->analyser) : "none";
}

bool
line_language(const char *lang)
{
	return language_of(lang) != LANG_NONE;
}

bool
line_readable(const struct lines *l, const char *lang)
{
	return line_language(lang) && (language_of(lang) != LANG_JA || l->analyser);
}

/* A step that fails leaves the text as it was. */
static void
numbers(const struct lines *l, enum language lang, struct buffer *text, struct line_work *w)
{
	struct buffer *saved = &w->spare[1];
	bool done;

	buffer_clear(saved);
	buffer_add(saved, text->data, text->len);
	done = lang == LANG_ZH ? clean_numbers_zh(&l->tables, text, &w->spare[0])
	                       : clean_numbers(&l->tables, lang, text, &w->spare[0]);
	if (!done)
		buffer_swap(text, saved);
}

/* Turkish capitals that lower case would take apart. */
static void
turkish(struct buffer *text, struct buffer *spare)
{
	static const char *const letters[][2] = {
	    {"\xc4\xb0", "i"}, {"\xc3\x96", "\xc3\xb6"}, {"\xc3\x9c", "\xc3\xbc"}};

	buffer_clear(spare);
	for (size_t i = 0, n; i < text->len; i += n) {
		int k = 0;
		n = utf8_len(text->data[i]);
		while (k < 3 && (n != 2 || memcmp(text->data + i, letters[k][0], 2) != 0))
			k++;
		if (k < 3)
			buffer_str(spare, letters[k][1]);
		else
			buffer_add(spare, text->data + i, n);
	}
	buffer_swap(text, spare);
}

static enum status
japanese(const struct lines *l, struct buffer *text, struct line_work *w)
{
	struct ja_node *node;
	enum status st;
	size_t n, len;

	if (!l->analyser)
		return ace_fail(ACE_EDATA,
				"Japanese needs a dictionary: give the folder of a UniDic with unidic_dir=FOLDER");
	ACE_TRY(romaji_prepare(text, &w->spare[0]));
	len = strlen(text->data);	/* the reference's analyser reads to the first U+0000 */
	if (len > JAPANESE_BYTES_MAX)
		return ace_fail(ACE_EDATA, "the Japanese line has %zu bytes, more than %d", len, JAPANESE_BYTES_MAX);
	w->analyser = l->analyser;
	st = analyser_read(l->analyser, &w->lattice, text->data, len, &node, &n);
	buffer_clear(&w->spare[0]);
	if (st == ACE_OK && !romaji_write(&l->tables, node, n, &w->spare[0]))
		st = ace_fail(ACE_EDATA, "a Japanese word with a character that has no Latin letters");
	free(node);
	ACE_TRY(st);
	buffer_swap(text, &w->spare[0]);
	return clean_lower(text, &w->spare[0]);
}

/* text in w->clean, cleaned there. */
static enum status
clean(const struct lines *l, enum language lang, struct line_work *w)
{
	struct buffer *text = &w->clean, *spare = &w->spare[0];

	if (lang == LANG_JA)
		return text->len ? japanese(l, text, w) : ACE_OK;
	if (lang == LANG_TR)
		turkish(text, spare);
	ACE_TRY(clean_lower(text, spare));
	if (lang != LANG_HI) {
		numbers(l, lang, text, w);
		clean_abbreviations(&l->tables, lang, text, spare);
		clean_symbols(&l->tables, lang, text, spare);
	}
	clean_spaces(text, spare);
	if (lang == LANG_ZH)
		pinyin_write(l->pinyin, text, spare);
	if (lang == LANG_KO)
		clean_hangul(text, spare);
	return ACE_OK;
}

/* The line without its double quotes, which Hindi and Japanese keep. */
static void
copy_line(enum language lang, const char *text, size_t len, struct buffer *out)
{
	bool keep = lang == LANG_HI || lang == LANG_JA;

	buffer_clear(out);
	for (size_t i = 0, n; i < len; i += n + 1) {
		const char *quote = keep ? NULL : memchr(text + i, '"', len - i);
		n = quote ? (size_t)(quote - text) - i : len - i;
		buffer_add(out, text + i, n);
	}
}

/* "[en]" and the cleaned text with every blank as [SPACE]. */
static void
mark(enum language lang, const struct buffer *text, struct buffer *out)
{
	buffer_clear(out);
	buffer_char(out, '[');
	buffer_str(out, lang == LANG_ZH ? "zh-cn" : language_code(lang));
	buffer_char(out, ']');
	for (size_t i = 0, n; i < text->len; i += n + 1) {
		const char *blank = memchr(text->data + i, ' ', text->len - i);
		n = blank ? (size_t)(blank - text->data) - i : text->len - i;
		buffer_add(out, text->data + i, n);
		if (blank)
			buffer_str(out, "[SPACE]");
	}
}

enum status
line_clean(const struct lines *l, const char *code, const char *text, size_t len, struct line_work *w)
{
	enum language lang = language_of(code);
	size_t good;

	if (lang == LANG_NONE)
		return ace_fail(ACE_EDATA, "no lyrics are known in the language \"%.16s\"", code);
	if (len > LINE_BYTES_MAX)
		return ace_fail(ACE_EDATA, "the line has %zu bytes, more than %d", len, LINE_BYTES_MAX);
	good = utf8_valid(text, len);
	if (good != len)
		return ace_fail(ACE_EDATA, "the line is not UTF-8 at byte %zu", good);
	copy_line(lang, text, len, &w->clean);
	if (buffer_done(&w->clean))
		ACE_TRY(clean(l, lang, w));
	for (size_t i = 0; i < sizeof w->spare / sizeof *w->spare; i++)
		w->clean.bad |= w->spare[i].bad;
	if (!w->clean.bad && buffer_done(&w->clean))
		return ACE_OK;
	buffer_free(&w->clean);			/* what is bad stays so until then */
	for (size_t i = 0; i < sizeof w->spare / sizeof *w->spare; i++)
		buffer_free(&w->spare[i]);
	return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
}

enum status
line_encode(const struct lines *l, const char *code, const char *text, size_t len, struct line_work *w,
	    struct numbers *ids)
{
	size_t had = ids->len;
	enum status st;

	ACE_TRY(line_clean(l, code, text, len, w));
	mark(language_of(code), &w->clean, &w->spare[0]);
	if (w->spare[0].bad)
		return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
	st = bpe_encode(&l->bpe, w->spare[0].data, w->spare[0].len, ids);
	if (st != ACE_OK)
		ids->len = had;
	return st;
}
