/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/import_hf.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "base/stop.h"
#include "data/hf_filter.h"
#include "jobs/import_hf_parts.h"
#include "jobs/preprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMED = 20 };			/* bad rows that are named on the way */

struct import {
	const struct import_job *job;
	struct import_report *r;
	struct hf_repo repo;
	struct hf_filter *filter;
	struct import_index index;
	char **columns;
	const struct hf_split **chosen;
	int n_chosen;
	struct buffer line;
	FILE *failures;
	char *failures_path, *failures_part;
	double start;
};

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory");
}

/* --- what is asked for --- */

static bool
named(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (list && *list) {
		size_t m;
		list += strspn(list, " ");
		m = strcspn(list, ",");
		if (m >= n && strncmp(list, name, n) == 0 && strspn(list + n, " ") == m - n)
			return true;
		list += m + (list[m] == ',');
	}
	return false;
}

static enum status
no_split(const struct import *m)
{
	char names[400] = "";

	for (int i = 0; i < m->repo.n; i++)
		if (strlen(names) + strlen(m->repo.split[i].name) + 3 < sizeof names)
			strcat(strcat(names, *names ? ", " : ""), m->repo.split[i].name);
	return ace_fail(ACE_ENOINPUT, "%s: split=%.80s: it has %s", m->job->source, m->job->splits, names);
}

static enum status
choose(struct import *m)
{
	const char *list = m->job->splits;
	int wanted = list ? 1 : m->repo.n;

	m->chosen = calloc((size_t)m->repo.n + 1, sizeof *m->chosen);
	if (!m->chosen)
		return no_memory();
	for (int i = 0; i < m->repo.n; i++)
		if (!list || named(list, m->repo.split[i].name))
			m->chosen[m->n_chosen++] = &m->repo.split[i];
	for (const char *p = list; p && *p; p++)
		wanted += *p == ',';
	return m->n_chosen < wanted || m->n_chosen == 0 ? no_split(m) : ACE_OK;
}

/* All that changes which items there are and what they hold, in one line. */
static enum status
settings_line(const struct import *m, struct buffer *b)
{
	const struct import_job *j = m->job;
	const struct { const char *name, *value; } all[] = {
		{ "source", j->source }, { "revision", j->revision }, { "config_name", j->config }, { "split", j->splits },
		{ "filter", j->filter }, { "audio_column", j->columns.audio }, { "caption_column", j->columns.caption },
		{ "fallback_caption_column", j->columns.fallback }, { "audio_caption_fields", j->columns.fields },
		{ "description_column", j->columns.description }, { "lyrics_column", j->columns.lyrics },
	};
	char *real = realpath(j->source, NULL), limit[40];

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		const char *v = i == 0 && real ? real : all[i].value;
		if (!v)
			continue;
		buffer_str(b, i ? " " : "");
		buffer_str(b, all[i].name);
		buffer_char(b, '=');
		buffer_str(b, v);
	}
	snprintf(limit, sizeof limit, " limit=%lld%s", (long long)j->limit, j->in_place ? " in_place" : "");
	buffer_str(b, limit);
	free(real);
	return buffer_done(b) ? ACE_OK : no_memory();
}

/* --- bad rows --- */

static enum status
note_failure(struct import *m, const struct hf_row *row, const char *code)
{
	struct buffer *b = &m->line;

	if (++m->r->failed <= NAMED)
		msg_warn("%s (%s)", ace_message(), code);
	else if (m->r->failed == NAMED + 1)
		msg_warn("more rows cannot be used; %s lists them all", m->failures_path);
	m->r->lost_files += strcmp(code, "bad_file") == 0;
	if (!m->failures)
		m->failures = fopen(m->failures_part, "wbe");
	if (!m->failures)
		return ace_fail(ACE_ECREATE, "%s: %s", m->failures_part, strerror(errno));
	buffer_clear(b);
	buffer_str(b, "{\"path\":");
	import_json_text(b, row->file->path);
	import_json_number(b, "row", row->number);
	buffer_str(b, ",\"code\":");
	import_json_text(b, code);
	buffer_str(b, ",\"reason\":");
	import_json_text(b, ace_message());
	buffer_str(b, "}\n");
	if (!buffer_done(b))
		return no_memory();
	if (fwrite(b->data, 1, b->len, m->failures) != b->len)
		return ace_fail(ACE_EIO, "%s: %s", m->failures_part, strerror(errno));
	return ACE_OK;
}

