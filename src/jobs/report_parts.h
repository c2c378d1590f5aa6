/* SPDX-License-Identifier: Apache-2.0 */
/* report_parts.h - what the files of ace-report share */
#ifndef ACE_JOBS_REPORT_PARTS_H
#define ACE_JOBS_REPORT_PARTS_H

#include "base/status.h"
#include "text/buffer.h"

#include <cjson/cJSON.h>
#include <stdint.h>

enum report_column { REPORT_LOSS, REPORT_RATE, REPORT_NORM, REPORT_SPEED, REPORT_COLUMNS };

struct report_event {
	int64_t step;
	char time[32];			/* UTC; "" unknown */
	char text[120];
};

/* The updates of a run, in order of their steps. */
struct report_metrics {
	int64_t n, cap;
	int64_t *step;
	double *time;			/* seconds since 1970; NAN unknown */
	double *v[REPORT_COLUMNS];	/* NAN where a line has none */
	struct report_event *event;
	int64_t events, events_cap;
	int64_t bad;			/* lines passed over */
	int64_t nonfinite;		/* updates whose loss was no number */
	double memory;			/* most, in GB; 0 unknown */
	double audio;			/* seconds of audio trained on */
};

/* Read metrics.jsonl. A line that is no object with a step is passed over; one whose step was there already takes the place of
 * it and of what followed it. report_metrics_free in any case. */
enum status report_read(struct report_metrics *m, const char *path) ACE_NODISCARD;
void report_metrics_free(struct report_metrics *m);

/* A curve brought to at most REPORT_BINS places, each with the mean and the ends of its values. */
enum { REPORT_BINS = 600 };
struct report_curve {
	const char *name, *title, *unit;	/* "loss", "Loss", "" */
	int bins;				/* 0: no value at all */
	double step[REPORT_BINS];		/* of the middle of the bin */
	double mean[REPORT_BINS], low[REPORT_BINS], high[REPORT_BINS], smooth[REPORT_BINS];
};

void report_curve_make(struct report_curve *c, const struct report_metrics *m, enum report_column column, int most);

/* The mean of the values between two parts of the run, 0 to 1; NAN where there are none. */
double report_mean(const struct report_metrics *m, enum report_column column, double from, double to);

/* printf into a buffer, at most 1000 bytes. */
void report_put(struct buffer *b, const char *fmt, ...) ACE_PRINTF(2, 3);
/* Text for HTML and SVG: & < > " escaped. */
void report_escape(struct buffer *b, const char *text);

/* The curve as one <svg> element, which is a file as it stands. */
void report_svg(struct buffer *b, const struct report_curve *c);

/* A row of bars, one a bin; in plain letters where the locale is not UTF-8. */
void report_bars(struct buffer *b, const struct report_curve *c, bool utf8);

/* The clips step_N_NAME.wav of a folder, by name and step, each to be played; reference: the folder as the page sees it. Nothing when
 * there are none. */
void report_clips(struct buffer *b, const char *folder, const char *reference);

/* The page. run and effective (run.json, effective.json) may be NULL. clips: a folder of clips; reference as above. */
void report_html(struct buffer *b, const char *title, const struct report_metrics *m, const struct report_curve *curve, int curves,
                 const cJSON *run, const cJSON *effective, const char *clips, const char *reference);
#endif
