/* SPDX-License-Identifier: Apache-2.0 */
#include "data/songs.h"

#include "base/file.h"
#include "base/msg.h"
#include "data/hf_filter.h"
#include "data/hf_song.h"
#include "text/chars.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT ((size_t)2 << 30)

struct song_source {
	struct hf_repo repo;
	const struct hf_split *split;
	struct hf_columns columns;	/* texts are the entry's */
	struct hf_filter *filter;
	int64_t limit;			/* 0: none */
	char **names;			/* of columns that are read, with the sound */
	struct hf_rows *rows;		/* where reading is; NULL: nowhere */
	int64_t next;			/* the row that comes */
	pthread_mutex_t lock;
};

void
song_source_close(struct song_source *s)
{
	if (!s)
		return;
	hf_rows_close(s->rows);
	hf_names_free(s->names);
	hf_filter_free(s->filter);
	hf_repo_close(&s->repo);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* --- listing --- */

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for the rows of a data set");
}

/* Date and size of the file that holds the song; of shards, those of the last one are kept. */
static void
date(struct song *song, const char *path, char **last, struct stat *info)
{
	if (!*last || strcmp(*last, path) != 0) {
		free(*last);
		*last = strdup(path);
		if (stat(path, info) != 0)
			memset(info, 0, sizeof *info);
	}
	song->size = info->st_size;
	song->mtime = (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

/* What was read of a row, moved. */
static enum status
keep(struct song *song, const struct hf_row *row, struct hf_song *h)
{
	struct song_row *r = calloc(1, sizeof *r);

	song->row = r;
	song->key = file_path("%09lld", (long long)row->number);
	if (!r || !song->key)
		return no_memory();
	r->number = row->number;
	r->shard = strdup(row->file->path);
	r->caption = calloc((size_t)h->captions + 1, sizeof *r->caption);
	if (!r->shard || !r->caption)
		return no_memory();
	memcpy(r->caption, h->caption, (size_t)h->captions * sizeof *r->caption);
	r->captions = h->captions;
	h->captions = 0;
	r->tags = h->tags;
	r->seconds = h->seconds;
	r->lyrics = h->lyrics;
	r->file = h->file;
	h->lyrics = h->file = NULL;
	r->code = h->code;
	r->why = h->code ? strdup(ace_message()) : NULL;
	return h->code && !r->why ? no_memory() : ACE_OK;
}

static enum status
add_row(struct songs *s, const struct hf_row *row, int64_t *cap, char **last, struct stat *info, int64_t *stems)
{
	struct hf_song h;
	enum status st = hf_song_read(&h, &s->source->repo, row, &s->source->columns);

	if (st == ACE_OK && s->n == *cap) {
		int64_t more = *cap ? 2 * *cap : 256;
		struct song *all = realloc(s->song, (size_t)more * sizeof *all);
		if (!all)
			st = no_memory();
		else
			s->song = all, *cap = more;
	}
	if (st == ACE_OK) {
		struct song *song = &s->song[s->n++];
		*song = (struct song){ 0 };
		*stems += h.stem;
		st = keep(song, row, &h);
		if (st == ACE_OK)
			date(song, song->row->file ? song->row->file : song->row->shard, last, info);
	}
	hf_song_free(&h);
	return st;
}

static enum status
list_rows(struct songs *s, int64_t *stems)
{
	char **names = hf_song_columns(&s->source->columns, hf_filter_columns(s->source->filter), false), *last = NULL;
	struct hf_rows *rows = NULL;
	struct hf_row row;
	struct stat info = { 0 };
	int64_t cap = 0;
	bool more;
	enum status st = names ? hf_rows_open(&rows, &s->source->repo, s->source->split, (const char *const *)names) : no_memory();

	while (st == ACE_OK && (s->source->limit == 0 || s->n < s->source->limit) &&
	       (st = hf_rows_next(rows, &row, &more)) == ACE_OK && more)
		if (row.code || hf_filter_takes(s->source->filter, row.cell))
			st = add_row(s, &row, &cap, &last, &info, stems);
	hf_rows_close(rows);
	hf_names_free(names);
	free(last);
	return st;
}

static enum status
open_source(struct songs *s, const struct dataset_hub *h, bool stem)
{
	const char *split = h->split ? h->split : "train";
	struct song_source *o = calloc(1, sizeof *o);

	s->source = o;
	if (!o)
		return no_memory();
	pthread_mutex_init(&o->lock, NULL);
	o->columns = (struct hf_columns){ h->audio, h->caption, h->fallback, h->fields, h->description, h->lyrics, h->bare, stem };
	if (h->filter)
		ACE_TRY(hf_filter_parse(&o->filter, h->filter));
	o->limit = h->limit ? strtoll(h->limit, NULL, 10) : 0;
	ACE_TRY(hf_repo_open(&o->repo, h->name, h->revision, h->config));
	ACE_TRY(hf_repo_allow(&o->repo, h->audio_root ? h->audio_root : "."));
	o->split = hf_repo_split(&o->repo, split);
	o->names = hf_song_columns(&o->columns, NULL, true);
	if (!o->split)
		return ace_fail(ACE_ENOINPUT, "%s: no split \"%s\"; there is \"%s\"%s", h->name, split, o->repo.split[0].name,
		                o->repo.n > 1 ? " and more" : "");
	return o->names ? ACE_OK : no_memory();
}

enum status
songs_of(struct songs *s, const struct dataset *d)
{
	bool needed = d->captions != CAPTION_PROMPT && !d->only_prompt;
	int64_t stems = 0;
	enum status st;

	if (!d->hub)
		return songs_find(s, d->folder);
	*s = (struct songs){ .folder = strdup(d->hub->name) };
	st = s->folder ? open_source(s, d->hub, d->hub->table || !needed) : no_memory();
	if (st == ACE_OK)
		st = list_rows(s, &stems);
	if (st == ACE_OK && stems > 0 && needed)
		msg_info("%s: %lld song%s without a caption: the name of the file is taken", d->id, (long long)stems, stems == 1 ? "" : "s");
	if (st != ACE_OK)
		songs_free(s);
	return st;
}

/* --- texts --- */

enum status
song_captions(struct captions *to, const struct dataset *d, const struct songs *s, int64_t i, const char *path)
{
	return captions_of(to, d, path, s->song[i].row);
}

enum status
song_lyrics(struct lyrics_text *to, const struct dataset *d, const struct songs *s, int64_t i, const char *path, bool upstream)
{
	const struct song_row *r = s->song[i].row;
	const char *from;
	size_t at = 0;

	if (!r)
		return lyrics_find(to, d, path, upstream);
	*to = (struct lyrics_text){ 0 };
	from = r->lyrics ? r->lyrics : "";
	to->len = strlen(from);
	chars_strip(&from, &to->len, true, true, char_is_space);
	to->text = strndup(from, to->len);
	to->path = strdup(path);
	if (!to->text || !to->path) {
		lyrics_text_free(to);
		return no_memory();
	}
	for (size_t k = 0; k < to->len; k++)
		if (to->text[k] != '\r' || to->text[k + 1] != '\n')
			to->text[at++] = to->text[k];
	to->text[at] = 0;
	to->len = at;
	return ACE_OK;
}

const char *
song_dated(const struct songs *s, int64_t i, const char *path)
{
	const struct song_row *r = s->song[i].row;

	return r && !r->file ? r->shard : path;
}

double
song_seconds(const struct songs *s, int64_t i)
{
	return s->song[i].row ? s->song[i].row->seconds : -1;
}

/* --- sound --- */

/* Into a file in memory, which decoders open as they open others. */
static enum status
in_memory(struct song_file *f, const char *bytes, size_t size)
{
	f->fd = memfd_create("song", MFD_CLOEXEC);
	if (f->fd < 0)
		return ace_fail(ACE_EIO, "no file in memory: %s", strerror(errno));
	for (size_t done = 0; done < size;) {
		ssize_t n = write(f->fd, bytes + done, size - done);
		if (n < 0 && errno != EINTR)
			return ace_fail(ACE_ENOMEM, "a file in memory of %zu bytes: %s", size, strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	snprintf(f->text, sizeof f->text, "/proc/self/fd/%d", f->fd);
	f->path = f->text;
	return ACE_OK;
}

static enum status
read_sound(struct song_source *o, int64_t number, const char *path, struct song_file *f)
{
	struct hf_row row = { 0 };
	struct hf_song h;
	bool more;
	enum status st;

	if (!o->rows || number < o->next) {
		hf_rows_close(o->rows);
		o->rows = NULL;
		o->next = 0;
		ACE_TRY(hf_rows_open(&o->rows, &o->repo, o->split, (const char *const *)o->names));
	}
	ACE_TRY(hf_rows_seek(o->rows, number, &row, &more));
	o->next = number + 1;
	if (!more || row.number != number)
		return ace_fail(ACE_EDATA, "%s: it is no longer there", path);
	ACE_TRY(hf_song_read(&h, &o->repo, &row, &o->columns));
	if (h.code)
		st = ACE_EDATA;
	else if (!h.bytes && h.file) {	/* a path and no bytes, which only reading the bytes tells */
		char *all = NULL;
		st = file_read(h.file, FILE_LIMIT, &all, &h.size);
		if (st == ACE_OK)
			st = in_memory(f, all, h.size);
		free(all);
	} else if (!h.bytes)
		st = ace_fail(ACE_EDATA, "%s: no sound in it", path);
	else
		st = in_memory(f, h.bytes, h.size);
	hf_song_free(&h);
	return st;
}

enum status
song_open(const struct songs *s, int64_t i, const char *path, struct song_file *f)
{
	const struct song_row *r = s->song[i].row;
	enum status st;

	*f = (struct song_file){ .path = path, .fd = -1 };
	if (!r || r->file)
		return ACE_OK;
	pthread_mutex_lock(&s->source->lock);
	st = read_sound(s->source, r->number, path, f);
	pthread_mutex_unlock(&s->source->lock);
	if (st != ACE_OK)
		song_close(f);
	return st;
}

void
song_close(struct song_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
