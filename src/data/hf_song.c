/* SPDX-License-Identifier: Apache-2.0 */
#include "data/hf_song.h"

#include "base/file.h"
#include "data/discover.h"
#include "data/hf_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { PATH_LIMIT = 4000 };

/* The row is not usable: code, with a message that begins with its place. */
static void
reject(struct hf_song *s, const struct hf_row *row, const char *code, const char *what)
{
	s->code = code;
	(void)ace_fail(ACE_EDATA, "%s: row %lld: %s", row->file->path, (long long)row->number, what);
}

void
hf_song_free(struct hf_song *s)
{
	for (int i = 0; i < s->captions; i++)
		free(s->caption[i]);
	free(s->key);
	free(s->lyrics);
	free(s->name);
	free(s->file);
	*s = (struct hf_song){ 0 };
}

static enum status
take_key(struct hf_song *s, const struct hf_row *row)
{
	static const char *const names[] = { "keys", "key", "id" };
	int64_t n;

	if (row->key)
		s->key = strdup(row->key);
	for (int i = 0; i < 3 && !row->key && !s->key; i++) {
		struct cell c = cell_member(row->cell, names[i]);
		bool good;
		if (cell_int(c, &n))
			s->key = file_path("%lld", (long long)n);
		else
			s->key = hf_text_of(c, &good);
		if (s->key && (!*s->key || strlen(s->key) > PATH_LIMIT)) {
			free(s->key);
			s->key = NULL;
		}
	}
	return row->key && !s->key ? hf_no_memory() : ACE_OK;
}

/* --- the sound --- */

