/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/report.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "jobs/report_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_LIMIT = 16 << 20, BARS = 40 };

struct report {
	char *folder, *metrics, *page, *beside; /* beside: the folder of the page */
	cJSON *run, *effective;			/* NULL: not there */
	struct report_metrics m;
	struct report_curve curve[REPORT_COLUMNS];
};

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for a report");
}

/* The folder part of a path, owned. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

/* A file of the run that may be missing; one that cannot be read is said and left out. */
static cJSON *
beside_run(const struct report *r, const char *name)
{
	char *path = file_path("%s/%s", r->folder, name);
	cJSON *root = NULL;

	if (path && file_exists(path) && json_read(path, JSON_LIMIT, &root) != ACE_OK)
		msg_warn("%s; going on without it", ace_message());
	free(path);
	return root;
}

/* Where the run is: a folder with LOGS/metrics.jsonl, or that file. */
static enum status
find(struct report *r, const char *word)
{
	const cJSON *logs;

	if (!file_exists(word))
		return ace_fail(ACE_ENOINPUT,
				"%s: no such run; wanted a folder of ace-train or a metrics.jsonl",
				word);
	if (!file_is_dir(word)) {
		r->metrics = strdup(word);
		r->folder = folder_of(word);
		return r->metrics && r->folder ? ACE_OK : no_memory();
	}
	r->folder = strdup(word);
	if (!r->folder)
		return no_memory();
	for (size_t n = strlen(r->folder); n > 1 && r->folder[n - 1] == '/'; n--)
		r->folder[n - 1] = 0;
	r->run = beside_run(r, "run.json");
	r->effective = beside_run(r, "effective.json");
	logs = cJSON_GetObjectItemCaseSensitive(r->effective, "logging_dir");
	r->metrics = file_path("%s/%s/metrics.jsonl", r->folder,
			       cJSON_IsString(logs) ? logs->valuestring : "logs");
	return r->metrics ? ACE_OK : no_memory();
}

static enum status
places(struct report *r, const struct settings *s)
{
	const char *page = settings_str(s, "report_file");

	r->page = page ? strdup(page) : file_path("%s/report.html", r->folder);
	r->beside = r->page ? folder_of(r->page) : NULL;
	return r->beside ? ACE_OK : no_memory();
}

static enum status
write_curves(const struct report *r)
{
	enum status st = ACE_OK;

	for (int c = 0; c < REPORT_COLUMNS && st == ACE_OK; c++) {
		char *path = file_path("%s/%s.svg", r->beside, r->curve[c].name);
		struct buffer b = { 0 };
		report_svg(&b, &r->curve[c]);
		st = path && buffer_done(&b) ? ACE_OK : no_memory();
		if (st == ACE_OK && r->curve[c].bins > 0)
			st = file_write(path, b.data, b.len);
		buffer_free(&b);
		free(path);
	}
	return st;
}

static enum status
write_page(const struct report *r)
{
	char *clips = file_path("%s/validation_audio", r->folder), *whole = NULL;
	struct buffer b = { 0 };
	enum status st;

	if (!clips)
		return no_memory();
	if (strcmp(r->beside, r->folder) != 0)
		whole = realpath(clips, NULL); /* NULL: there are none */
	report_html(&b, r->folder, &r->m, r->curve, REPORT_COLUMNS, r->run, r->effective, clips,
		    whole ? whole : "validation_audio");
	st = buffer_done(&b) ? file_write(r->page, b.data, b.len) : no_memory();
	buffer_free(&b);
	free(clips);
	free(whole);
	return st;
}

static bool
speaks_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (int i = 0; i < 3; i++) {
		const char *v = getenv(names[i]);
		if (v && *v)
			return strstr(v, "UTF-8") || strstr(v, "utf8") || strstr(v, "UTF8");
	}
	return false;
}

static enum status
print(const struct report *r)
{
	static const char *const labels[] = { "loss", "rate", "norm", "speed" };
	struct buffer b = { 0 };
	char length[32];
	enum status st = ACE_OK;

	report_put(&b, "%-6s %s: %lld updates", "run", r->folder, (long long)r->m.n);
	if (!isnan(r->m.time[r->m.n - 1] - r->m.time[0]))
		report_put(
		    &b, " in %s",
		    clock_length(r->m.time[r->m.n - 1] - r->m.time[0], length, sizeof length));
	report_put(&b, ", mean loss %.4g in the first quarter, %.4g in the last\n",
		   report_mean(&r->m, REPORT_LOSS, 0, .25),
		   report_mean(&r->m, REPORT_LOSS, .75, 1));
	for (int c = 0; c < REPORT_COLUMNS; c++) {
		struct report_curve k;
		report_curve_make(&k, &r->m, (enum report_column)c, BARS);
		if (k.bins == 0)
			continue;
		report_put(&b, "%-6s %-8.4g ", labels[c], k.mean[0]);
		report_bars(&b, &k, speaks_utf8());
		report_put(&b, " %-8.4g %s%s%s/%s.svg\n", k.mean[k.bins - 1], k.unit,
			   *k.unit ? "  " : "", r->beside, k.name);
	}
	if (r->m.events > 0)
		report_put(&b, "%-6s %lld, the last at step %lld: %s\n", "events",
			   (long long)r->m.events, (long long)r->m.event[r->m.events - 1].step,
			   r->m.event[r->m.events - 1].text);
	report_put(&b, "%-6s %s\n", "page", r->page);
	if (!buffer_done(&b))
		st = no_memory();
	else
		fputs(b.data, stdout);
	buffer_free(&b);
	return st;
}

static void
report_free(struct report *r)
{
	report_metrics_free(&r->m);
	cJSON_Delete(r->run);
	cJSON_Delete(r->effective);
	free(r->folder);
	free(r->metrics);
	free(r->page);
	free(r->beside);
}

enum status
report_run(struct settings *s)
{
	struct report r = { 0 };
	enum status st = find(&r, s->word[0]);

	if (st == ACE_OK)
		st = places(&r, s);
	if (st == ACE_OK)
		st = report_read(&r.m, r.metrics);
	for (int c = 0; c < REPORT_COLUMNS && st == ACE_OK; c++)
		report_curve_make(&r.curve[c], &r.m, (enum report_column)c, REPORT_BINS);
	if (st == ACE_OK && r.m.bad > 0)
		msg_warn("%s: %lld line%s could not be read, passed over", r.metrics,
			 (long long)r.m.bad, r.m.bad == 1 ? "" : "s");
	if (st == ACE_OK)
		st = write_curves(&r);
	if (st == ACE_OK)
		st = write_page(&r);
	if (st == ACE_OK)
		st = print(&r);
	report_free(&r);
	return st;
}
