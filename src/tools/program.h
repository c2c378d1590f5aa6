/* SPDX-License-Identifier: Apache-2.0 */
/* program.h - the one main of all programs: parse, do the job, say how it ended */
#ifndef ACE_TOOLS_PROGRAM_H
#define ACE_TOOLS_PROGRAM_H

#include "base/settings.h"
#include "comm/comm.h"

/* The program of that name in base/programs.c. --help and --version go to stdout; else the settings are loaded, messages are
 * set up and run is called. A failure is said in one line on stderr; ACE_ESTOPPED is not, since the job has told why it
 * stopped. Returns the exit code (style.md section 10). Started as many ranks it refuses (ACE_EUSAGE). */
int program_main(const char *name, enum status (*run)(struct settings *s), int argc, char **argv);

/* The same for a program that runs on many ranks: comm is open (size 1 when no launcher has started it, never NULL) and is
 * closed afterwards. One rank says what failed, and all end with that code; rank_patience is in force. */
int program_main_ranks(const char *name, enum status (*run)(struct settings *s, struct comm *comm), int argc, char **argv);
#endif
