/* SPDX-License-Identifier: Apache-2.0 */
/* ace-manual man PROGRAM | completion | options: what is made from the option tables while building; not installed */
#include "base/status.h"
#include "tools/help.h"

#include <stdio.h>
#include <string.h>

int
main(int argc, char **argv)
{
	const struct program *p = argc == 3 ? program_named(argv[2]) : NULL;

	if (p && strcmp(argv[1], "man") == 0) {
		help_man(p, stdout);
	} else if (argc == 2 && strcmp(argv[1], "completion") == 0) {
		help_completion(stdout);
	} else if (argc == 2 && strcmp(argv[1], "options") == 0) {
		help_markdown(stdout);
	} else {
		fprintf(stderr, "usage: ace-manual man PROGRAM | completion | options\n");
		return status_exit_code(ACE_EUSAGE);
	}
	return fflush(stdout) == 0 ? 0 : status_exit_code(ACE_EIO);
}
