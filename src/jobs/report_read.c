/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/report_parts.h"

#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE = 1 << 20 }; /* longest that is read as JSON */
#define PAUSE 30.0	 /* seconds without an update that are told */

static double
number(const cJSON *line, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(line, key);

	return cJSON_IsNumber(v) && isfinite(v->valuedouble) ? v->valuedouble : NAN;
}

static const char *
text(const cJSON *line, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(line, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

static double
seconds_of(const char *utc)
{
	struct tm tm = { 0 };
	const char *end = strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm);

	return end ? (double)timegm(&tm) + (*end == '.' ? strtod(end, NULL) : 0) : NAN;
}

static enum status
grow(struct report_metrics *m)
{
	int64_t cap = m->cap ? 2 * m->cap : 1024;
	double **columns[REPORT_COLUMNS + 1] = { &m->time };
	int64_t *step;

	if (m->n < m->cap)
		return ACE_OK;
	for (int c = 0; c < REPORT_COLUMNS; c++)
		columns[c + 1] = &m->v[c];
	for (int c = 0; c <= REPORT_COLUMNS; c++) {
		double *v = realloc(*columns[c], (size_t)cap * sizeof *v);
		if (!v)
			return ace_fail(ACE_ENOMEM, "no memory for %lld updates", (long long)cap);
		*columns[c] = v;
	}
	step = realloc(m->step, (size_t)cap * sizeof *step);
	if (!step)
		return ace_fail(ACE_ENOMEM, "no memory for %lld updates", (long long)cap);
	m->step = step;
	m->cap = cap;
	return ACE_OK;
}

static enum status
add_event(struct report_metrics *m, int64_t step, const char *time, const char *what)
{
	if (m->events == m->events_cap) {
		int64_t cap = m->events_cap ? 2 * m->events_cap : 16;
		struct report_event *e = realloc(m->event, (size_t)cap * sizeof *e);
		if (!e)
			return ace_fail(ACE_ENOMEM, "no memory for %lld events", (long long)cap);
		m->event = e;
		m->events_cap = cap;
	}
	struct report_event *e = &m->event[m->events++];
	*e = (struct report_event){ .step = step };
	snprintf(e->time, sizeof e->time, "%.31s", time);
	snprintf(e->text, sizeof e->text, "%.119s", what);
	return ACE_OK;
}

/* Lines come back when a run went on from an older checkpoint: what they replace is dropped. */
static enum status
go_back(struct report_metrics *m, int64_t step, const char *time)
{
	int64_t n = m->n;
	char what[80];

	while (n > 0 && m->step[n - 1] >= step)
		n--;
	if (n == m->n)
		return ACE_OK;
	snprintf(what, sizeof what, "went back from step %lld", (long long)m->step[m->n - 1]);
	m->n = n;
	return add_event(m, step, time, what);
}

/* A time in which nothing was computed, before the update that is to be added. */
static enum status
say_pause(struct report_metrics *m, int64_t step, const char *utc, double now, double took)
{
	double gap = m->n > 0 ? now - m->time[m->n - 1] - (isnan(took) ? 0 : took) : NAN;
	char what[80], length[32];

	if (!(gap > PAUSE))
		return ACE_OK;
	snprintf(what, sizeof what, "no update for %s", clock_length(gap, length, sizeof length));
	return add_event(m, step, utc, what);
}

static enum status
add_line(struct report_metrics *m, const cJSON *line, int64_t step)
{
	const char *utc = text(line, "time"), *event = text(line, "event");
	double loss = number(line, "train_loss"), took = number(line, "step_s"),
	       audio = number(line, "audio_s");
	double now = seconds_of(utc), norm = number(line, "grad_norm"),
	       memory = number(line, "mem_gb");
	bool is_update = cJSON_HasObjectItem(line, "train_loss");

	if (*event)
		ACE_TRY(add_event(m, step, utc, event));
	if (!is_update)
		return ACE_OK;
	ACE_TRY(go_back(m, step, utc));
	ACE_TRY(say_pause(m, step, utc, now, took));
	ACE_TRY(grow(m));
	m->step[m->n] = step;
	m->time[m->n] = now;
	m->v[REPORT_LOSS][m->n] = loss;
	m->v[REPORT_RATE][m->n] = number(line, "learning_rate");
	m->v[REPORT_NORM][m->n] = isnan(norm) ? number(line, "grad_absmax") : norm;
	m->v[REPORT_SPEED][m->n] = took > 0 ? audio / took : NAN;
	m->n++;
	m->nonfinite += isnan(loss);
	m->audio += isnan(audio) ? 0 : audio;
	m->memory = fmax(m->memory, isnan(memory) ? 0 : memory);
	return ACE_OK;
}

static enum status
read_line(struct report_metrics *m, const char *line, size_t size)
{
	cJSON *root = NULL;
	const cJSON *step;
	enum status st = ACE_OK;

	while (size > 0 && memchr(" \t\r\n", line[size - 1], 4))
		size--;
	if (size == 0)
		return ACE_OK;
	if (size > LINE || json_parse(line, size, "metrics.jsonl", &root) != ACE_OK) {
		m->bad++;
		return ACE_OK;
	}
	step = cJSON_GetObjectItemCaseSensitive(root, "step");
	if (cJSON_IsNumber(step) && step->valuedouble >= 0 && step->valuedouble <= 1e15)
		st = add_line(m, root, (int64_t)step->valuedouble);
	else
		m->bad++;
	cJSON_Delete(root);
	return st;
}

enum status
report_read(struct report_metrics *m, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t cap = 0;
	ssize_t size;
	enum status st = ACE_OK;

	*m = (struct report_metrics){ 0 };
	if (!f)
		return ace_fail(errno == ENOENT || errno == ENOTDIR ? ACE_ENOINPUT : ACE_EIO,
				"%s: cannot be read: %s", path, strerror(errno));
	errno = 0;
	while (st == ACE_OK && (size = getline(&line, &cap, f)) >= 0)
		st = read_line(m, line, (size_t)size);
	if (st == ACE_OK && ferror(f))
		st = ace_fail(ACE_EIO, "%s: cannot be read: %s", path, strerror(errno));
	free(line);
	fclose(f);
	if (st == ACE_OK && m->n == 0)
		st = ace_fail(ACE_EDATA, "%s: no update in it (%lld lines could not be read)", path,
			      (long long)m->bad);
	return st;
}

void
report_metrics_free(struct report_metrics *m)
{
	free(m->step);
	free(m->time);
	for (int c = 0; c < REPORT_COLUMNS; c++)
		free(m->v[c]);
	free(m->event);
	*m = (struct report_metrics){ 0 };
}
