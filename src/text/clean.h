/* SPDX-License-Identifier: Apache-2.0 */
/* clean.h - a lyric line as its tokenizer wants it: lower case, numbers and signs in words (text.md sections 3.3, 3.4)
 *
 * The steps that languages share, and a row of rules for each language that is built. */
#ifndef ACE_TEXT_CLEAN_H
#define ACE_TEXT_CLEAN_H

#include "base/status.h"
#include "text/buffer.h"

struct clean_rules {
	const char *lang;
	const char *const (*abbreviation)[2];	/* "mr" -> "mister", when "." follows; ends with NULL */
	const char *const (*symbol)[2];		/* "&" -> " and ", in order; ends with NULL */
	bool (*numbers)(struct buffer *text);	/* in place; false: the step fails, and is undone as a whole */
};

/* The rules of a language code, NULL when it is not built. */
const struct clean_rules *clean_rules_of(const char *lang, size_t len);

/* text, valid UTF-8, cleaned, in place of what out holds. */
enum status clean_line(const struct clean_rules *r, const char *text, size_t len, struct buffer *out) ACE_NODISCARD;

/* Numbers in English. */
bool clean_numbers_en(struct buffer *text);
extern const struct clean_rules clean_en;
#endif
