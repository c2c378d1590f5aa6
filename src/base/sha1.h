/* SPDX-License-Identifier: Apache-2.0 */
/* sha1.h - SHA-1 (FIPS 180-4), for the names that git gives to files; not for anything that must be safe */
#ifndef ACE_BASE_SHA1_H
#define ACE_BASE_SHA1_H

#include <stddef.h>
#include <stdint.h>

struct sha1 {
	uint32_t h[5];
	uint64_t n;
	unsigned char block[64];
};

void sha1_init(struct sha1 *s);
void sha1_add(struct sha1 *s, const void *data, size_t size);
/* 40 lower-case hex digits and a 0. */
void sha1_hex(struct sha1 *s, char hex[41]);
#endif
