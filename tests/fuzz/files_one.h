/* SPDX-License-Identifier: Apache-2.0 */
/* files_one.h - one input for the readers of files that come from elsewhere: its first byte chooses which, the rest is the file */
#ifndef ACE_TESTS_FUZZ_FILES_ONE_H
#define ACE_TESTS_FUZZ_FILES_ONE_H

#include <stddef.h>

/* 's' safetensors, 'j' JSON, 'd' a data set list, 't' the text beside a song, 'z' a wheel; others do nothing. What is read is used:
 * every tensor's bytes, every caption. Returns 1 when the input was good, 0 when it was refused, with a message. */
int files_one(const unsigned char *data, size_t size);
#endif
