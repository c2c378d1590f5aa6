/* SPDX-License-Identifier: Apache-2.0 */
/* ace-generate: music from a prompt, lyrics and adapters. */
#include "jobs/generate.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main("ace-generate", generate_run, argc, argv);
}
