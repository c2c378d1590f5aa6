/* SPDX-License-Identifier: Apache-2.0 */
/* tables.h - what languages have of their own: number words, abbreviations, signs (datasets/text, text.md sections 3.3 ... 3.8)
 *
 * rules.txt and numbers.txt, whose forms datasets/text/README.md describes. Read once, then only read. */
#ifndef ACE_TEXT_TABLES_H
#define ACE_TEXT_TABLES_H

#include "base/status.h"
#include "text/piece_trie.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum language {
	LANG_AR, LANG_CS, LANG_DE, LANG_EN, LANG_ES, LANG_FR, LANG_HI, LANG_HU, LANG_IT,
	LANG_JA, LANG_KO, LANG_NL, LANG_PL, LANG_PT, LANG_RU, LANG_TR, LANG_ZH,
	LANGUAGES,
	LANG_NONE = LANGUAGES,
};

/* Of a code, whose region ("pt-BR") does not count; LANG_NONE for others. Case counts. */
enum language language_of(const char *code);
const char *language_code(enum language lang);

/* Lines of a table; borrowed. */
struct table_line {
	const char *text, *value;	/* value: behind the TAB, NULL without one */
	size_t len, n_value;
};

struct table {
	struct table_line *line;	/* owned */
	int n, cap;
};

enum { NUMBER_WORDS = 1000 };

struct language_tables {
	struct table abbreviations, symbols, ordinals;
	/* words of 0 ... 999, NULL where the reference has none; either list is there as a whole or not at all */
	const char *const *cardinal, *const *ordinal;
};

struct tables {
	struct language_tables of[LANGUAGES];
	struct table kana, word_exceptions;		/* ja */
	struct trie kana_trie, exception_trie;		/* their texts -> lines */
	struct table currency_units, measure_words;	/* zh: in the order in which they are tried */
	uint8_t punctuation[0x10000 / 8];		/* zh: bits of what becomes a comma */
	char *text[3];					/* of the files; owned */
	const char **words;				/* owned */
};

/* The tables of a folder. ACE_ENOINPUT, ACE_EDATA name file and line. On failure *t may be given to tables_close. */
enum status tables_open(struct tables *t, const char *folder) ACE_NODISCARD;
void tables_close(struct tables *t);

/* A line whose text is the whole of text, NULL when there is none. */
const struct table_line *table_find(const struct table *t, const struct trie *trie, const char *text, size_t len);
#endif
