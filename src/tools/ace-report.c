/* SPDX-License-Identifier: Apache-2.0 */
/* ace-report RUN: the curves of a training run. */
#include "jobs/report.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main("ace-report", report_run, argc, argv);
}
