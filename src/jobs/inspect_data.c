/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_things.h"

#include "audio/prepare.h"
#include "base/file.h"
#include "base/msg.h"
#include "data/dataset_settings.h"
#include "data/songs.h"
#include "store/latents.h"
#include "store/texts.h"

#include <stdlib.h>
#include <string.h>

enum { SHOWN = 10 };	/* of what is wrong */

/* What one audio entry has. */
struct entry_sum {
	int64_t songs, bytes, captioned, captions, lyrics;
	int64_t prepared, waiting, gone;	/* clips in the store; songs that are not; clips whose song is not */
	int64_t untold;			/* captions of clips that the text store lacks */
	double seconds;
	int wrong;			/* songs with something wrong: SHOWN are named */
};

static void
note_wrong(struct report *r, struct entry_sum *sum)
{
	if (++sum->wrong <= SHOWN)
		report_note(r, "%s", ace_message());
}

/* Captions and lyrics of one song. */
static enum status
look_at_song(struct report *r, const struct dataset *e, const struct songs *songs, int64_t i, const char *path,
             struct entry_sum *sum, int *captions, bool *lyrics)
{
	struct lyrics_text text = { 0 };
	struct captions c = { 0 };
	enum status st = song_captions(&c, e, songs, i, path);
	bool upstream = c.upstream;

	*captions = st == ACE_OK ? c.n : 0;
	*lyrics = false;
	if (st == ACE_OK) {
		sum->captioned++;
		sum->captions += c.n;
		captions_free(&c);
	} else if (st == ACE_ENOMEM) {
		return st;
	} else {
		note_wrong(r, sum);
	}
	st = song_lyrics(&text, e, songs, i, path, upstream);
	if (st == ACE_OK) {
		*lyrics = text.len > 0;
		sum->lyrics += *lyrics;
		lyrics_text_free(&text);
	} else if (st == ACE_ENOMEM) {
		return st;
	} else {
		note_wrong(r, sum);
	}
	return ACE_OK;
}

static enum status
look_at_songs(struct report *r, const struct dataset *e, const struct songs *songs, const struct latents *s,
              struct entry_sum *sum)
{
	enum status st = ACE_OK;

	for (int64_t i = 0; st == ACE_OK && i < songs->n; i++) {
		char *path = song_path(songs, i);
		bool lyrics;
		int captions;
		st = path ? look_at_song(r, e, songs, i, path, sum, &captions, &lyrics) : ace_fail(ACE_ENOMEM, "no memory");
		free(path);
		sum->songs++;
		sum->bytes += songs->song[i].size;
		sum->waiting += !s || latents_find(s, songs->song[i].key) < 0;
	}
	return st;
}

static int
by_key(const void *key, const void *song)
{
	return strcmp(key, ((const struct song *)song)->key);
}

static void
look_at_clips(const struct latents *s, const struct texts *t, const struct songs *songs, struct entry_sum *sum)
{
	sum->prepared = latents_count(s);
	for (int64_t i = 0; i < latents_count(s); i++) {
		const struct latent_item *a = latents_item(s, i);
		sum->seconds += (double)a->samples / PREPARE_RATE;
		sum->gone += songs && !bsearch(a->key, songs->song, (size_t)songs->n, sizeof *songs->song, by_key);
		for (int c = 0; c < a->captions; c++)
			sum->untold += !t || texts_find(t, a->caption[c]) < 0;
	}
}

static enum status
look_at_entry(struct report *r, const struct dataset_list *l, const struct dataset *e, struct entry_sum *sum)
{
	const struct dataset *texts = dataset_texts(l, e);
	struct latents *s = NULL;
	struct texts *t = NULL;
	struct songs songs = { 0 };
	bool there = e->hub || (e->folder && file_is_dir(e->folder));
	enum status st = latents_open(&s, e->store, NULL);

	if (st == ACE_OK && texts)
		st = texts_open(&t, texts->store, NULL);
	if (st == ACE_OK && there && songs_of(&songs, e) != ACE_OK) {
		report_note(r, "data set \"%s\": %s", e->id, ace_message());
		there = false;
	} else if (st == ACE_OK && e->folder && !there)
		report_note(r, "data set \"%s\": there is no folder %s", e->id, e->folder);
	if (st == ACE_OK)
		st = look_at_songs(r, e, &songs, s, sum);
	if (st == ACE_OK)
		look_at_clips(s, t, there ? &songs : NULL, sum);
	songs_free(&songs);
	latents_close(s);
	texts_close(t);
	return st;
}

