/* SPDX-License-Identifier: Apache-2.0 */
/* hf_filter.h - which rows are wanted: "score_lyrics>=5, language=en" */
#ifndef ACE_DATA_HF_FILTER_H
#define ACE_DATA_HF_FILTER_H

#include "formats/cell.h"
#include "base/status.h"

struct hf_filter;

/* COLUMN OP VALUE, several between commas, all of which must hold. = != compare texts (or numbers, when both are), < <= > >=
 * numbers, ~ and !~ whether the text contains the value; a list holds = and ~ when one element does. A column that is null or
 * missing holds != and !~ alone. A value may stand in double quotes. ACE_EUSAGE, saying what is wanted. */
enum status hf_filter_parse(struct hf_filter **f, const char *text) ACE_NODISCARD;
void hf_filter_free(struct hf_filter *f);	/* NULL will do */

/* Whether a row is wanted; NULL wants all. */
bool hf_filter_takes(const struct hf_filter *f, struct cell row);

/* The names of its columns, ended by NULL; borrowed. Empty for NULL. */
const char *const *hf_filter_columns(const struct hf_filter *f);
#endif