static enum status
end_failures(struct import *m)
{
	bool bad;

	if (!m->failures)
		return unlink(m->failures_path) == 0 || errno == ENOENT ? ACE_OK
		                                                        : ace_fail(ACE_EIO, "%s: %s", m->failures_path, strerror(errno));
	bad = ferror(m->failures);
	bad |= fclose(m->failures) != 0;
	m->failures = NULL;
	return bad ? ace_fail(ACE_EIO, "%s: %s", m->failures_part, strerror(errno)) : file_rename(m->failures_part, m->failures_path);
}

/* --- good rows --- */

/* name: of the sound in DST; NULL in place. */
static enum status
index_line(struct import *m, const struct hf_split *split, const struct hf_row *row, const struct hf_song *s, const char *name)
{
	struct buffer *b = &m->line;
	char text[64];

	buffer_clear(b);
	snprintf(text, sizeof text, "{\"row\":%lld,\"split\":", (long long)row->number);
	buffer_str(b, text);
	import_json_text(b, split->name);
	buffer_str(b, ",\"key\":");
	import_json_text(b, s->key);
	if (name) {
		buffer_str(b, ",\"file\":");
		import_json_text(b, name);
	}
	import_json_number(b, "bytes", (int64_t)s->size);
	buffer_str(b, ",\"from\":");
	import_json_text(b, row->file->path);
	import_json_number(b, "at", row->at);
	buffer_str(b, s->bytes || !s->file ? ",\"inside\":" : ",\"audio\":");
	import_json_text(b, s->bytes || !s->file ? s->name : s->file);
	if (s->seconds >= 0) {
		snprintf(text, sizeof text, ",\"seconds\":%.9g", s->seconds);
		buffer_str(b, text);
	}
	buffer_str(b, ",\"captions\":[");
	for (int i = 0; i < s->captions; i++) {
		buffer_str(b, i ? "," : "");
		import_json_text(b, s->caption[i]);
	}
	buffer_str(b, "],\"lyrics\":");
	import_json_text(b, s->lyrics);
	buffer_str(b, "}\n");
	return buffer_done(b) ? import_index_add(&m->index, b) : no_memory();
}

static enum status
write_item(struct import *m, const struct hf_split *split, const struct hf_row *row, struct hf_song *s)
{
	bool folder = m->n_chosen > 1;
	char *dir = folder ? file_path("%s/%s", m->job->folder, split->name) : strdup(m->job->folder);
	char *name = import_name(s, row->number), *file = NULL;
	enum status st = dir && name ? ACE_OK : no_memory();

	if (st == ACE_OK && !m->job->in_place) {
		file = file_path("%s%s%s.%s", folder ? split->name : "", folder ? "/" : "", name, s->end);
		st = file ? import_write(s, dir, name) : no_memory();
	}
	if (st == ACE_OK && !s->code) {
		st = index_line(m, split, row, s, file);
		m->r->fresh++;
		m->r->captions += s->captions;
		m->r->with_lyrics += s->lyrics && *s->lyrics;
		m->r->bytes += (int64_t)s->size;
	}
	free(dir);
	free(name);
	free(file);
	return st;
}

static enum status
do_row(struct import *m, const struct hf_split *split, const struct hf_row *row)
{
	struct hf_song s;
	enum status st = hf_song_read(&s, &m->repo, row, &m->job->columns);

	if (st == ACE_OK && !s.code)
		st = write_item(m, split, row, &s);
	if (st == ACE_OK && s.code)
		st = note_failure(m, row, s.code);
	hf_song_free(&s);
	return st;
}

static void
show(struct import *m, const struct hf_split *split, const struct hf_rows *rows, int64_t at, int64_t total)
{
	double elapsed = clock_now() - m->start;

	if (total > 0)
		msg_progress(split->name, at < total ? at : total, total, "%lld failed  %.0f rows/s", (long long)m->r->failed,
		             elapsed > 0 ? (double)m->r->fresh / elapsed : 0);
	else
		msg_progress(split->name, hf_rows_files(rows), split->n, "files  %lld rows  %lld failed  %.0f rows/s", (long long)at,
		             (long long)m->r->failed, elapsed > 0 ? (double)m->r->fresh / elapsed : 0);
}