static void
note_entry(struct report *r, const struct dataset *e, const struct entry_sum *sum)
{
	if (sum->wrong > SHOWN)
		report_note(r, "data set \"%s\": and %d more", e->id, sum->wrong - SHOWN);
	if (sum->waiting > 0)
		report_note(r, "data set \"%s\": %lld songs are not prepared yet (ace-preprocess)", e->id,
		            (long long)sum->waiting);
	if (sum->gone > 0)
		report_note(r, "data set \"%s\": of %lld clips in the store the song is gone", e->id,
		            (long long)sum->gone);
	if (sum->untold > 0)
		report_note(r, "data set \"%s\": %lld captions of its clips are not in the text store", e->id,
		            (long long)sum->untold);
}

/* Tables of all entries; songs and clips of all of them. */
static enum status
show_entries(struct report *r, const struct dataset_list *l, struct entry_sum *all)
{
	static const struct report_column columns[] = {
		{ "id", "data set", false },
		{ "songs", "songs", true },
		{ "with_captions", "captioned", true },
		{ "with_lyrics", "with lyrics", true },
		{ "prepared", "prepared", true },
		{ "seconds", "audio", true },
		{ "missing_captions", "missing texts", true },
		{ "store", "store", false },
	};
	static const struct report_column text_columns[] = { { "id", "texts", false }, { "captions", "captions", true },
		                                             { "bytes", "size", true }, { "store", "store", false } };
	char text[REPORT_SHORT];

	report_table(r, "data_sets", "data sets", columns, 8);
	for (int i = 0; i < l->n; i++) {
		const struct dataset *e = &l->entry[i];
		struct entry_sum sum = { 0 };
		if (e->kind == DATASET_TEXTS)
			continue;
		ACE_TRY(look_at_entry(r, l, e, &sum));
		report_cell(r, e->kind == DATASET_EVAL ? "%s (held out)" : "%s", e->id);
		report_cell_i64(r, sum.songs);
		report_cell_i64(r, sum.captioned);
		report_cell_i64(r, sum.lyrics);
		report_cell_i64(r, sum.prepared);
		report_cell_number(r, sum.seconds, "%s", report_length(sum.seconds, text));
		report_cell_i64(r, sum.untold);
		report_cell(r, "%s", e->store);
		note_entry(r, e, &sum);
		all->songs += sum.songs;
		all->prepared += sum.prepared;
		all->seconds += sum.seconds;
	}
	report_table_end(r);
	report_table(r, "texts", "text stores", text_columns, 4);
	for (int i = 0; i < l->n; i++) {
		struct texts *t;
		if (l->entry[i].kind != DATASET_TEXTS)
			continue;
		ACE_TRY(texts_open(&t, l->entry[i].store, NULL));
		report_cell(r, "%s", l->entry[i].id);
		report_cell_i64(r, texts_count(t));
		report_cell_number(r, (double)texts_bytes(t), "%s", report_bytes(texts_bytes(t), text));
		report_cell(r, "%s", l->entry[i].store);
		texts_close(t);
	}
	report_table_end(r);
	return ACE_OK;
}

/* --- a list, a configuration --- */

static enum status
show_list(struct report *r, const struct dataset_list *l, int *audio, struct entry_sum *sum)
{
	*audio = 0;
	for (int i = 0; i < l->n; i++)
		*audio += l->entry[i].kind != DATASET_TEXTS;
	return show_entries(r, l, sum);
}

enum status
inspect_list(const struct look *l, const char *path)
{
	struct dataset_defaults none = { 0 };
	struct entry_sum sum = { 0 };
	struct dataset_list list;
	struct report r;
	char songs[REPORT_SHORT], clips[REPORT_SHORT], length[REPORT_SHORT];
	enum status st;
	int audio;

	ACE_TRY(dataset_list_read(&list, path, &none));
	report_begin(&r, l->out, l->json, path, "dataset_list");
	st = show_list(&r, &list, &audio, &sum);
	report_line(&r, "dataset list, %d data set%s, %s songs, %s clips prepared, %s", audio,
	            audio == 1 ? "" : "s", report_count(sum.songs, songs), report_count(sum.prepared, clips),
	            report_length(sum.seconds, length));
	st = report_end(&r, st);
	dataset_list_free(&list);
	return st;
}

/* Settings that the file itself gives; how many. */
static int
show_settings(struct report *r, const struct settings *s)
{
	static const struct report_column columns[] = { { "option", "setting", false }, { "value", "value", false } };
	int n = 0;

	report_table(r, "settings", "settings", columns, 2);
	for (int i = 0; i < options_count(); i++) {
		const char *name = option_at(i)->name;
		if (settings_source(s, name) != FROM_FILE)
			continue;
		report_cell(r, "%s", name);
		report_cell(r, "%s", s->v[i].text ? s->v[i].text : "");
		n++;
	}
	report_table_end(r);
	return n;
}

