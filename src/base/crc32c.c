/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

static uint32_t table[8][256];	/* table[k][b]: b followed by k zero bytes */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
fill(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t c = b;
		for (int i = 0; i < 8; i++)
			c = c >> 1 ^ (c & 1 ? UINT32_C(0x82f63b78) : 0);
		table[0][b] = c;
	}
	for (int k = 1; k < 8; k++)
		for (int b = 0; b < 256; b++)
			table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
}

static uint64_t
word(const unsigned char *p)
{
	uint64_t w = 0;

	for (int i = 7; i >= 0; i--)
		w = w << 8 | p[i];
	return w;
}

static uint32_t
by_table(uint32_t c, const unsigned char *p, size_t n)
{
	pthread_once(&once, fill);
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t w = word(p) ^ c;
		c = 0;
		for (int k = 0; k < 8; k++)
			c ^= table[7 - k][w >> 8 * k & 255];
	}
	while (n--)
		c = c >> 8 ^ table[0][(c ^ *p++) & 255];
	return c;
}

#if defined __x86_64__ && defined __GNUC__
__attribute__((target("sse4.2"))) static uint32_t
by_instruction(uint32_t c, const unsigned char *p, size_t n)
{
	uint64_t wide = c;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t w;
		memcpy(&w, p, 8);
		wide = __builtin_ia32_crc32di(wide, w);
	}
	c = (uint32_t)wide;
	while (n--)
		c = __builtin_ia32_crc32qi(c, *p++);
	return c;
}

uint32_t
crc32c(uint32_t crc, const void *data, size_t size)
{
	return ~(__builtin_cpu_supports("sse4.2") ? by_instruction(~crc, data, size) : by_table(~crc, data, size));
}
#else
uint32_t
crc32c(uint32_t crc, const void *data, size_t size)
{
	return ~by_table(~crc, data, size);
}
#endif

uint32_t
crc32c_plain(uint32_t crc, const void *data, size_t size)
{
	return ~by_table(~crc, data, size);
}