static enum status
do_rows(struct import *m, const struct hf_split *split, const struct import_done *done, struct hf_rows *rows)
{
	int64_t total = hf_rows_count(split), taken = 0;
	struct hf_row row = { 0 };
	bool more;

	if (total > 0 && m->job->limit > 0 && total > m->job->limit)
		total = m->job->limit;
	if (!m->filter && done->first > 0) {	/* nothing to be looked at before */
		taken = done->first;
		m->r->rows += taken;
		m->r->kept += taken;
	}
	for (bool sought = false;; sought = true) {
		if (m->job->limit > 0 && taken >= m->job->limit)
			return ACE_OK;
		if (stop_asked())
			return ACE_ESTOPPED;
		ACE_TRY(sought || taken == 0 ? hf_rows_next(rows, &row, &more) : hf_rows_seek(rows, taken, &row, &more));
		if (!more)
			return ACE_OK;
		if (!row.code && !hf_filter_takes(m->filter, row.cell)) {
			m->r->filtered++;
			continue;
		}
		taken++;
		m->r->rows++;
		if (import_is_done(done, row.number))
			m->r->kept++;
		else
			ACE_TRY(do_row(m, split, &row));
		show(m, split, rows, total > 0 && !m->filter ? taken : row.number + 1, m->filter ? -1 : total);
	}
}

static enum status
do_split(struct import *m, const struct hf_split *split)
{
	const struct import_done *done = import_index_split(&m->index, split->name);
	struct hf_rows *rows = NULL;
	enum status st = done ? ACE_OK : no_memory();
	char *dir;

	if (st == ACE_OK && m->n_chosen > 1 && !m->job->in_place) {
		dir = file_path("%s/%s", m->job->folder, split->name);
		st = dir ? file_mkdirs(dir) : no_memory();
		free(dir);
	}
	if (st == ACE_OK)
		st = hf_rows_open(&rows, &m->repo, split, (const char *const *)m->columns);
	if (st == ACE_OK)
		st = do_rows(m, split, done, rows);
	if (st == ACE_OK)
		show(m, split, rows, m->r->rows, -1);
	hf_rows_close(rows);
	return st;
}

/* --- the end --- */

