/* SPDX-License-Identifier: Apache-2.0 */
#include "text/tables.h"

#include "base/file.h"
#include "text/chars.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 4 << 20, WORD_MAX = 400 };

static const char *const codes[LANGUAGES] = {
	"ar", "cs", "de", "en", "es", "fr", "hi", "hu", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh",
};

enum language
language_of(const char *code)
{
	size_t n = strcspn(code, "-");
	int i = 0;

	while (i < LANGUAGES && (strlen(codes[i]) != n || memcmp(codes[i], code, n) != 0))
		i++;
	return (enum language)i;
}

const char *
language_code(enum language lang)
{
	return lang < LANGUAGES ? codes[lang] : "?";
}

/* A file, line by line, each ended by a 0 byte in place. */
struct reader {
	const char *path;
	char *at, *end;			/* of the next line, of the text */
	int number;			/* of the line read last */
};

static enum status
reader_open(struct reader *r, char **text, const char *path)
{
	size_t size;

	*r = (struct reader){ .path = path };
	ACE_TRY(file_read(path, FILE_LIMIT, text, &size));
	if (size == 0 || (*text)[size - 1] != '\n' || memchr(*text, 0, size) || utf8_valid(*text, size) != size)
		return ace_fail(ACE_EDATA, "%s: not a table: no lines of UTF-8", path);
	r->at = *text;
	r->end = *text + size;
	return ACE_OK;
}

static char *
next_line(struct reader *r)
{
	char *line = r->at;

	if (line == r->end)
		return NULL;
	r->at = memchr(line, '\n', (size_t)(r->end - line));
	*r->at++ = 0;
	r->number++;
	return line;
}

static enum status
bad_line(const struct reader *r, const char *wanted)
{
	return ace_fail(ACE_EDATA, "%s: line %d is not %s", r->path, r->number, wanted);
}

/* "= name code": the code's language, and the name, ended in place; false: no such line. */
static bool
section(char *line, char **name, enum language *lang)
{
	char *blank;

	if (line[0] != '=' || line[1] != ' ' || !(blank = strchr(line + 2, ' ')))
		return false;
	*blank = 0;
	*name = line + 2;
	*lang = language_of(blank + 1);
	return true;
}

static struct table *
table_named(struct tables *t, const char *name, enum language lang)
{
	struct language_tables *own = lang < LANGUAGES ? &t->of[lang] : NULL;
	struct { const char *name; struct table *table; } all[] = {
		{ "abbreviations", own ? &own->abbreviations : NULL }, { "symbols", own ? &own->symbols : NULL },
		{ "ordinals", own ? &own->ordinals : NULL }, { "japanese_kana", &t->kana },
		{ "japanese_word_exceptions", &t->word_exceptions }, { "currency_units", &t->currency_units },
		{ "measure_words", &t->measure_words },
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i].name, name) == 0)
			return all[i].table;
	return NULL;
}

static bool
table_add(struct table *t, char *line)
{
	char *tab = strchr(line, '\t');

	if (t->n == t->cap) {
		int cap = t->cap ? 2 * t->cap : 16;
		struct table_line *more = realloc(t->line, (size_t)cap * sizeof *more);
		if (!more)
			return false;
		t->line = more;
		t->cap = cap;
	}
	if (tab)
		*tab++ = 0;
	t->line[t->n++] = (struct table_line){ line, tab, strlen(line), tab ? strlen(tab) : 0 };
	return true;
}

static enum status
read_rules(struct tables *t, const char *path)
{
	bool punctuation = false;
	struct table *to = NULL;
	struct reader r;
	char *line, *name;
	enum language lang;

	ACE_TRY(reader_open(&r, &t->text[0], path));
	while ((line = next_line(&r))) {
		if (section(line, &name, &lang)) {
			punctuation = strcmp(name, "punctuation") == 0;
			to = table_named(t, name, lang);
			if (!punctuation && !to)
				return bad_line(&r, "the name of a table of a language");
		} else if (punctuation) {
			uint32_t c = *line ? utf8_at(line) : UINT32_MAX;
			if (c > 0xffff || line[utf8_len(*line)])
				return bad_line(&r, "one character below U+10000");
			t->punctuation[c / 8] |= (uint8_t)(1 << c % 8);
		} else if (!to || !*line || *line == '\t') {
			return bad_line(&r, "an entry of a table");
		} else if (!table_add(to, line)) {
			return ace_fail(ACE_ENOMEM, "%s: no memory", path);
		}
	}
	return ACE_OK;
}

/* Entries of a replacement must say by what. */
static enum status
check_pairs(const struct table *t, const char *path)
{
	for (int i = 0; i < t->n; i++)
		if (!t->line[i].value)
			return ace_fail(ACE_EDATA, "%s: the entry \"%s\" has no second column", path,
					t->line[i].text);
	return ACE_OK;
}

