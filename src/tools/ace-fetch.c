/* SPDX-License-Identifier: Apache-2.0 */
/* ace-fetch THING ...: models and data sets of the hub into its cache. */
#include "jobs/fetch.h"
#include "tools/program.h"

int
main(int argc, char **argv)
{
	return program_main("ace-fetch", fetch_run, argc, argv);
}
