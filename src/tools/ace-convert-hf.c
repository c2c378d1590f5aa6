/* SPDX-License-Identifier: Apache-2.0 */
/* ace-convert-hf SRC DST: a folder of songs as a Hugging Face data set. */
#include "jobs/convert_hf.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main("ace-convert-hf", convert_hf_settings, argc, argv);
}
