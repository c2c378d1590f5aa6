/* SPDX-License-Identifier: Apache-2.0 */
/* msg.h - what a program says, on stderr; stdout is data only (ux.md, ecosystem.md section 3) */
#ifndef ACE_BASE_MSG_H
#define ACE_BASE_MSG_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum msg_level { MSG_QUIET, MSG_WARN, MSG_INFO, MSG_DEBUG };
enum msg_progress { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_PLAIN, PROGRESS_NONE };

/* Set once by a program before it works. name is borrowed for ever ("ace-train"); log may be NULL, else
 * a file to which every line is appended as well; interval: seconds between plain progress lines. */
void msg_setup(const char *name, enum msg_level level, enum msg_progress progress, double interval);
enum status msg_log_to(const char *path) ACE_NODISCARD;

/* Said once where many ranks run: rank 0 speaks as a program alone does, the others say only warnings and errors, with
 * "[rank 3 n07] " in front. */
void msg_ranks(int rank, const char *host);

/* Whether what begins a warning or an error is coloured on the screen (never in the log); off until called. */
void msg_color(bool on);

/* One line each; a bar on the screen is cleared first and drawn again. info has no prefix, warnings and
 * errors begin with the program's name. */
void msg_info(const char *fmt, ...) ACE_PRINTF(1, 2);
void msg_warn(const char *fmt, ...) ACE_PRINTF(1, 2);
void msg_debug(const char *fmt, ...) ACE_PRINTF(1, 2);
void msg_error(const char *fmt, ...) ACE_PRINTF(1, 2);
void msg_plain(const char *fmt, ...) ACE_PRINTF(1, 2);	/* behind an error: no prefix, at every level */

/* Progress of a stage: label, done of total, and the rest of the line, which the caller words. On a
 * terminal a bar moves in place at most ten times a second; elsewhere a plain line at most every interval
 * seconds, and one at the end. A label that ends in '=' stands close to the numbers. */
void msg_progress(const char *label, int64_t done, int64_t total, const char *fmt, ...) ACE_PRINTF(4, 5);
void msg_progress_end(void);

bool msg_is_terminal(void);
#endif
