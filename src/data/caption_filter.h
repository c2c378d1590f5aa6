/* SPDX-License-Identifier: Apache-2.0 */
/* caption_filter.h - what is taken out of captions before they are encoded: caption_filter_list (datasets.md section 1) */
#ifndef ACE_DATA_CAPTION_FILTER_H
#define ACE_DATA_CAPTION_FILTER_H

#include "base/status.h"

struct caption_filter;

/* One item more; *f NULL: the first. "s/WHAT/BY/" puts BY in the place of WHAT (\1 in it: the first group), the last / may be
 * missing; of others nothing is left. What holds one of . * + ? [ ] ( ) { } ^ $ | \ is a regular expression, else it is a text.
 *
 * Expressions are POSIX's extended ones of characters (not bytes), with \d \w \s \b as in others. What those lack (lazy
 * repeats, (?...) groups) or what is no expression: ACE_EDATA, which says where. ACE_ENOMEM. */
enum status caption_filter_add(struct caption_filter **f, const char *item) ACE_NODISCARD;

/* The items of a file: a JSON list of texts when its name ends in .json, else one a line, empty lines left out. */
enum status caption_filter_read(struct caption_filter **f, const char *path) ACE_NODISCARD;
void caption_filter_free(struct caption_filter *f);	/* NULL will do */

/* Item i as it was given; NULL: there are no more, or f is NULL. Borrowed. */
const char *caption_filter_item(const struct caption_filter *f, int i);

/* text after all items, one after the other; owned by the caller. Its blanks stay as they are. From any thread. */
enum status caption_filter_apply(const struct caption_filter *f, const char *text, char **out) ACE_NODISCARD;
#endif