static enum status
show_config(struct report *r, const struct settings *s)
{
	struct entry_sum sum = { 0 };
	struct dataset_list list = { 0 };
	int n = show_settings(r, s), audio = 0;
	enum status st = ACE_OK;

	for (int i = 0; i < s->n_notices; i++)
		report_note(r, "%s", s->notice[i]);
	if (!settings_has(s, "dataset") && !settings_has(s, "data_backend_config") && !settings_has(s, "dataset_path"))
		report_note(r, "no data set: neither dataset nor data_backend_config is given");
	else if ((st = dataset_list_settings(&list, s)) == ACE_OK)
		st = show_list(r, &list, &audio, &sum);
	else if (st != ACE_ENOMEM) {	/* the configuration itself can be shown */
		report_note(r, "%s", ace_message());
		st = ACE_OK;
	}
	report_line(r, "configuration of a training run, %d settings, %d data set%s", n, audio, audio == 1 ? "" : "s");
	dataset_list_free(&list);
	return st;
}

enum status
inspect_config(const struct look *l, const char *path)
{
	char name[] = "ace-train", *argument = file_path("config_path=%s", path), *argv[] = { name, argument, NULL };
	struct settings s;
	struct report r;
	enum status st;

	if (!argument)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	st = settings_load(&s, program_named(name), 2, argv);
	if (st == ACE_OK) {
		report_begin(&r, l->out, l->json, path, "configuration");
		st = report_end(&r, show_config(&r, &s));
	}
	settings_free(&s);
	free(argument);
	return st;
}

/* --- a folder of songs --- */

static enum status
show_songs(struct report *r, const struct dataset *e, const struct songs *songs)
{
	static const struct report_column columns[] = { { "key", "song", false },
		                                        { "bytes", "size", true },
		                                        { "captions", "captions", true },
		                                        { "lyrics", "lyrics", false } };
	char text[REPORT_SHORT], count[REPORT_SHORT];
	struct entry_sum sum = { 0 };

	report_table(r, "songs", "songs", columns, 4);
	for (int64_t i = 0; i < songs->n; i++) {
		char *path = song_path(songs, i);
		enum status st = ACE_ENOMEM;
		bool lyrics = false;
		int captions = 0;
		if (path)
			st = look_at_song(r, e, songs, i, path, &sum, &captions, &lyrics);
		free(path);
		if (st != ACE_OK)
			return ace_fail(st, "%s: no memory", songs->folder);
		sum.bytes += songs->song[i].size;
		report_cell(r, "%s", songs->song[i].key);
		report_cell_number(r, (double)songs->song[i].size, "%s", report_bytes(songs->song[i].size, text));
		report_cell_i64(r, captions);
		report_cell(r, "%s", lyrics ? "yes" : "instrumental");
	}
	report_table_end(r);
	if (sum.wrong > SHOWN)
		report_note(r, "and %d more", sum.wrong - SHOWN);
	report_line(r, "folder of songs, %s songs, %s", report_count(songs->n, count), report_bytes(sum.bytes, text));
	report_i64(r, "n_songs", NULL, songs->n);
	report_number(r, "bytes", NULL, (double)sum.bytes, "%s", text);
	report_i64(r, "with_captions", NULL, sum.captioned);
	report_i64(r, "captions", NULL, sum.captions);
	report_i64(r, "with_lyrics", NULL, sum.lyrics);
	report_i64(r, "ignored", NULL, songs->ignored);
	report_i64(r, "outside", NULL, songs->outside);
	if (songs->outside > 0)
		report_note(r, "%lld links that lead out of the folder are left out", (long long)songs->outside);
	return ACE_OK;
}

enum status
inspect_songs(const struct look *l, const char *path)
{
	struct dataset_defaults none = { 0 };
	struct dataset_list list;
	struct songs songs = { 0 };
	struct report r;
	enum status st;

	ACE_TRY(dataset_list_folder(&list, path, &none));
	st = songs_find(&songs, path);
	if (st == ACE_OK && songs.n == 0)
		st = ace_fail(ACE_EDATA,
		              "%s: nothing in this folder that could be shown: no store, checkpoint, run, model, "
		              "adapter, configuration, and no song",
		              path);
	if (st == ACE_OK) {
		report_begin(&r, l->out, l->json, path, "songs");
		st = report_end(&r, show_songs(&r, &list.entry[0], &songs));
	}
	songs_free(&songs);
	dataset_list_free(&list);
	return st;
}