static enum status
check_rules(const struct tables *t, const char *path)
{
	for (int i = 0; i < LANGUAGES; i++) {
		ACE_TRY(check_pairs(&t->of[i].abbreviations, path));
		ACE_TRY(check_pairs(&t->of[i].symbols, path));
	}
	ACE_TRY(check_pairs(&t->kana, path));
	return check_pairs(&t->word_exceptions, path);
}

/* 1000 lines "SHARED REST", SHARED bytes of the line before, into text, which has room; "!" becomes NULL. */
static enum status
read_words(struct reader *r, const char **word, char **text, const char *end)
{
	const char *before = "";
	size_t n_before = 0;

	for (int i = 0; i < NUMBER_WORDS; i++) {
		char *line = next_line(r), *rest;
		size_t n = line ? strtoul(line, &rest, 10) : 0, more;
		if (!line || rest == line || *rest != ' ' || n > n_before || (more = strlen(++rest)) + n > WORD_MAX ||
		    (size_t)(end - *text) <= n + more)
			return bad_line(r, "a number and the rest of a word");
		memcpy(*text, before, n);
		memcpy(*text + n, rest, more + 1);
		if (utf8_valid(*text, n + more) != n + more)
			return bad_line(r, "the rest of a word in UTF-8");
		word[i] = strcmp(*text, "!") == 0 ? NULL : *text;
		before = *text;
		n_before = n + more;
		*text += n + more + 1;
	}
	return ACE_OK;
}

static enum status
read_numbers(struct tables *t, const char *path)
{
	struct reader r;
	enum language lang;
	char *line, *name, *to, *end;
	const char **word;

	ACE_TRY(reader_open(&r, &t->text[1], path));
	t->text[2] = to = malloc(FILE_LIMIT);
	t->words = word = calloc((size_t)2 * LANGUAGES * NUMBER_WORDS, sizeof *word);
	if (!to || !word)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	for (end = to + FILE_LIMIT; (line = next_line(&r)); word += NUMBER_WORDS) {
		bool cardinal;
		if (!section(line, &name, &lang) || lang == LANG_NONE ||
		    (!(cardinal = strcmp(name, "cardinal") == 0) && strcmp(name, "ordinal") != 0))
			return bad_line(&r, "\"= \", a language and \"cardinal\" or \"ordinal\"");
		if (cardinal ? !!t->of[lang].cardinal : !!t->of[lang].ordinal)
			return bad_line(&r, "the first list of this kind and language");
		ACE_TRY(read_words(&r, word, &to, end));
		for (int i = 0; cardinal && i < NUMBER_WORDS; i++)
			if (!word[i])
				return ace_fail(ACE_EDATA, "%s: no word for %d in \"%s\"", path, i, codes[lang]);
		*(cardinal ? &t->of[lang].cardinal : &t->of[lang].ordinal) = word;
	}
	return ACE_OK;
}

static bool
index_lines(struct trie *to, const struct table *t)
{
	if (!trie_init(to))
		return false;
	for (int i = 0; i < t->n; i++)
		if (!trie_add(to, t->line[i].text, t->line[i].len, i))
			return false;
	return true;
}

enum status
tables_open(struct tables *t, const char *folder)
{
	char *rules = file_path("%s/rules.txt", folder), *numbers = file_path("%s/numbers.txt", folder);
	enum status st = rules && numbers ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for file names");

	*t = (struct tables){ 0 };
	if (st == ACE_OK)
		st = read_rules(t, rules);
	if (st == ACE_OK)
		st = check_rules(t, rules);
	if (st == ACE_OK)
		st = read_numbers(t, numbers);
	if (st == ACE_OK &&
	    (!index_lines(&t->kana_trie, &t->kana) || !index_lines(&t->exception_trie, &t->word_exceptions)))
		st = ace_fail(ACE_ENOMEM, "%s: no memory", rules);
	free(rules);
	free(numbers);
	return st;
}

void
tables_close(struct tables *t)
{
	for (int i = 0; i < LANGUAGES; i++) {
		free(t->of[i].abbreviations.line);
		free(t->of[i].symbols.line);
		free(t->of[i].ordinals.line);
	}
	free(t->kana.line);
	free(t->word_exceptions.line);
	free(t->currency_units.line);
	free(t->measure_words.line);
	trie_free(&t->kana_trie);
	trie_free(&t->exception_trie);
	for (int i = 0; i < 3; i++)
		free(t->text[i]);
	free(t->words);
	*t = (struct tables){ 0 };
}

const struct table_line *
table_find(const struct table *t, const struct trie *trie, const char *text, size_t len)
{
	int32_t i = trie_find(trie, text, len);

	return i < 0 ? NULL : &t->line[i];
}
