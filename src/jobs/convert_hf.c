/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/convert_hf.h"

#include "base/file.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "data/discover.h"
#include "data/text_file.h"
#include "formats/arrow.h"
#include "jobs/convert_hf_table.h"
#include "jobs/preprocess.h"
#include "text/buffer.h"
#include "text/chars.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMED = 20, OTHERS = 63 };
#define SHARD_BYTES ((int64_t)500000000)	/* as `datasets` cuts them */

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory");
}

/* Bytes of a path without its last extension. */
static int
stem(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');

	return (int)(dot && dot > name ? (size_t)(dot - path) : strlen(path));
}

/* The text of the first of two files that is there, stripped; *which: 0, 1, or -1 for none. Owned; NULL with ACE_OK: none. */
static enum status
read_text(const char *path, const char *const ends[2], int *which, char **text)
{
	enum status st = ACE_OK;

	*text = NULL;
	*which = -1;
	for (int i = 0; i < 2 && *which < 0 && st == ACE_OK; i++) {
		char *file = file_path("%.*s%s", stem(path), path, ends[i]), *all = NULL;
		const char *from;
		size_t n;
		if (!file)
			return no_memory();
		if (text_file_there(file)) {
			*which = i;
			st = text_file_read(file, &all, &n);
			if (st == ACE_OK && !text_file_good(all, n))
				st = ace_fail(ACE_EDATA, "%s: not UTF-8 text", file);
			from = all;
			if (st == ACE_OK)
				chars_strip(&from, &n, true, true, char_is_space);
			*text = st == ACE_OK ? strndup(from, n) : NULL;
			if (st == ACE_OK && !*text)
				st = no_memory();
		}
		free(all);
		free(file);
	}
	return st;
}

/* prompt split at every ", ", as str.split does: "" gives one empty tag. */
static enum status
split_tags(struct convert_song *s, const char *prompt)
{
	size_t most = 1;

	for (const char *p = prompt; (p = strstr(p, ", ")); p += 2)
		most++;
	s->tag = calloc(most, sizeof *s->tag);
	if (!s->tag)
		return no_memory();
	for (;;) {
		const char *end = strstr(prompt, ", ");
		s->tag[s->tags] = end ? strndup(prompt, (size_t)(end - prompt)) : strdup(prompt);
		if (!s->tag[s->tags])
			return no_memory();
		s->tags++;
		if (!end)
			return ACE_OK;
		prompt = end + 2;
	}
}

/* Lines behind the first are other wordings; text is cut behind its first line. */
static enum status
split_lines(struct convert_song *s, char *text)
{
	char *line = strchr(text, '\n');

	s->other = calloc(OTHERS, sizeof *s->other);
	if (!s->other)
		return no_memory();
	while (line && s->others < OTHERS) {
		char *next = strchr(line + 1, '\n');
		const char *from = line + 1;
		size_t n = next ? (size_t)(next - from) : strlen(from);
		*line = 0;
		chars_strip(&from, &n, true, true, char_is_space);
		if (n > 0) {
			s->other[s->others] = strndup(from, n);
			if (!s->other[s->others])
				return no_memory();
			s->others++;
		}
		line = next;
	}
	return ACE_OK;
}

/* ACE_EDATA or ACE_EIO: the song is bad. */
static enum status
read_song(struct convert_song *s, const char *path, const char *key)
{
	static const char *const prompts[2] = { "_prompt.txt", ".txt" }, *const lyrics[2] = { "_lyrics.txt", ".lyrics" };
	char *prompt;
	int which, form;
	enum status st = read_text(path, prompts, &form, &prompt);

	*s = (struct convert_song){ 0 };
	if (st == ACE_OK && form < 0)
		st = ace_fail(ACE_EDATA, "%s: neither %.*s_prompt.txt nor %.*s.txt is there", path, stem(key), key, stem(key), key);
	if (st == ACE_OK && form == 1)
		st = split_lines(s, prompt);
	if (st == ACE_OK)
		st = split_tags(s, prompt);
	free(prompt);
	if (st == ACE_OK)
		st = read_text(path, lyrics, &which, &s->lyrics);
	if (st == ACE_OK) {
		s->lyrics = s->lyrics ? s->lyrics : strdup("");
		s->path = strdup(path);
		s->key = strndup(key, (size_t)stem(key));
		st = s->lyrics && s->path && s->key ? ACE_OK : no_memory();
	}
	if (st != ACE_OK)
		convert_song_free(s);
	return st;
}

