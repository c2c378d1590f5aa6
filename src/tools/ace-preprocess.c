/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/preprocess.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main_ranks("ace-preprocess", preprocess_settings, argc, argv);
}
