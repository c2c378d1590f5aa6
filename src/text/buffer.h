/* SPDX-License-Identifier: Apache-2.0 */
/* buffer.h - text that grows; a failed allocation is remembered and asked for once, at the end */
#ifndef ACE_TEXT_BUFFER_H
#define ACE_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zeros is an empty buffer. data, once there, has a 0 byte behind its end. Owned: buffer_free. */
struct buffer {
	char *data;
	size_t len, cap;
	bool bad;			/* memory ran out; what was added since is lost */
};

void buffer_add(struct buffer *b, const void *text, size_t len);
void buffer_str(struct buffer *b, const char *text);
void buffer_char(struct buffer *b, char c);
/* Room for more bytes behind the end, which are not counted yet; NULL: memory ran out. */
char *buffer_room(struct buffer *b, size_t more);
void buffer_clear(struct buffer *b);	/* len 0, memory kept */
void buffer_cut(struct buffer *b, size_t len);	/* to a length that is not more than it has */
void buffer_free(struct buffer *b);
void buffer_swap(struct buffer *a, struct buffer *b);

/* Make sure that data is not NULL, also when nothing was added; false: memory ran out. */
bool buffer_done(struct buffer *b);

/* Numbers that grow, the same way. */
struct numbers {
	int32_t *data;
	size_t len, cap;
	bool bad;
};

void numbers_add(struct numbers *v, int32_t x);
void numbers_free(struct numbers *v);
#endif
