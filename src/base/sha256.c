/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sha256.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined __x86_64__ && defined __GNUC__
#define HAVE_INSTRUCTION 1
#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#endif

/* fractional parts of the cube roots of the first 64 primes (FIPS 180-4 section 4.2.2) */
static const uint32_t K[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t
rotr(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static void
plain_block(uint32_t h[8], const unsigned char *p)
{
	uint32_t w[64], a[8];

	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
		       p[4 * i + 3];
	for (int i = 16; i < 64; i++) {
		uint32_t s0 = rotr(w[i - 15], 7) ^ rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t s1 = rotr(w[i - 2], 17) ^ rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
	memcpy(a, h, sizeof a);
	for (int i = 0; i < 64; i++) {
		uint32_t s1 = rotr(a[4], 6) ^ rotr(a[4], 11) ^ rotr(a[4], 25);
		uint32_t ch = (a[4] & a[5]) ^ (~a[4] & a[6]);
		uint32_t t1 = a[7] + s1 + ch + K[i] + w[i];
		uint32_t s0 = rotr(a[0], 2) ^ rotr(a[0], 13) ^ rotr(a[0], 22);
		uint32_t maj = (a[0] & a[1]) ^ (a[0] & a[2]) ^ (a[1] & a[2]);
		memmove(a + 1, a, 7 * sizeof *a);
		a[4] += t1;
		a[0] = t1 + s0 + maj;
	}
	for (int i = 0; i < 8; i++)
		h[i] += a[i];
}

#ifdef HAVE_INSTRUCTION
/* Two rounds an instruction. The state lies as {a b e f} and {c d g h}; w[k] are the last sixteen words of the schedule, four
 * each (Intel SHA extensions; FIPS 180-4 section 6.2.2). */
__attribute__((target("sha,sse4.1,ssse3"))) static void
fast_blocks(uint32_t h[8], const unsigned char *p, size_t blocks)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
	__m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)h), hgfe = _mm_loadu_si128((const __m128i *)(const void *)(h + 4));
	__m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
	__m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0), w[4];

	for (; blocks > 0; blocks--, p += 64) {
		const __m128i abef0 = abef, cdgh0 = cdgh;
		for (int k = 0; k < 4; k++)
			w[k] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * k)), swap);
		for (int k = 0; k < 16; k++) {
			__m128i now = w[k & 3], x = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(const void *)(K + 4 * k)));
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, x);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(x, 0x0e));
			if (k < 12) {
				__m128i last = w[(k + 3) & 3], t = _mm_sha256msg1_epu32(now, w[(k + 1) & 3]);
				t = _mm_add_epi32(t, _mm_alignr_epi8(last, w[(k + 2) & 3], 4));
				w[k & 3] = _mm_sha256msg2_epu32(t, last);
			}
		}
		abef = _mm_add_epi32(abef, abef0);
		cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	cdab = _mm_shuffle_epi32(abef, 0x1b);	/* f e b a */
	efgh = _mm_shuffle_epi32(cdgh, 0xb1);	/* d c h g */
	_mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(cdab, efgh, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(efgh, cdab, 8));
}

/* Leaf 7, EBX bit 29; __builtin_cpu_supports knows it in new compilers only. */
static bool
has_instruction(void)
{
	static atomic_int known;	/* 0: not asked yet, 1: no, 2: yes */
	unsigned a, b, c, d;

	if (!atomic_load_explicit(&known, memory_order_relaxed)) {
		bool yes = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1 && __builtin_cpu_supports("sse4.1");
		atomic_store_explicit(&known, yes ? 2 : 1, memory_order_relaxed);
	}
	return atomic_load_explicit(&known, memory_order_relaxed) == 2;
}
#else
static void
fast_blocks(uint32_t h[8], const unsigned char *p, size_t n)
{
	(void)h, (void)p, (void)n;
}

static bool
has_instruction(void)
{
	return false;
}
#endif

static void
blocks(struct sha256 *s, const unsigned char *p, size_t n)
{
	if (!s->plain && has_instruction())
		fast_blocks(s->h, p, n);
	else
		for (size_t i = 0; i < n; i++)
			plain_block(s->h, p + 64 * i);
}

void
sha256_init(struct sha256 *s)
{
	static const uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	*s = (struct sha256){ 0 };
	memcpy(s->h, h, sizeof h);
}

void
sha256_add(struct sha256 *s, const void *data, size_t size)
{
	const unsigned char *p = data;

	while (size > 0) {
		size_t at = s->n % 64, take = 64 - at < size ? 64 - at : size;
		if (at == 0 && size >= 64) {
			take = size / 64 * 64;
			blocks(s, p, size / 64);
		} else {
			memcpy(s->block + at, p, take);
			if (at + take == 64)
				blocks(s, s->block, 1);
		}
		s->n += take;
		p += take;
		size -= take;
	}
}

void
sha256_hex(struct sha256 *s, char hex[65])
{
	uint64_t bits = s->n * 8;
	unsigned char tail[72] = { 0x80 };
	size_t pad = (s->n % 64 < 56 ? 56 : 120) - s->n % 64;

	for (int i = 0; i < 8; i++)
		tail[pad + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
	sha256_add(s, tail, pad + 8);
	for (int i = 0; i < 8; i++)
		snprintf(hex + 8 * i, 9, "%08x", s->h[i]);
}

void
sha256_of(const void *data, size_t size, char hex[65])
{
	struct sha256 s;

	sha256_init(&s);
	sha256_add(&s, data, size);
	sha256_hex(&s, hex);
}

enum status
sha256_file(const char *path, char hex[65])
{
	enum { CHUNK = 1 << 18 };
	unsigned char *buf = malloc(CHUNK);
	FILE *f = fopen(path, "rb");
	struct sha256 s;
	size_t n;
	int bad;

	if (!f || !buf) {
		enum status st = ace_fail(f ? ACE_ENOMEM : ACE_ENOINPUT, "%s: cannot open: %s", path, strerror(errno));
		free(buf);
		if (f)
			fclose(f);
		return st;
	}
	sha256_init(&s);
	while ((n = fread(buf, 1, CHUNK, f)) > 0)
		sha256_add(&s, buf, n);
	bad = ferror(f);
	fclose(f);
	free(buf);
	if (bad)
		return ace_fail(ACE_EIO, "%s: cannot read", path);
	sha256_hex(&s, hex);
	return ACE_OK;
}
