/* SPDX-License-Identifier: Apache-2.0 */
#include "text/charsmap.h"

#include "text/chars.h"

#include <stdlib.h>
#include <string.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>

enum { CLUSTER = 6 };		/* bytes from which on a cluster is not looked up as a whole */

enum status
charsmap_init(struct charsmap *m, const char *name, const void *data, size_t size)
{
	const unsigned char *p = data;
	size_t n;

	*m = (struct charsmap){ 0 };
	if (size < 4)
		return ace_fail(ACE_EDATA, "%s: precompiled_charsmap has %zu bytes, wanted at least 4", name, size);
	n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
	if (n % 4 || n == 0 || n > size - 4)
		return ace_fail(ACE_EDATA,
				"%s: precompiled_charsmap says its trie has %zu bytes, of %zu that are there",
				name, n, size - 4);
	m->n_units = n / 4;
	m->unit = malloc(n);
	m->blob_size = size - 4 - n;
	m->blob = malloc(m->blob_size + 1);
	if (!m->unit || !m->blob) {
		charsmap_free(m);
		return ace_fail(ACE_ENOMEM, "%s: no memory", name);
	}
	for (size_t i = 0; i < m->n_units; i++) {
		const unsigned char *u = p + 4 + 4 * i;
		m->unit[i] = (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
	}
	memcpy(m->blob, p + 4 + n, m->blob_size);
	m->blob[m->blob_size] = 0;
	return ACE_OK;
}

static int
base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

enum status
charsmap_init_base64(struct charsmap *m, const char *name, const char *text)
{
	size_t len = strlen(text), n = 0;
	unsigned char *data;
	enum status st;
	uint32_t bits = 0;

	*m = (struct charsmap){ 0 };
	while (len > 0 && text[len - 1] == '=')
		len--;
	data = malloc(len / 4 * 3 + 4);
	if (!data)
		return ace_fail(ACE_ENOMEM, "%s: no memory", name);
	for (size_t i = 0; i < len; i++) {
		int d = base64_digit(text[i]);
		if (d < 0) {
			free(data);
			return ace_fail(ACE_EDATA, "%s: precompiled_charsmap is not base64 at character %zu", name, i);
		}
		bits = bits << 6 | (uint32_t)d;
		if (i % 4 != 0)			/* each digit but the first of four completes a byte */
			data[n++] = (unsigned char)(bits >> (6 - i % 4 * 2));
	}
	st = charsmap_init(m, name, data, n);
	free(data);
	return st;
}

void
charsmap_free(struct charsmap *m)
{
	free(m->unit);
	free(m->blob);
	*m = (struct charsmap){ 0 };
}

static size_t
offset_of(uint32_t unit)
{
	return (size_t)(unit >> 10) << ((unit & 512) >> 6);
}

/* The replacement of the shortest key that begins key, NULL when none does. Units out of range end the walk. */
static const char *
lookup(const struct charsmap *m, const char *key, size_t len)
{
	size_t p = offset_of(m->unit[0]);

	for (size_t i = 0; i < len && key[i]; i++) {
		uint32_t c = (unsigned char)key[i], u;
		p ^= c;
		if (p >= m->n_units)
			return NULL;
		u = m->unit[p];
		if ((u & 0x800000ffu) != c)
			return NULL;
		p ^= offset_of(u);
		if (p >= m->n_units)
			return NULL;
		if (u >> 8 & 1) {
			size_t at = m->unit[p] & 0x7fffffffu;
			return at < m->blob_size ? m->blob + at : NULL;
		}
	}
	return NULL;
}

static void
one_cluster(const struct charsmap *m, const char *text, size_t len, struct buffer *out)
{
	const char *to = len < CLUSTER ? lookup(m, text, len) : NULL;

	if (to) {
		buffer_str(out, to);
		return;
	}
	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_len(text[i]);
		to = lookup(m, text + i, n);
		if (to)
			buffer_str(out, to);
		else
			buffer_add(out, text + i, n);
	}
}

/* Clusters of text that holds more than ASCII, by ICU. */
static enum status
clusters(const struct charsmap *m, const char *text, size_t len, struct buffer *out)
{
	UErrorCode err = U_ZERO_ERROR;
	UBreakIterator *it = ubrk_open(UBRK_CHARACTER, "", NULL, 0, &err);
	UText *u = utext_openUTF8(NULL, text, (int64_t)len, &err);
	int32_t from = 0, to;

	if (U_SUCCESS(err))
		ubrk_setUText(it, u, &err);
	if (U_SUCCESS(err))
		while ((to = ubrk_next(it)) != UBRK_DONE) {
			one_cluster(m, text + from, (size_t)(to - from), out);
			from = to;
		}
	utext_close(u);
	if (it)
		ubrk_close(it);
	if (U_FAILURE(err))
		return ace_fail(ACE_EBUG, "grapheme clusters: ICU says %s", u_errorName(err));
	return ACE_OK;
}

enum status
charsmap_apply(const struct charsmap *m, const char *text, size_t len, struct buffer *out)
{
	size_t ascii = 0;

	if (len > INT32_MAX)
		return ace_fail(ACE_EDATA, "a text of %zu bytes is too long", len);
	while (ascii < len && (unsigned char)text[ascii] < 0x80)
		ascii++;
	if (ascii < len)
		return clusters(m, text, len, out);
	for (size_t i = 0, n; i < len; i += n) {	/* in ASCII the only cluster of two is CR LF */
		n = text[i] == '\r' && i + 1 < len && text[i + 1] == '\n' ? 2 : 1;
		one_cluster(m, text + i, n, out);
	}
	return ACE_OK;
}
