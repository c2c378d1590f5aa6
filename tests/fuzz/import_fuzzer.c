/* SPDX-License-Identifier: Apache-2.0 */
/* import_one for clang's libFuzzer (tests/fuzz/room.am says how to build and run it) */
#include "fuzz/import_one.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)import_one(data, size);
	return 0;
}
