/* SPDX-License-Identifier: Apache-2.0 */
/* doctor.h - what the checks of inspect_system share */
#ifndef ACE_JOBS_DOCTOR_H
#define ACE_JOBS_DOCTOR_H

#include "jobs/inspect_system.h"

/* One more finding; returns its advice, for the caller to fill: char[240]. */
char *doctor_add(struct findings *f, enum finding_state state, const char *what, const char *fmt, ...) ACE_PRINTF(4, 5);

/* A number of bytes for people, "1.2 GiB", into text; returns text. */
const char *doctor_bytes(double bytes, char *text, size_t size);

void doctor_machine(struct findings *f);		/* processor, threads, memory, limits */
void doctor_libraries(struct findings *f);		/* versions, codecs */
void doctor_files(struct findings *f, const char *output);	/* the output's file system, TMPDIR, HDF5 on it */
#endif
