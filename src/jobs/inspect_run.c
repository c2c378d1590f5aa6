/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_things.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "train/checkpoint.h"
#include "train/metrics.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MANIFEST_LIMIT = 16 << 20, TAIL = 256 << 10, EFFECTIVE_LIMIT = 4 << 20 };

/* --- a checkpoint --- */

static double
number_in(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? v->valuedouble : -1;
}

static const char *
text_in(const cJSON *o, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

/* One row: a file of the manifest against the one on the disk. */
static enum status
file_row(struct report *r, const char *folder, const cJSON *e, bool verify)
{
	const char *name = text_in(e, "name"), *want = text_in(e, "sha256");
	char *path = file_path("%s/%s", folder, name ? name : "?"), text[REPORT_SHORT], hex[65];
	double size = number_in(e, "size");
	bool inside = name && name[0] != '/' && !strstr(name, "..");
	int64_t found = path && inside ? file_size(path) : -1;
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	const char *state = "whole";

	if (!inside)
		state = "no file of this folder";
	else if (found < 0)
		state = "missing";
	else if ((double)found != size)
		state = found < (int64_t)size ? "too short" : "too long";
	else if (st == ACE_OK && verify && want && (st = sha256_file(path, hex)) == ACE_OK && strcmp(hex, want) != 0)
		state = "changed (SHA-256)";
	report_cell(r, "%s", name ? name : "?");
	report_cell_number(r, size, "%s", size >= 0 && size < 1e18 ? report_bytes((int64_t)size, text) : "?");
	report_cell_number(r, (double)found, "%s", found >= 0 ? report_bytes(found, text) : "-");
	report_cell(r, "%s", state);
	free(path);
	return st;
}

static enum status
show_files(struct report *r, const char *folder, const cJSON *manifest, bool verify, int64_t *bytes)
{
	static const struct report_column columns[] = { { "name", "file", false }, { "size", "size", true },
		                                        { "found", "found", true }, { "state", "state", false } };
	const cJSON *e;

	report_table(r, "files", "files", columns, 4);
	cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(manifest, "files")) {
		ACE_TRY(file_row(r, folder, e, verify));
		*bytes += number_in(e, "size") > 0 ? (int64_t)number_in(e, "size") : 0;
	}
	report_table_end(r);
	return ACE_OK;
}

static void
show_facts(struct report *r, const cJSON *manifest)
{
	static const struct report_column columns[] = { { "key", "fact", false }, { "value", "value", false } };
	const cJSON *v;

	report_table(r, "facts", "manifest", columns, 2);
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(manifest, "metadata")) {
		char *text = cJSON_IsString(v) ? strdup(v->valuestring) : cJSON_PrintUnformatted(v);
		report_cell(r, "%s", v->string);
		report_cell(r, "%s", text ? text : "?");
		free(text);
	}
	report_table_end(r);
}

/* A JSON file of a folder, when it is there and good. */
static cJSON *
json_of(const char *folder, const char *name, size_t limit)
{
	char *path = file_path("%s/%s", folder, name);
	cJSON *root = NULL;

	if (path && file_exists(path) && json_read(path, limit, &root) != ACE_OK)
		root = NULL;
	free(path);
	return root;
}

/* The adapter of a folder in a few words, "" when there is none or it is bad. */
static void
adapter_of(const char *folder, char text[200])
{
	text[0] = 0;
	if (inspect_has(folder, ADAPTER_FILE) && inspect_adapter_line(folder, text, 200) != ACE_OK)
		snprintf(text, 200, "cannot be read: %s", ace_message());
}

static enum status
show_checkpoint(struct report *r, const struct look *l, const char *path, enum status whole, const char *why)
{
	cJSON *manifest = json_of(path, CHECKPOINT_MANIFEST, MANIFEST_LIMIT);
	cJSON *training = json_of(path, CHECKPOINT_TRAINING, MANIFEST_LIMIT);
	char text[REPORT_SHORT], adapter[200];
	const char *kind = text_in(cJSON_GetObjectItemCaseSensitive(manifest, "metadata"), "model_type");
	double step = number_in(training, "global_step");
	enum status st = ACE_OK;
	int64_t bytes = 0;

	report_bool(r, "whole", "whole", whole == ACE_OK);
	if (step >= 0)
		report_number(r, "global_step", "step", step, "%.0f", step);
	if (number_in(training, "epoch") >= 0)
		report_number(r, "epoch", "epoch", number_in(training, "epoch"), "%.0f", number_in(training, "epoch"));
	if (kind)
		report_text(r, "model_type", "trains", "%s", kind);
	adapter_of(path, adapter);
	if (adapter[0])
		report_text(r, "adapter", "adapter", "%s", adapter);
	if (whole != ACE_OK)
		report_note(r, "%s", why);
	st = show_files(r, path, manifest, l->verify, &bytes);
	report_number(r, "bytes", NULL, (double)bytes, "%s", report_bytes(bytes, text));
	show_facts(r, manifest);
	report_line(r, step >= 0 ? "checkpoint, %s, %s, step %.0f" : "checkpoint, %s, %s, its step is not known", text,
	            whole != ACE_OK ? "damaged" : l->verify ? "whole, every digest is right" : "whole", step);
	cJSON_Delete(manifest);
	cJSON_Delete(training);
	return st;
}

