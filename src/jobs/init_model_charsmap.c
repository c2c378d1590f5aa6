/* SPDX-License-Identifier: Apache-2.0 */
/* the character map of a random model's tokenizer: a small part of what NFKC and SentencePiece's
 * own rules do, as the double-array trie that text/charsmap.h reads */
#include "jobs/init_model_parts.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/utf8.h>

enum { KEYS = 400, UNITS = 1 << 14, BLOB = 4096, TEXT = 8 };

/* Code points from ... to become text; step: its first byte grows with them. */
static const struct {
	int32_t from, to;
	const char *text;
	bool step;
} rules[] = {
	{ 0x01, 0x08, "", false },	  { 0x09, 0x0d, " ", false },
	{ 0x0e, 0x1f, "", false },	  { 0x7f, 0x7f, "", false },
	{ 0x85, 0x85, " ", false },	  { 0xa0, 0xa0, " ", false },
	{ 0xaa, 0xaa, "a", false },	  { 0xb2, 0xb3, "2", true },
	{ 0xb9, 0xb9, "1", false },	  { 0xba, 0xba, "o", false },
	{ 0x1680, 0x1680, " ", false },	  { 0x2000, 0x200a, " ", false },
	{ 0x200b, 0x200f, "", false },	  { 0x2024, 0x2024, ".", false },
	{ 0x2025, 0x2025, "..", false },  { 0x2026, 0x2026, "...", false },
	{ 0x2028, 0x2029, " ", false },	  { 0x202f, 0x202f, " ", false },
	{ 0x205f, 0x205f, " ", false },	  { 0x2070, 0x2070, "0", false },
	{ 0x2074, 0x2079, "4", true },	  { 0x2080, 0x2089, "0", true },
	{ 0x2116, 0x2116, "No", false },  { 0x2122, 0x2122, "TM", false },
	{ 0x2460, 0x2468, "1", true },	  { 0x3000, 0x3000, " ", false },
	{ 0xfb00, 0xfb00, "ff", false },  { 0xfb01, 0xfb01, "fi", false },
	{ 0xfb02, 0xfb02, "fl", false },  { 0xfb03, 0xfb03, "ffi", false },
	{ 0xfb04, 0xfb04, "ffl", false }, { 0xfeff, 0xfeff, "", false },
	{ 0xff01, 0xff5e, "!", true },
};

struct key {
	char text[TEXT]; /* UTF-8, 0 behind its end */
	uint32_t value;	 /* where its replacement begins in the blob */
};

struct map {
	struct key key[KEYS];
	int n;
	char blob[BLOB];
	size_t blob_size;
	uint32_t unit[UNITS];
	bool used[UNITS], base[UNITS]; /* a unit stands there; it is some node's base */
	size_t n_units;
};

static uint32_t
add_text(struct map *m, const char *text)
{
	size_t len = strlen(text) + 1;

	for (size_t i = 0; i + len <= m->blob_size; i++)
		if ((i == 0 || m->blob[i - 1] == 0) && memcmp(m->blob + i, text, len) == 0)
			return (uint32_t)i;
	memcpy(m->blob + m->blob_size, text, len);
	m->blob_size += len;
	return (uint32_t)(m->blob_size - len);
}

static void
add_keys(struct map *m)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		for (int32_t c = rules[i].from; c <= rules[i].to; c++) {
			struct key *k = &m->key[m->n++];
			char to[TEXT];
			int32_t len = 0;
			U8_APPEND_UNSAFE((uint8_t *)k->text, len, c);
			strcpy(to, rules[i].text);
			if (rules[i].step)
				to[0] = (char)(to[0] + (c - rules[i].from));
			k->value = add_text(m, to);
		}
}

/* The least base at which all labels have free places. Bases are distinct: a place says its label
 * but not its parent. */
static uint32_t
find_base(const struct map *m, const unsigned char *label, int n)
{
	for (uint32_t b = 1; b < UNITS - 256; b++) {
		int i = 0;
		while (!m->base[b] && i < n && !m->used[b ^ label[i]])
			i++;
		if (i == n)
			return b;
	}
	return 0; /* not reached: the table is far larger than the rules */
}

/* Put the children of the node at place p: keys from ... to - 1, which share their first depth
 * bytes. */
static void
add_node(struct map *m, int from, int to, size_t depth, uint32_t p)
{
	unsigned char label[256];
	uint32_t base;
	int n = 0;

	for (int i = from; i < to; i++) {
		unsigned char c = (unsigned char)m->key[i].text[depth];
		if (n == 0 || label[n - 1] != c)
			label[n++] = c;
	}
	base = find_base(m, label, n);
	m->base[base] = true;
	m->unit[p] |= (p ^ base) << 10;
	for (int i = 0; i < n; i++) {
		uint32_t at = base ^ label[i];
		m->used[at] = true;
		m->unit[at] = label[i];
		m->n_units = at >= m->n_units ? at + 1 : m->n_units;
	}
	for (int i = from, end; i < to; i = end) {
		unsigned char c = (unsigned char)m->key[i].text[depth];
		for (end = i + 1; end < to && (unsigned char)m->key[end].text[depth] == c;)
			end++;
		if (c) {
			add_node(m, i, end, depth + 1, base ^ c);
		} else { /* a key ends: its value is the child without a label */
			m->unit[p] |= 1u << 8;
			m->unit[base] = 1u << 31 | m->key[i].value;
		}
	}
}

static char *
base64(const unsigned char *p, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc(n / 3 * 4 + 5), *to = text;

	for (size_t i = 0; text && i < n; i += 3) {
		uint32_t bits = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) |
				(i + 2 < n ? p[i + 2] : 0);
		for (int k = 0; k < 4; k++)
			*to++ = i + (size_t)k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=';
	}
	if (text)
		*to = 0;
	return text;
}

char *
init_charsmap(void)
{
	struct map *m = calloc(1, sizeof *m);
	unsigned char *data = NULL;
	char *text = NULL;
	size_t size;

	if (!m)
		return NULL;
	add_keys(
		m); /* their order is that of the bytes, since that is UTF-8's of the code points */
	m->used[0] = true;
	m->n_units = 1;
	add_node(m, 0, m->n, 0, 0);
	m->n_units = (m->n_units + 255) / 256 * 256;
	size = 4 * m->n_units;
	data = malloc(4 + size + m->blob_size);
	if (data) {
		for (int i = 0; i < 4; i++)
			data[i] = (unsigned char)(size >> 8 * i);
		for (size_t i = 0; i < size; i++)
			data[4 + i] = (unsigned char)(m->unit[i / 4] >> 8 * (i % 4));
		memcpy(data + 4 + size, m->blob, m->blob_size);
		text = base64(data, 4 + size + m->blob_size);
	}
	free(data);
	free(m);
	return text;
}