static enum status
read_songs(struct convert_table *t, const struct convert_job *job, struct convert_report *r)
{
	struct songs songs;
	enum status st = songs_find(&songs, job->source);

	if (st != ACE_OK)
		return st;
	if (songs.n == 0)
		st = ace_fail(ACE_ENOINPUT, "%s: no sound files in it (%lld other files)", job->source, (long long)songs.ignored);
	t->song = calloc((size_t)songs.n + 1, sizeof *t->song);
	if (st == ACE_OK && !t->song)
		st = no_memory();
	for (int64_t i = 0; i < songs.n && st == ACE_OK; i++) {
		int n = (int)strlen(job->source);
		char *path;
		while (n > 1 && job->source[n - 1] == '/')
			n--;
		path = file_path("%.*s/%s", n, job->source, songs.song[i].key);
		st = !path ? no_memory()
		     : songs.song[i].bad_name ? ace_fail(ACE_EDATA, "%s: a file whose name is not UTF-8 or has control characters",
		                                         job->source)
		                              : read_song(&t->song[t->n], path, songs.song[i].key);
		if (st == ACE_OK) {
			t->others = t->song[t->n].others > t->others ? t->song[t->n].others : t->others;
			t->n++;
		} else if (st != ACE_ENOMEM) {
			if (++r->failed <= NAMED)
				msg_warn("%s; left out", ace_message());
			st = ACE_OK;
		}
		free(path);
	}
	r->songs = songs.n;
	songs_free(&songs);
	if (st == ACE_OK && r->failed > NAMED)
		msg_warn("%lld more songs are left out", (long long)(r->failed - NAMED));
	return st;
}

static enum status
judge(const struct convert_job *job, const struct convert_report *r)
{
	double most = job->max_bad_percent ? job->max_bad / 100 * (double)r->songs : job->max_bad;

	if (r->failed == r->songs)
		return ace_fail(ACE_EDATA, "%s: none of its %lld songs has a caption", job->source, (long long)r->songs);
	if ((double)r->failed > most)
		return ace_fail(ACE_EDATA, "%s: %lld of %lld songs cannot be used, more than max_bad=%g%s", job->source,
		                (long long)r->failed, (long long)r->songs, job->max_bad, job->max_bad_percent ? "%" : "");
	return ACE_OK;
}

/* --- writing --- */

static enum status
write_info(const struct convert_table *t, const char *folder)
{
	char *features = convert_features(t, true), *path = file_path("%s/dataset_info.json", folder);
	struct buffer b = { 0 };
	enum status st = no_memory();

	buffer_str(&b, "{\n  \"citation\": \"\",\n  \"description\": \"\",\n  \"features\": ");
	buffer_str(&b, features ? features : "");
	buffer_str(&b, ",\n  \"homepage\": \"\",\n  \"license\": \"\"\n}");
	if (features && path && buffer_done(&b))
		st = file_write(path, b.data, b.len);
	buffer_free(&b);
	free(features);
	free(path);
	return st;
}

/* fingerprint: of what is in the shards. */
static enum status
write_state(int shards, const char *fingerprint, const char *folder)
{
	char *path = file_path("%s/state.json", folder), name[100];
	struct buffer b = { 0 };
	enum status st = no_memory();

	buffer_str(&b, "{\n  \"_data_files\": [");
	for (int i = 0; i < shards; i++) {
		snprintf(name, sizeof name, "%s\n    {\n      \"filename\": \"data-%05d-of-%05d.arrow\"\n    }", i ? "," : "", i, shards);
		buffer_str(&b, name);
	}
	buffer_str(&b, "\n  ],\n  \"_fingerprint\": \"");
	buffer_add(&b, fingerprint, 16);
	buffer_str(&b, "\",\n  \"_format_columns\": null,\n  \"_format_kwargs\": {},\n  \"_format_type\": null,\n"
	           "  \"_output_all_columns\": false,\n  \"_split\": null\n}");
	if (path && buffer_done(&b))
		st = file_write(path, b.data, b.len);
	buffer_free(&b);
	free(path);
	return st;
}

