/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - time */
#ifndef ACE_BASE_CLOCK_H
#define ACE_BASE_CLOCK_H

#include <stddef.h>

/* Seconds of a clock that never goes back; only differences mean something. */
double clock_now(void);

/* Seconds since 1970. */
double clock_wall(void);

/* "2026-11-23T12:00:01Z" of now, into text. */
void clock_utc(char *text, size_t size);

/* A length of time for people: "0:38", "2:58:11", into text; returns text. */
const char *clock_length(double seconds, char *text, size_t size);
#endif