/* All that was written is on the disk before it is said to be there. */
static enum status
sync_all(struct import *m)
{
	int fd = open(m->job->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && syncfs(fd) == 0;

	if (!good)
		(void)ace_fail(ACE_EIO, "%s: %s", m->job->folder, strerror(errno));
	if (fd >= 0)
		close(fd);
	return good ? ACE_OK : ACE_EIO;
}

static enum status
note_end(struct import *m)
{
	static const char last[] = "{\"finished\":true}\n";

	if (m->index.finished && m->r->fresh == 0)
		return ACE_OK;
	buffer_clear(&m->line);
	buffer_str(&m->line, last);
	return buffer_done(&m->line) ? import_index_add(&m->index, &m->line) : no_memory();
}

static enum status
judge(const struct import *m)
{
	const struct import_report *r = m->r;
	const struct import_job *j = m->job;
	double most = j->max_bad_percent ? j->max_bad / 100 * (double)r->rows : j->max_bad;

	if (r->rows == 0)
		return ace_fail(ACE_EDATA, "%s: no row%s", j->source, r->filtered > 0 ? " that the filter takes" : " in it");
	if (r->lost_files > 0)
		return ace_fail(ACE_EDATA, "%s: %lld file%s could not be read to the end; the rows there are missing", j->source,
		                (long long)r->lost_files, r->lost_files == 1 ? "" : "s");
	if (r->fresh + r->kept == 0)
		return ace_fail(ACE_EDATA, "%s: none of its %lld rows can be used (%s)", j->source, (long long)r->rows, m->failures_path);
	if ((double)r->failed > most)
		return ace_fail(ACE_EDATA, "%s: %lld of %lld rows cannot be used, more than max_bad=%g%s (%s)", j->source,
		                (long long)r->failed, (long long)r->rows, j->max_bad, j->max_bad_percent ? "%" : "", m->failures_path);
	return ACE_OK;
}

static void
say_end(const struct import *m)
{
	const struct import_report *r = m->r;
	char filtered[64] = "";

	if (r->filtered > 0)
		snprintf(filtered, sizeof filtered, ", %lld left out by the filter", (long long)r->filtered);
	msg_info("done: %lld new, %lld kept, %lld failed%s%s%s", (long long)r->fresh, (long long)r->kept, (long long)r->failed, filtered,
	         r->failed > 0 ? " -> " : "", r->failed > 0 ? m->failures_path : "");
	if (r->fresh > 0)
		msg_info("%.1f MB of sound, %lld captions, %lld with lyrics, %lld without", (double)r->bytes / 1e6,
		         (long long)r->captions, (long long)r->with_lyrics, (long long)(r->fresh - r->with_lyrics));
}

static enum status
open_all(struct import *m)
{
	const struct import_job *j = m->job;
	struct buffer settings = { 0 };
	enum status st;

	if (j->filter)
		ACE_TRY(hf_filter_parse(&m->filter, j->filter));
	ACE_TRY(hf_repo_open(&m->repo, j->source, j->revision, j->config));
	if (j->audio_root)
		ACE_TRY(hf_repo_allow(&m->repo, j->audio_root));
	ACE_TRY(choose(m));
	m->columns = hf_song_columns(&j->columns, hf_filter_columns(m->filter), !j->in_place);
	m->failures_path = file_path("%s/failures.jsonl", j->folder);
	m->failures_part = file_path("%s/failures.jsonl.part", j->folder);
	if (!m->columns || !m->failures_path || !m->failures_part)
		return no_memory();
	st = settings_line(m, &settings);
	if (st == ACE_OK)
		st = import_index_open(&m->index, j, settings.data);
	buffer_free(&settings);
	return st;
}

static void
close_all(struct import *m)
{
	if (m->failures) {
		fclose(m->failures);
		unlink(m->failures_part);
	}
	import_index_close(&m->index);
	hf_filter_free(m->filter);
	hf_names_free(m->columns);
	hf_repo_close(&m->repo);
	buffer_free(&m->line);
	free(m->chosen);
	free(m->failures_path);
	free(m->failures_part);
}

enum status
import_hf_run(const struct import_job *job, struct import_report *r)
{
	struct import m = { .job = job, .r = r, .index.fd = -1, .start = clock_now() };
	enum status st;

	*r = (struct import_report){ 0 };
	st = open_all(&m);
	if (st == ACE_OK)
		msg_info("%s: %s, %d split%s%s", m.repo.root, m.repo.what, m.n_chosen, m.n_chosen == 1 ? "" : "s",
		         m.index.finished ? "; imported before, looking for what is missing" : "");
	for (int i = 0; i < m.n_chosen && st == ACE_OK; i++)
		st = do_split(&m, m.chosen[i]);
	msg_progress_end();
	if (st == ACE_ESTOPPED)
		msg_info("%s: stopped; %lld rows are done. Run again to go on (exit 75).", stop_signal(), (long long)(r->fresh + r->kept));
	if (st == ACE_OK && (r->fresh > 0 || r->failed > 0 || !m.index.finished))
		st = sync_all(&m);
	if (st == ACE_OK)
		st = note_end(&m);
	if (st == ACE_OK)
		st = end_failures(&m);
	if (st == ACE_OK && job->in_place)
		st = import_write_list(job, m.chosen, m.n_chosen);
	if (st == ACE_OK) {
		say_end(&m);
		st = judge(&m);
	}
	close_all(&m);
	return st;
}

enum status
import_hf_settings(struct settings *s)
{
	struct import_report r;
	struct import_job job = { .source = s->word[0], .folder = s->word[1], .revision = settings_str(s, "revision"),
		.config = settings_str(s, "config_name"), .splits = settings_str(s, "split"), .filter = settings_str(s, "filter"),
		.audio_root = settings_str(s, "audio_root"), .limit = settings_i64(s, "limit"),
		.in_place = settings_bool(s, "in_place") };

	job.columns = (struct hf_columns){ .audio = settings_str(s, "audio_column"), .caption = settings_str(s, "caption_column"),
		.fallback = settings_str(s, "fallback_caption_column"), .fields = settings_str(s, "audio_caption_fields"),
		.description = settings_str(s, "description_column"), .lyrics = settings_str(s, "lyrics_column") };
	ACE_TRY(preprocess_max_bad(settings_str(s, "max_bad"), &job.max_bad, &job.max_bad_percent));
	if (settings_bool(s, "fetch") && !file_exists(job.source))
		ACE_TRY(import_fetch(job.source, job.revision));
	stop_setup(5);
	ACE_TRY(import_hf_run(&job, &r));
	msg_info(job.in_place ? "next: ace-preprocess data_backend_config=%s/multidatabackend.json model=MODEL"
	                      : "next: ace-preprocess dataset=%s model=MODEL", job.folder);
	return ACE_OK;
}
