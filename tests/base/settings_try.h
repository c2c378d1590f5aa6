/* SPDX-License-Identifier: Apache-2.0 */
/* settings_try.h - a command line in a folder of its own, with the environment that a test gives */
#ifndef ACE_TESTS_BASE_SETTINGS_TRY_H
#define ACE_TESTS_BASE_SETTINGS_TRY_H

#include "support/test.h"

#include "base/settings.h"

/* cmocka fixtures: enter a fresh folder with a clean environment; leave and remove it. */
int try_enter(void **state);
int try_leave(void **state);

/* A file below the folder, its parents made. */
void try_file(const char *path, const char *text);

/* Load the words of line (between blanks; NULL for none) as the arguments of a program. The settings are static, freed by the
 * next call; NULL when the load failed. */
struct settings *try_load(const char *program, const char *line);

/* The load must fail with this exit code and this very message. */
void try_refused(const char *program, const char *line, int code, const char *message);

/* The load must succeed; the value of an option must be this text ("" for none). */
struct settings *try_ok(const char *program, const char *line);
void try_value(const struct settings *s, const char *name, const char *text);
#endif
