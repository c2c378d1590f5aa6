/* SPDX-License-Identifier: Apache-2.0 */
#include "text/buffer.h"

#include <stdlib.h>
#include <string.h>

static bool
room_for(struct buffer *b, size_t more)
{
	size_t want = b->len + more + 1, cap = b->cap ? b->cap : 64;
	char *data;

	if (b->bad || want <= b->cap)
		return !b->bad;
	while (cap < want)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data) {
		b->bad = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void
buffer_add(struct buffer *b, const void *text, size_t len)
{
	if (!room_for(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, text, len);
	b->len += len;
	b->data[b->len] = 0;
}

char *
buffer_room(struct buffer *b, size_t more)
{
	return room_for(b, more) ? b->data + b->len : NULL;
}

void
buffer_str(struct buffer *b, const char *text)
{
	buffer_add(b, text, strlen(text));
}

void
buffer_char(struct buffer *b, char c)
{
	buffer_add(b, &c, 1);
}

void
buffer_clear(struct buffer *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = 0;
}

void
buffer_cut(struct buffer *b, size_t len)
{
	if (len >= b->len)
		return;
	b->len = len;
	b->data[len] = 0;
}

void
buffer_free(struct buffer *b)
{
	free(b->data);
	*b = (struct buffer){ 0 };
}

void
buffer_swap(struct buffer *a, struct buffer *b)
{
	struct buffer t = *a;

	*a = *b;
	*b = t;
}

bool
buffer_done(struct buffer *b)
{
	return room_for(b, 0) && (b->data[b->len] = 0, true);
}

void
numbers_add(struct numbers *v, int32_t x)
{
	if (v->len == v->cap && !v->bad) {
		size_t cap = v->cap ? 2 * v->cap : 64;
		int32_t *data = realloc(v->data, cap * sizeof *data);
		if (data) {
			v->data = data;
			v->cap = cap;
		} else {
			v->bad = true;
		}
	}
	if (!v->bad)
		v->data[v->len++] = x;
}

void
numbers_free(struct numbers *v)
{
	free(v->data);
	*v = (struct numbers){ 0 };
}
