/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/resume.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main_ranks("ace-resume", resume_run, argc, argv);
}
