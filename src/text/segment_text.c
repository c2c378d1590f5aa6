/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as the segmentation looks at them. */
#include "text/segment_work.h"

#include <string.h>

void
squeeze_put(struct squeeze *q, const char *p, uint32_t c)
{
	if (!char_is_word(c)) {
		q->gap = q->chars > 0;
		return;
	}
	if (q->gap) {
		buffer_char(q->to, ' ');
		q->chars++;
	} else if (q->chars > 0 && q->last == c) {
		return;
	}
	buffer_add(q->to, p, utf8_len(*p));
	q->chars++;
	q->last = c;
	q->gap = false;
}

size_t
squeeze(const char *text, size_t len, struct buffer *to)
{
	struct squeeze q = { .to = to };

	buffer_clear(to);
	for (size_t i = 0; i < len; i += utf8_len(text[i]))
		squeeze_put(&q, text + i, utf8_at(text + i));
	return q.chars;
}

bool
text_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i += utf8_len(text[i]))
		if (!char_is_space(utf8_at(text + i)))
			return false;
	return true;
}

bool
buffer_has(const struct buffer *b, const char *text, size_t len)
{
	return len == 0 || (b->len >= len && memmem(b->data, b->len, text, len));
}

size_t
marker_at(const char *p, const char *end, bool dollars, int min_digits)
{
	static const char six[] = "\xe2\x91\xa5";
	const char *q = p + 3;
	int digits = 0;

	while (dollars && q < end && *q == '$')
		q++;
	while (q < end && char_is_digit(utf8_at(q))) {
		q += utf8_len(*q);
		digits += digits < min_digits;
	}
	return digits >= min_digits && end - q >= 3 && memcmp(q, six, 3) == 0 ? (size_t)(q + 3 - p) : 0;
}
