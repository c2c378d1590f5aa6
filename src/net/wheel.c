/* SPDX-License-Identifier: Apache-2.0 */
#include "net/wheel.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_ZLIB
#include <zlib.h>

enum { END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30 };

struct archive {
	const unsigned char *data;
	size_t size;
	const char *name;
};

struct member {
	size_t packed, length, at;	/* bytes, bytes, of its local header */
	int method;
	uint32_t crc;
};

static uint32_t
u16(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t
u32(const unsigned char *p)
{
	return u16(p) | u16(p + 2) << 16;
}

static enum status
damaged(const struct archive *z)
{
	return ace_fail(ACE_EDATA, "%s: no zip archive, or a damaged one", z->name);
}

/* The directory's place, from the record at the archive's end. */
static enum status
find_directory(const struct archive *z, size_t *at, int *entries)
{
	for (size_t back = END_SIZE; back <= z->size && back <= END_SIZE + 65535; back++) {
		const unsigned char *p = z->data + z->size - back;
		if (memcmp(p, "PK\5\6", 4) != 0)
			continue;
		*entries = (int)u16(p + 10);
		*at = u32(p + 16);
		return *at < z->size ? ACE_OK : damaged(z);
	}
	return damaged(z);
}

static bool
ends_with(const unsigned char *text, size_t n, const char *ending)
{
	size_t m = strlen(ending);

	return n >= m && memcmp(text + n - m, ending, m) == 0;
}

static enum status
find_member(const struct archive *z, const char *ending, struct member *m)
{
	int entries = 0, found = 0;
	size_t at = 0;

	ACE_TRY(find_directory(z, &at, &entries));
	for (int i = 0; i < entries; i++) {
		const unsigned char *p = z->data + at;
		size_t n;
		if (z->size - at < ENTRY_SIZE || memcmp(p, "PK\1\2", 4) != 0)
			return damaged(z);
		n = u16(p + 28);
		if (z->size - at - ENTRY_SIZE < n + u16(p + 30) + u16(p + 32))
			return damaged(z);
		if (ends_with(p + ENTRY_SIZE, n, ending)) {
			found++;
			*m = (struct member){ .method = (int)u16(p + 10), .crc = u32(p + 16), .packed = u32(p + 20),
					      .length = u32(p + 24), .at = u32(p + 42) };
		}
		at += ENTRY_SIZE + n + u16(p + 30) + u16(p + 32);
	}
	if (found != 1)
		return ace_fail(ACE_EDATA, "%s: holds %d files %s, wanted one", z->name, found, ending);
	return ACE_OK;
}

static bool
inflate_whole(const unsigned char *from, size_t packed, char *to, size_t length)
{
	z_stream s = { .next_in = (unsigned char *)(uintptr_t)from, .avail_in = (uInt)packed, .next_out = (unsigned char *)to,
		       .avail_out = (uInt)length };
	bool whole;

	if (inflateInit2(&s, -MAX_WBITS) != Z_OK)
		return false;
	whole = inflate(&s, Z_FINISH) == Z_STREAM_END && s.avail_out == 0;
	inflateEnd(&s);
	return whole;
}

enum status
wheel_member(const void *data, size_t size, const char *name, const char *ending, size_t limit, char **text, size_t *length)
{
	struct archive z = { .data = data, .size = size, .name = name };
	const unsigned char *local, *from;
	struct member m = { 0 };
	bool sound;
	char *to;

	*text = NULL;
	*length = 0;
	ACE_TRY(find_member(&z, ending, &m));
	if (m.at > size || size - m.at < LOCAL_SIZE)
		return damaged(&z);
	local = z.data + m.at;
	from = local + LOCAL_SIZE + u16(local + 26) + u16(local + 28);
	if (memcmp(local, "PK\3\4", 4) != 0 || (size_t)(from - z.data) > size || size - (size_t)(from - z.data) < m.packed)
		return damaged(&z);
	if (m.length > limit)
		return ace_fail(ACE_EDATA, "%s: %s has %zu bytes, at most %zu are taken", name, ending, m.length, limit);
	to = malloc(m.length + 1);
	if (!to)
		return ace_fail(ACE_ENOMEM, "%s: no memory", name);
	sound = m.method == 8 ? inflate_whole(from, m.packed, to, m.length) : m.method == 0 && m.packed == m.length;
	if (sound && m.method == 0)
		memcpy(to, from, m.length);
	if (!sound || crc32(0, (const unsigned char *)to, (uInt)m.length) != m.crc) {
		free(to);
		return damaged(&z);
	}
	to[m.length] = 0;
	*text = to;
	*length = m.length;
	return ACE_OK;
}
#else
enum status
wheel_member(const void *data, size_t size, const char *name, const char *ending, size_t limit, char **text, size_t *length)
{
	(void)data, (void)size, (void)ending, (void)limit;
	*text = NULL;
	*length = 0;
	return ace_fail(ACE_ECONFIG, "%s: this build has no zlib: install it (Debian: zlib1g-dev), configure and build again", name);
}
#endif
