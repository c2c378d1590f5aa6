/* SPDX-License-Identifier: Apache-2.0 */
/* One page that needs nothing but itself. */
#include "jobs/report_parts.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>\n"
    ":root { color-scheme: light dark; }\n"
    "body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 "
    "1rem; }\n"
    "svg { width: 100%; height: auto; margin: .5rem 0; }\n"
    "table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem; }\n"
    "th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; "
    "vertical-align: top; }\n"
    "td { overflow-wrap: anywhere; }\nh1 { font-size: 1.4rem; }\nh2 { font-size: 1.1rem; "
    "margin-top: 2rem; }\n"
    "</style>\n";

static void
row(struct buffer *b, const char *const *cell, int cells, const char *tag)
{
	buffer_str(b, "<tr>");
	for (int i = 0; i < cells; i++) {
		report_put(b, "<%s>", tag);
		report_escape(b, cell[i]);
		report_put(b, "</%s>", tag);
	}
	buffer_str(b, "</tr>\n");
}

/* A member of run.json or effective.json as text; owned by the caller, NULL without one. */
static char *
shown(const cJSON *v)
{
	if (!v || cJSON_IsNull(v))
		return NULL;
	return cJSON_IsString(v) ? strdup(v->valuestring) : cJSON_PrintUnformatted(v);
}

static void
summary(struct buffer *b, const struct report_metrics *m, const cJSON *run)
{
	static const char *const keys[] = { "program", "version", "started", "host",	  "device",
					    "threads", "seed",	  "model",   "model_mark" };
	double time = m->time[m->n - 1] - m->time[0];
	char length[32], text[200];

	buffer_str(b, "<table>\n");
	snprintf(text, sizeof text, "%lld, the last is %lld", (long long)m->n,
		 (long long)m->step[m->n - 1]);
	row(b, (const char *[]){ "updates", text }, 2, "td");
	if (!isnan(time)) {
		row(b,
		    (const char *[]){ "from first to last",
				      clock_length(time, length, sizeof length) },
		    2, "td");
	}
	snprintf(text, sizeof text, "%.4g in the first quarter, %.4g in the last",
		 report_mean(m, REPORT_LOSS, 0, .25), report_mean(m, REPORT_LOSS, .75, 1));
	row(b, (const char *[]){ "mean loss", text }, 2, "td");
	row(b,
	    (const char *[]){ "audio trained on", clock_length(m->audio, length, sizeof length) },
	    2, "td");
	if (m->memory > 0) {
		snprintf(text, sizeof text, "%.2f GB at most", m->memory);
		row(b, (const char *[]){ "memory", text }, 2, "td");
	}
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		char *value = shown(cJSON_GetObjectItemCaseSensitive(run, keys[i]));
		if (value)
			row(b, (const char *[]){ keys[i], value }, 2, "td");
		free(value);
	}
	buffer_str(b, "</table>\n");
}

/* The settings that someone gave, and who. */
static void
settings(struct buffer *b, const cJSON *effective)
{
	const cJSON *from = cJSON_GetObjectItemCaseSensitive(
			cJSON_GetObjectItemCaseSensitive(effective, "_effective"), "from"),
		    *v;
	int n = 0;

	buffer_str(b, "<h2>Settings that differ from the defaults</h2>\n");
	cJSON_ArrayForEach(v, effective)
	{
		const cJSON *where = cJSON_GetObjectItemCaseSensitive(from, v->string);
		char *value;
		if (!cJSON_IsString(where) || strcmp(where->valuestring, "default") == 0)
			continue;
		if (n++ == 0) {
			buffer_str(b, "<table>\n");
			row(b, (const char *[]){ "option", "value", "from" }, 3, "th");
		}
		value = shown(v);
		row(b, (const char *[]){ v->string, value ? value : "unset", where->valuestring },
		    3, "td");
		free(value);
	}
	buffer_str(b, n		  ? "</table>\n"
		      : effective ? "<p>None.</p>\n"
				  : "<p>There is no effective.json beside the metrics.</p>\n");
}

static void
events(struct buffer *b, const struct report_metrics *m)
{
	buffer_str(b, "<h2>Events</h2>\n");
	if (m->events > 0) {
		buffer_str(b, "<table>\n");
		row(b, (const char *[]){ "step", "time", "event" }, 3, "th");
	} else {
		buffer_str(b, "<p>None.</p>\n");
	}
	for (int64_t i = 0; i < m->events; i++) {
		char step[24];
		snprintf(step, sizeof step, "%lld", (long long)m->event[i].step);
		row(b, (const char *[]){ step, m->event[i].time, m->event[i].text }, 3, "td");
	}
	if (m->events > 0)
		buffer_str(b, "</table>\n");
	if (m->bad > 0)
		report_put(b,
			   "<p>Lines of the metrics that could not be read and were passed over: "
			   "%lld.</p>\n",
			   (long long)m->bad);
	if (m->nonfinite > 0)
		report_put(
		    b,
		    "<p>Updates whose loss was no finite number, which are not drawn: %lld.</p>\n",
		    (long long)m->nonfinite);
}

void
report_html(struct buffer *b, const char *title, const struct report_metrics *m,
	    const struct report_curve *curve, int curves, const cJSON *run, const cJSON *effective,
	    const char *clips, const char *reference)
{
	buffer_str(b, head);
	buffer_str(b, "<title>");
	report_escape(b, title);
	buffer_str(b, "</title>\n</head>\n<body>\n<h1>");
	report_escape(b, title);
	buffer_str(b, "</h1>\n");
	summary(b, m, run);
	for (int c = 0; c < curves; c++)
		if (curve[c].bins > 0)
			report_svg(b, &curve[c]);
	report_clips(b, clips, reference);
	settings(b, effective);
	events(b, m);
	buffer_str(b, "</body>\n</html>\n");
}
