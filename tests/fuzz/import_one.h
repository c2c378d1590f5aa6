/* SPDX-License-Identifier: Apache-2.0 */
/* import_one.h - one input for all readers of foreign data sets: its first byte chooses which, the rest is the file */
#ifndef ACE_TESTS_FUZZ_IMPORT_ONE_H
#define ACE_TESTS_FUZZ_IMPORT_ONE_H

#include <stddef.h>

/* 'a' Arrow or Parquet, 't' tar, 'c' CSV, 'j' JSON lines, 'y' the header of a card, 'f' a filter; others do nothing. Reads all rows
 * (at most 2000) and the song of each. Returns how many rows were read, -1 when the input was refused as a whole. */
int import_one(const unsigned char *data, size_t size);
#endif
