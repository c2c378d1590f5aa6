/* SPDX-License-Identifier: Apache-2.0 */
/* ace-import-hf SRC DST: rows of a Hugging Face data set as a folder of songs. */
#include "jobs/import_hf.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main("ace-import-hf", import_hf_settings, argc, argv);
}