enum status
inspect_checkpoint(const struct look *l, const char *path)
{
	enum status whole = checkpoint_verify(path, l->verify), st;
	char *why = strdup(whole == ACE_OK ? "" : ace_message());
	struct report r;

	if (!why)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	report_begin(&r, l->out, l->json, path, "checkpoint");
	st = report_end(&r, show_checkpoint(&r, l, path, whole, why));
	if (st == ACE_OK && whole != ACE_OK)
		st = ace_fail(whole, "%s", why);
	free(why);
	return st;
}

/* --- metrics --- */

/* The end of a run's metrics. */
struct metrics_end {
	cJSON *last;			/* the last line; owned */
	double step, loss, loss_mean;	/* mean over the lines that were read */
	int lines;			/* of these */
};

/* The last lines of path. Lines that are not ours are passed over. */
static enum status
read_metrics(const char *path, struct metrics_end *m)
{
	FILE *f = fopen(path, "rb");
	char *data = malloc(TAIL + 1);
	size_t n = 0;

	*m = (struct metrics_end){ .step = -1, .loss = NAN };
	if (f && data) {
		int64_t size = file_size(path);
		if (size <= TAIL || fseek(f, -(long)TAIL, SEEK_END) == 0)
			n = fread(data, 1, TAIL, f);
	}
	if (!f || !data || ferror(f)) {
		enum status st = data ? ace_fail(f ? ACE_EIO : ACE_ENOINPUT, "%s: cannot be read", path)
		                      : ace_fail(ACE_ENOMEM, "%s: no memory", path);
		free(data);
		if (f)
			fclose(f);
		return st;
	}
	fclose(f);
	data[n] = 0;
	for (char *at = data, *end; (end = strchr(at, '\n')); at = end + 1) {
		cJSON *line = cJSON_ParseWithLength(at, (size_t)(end - at));
		const cJSON *loss = cJSON_GetObjectItemCaseSensitive(line, "train_loss");
		if (number_in(line, "step") < 0) {
			cJSON_Delete(line);
			continue;
		}
		if (cJSON_IsNumber(loss)) {
			m->loss = loss->valuedouble;
			m->loss_mean += loss->valuedouble;
			m->lines++;
		}
		cJSON_Delete(m->last);
		m->last = line;
		m->step = number_in(line, "step");
	}
	m->loss_mean /= m->lines ? m->lines : 1;
	free(data);
	return ACE_OK;
}

static void
show_last(struct report *r, const struct metrics_end *m)
{
	static const struct report_column columns[] = { { "key", "scalar", false }, { "value", "value", true } };
	const cJSON *v;

	report_table(r, "last", "last line of the metrics", columns, 2);
	cJSON_ArrayForEach(v, m->last) {
		char *text = cJSON_IsString(v) ? strdup(v->valuestring) : cJSON_PrintUnformatted(v);
		report_cell(r, "%s", v->string);
		report_cell(r, "%s", text ? text : "?");
		free(text);
	}
	report_table_end(r);
}

enum status
inspect_metrics(const struct look *l, const char *path)
{
	struct metrics_end m;
	struct report r;
	enum status st;

	ACE_TRY(read_metrics(path, &m));
	if (!m.last)
		return ace_fail(ACE_EDATA, "%s: no line of metrics (an object with a step)", path);
	report_begin(&r, l->out, l->json, path, "metrics");
	report_line(&r, "metrics, last step %.0f, loss %.4g (mean of the last %d: %.4g)", m.step, m.loss, m.lines,
	            m.loss_mean);
	report_number(&r, "step", NULL, m.step, "%.0f", m.step);
	report_number(&r, "train_loss", NULL, m.loss, "%g", m.loss);
	report_number(&r, "train_loss_mean", NULL, m.loss_mean, "%g", m.loss_mean);
	show_last(&r, &m);
	st = report_end(&r, ACE_OK);
	cJSON_Delete(m.last);
	return st;
}

/* --- a run --- */

struct found {
	char name[256];
	struct checkpoint_name c;
};

static int
by_step(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int n = (x->c.step > y->c.step) - (x->c.step < y->c.step);

	return n ? n : strcmp(x->name, y->name);
}

static enum status
find_checkpoints(const char *folder, struct found **list, int *n)
{
	DIR *d = opendir(folder);
	enum status st = d ? ACE_OK : ace_fail(ACE_EIO, "%s: cannot be listed", folder);

	*list = NULL;
	*n = 0;
	for (struct dirent *e; st == ACE_OK && (e = readdir(d));) {
		struct found f = { 0 }, *more;
		if (!checkpoint_parse(e->d_name, &f.c))
			continue;
		snprintf(f.name, sizeof f.name, "%s", e->d_name);
		more = realloc(*list, ((size_t)*n + 1) * sizeof *more);
		if (!more) {
			st = ace_fail(ACE_ENOMEM, "%s: no memory", folder);
			break;
		}
		*list = more;
		more[(*n)++] = f;
	}
	if (d)
		closedir(d);
	if (*n > 0)
		qsort(*list, (size_t)*n, sizeof **list, by_step);
	return st;
}

