/* SPDX-License-Identifier: Apache-2.0 */
/* ace-init-model PRESET DIR: write a random model of a preset in the real folder layout. */
#include "jobs/init_model.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main("ace-init-model", init_model_run, argc, argv);
}