static enum status
write_shards(const struct convert_table *t, const char *folder, struct convert_report *r)
{
	int64_t each = r->rows / r->shards, rest = r->rows % r->shards, from = 0, written;
	struct sha256 sum;
	char hex[65];
	enum status st = ACE_OK;

	sha256_init(&sum);
	for (int i = 0; i < r->shards && st == ACE_OK; i++) {
		char *path = file_path("%s/data-%05d-of-%05d.arrow", folder, i, r->shards);
		int64_t n = each + (i < rest);
		struct ArrowArrayStream stream;
		st = path ? convert_stream(&stream, t, from, n) : no_memory();
		if (st == ACE_OK)
			st = arrow_write(path, &stream, &written);
		if (st == ACE_OK && written != n)
			st = ace_fail(ACE_EBUG, "%s: %lld rows were written in place of %lld", path, (long long)written, (long long)n);
		if (st == ACE_OK)
			st = sha256_file(path, hex);
		if (st == ACE_OK)
			sha256_add(&sum, hex, 64);
		from += n;
		free(path);
		msg_progress("shards", i + 1, r->shards, "%lld rows", (long long)from);
	}
	msg_progress_end();
	sha256_hex(&sum, hex);
	return st == ACE_OK ? write_state(r->shards, hex, folder) : st;
}

static enum status
write_all(const struct convert_table *t, const struct convert_job *job, struct convert_report *r)
{
	char *part = file_path("%s.part", job->folder);
	int64_t bytes;
	enum status st = part ? file_remove_tree(part) : no_memory();

	r->rows = t->n * job->repeat;
	bytes = convert_bytes(t, r->rows);
	r->shards = (int)(bytes / SHARD_BYTES) + 1;
	if (st == ACE_OK)
		st = file_mkdirs(part);
	if (st == ACE_OK)
		st = write_info(t, part);
	if (st == ACE_OK)
		st = write_shards(t, part, r);
	if (st == ACE_OK)
		st = file_sync(part);
	if (st == ACE_OK && file_is_dir(job->folder) && rmdir(job->folder) != 0)
		st = ace_fail(ACE_ECREATE, "%s: not empty", job->folder);
	if (st == ACE_OK)
		st = file_rename(part, job->folder);
	if (st != ACE_OK && part)
		(void)!file_remove_tree(part);
	free(part);
	return st;
}

/* Nothing is written over. */
static enum status
check_folder(const char *folder)
{
	struct dirent *e;
	DIR *d = opendir(folder);
	int n = 0;

	if (!d)
		return file_exists(folder) ? ace_fail(ACE_ECREATE, "%s: there is something else by this name", folder) : ACE_OK;
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n == 0 ? ACE_OK : ace_fail(ACE_ECREATE, "%s: there are things in this folder; wanted a new or an empty one", folder);
}

enum status
convert_hf_run(const struct convert_job *job, struct convert_report *r)
{
	struct convert_table t = { 0 };
	enum status st;

	*r = (struct convert_report){ 0 };
	ACE_TRY(arrow_load());
	ACE_TRY(check_folder(job->folder));
	st = read_songs(&t, job, r);
	if (st == ACE_OK)
		st = judge(job, r);
	if (st == ACE_OK && job->repeat > ((int64_t)1 << 40) / t.n)
		st = ace_fail(ACE_EUSAGE, "repeat_count=%lld: more rows than can be", (long long)job->repeat);
	if (st == ACE_OK)
		st = write_all(&t, job, r);
	if (st == ACE_OK)
		msg_info("done: %lld songs, %lld left out, %lld rows in %d shard%s -> %s", (long long)t.n, (long long)r->failed,
		         (long long)r->rows, r->shards, r->shards == 1 ? "" : "s", job->folder);
	for (int64_t i = 0; i < t.n; i++)
		convert_song_free(&t.song[i]);
	free(t.song);
	return st;
}

enum status
convert_hf_settings(struct settings *s)
{
	struct convert_job job = { .source = s->word[0], .folder = s->word[1], .repeat = settings_i64(s, "repeat_count") };
	struct convert_report r;

	ACE_TRY(preprocess_max_bad(settings_str(s, "max_bad"), &job.max_bad, &job.max_bad_percent));
	return convert_hf_run(&job, &r);
}
