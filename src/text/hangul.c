/* SPDX-License-Identifier: Apache-2.0 */
/* Korean syllables in Latin letters, one by one (text.md section 3.7). */
#include "text/clean.h"

#include "text/chars.h"

#include <string.h>

enum { FIRST = 0xac00, LAST = 0xd7a3, VOWELS = 21, FINALS = 28, NO_INITIAL = 11 };

static const char *const initials[] = {"g",  "kk", "n", "d",  "tt", "l", "m", "b", "pp", "s",
				       "ss", "",   "j", "jj", "ch", "k", "t", "p", "h"};
static const char *const vowels[] = {"a",  "ae", "ya", "yae", "eo", "e",  "yeo", "ye", "o",  "wa", "wae",
				     "oe", "yo", "u",  "wo",  "we", "wi", "yu",	 "eu", "ui", "i"};
static const char *const finals[] = { "", "g", "kk", "gs", "n", "nj", "nh", "d", "l", "lg", "lm", "lb", "ls", "lt",
	                              "lp", "lh", "m", "b", "bs", "s", "ss", "ng", "j", "ch", "k", "t", "p", "h" };

static bool
listed(const char *const *list, size_t n, const char *text, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(list[i]) == len && memcmp(list[i], text, len) == 0)
			return true;
	return false;
}

/* Whether a final and an initial, written together, could be others: more than one place to split them, before the last letter. */
static bool
ambiguous(const char *final, const char *initial)
{
	char both[8];
	size_t n = strlen(final) + strlen(initial);
	int ways = 0;

	memcpy(both, final, strlen(final));
	memcpy(both + strlen(final), initial, strlen(initial));
	for (size_t k = 0; k < n; k++)
		ways += listed(finals, FINALS, both, k) &&
			listed(initials, sizeof initials / sizeof *initials, both + k, n - k);
	return ways > 1;
}

void
clean_hangul(struct buffer *text, struct buffer *spare)
{
	const char *before = NULL;		/* final of the syllable in front */

	buffer_clear(spare);
	for (size_t i = 0, n; i < text->len; i += n) {
		uint32_t c = utf8_at(text->data + i), s = c - FIRST;
		n = utf8_len(text->data[i]);
		if (c < FIRST || c > LAST) {
			buffer_add(spare, text->data + i, n);
			before = NULL;
			continue;
		}
		if (before &&
		    (s / (VOWELS * FINALS) == NO_INITIAL || ambiguous(before, initials[s / (VOWELS * FINALS)])))
			buffer_char(spare, '-');
		buffer_str(spare, initials[s / (VOWELS * FINALS)]);
		buffer_str(spare, vowels[s / FINALS % VOWELS]);
		buffer_str(spare, finals[s % FINALS]);
		before = finals[s % FINALS];
	}
	buffer_swap(text, spare);
}