/* Table of the checkpoints; the largest step of a whole one, -1: none. */
static enum status
show_checkpoints(struct report *r, const struct look *l, const char *folder, int *count, int64_t *latest)
{
	static const struct report_column columns[] = { { "name", "checkpoint", false }, { "step", "step", true },
		                                        { "state", "state", false }, { "why", "", false } };
	struct found *list;
	enum status st = find_checkpoints(folder, &list, count);

	*latest = -1;
	report_table(r, "checkpoints", "checkpoints", columns, 4);
	for (int i = 0; st == ACE_OK && i < *count; i++) {
		char *path = file_path("%s/%s", folder, list[i].name);
		enum status whole = path ? checkpoint_verify(path, l->verify) : ACE_ENOMEM;
		report_cell(r, "%s", list[i].name);
		report_cell_i64(r, list[i].c.step);
		report_cell(r, "%s", list[i].c.temporary ? "unfinished" : whole == ACE_OK ? "whole" : "damaged");
		report_cell(r, "%s", list[i].c.temporary || whole == ACE_OK ? "" : ace_message());
		if (whole == ACE_OK && !list[i].c.temporary && list[i].c.step > *latest)
			*latest = list[i].c.step;
		free(path);
	}
	report_table_end(r);
	free(list);
	return st;
}

/* What effective.json says was given by somebody. */
static void
show_settings(struct report *r, const char *folder)
{
	static const struct report_column columns[] = { { "option", "setting", false }, { "value", "value", false },
		                                        { "from", "from", false } };
	cJSON *root = json_of(folder, "effective.json", EFFECTIVE_LIMIT);
	const cJSON *from = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, "_effective"),
	                                                     "from"),
		    *v;

	report_table(r, "settings", "settings that were given", columns, 3);
	cJSON_ArrayForEach(v, from) {
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(root, v->string);
		char *text = cJSON_IsString(value) ? strdup(value->valuestring)
		             : value               ? cJSON_PrintUnformatted(value)
		                                   : NULL;
		if (text && cJSON_IsString(v) && strcmp(v->valuestring, "default") != 0) {
			report_cell(r, "%s", v->string);
			report_cell(r, "%s", text);
			report_cell(r, "%s", v->valuestring);
		}
		free(text);
	}
	report_table_end(r);
	cJSON_Delete(root);
}

/* Where the run wrote its metrics: in its logging_dir, as effective.json has it; owned by the caller, NULL: no memory. */
static char *
metrics_of(const char *folder)
{
	cJSON *effective = json_of(folder, "effective.json", EFFECTIVE_LIMIT);
	const char *logs = text_in(effective, "logging_dir");
	char *path = file_path("%s/%s/" METRICS_FILE, folder, logs ? logs : "logs"), *beside;

	cJSON_Delete(effective);
	if (!path || file_exists(path))
		return path;
	beside = file_path("%s/" METRICS_FILE, folder);
	free(path);
	return beside;
}

enum status
inspect_folder_of_run(const struct look *l, const char *path)
{
	char *metrics = metrics_of(path), adapter[200], latest_text[40] = "none whole";
	struct metrics_end m = { .step = -1 };
	struct report r;
	int64_t latest = -1;
	int count = 0;
	enum status st = metrics ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", path);

	if (st == ACE_OK && file_exists(metrics))
		st = read_metrics(metrics, &m);
	free(metrics);
	if (st != ACE_OK)
		return st;
	report_begin(&r, l->out, l->json, path, "run");
	if (m.last) {
		report_number(&r, "step", "last step", m.step, "%.0f", m.step);
		report_number(&r, "train_loss", "loss", m.loss, "%.4g (mean of the last %d: %.4g)", m.loss, m.lines,
		              m.loss_mean);
	}
	adapter_of(path, adapter);
	if (adapter[0])
		report_text(&r, "adapter", "result", "%s: %s", ADAPTER_FILE, adapter);
	st = show_checkpoints(&r, l, path, &count, &latest);
	if (latest >= 0)
		snprintf(latest_text, sizeof latest_text, "the latest at step %lld", (long long)latest);
	report_number(&r, "latest", NULL, (double)latest, "%lld", (long long)latest);
	report_line(&r, "run, %d checkpoint%s%s%s%s", count, count == 1 ? "" : "s", count ? ", " : "",
	            count ? latest_text : "", m.last ? "" : ", no metrics");
	show_settings(&r, path);
	show_last(&r, &m);
	st = report_end(&r, st);
	cJSON_Delete(m.last);
	return st;
}
