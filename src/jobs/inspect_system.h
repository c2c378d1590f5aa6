/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_system.h - is this machine fit: libraries, codecs, the output's file system, limits (ecosystem.md section 1) */
#ifndef ACE_JOBS_INSPECT_SYSTEM_H
#define ACE_JOBS_INSPECT_SYSTEM_H

#include "base/status.h"

#include <stdbool.h>
#include <stdio.h>

enum finding_state { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct finding {
	enum finding_state state;
	const char *what;		/* "open files" */
	char found[240], advice[240];	/* advice: "" when there is nothing to do */
};

enum { FINDINGS_MOST = 40 };

struct findings {
	struct finding v[FINDINGS_MOST];
	int n;
};

/* Look; output is the folder that will be written to (it need not exist yet: its nearest parent counts). Small files are
 * made there and removed. */
void inspect_system_look(struct findings *f, const char *output);

/* Look and write one line each to out, OK, WARN or FAIL, or a JSON list. ACE_EDEVICE when something fails. */
enum status inspect_system(FILE *out, const char *output, bool json) ACE_NODISCARD;
#endif
