/* SPDX-License-Identifier: Apache-2.0 */
/* What Portuguese and Italian change in a number once it is there. */
#include "text/words_parts.h"

#include <string.h>

/* Whether "EXT e WORD " is in text, WORD ending in ento or entos, with an e somewhere behind. */
static bool
has_hundreds_behind(const char *text, const char *ext, size_t n)
{
	for (const char *p = text; (p = strstr(p, ext)); p++) {
		const char *word = p + n, *end;
		if (strncmp(word, " e ", 3) != 0)
			continue;
		word += 3;
		end = strchr(word, ' ');
		if (!end || !strchr(end, 'e'))
			continue;
		if (end[-1] == 's')
			end--;
		if (end - word >= 4 && strncmp(end - 4, "ento", 4) == 0)
			return true;
	}
	return false;
}

void
words_pt_spelling(struct buffer *out, size_t from)
{
	static const char *const exts[] = {"mil",
					   "milhão",
					   "milhões",
					   "mil milhões",
					   "bilião",
					   "biliões",
					   "mil biliões"};

	for (size_t i = 0; i < sizeof exts / sizeof *exts && !out->bad; i++) {
		size_t n = strlen(exts[i]);
		char *p = out->data + from;
		if (!has_hundreds_behind(p, exts[i], n))
			continue;
		while ((p = strstr(p, exts[i]))) {
			p += n;
			if (strncmp(p, " e", 2) != 0)
				continue;
			memmove(p, p + 2, strlen(p + 2) + 1);
			buffer_cut(out, out->len - 2);
		}
	}
}

/* A word that ends in tre, and is longer, gets its accent there; all others lose theirs. */
void
words_it_spelling(struct buffer *out, size_t from)
{
	static const char accented[] = "tré";
	struct buffer b = { 0 };
	const char *p = out->data ? out->data + from : "";

	while (*p && !out->bad) {
		size_t n = strcspn(p, " ");
		bool accent = n > 3 && strncmp(p + n - 3, "tre", 3) == 0;
		for (size_t i = 0; i < n;) {
			bool tre = strncmp(p + i, accented, 4) == 0;
			buffer_add(&b, tre ? "tre" : p + i, tre ? 3 : 1);
			i += tre ? 4 : 1;
		}
		if (accent && !b.bad) {
			buffer_cut(&b, b.len - 1);
			buffer_str(&b, "é");
		}
		for (p += n; *p == ' '; p++)
			buffer_char(&b, ' ');
	}
	buffer_cut(out, from);
	buffer_add(out, b.data, b.len);
	out->bad |= b.bad;
	buffer_free(&b);
}
