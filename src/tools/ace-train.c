/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/train.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main_ranks("ace-train", train_run, argc, argv);
}
