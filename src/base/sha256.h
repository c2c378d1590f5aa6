/* SPDX-License-Identifier: Apache-2.0 */
/* sha256.h - SHA-256 (FIPS 180-4) of memory, streams and files */
#ifndef ACE_BASE_SHA256_H
#define ACE_BASE_SHA256_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

struct sha256 {
	uint32_t h[8];
	uint64_t n;
	unsigned char block[64];
	bool plain;			/* set after init: do without the processor's instruction */
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t size);
/* 64 lower-case hex digits and a 0. */
void sha256_hex(struct sha256 *s, char hex[65]);
void sha256_of(const void *data, size_t size, char hex[65]);
enum status sha256_file(const char *path, char hex[65]) ACE_NODISCARD;
#endif
