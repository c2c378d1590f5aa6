/* SPDX-License-Identifier: Apache-2.0 */
/* files_one for clang's libFuzzer (tests/fuzz/room.am says how to build and run it). ACE_FUZZ_ONLY=s: safetensors alone, and so
 * on; else each input says itself which reader it is for. */
#include "fuzz/files_one.h"

#include "base/msg.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	msg_setup("fuzz", MSG_QUIET, PROGRESS_NONE, 1e9);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *only = getenv("ACE_FUZZ_ONLY");
	unsigned char *copy = only && *only && size > 0 ? malloc(size) : NULL;

	if (copy) {
		memcpy(copy, data, size);
		copy[0] = (unsigned char)*only;
	}
	(void)files_one(copy ? copy : data, size);
	free(copy);
	return 0;
}
