/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.h - metrics.jsonl: one JSON object an update, always written (ecosystem.md 3, training.md 14)
 *
 * Each line goes out in one write with O_APPEND, so that a reader never sees half of two. Keys: schema, time (UTC), step,
 * then the scalars that are given, event where there is one. Numbers that are not finite are null, and event is "nonfinite". */
#ifndef ACE_TRAIN_METRICS_H
#define ACE_TRAIN_METRICS_H

#include "base/status.h"

#include <stdint.h>

#define METRICS_FILE "metrics.jsonl"
enum { METRICS_SCHEMA = 1 };

struct metric {
	const char *name;		/* "train_loss", "ssl/mert", "step_s" ... */
	double value;
};

struct metrics {
	int fd;
	char *path;
};

/* Append to path, made when missing with its folders. First what a killed run left is cut: all from the first line whose step is
 * past after (a fresh run: -1, nothing is left), and a last line without its end, by one truncation: killed at any moment
 * the file is the old or the new one. A line without a step stops nothing. ACE_ECREATE, ACE_EIO. */
enum status metrics_open(struct metrics *m, const char *path, int64_t after) ACE_NODISCARD;
void metrics_close(struct metrics *m);

/* One line, whole or (ACE_EIO: the disk is full) not at all. event may be NULL; with a value that is not finite both are told:
 * "save nonfinite". */
enum status metrics_put(struct metrics *m, int64_t step, const struct metric *v, int n, const char *event) ACE_NODISCARD;
#endif
