/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c.h - CRC-32C (Castagnoli; reflected polynomial 0x82F63B78), as used by event files and stores */
#ifndef ACE_BASE_CRC32C_H
#define ACE_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of data behind what gave crc; 0 to begin. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The same by tables alone, as on a machine without the instruction. */
uint32_t crc32c_plain(uint32_t crc, const void *data, size_t size);
#endif
