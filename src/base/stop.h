/* SPDX-License-Identifier: Apache-2.0 */
/* stop.h - signals that ask a run to save, to stop, or both (ecosystem.md section 2)
 *
 * USR1: save and stop. USR2: save and go on. TERM, INT: save and stop, if a step ends within the grace; else leave at once
 * with 128 + the signal, as on the second of them. HUP is ignored under a batch system, PIPE always. */
#ifndef ACE_BASE_STOP_H
#define ACE_BASE_STOP_H

#include <stdbool.h>

/* At the start of a program, before it can stop in good order: USR1 and USR2 are noted for stop_setup, and end nothing. */
void stop_listen(void);

/* Install the handlers; grace in seconds, 0: leave at once. */
void stop_setup(int grace);

/* Asked at every step boundary. */
bool stop_asked(void);			/* save, then end with ACE_ESTOPPED */
bool stop_save_asked(void);		/* save, then go on; true once for each USR2 */

/* The signal that asked, "SIGTERM"; "" when none did. Borrowed. */
const char *stop_signal(void);

/* Ask from inside (a time limit, a test): as USR1 does. */
void stop_now(void);
#endif