const char *
hf_sound_kind(const char *b, size_t n)
{
	static const struct { const char *bytes; size_t at, n; const char *kind; } known[] = {
		{ "RIFF", 0, 4, "wav" }, { "RF64", 0, 4, "wav" }, { "fLaC", 0, 4, "flac" }, { "OggS", 0, 4, "ogg" },
		{ "ID3", 0, 3, "mp3" }, { "FORM", 0, 4, "aiff" }, { "ftyp", 4, 4, "m4a" }, { "\x1a\x45\xdf\xa3", 0, 4, "webm" },
		{ "\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, 8, "wma" },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (n >= known[i].at + known[i].n && memcmp(b + known[i].at, known[i].bytes, known[i].n) == 0)
			return known[i].kind;
	if (n >= 2 && (unsigned char)b[0] == 0xff && ((unsigned char)b[1] & 0xf6) == 0xf0)
		return "aac";
	if (n >= 2 && (unsigned char)b[0] == 0xff && ((unsigned char)b[1] & 0xe0) == 0xe0 && (b[1] & 6))
		return "mp3";
	return NULL;
}

/* The extension of s->name when it is one of sound files. */
static const char *
extension(const char *name)
{
	return name && songs_is_sound(name) ? strrchr(name, '.') + 1 : NULL;
}

/* Whether a path has a step "..". */
static bool
climbs(const char *path)
{
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return true;
		p += n + (p[n] == '/');
	}
	return false;
}

/* One place where the file could be: *found is owned. False: it is there, and must not be used. */
static bool
try_place(const struct hf_repo *repo, const char *folder, const char *name, char **found)
{
	char *path = folder ? file_path("%s/%s", folder, name) : strdup(name);
	struct stat info;

	if (!path || stat(path, &info) != 0) {
		free(path);
		return true;
	}
	if (!hf_repo_holds(repo, path)) {
		free(path);
		return false;
	}
	*found = hf_followed(repo, path);
	free(path);
	return true;
}

/* The file of that name, wherever it may be, into s->file. False: it is there, and must not be used. */
static bool
look_for(struct hf_song *s, const struct hf_repo *repo, const struct hf_row *row, const char *name)
{
	const char *folders[3] = { row->file->folder, repo->root, NULL };
	bool inside = true;

	for (int i = name[0] == '/' ? 2 : 0; i < 3 && !s->file; i++)
		inside &= try_place(repo, folders[i], name, &s->file);
	for (int i = 0; i < repo->insides && name[0] != '/' && !s->file; i++)	/* below an audio_root */
		inside &= try_place(repo, repo->inside[i], name, &s->file);
	return inside;
}

/* bare: the name may lack its extension. */
static void
find_file(struct hf_song *s, const struct hf_repo *repo, const struct hf_row *row, bool bare)
{
	char what[700], head[16];
	bool inside = true;
	struct stat info;
	FILE *f;
	size_t n;

	if (*s->name == 0 || strlen(s->name) > PATH_LIMIT || climbs(s->name)) {
		snprintf(what, sizeof what, "path \"%.300s\" leaves the data set; skipped", s->name);
		reject(s, row, "path_outside", what);
		return;
	}
	for (int i = 0; bare && !extension(s->name) && songs_extension(i) && !s->file; i++) {
		char *name = file_path("%s.%s", s->name, songs_extension(i));
		inside &= !name || look_for(s, repo, row, name);
		free(name);
	}
	if (!s->file)
		inside &= look_for(s, repo, row, s->name);
	if (!s->file) {
		if (!inside || s->name[0] == '/')
			snprintf(what, sizeof what, "path \"%.300s\" %s; audio_root=FOLDER allows one more", s->name,
			         inside ? "is not there, or not in a folder that may be used" : "leaves the data set");
		else
			snprintf(what, sizeof what, "there is no file \"%.300s\"", s->name);
		reject(s, row, !inside || s->name[0] == '/' ? "path_outside" : "audio_missing", what);
		return;
	}
	f = fopen(s->file, "rbe");
	n = f && fstat(fileno(f), &info) == 0 && S_ISREG(info.st_mode) ? fread(head, 1, sizeof head, f) : 0;
	s->size = f ? (size_t)info.st_size : 0;
	if (f)
		fclose(f);
	s->end = s->end ? s->end : hf_sound_kind(head, n);
	if (n == 0 || !s->end) {
		snprintf(what, sizeof what, "%.300s: %s", s->file, n == 0 ? "an empty file, or none that can be read" : "no sound file");
		reject(s, row, n == 0 ? "empty_file" : "not_audio", what);
	}
}

/* Bytes and name that the row holds. */
static enum status
find_sound(struct hf_song *s, const struct hf_row *row, const struct hf_columns *c, bool *inside)
{
	static const char *const names[] = { "filename", "file_name", "path" };
	struct cell a = cell_member(row->cell, c->audio ? c->audio : "audio");
	bool good = true;

	if (row->audio) {
		s->bytes = row->audio;
		s->size = row->audio_size;
		s->name = strdup(row->audio_name);
		return s->name ? ACE_OK : hf_no_memory();
	}
	*inside = false;
	if (cell_kind(a) == CELL_STRUCT) {
		struct cell b = cell_member(a, "bytes");
		if (cell_kind(b) == CELL_BYTES && !cell_text(b, &s->bytes, &s->size))
			s->bytes = NULL;
		/* read without the bytes, a name alone does not tell whether they are there */
		*inside = !b.schema && !b.json && a.schema;
		s->name = hf_text_of(cell_member(a, "path"), &good);
	} else if (cell_kind(a) == CELL_BYTES) {
		if (!cell_text(a, &s->bytes, &s->size))
			s->bytes = NULL;
	} else {
		int64_t n;
		s->name = c->bare && cell_int(a, &n) ? file_path("%lld", (long long)n) : hf_text_of(a, &good);
	}
	for (int i = 0; i < 3 && !s->name && good && !s->bytes; i++)
		s->name = hf_text_of(cell_member(row->cell, names[i]), &good);
	if (!good)
		reject(s, row, "bad_row", "the path of its sound is no UTF-8 text");
	return ACE_OK;
}

static enum status
take_sound(struct hf_song *s, const struct hf_repo *repo, const struct hf_row *row, const struct hf_columns *c)
{
	bool inside = false;

	ACE_TRY(find_sound(s, row, c, &inside));
	s->end = extension(s->name);
	if (s->code)
		return ACE_OK;
	if (s->bytes) {
		const char *kind = hf_sound_kind(s->bytes, s->size);
		if (s->size == 0)
			reject(s, row, "empty_file", "its sound has 0 bytes");
		else if (!s->end && !kind)
			reject(s, row, "not_audio", "its bytes are no sound that is known");
		s->end = s->end ? s->end : kind;
	} else if (inside) {
		return ACE_OK;
	} else if (s->name) {
		find_file(s, repo, row, c->bare);
	} else {
		reject(s, row, "audio_missing", row->file->kind == HF_TAR ? "no sound file in the sample" : "no sound: neither "
		       "bytes nor a path");
	}
	return ACE_OK;
}

static void
take_seconds(struct hf_song *s, struct cell row)
{
	static const char *const names[] = { "audio_duration", "duration", "duration_seconds" };

	s->seconds = -1;
	for (int i = 0; i < 3 && s->seconds < 0; i++)
		if (!cell_number(cell_member(row, names[i]), &s->seconds) || !(s->seconds >= 0 && s->seconds < 1e9))
			s->seconds = -1;
}

/* The last part of the sound's name, without its extension. */
static enum status
take_stem(struct hf_song *s, const struct hf_row *row)
{
	const char *name = s->name ? s->name : s->file ? s->file : s->key ? s->key : "", *slash = strrchr(name, '/'), *dot;
	char *text;

	name = slash ? slash + 1 : name;
	dot = songs_is_sound(name) ? strrchr(name, '.') : NULL;
	text = strndup(name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
	if (!text)
		return hf_no_memory();
	s->stem = true;
	hf_add_caption(s, text);
	if (s->captions == 0)
		reject(s, row, "caption_missing", "no caption in it, and no name of a file");
	return ACE_OK;
}

enum status
hf_song_read(struct hf_song *s, const struct hf_repo *repo, const struct hf_row *row, const struct hf_columns *c)
{
	bool bad = false;

	*s = (struct hf_song){ .seconds = -1 };
	ACE_TRY(take_key(s, row));
	if (row->code) {
		s->code = row->code;
		(void)ace_fail(ACE_EDATA, "%s", row->why);
		return ACE_OK;
	}
	take_seconds(s, row->cell);
	ACE_TRY(hf_take_captions(s, row->cell, c, &bad));
	ACE_TRY(hf_take_lyrics(s, row->cell, c, &bad));
	if (bad)
		reject(s, row, "bad_text", "a caption or the lyrics are no UTF-8 text of at most 1 MiB");
	else if (s->captions == 0 && !c->stem)
		reject(s, row, "caption_missing", "no caption in it");
	if (s->code)
		return ACE_OK;
	ACE_TRY(take_sound(s, repo, row, c));
	return s->captions == 0 && !s->code ? take_stem(s, row) : ACE_OK;
}

/* --- which columns that takes --- */

void
hf_names_free(char **names)
{
	for (int i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

char **
hf_song_columns(const struct hf_columns *c, const char *const *more, bool bytes)
{
	static const char usual[] = "filename,file_name,path,keys,key,id,audio_duration,duration,duration_seconds,recaption,tags,"
		"prompt,norm_lyrics";
	const char *audio = c->audio ? c->audio : "audio";
	const char *lists[] = { usual, c->caption ? c->caption : "caption", c->fallback ? c->fallback : "", c->fields ? c->fields : "",
		c->description ? c->description : "", c->lyrics ? c->lyrics : "lyrics" };
	enum { LISTS = sizeof lists / sizeof *lists };
	size_t most = 3, n = 0;
	char **out, name[HF_NAME];

	for (int i = 0; i < LISTS; i++)
		for (const char *p = lists[i]; *p; p++)
			most += *p == ',';
	for (int i = 0; more && more[i]; i++)
		most++;
	out = calloc(most + LISTS + 1, sizeof *out);
	if (!out)
		return NULL;
	out[n++] = bytes ? strdup(audio) : file_path("%s.path", audio);
	for (int i = 0; i < LISTS; i++)
		for (const char *p = lists[i]; hf_next_name(&p, name);)
			out[n++] = strdup(name);
	for (int i = 0; more && more[i]; i++)
		out[n++] = strdup(more[i]);
	for (size_t i = 0; i < n; i++)
		if (!out[i]) {
			while (n > 0)
				free(out[--n]);
			free(out);
			return NULL;
		}
	return out;
}
