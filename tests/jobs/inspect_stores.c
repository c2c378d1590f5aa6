/* SPDX-License-Identifier: Apache-2.0 */
/* ace-inspect on stores, data sets and folders of songs. */
#include "base/file.h"
#include "look.h"
#include "store/latents.h"
#include "store/texts.h"
#include "support/golden.h"
#include "support/stores.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLIPS = 70 };	/* two parts */

struct place {
	const char *dir;
	char *list, *latents, *texts, *part;
};

static void
setup(struct place *p)
{
	struct stores_options o = { .clips = CLIPS, .captions = 2, .channels = 4, .rows = 2, .frames = 40, .vary = 35,
		                    .text_width = 12, .text_rows = 6, .lyrics = 9, .lyric_vocab = 50, .dtype = BF16 };

	p->dir = golden_tmp();
	p->list = stores_make(p->dir, &o);
	p->latents = file_path("%s/latents", p->dir);
	p->texts = file_path("%s/texts", p->dir);
	p->part = file_path("%s/latents-0000-000000.h5", p->latents);
}

static void
cleanup(struct place *p)
{
	free(p->list);
	free(p->latents);
	free(p->texts);
	free(p->part);
	assert_ok(file_remove_tree(p->dir));
}

/* Write size other bytes. */
static void
spoil(const char *path, int64_t at, int64_t size)
{
	FILE *f = fopen(path, "r+b");

	assert_non_null(f);
	assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
	for (int64_t i = 0; i < size; i++)
		assert_true(fputc((int)(i * 37 % 251), f) != EOF);
	assert_int_equal(fclose(f), 0);
}

static void
a_latent_store_shows_clips_hours_bytes_and_provenance(void **state)
{
	struct place p;
	struct latents *s;
	double seconds = 0;
	int lyrics = 0;
	cJSON *o, *row;

	(void)state;
	setup(&p);
	assert_ok(latents_open(&s, p.latents, NULL));
	for (int64_t i = 0; i < latents_count(s); i++)
		seconds += (double)latents_item(s, i)->samples / 48000;
	o = look_json(ACE_OK, p.latents);
	assert_string_equal(look_word(o, "kind"), "latents");
	assert_true(look_number(o, "clips") == CLIPS);
	assert_true(fabs(look_number(o, "seconds") - seconds) < 1e-6 * seconds);
	assert_true(look_number(o, "bytes") == (double)latents_bytes(s) && latents_bytes(s) > 0);
	assert_true(look_number(o, "parts") == 2);
	assert_true(look_number(o, "damaged_parts") == 0);
	assert_true(look_number(o, "captions") == 2 * CLIPS);
	assert_true(look_number(o, "sources_gone") == CLIPS);	/* there never were any */
	for (int i = 0; i < CLIPS; i++)
		lyrics += i % 4 != 3 && i % 9 > 0;	/* stores.h: more than one token */
	assert_true(look_number(o, "with_lyrics") == lyrics);
	assert_true(look_number(o, "instrumental") == CLIPS - lyrics);
	assert_string_equal(look_word(o, "shape"), "[4, 2, T], T from 40 to 110");
	assert_true(look_number(look_row(o, "provenance", "fact", "origin"), "items") == CLIPS);
	assert_string_equal(look_word(look_row(o, "provenance", "fact", "origin"), "value"), "random");
	seconds = 0;
	cJSON_ArrayForEach(row, cJSON_GetObjectItem(o, "buckets"))
		seconds += look_number(row, "clips");
	assert_true(seconds == CLIPS);
	cJSON_Delete(o);
	latents_close(s);
	o = look_json(ACE_OK, p.part);	/* one part of it */
	assert_true(look_number(o, "clips") == 64);
	assert_true(look_number(o, "parts") == 1);
	cJSON_Delete(o);
	cleanup(&p);
}

static void
damage_is_shown_and_named(void **state)
{
	struct place p;
	char *verify;
	cJSON *o;

	(void)state;
	setup(&p);
	verify = file_path("--verify %s", p.latents);
	o = look_json(ACE_OK, verify);
	assert_true(look_number(o, "damaged_clips") == 0);
	cJSON_Delete(o);
	spoil(p.part, file_size(p.part) / 2, 64);	/* in the numbers of a clip or two */
	o = look_json(ACE_EDATA, verify);
	assert_true(look_number(o, "clips") == CLIPS);
	assert_true(look_number(o, "damaged_clips") >= 1 && look_number(o, "damaged_clips") <= 3);
	assert_true(look_notes(o, "latents-0000-000000.h5") >= 1);
	cJSON_Delete(o);
	assert_int_equal(truncate(p.part, file_size(p.part) / 2), 0);
	o = look_json(ACE_EDATA, p.latents);	/* the other part can still be shown */
	assert_non_null(strstr(ace_message(), p.part));
	assert_true(look_number(o, "clips") == CLIPS - 64);
	assert_true(look_number(o, "damaged_parts") == 1);
	assert_int_equal(look_notes(o, p.part), 1);
	cJSON_Delete(o);
	o = look_json(ACE_EDATA, p.part);
	assert_true(look_number(o, "clips") == 0);
	cJSON_Delete(o);
	assert_true(file_exists(p.part));	/* looking changes nothing */
	free(verify);
	cleanup(&p);
}

static void
a_text_store_shows_its_captions(void **state)
{
	char *verify, *part;
	struct place p;
	cJSON *o;

	(void)state;
	setup(&p);
	verify = file_path("--verify %s", p.texts);
	o = look_json(ACE_OK, verify);
	assert_string_equal(look_word(o, "kind"), "texts");
	assert_true(look_number(o, "captions") == 2 * CLIPS + 1);
	assert_true(look_number(o, "width") == 12);
	assert_true(look_number(o, "longest") == 6);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "empty_caption")));
	assert_string_equal(look_word(look_row(o, "provenance", "fact", "origin"), "value"), "random");
	assert_int_equal(look_rows(o, "some"), 10);
	assert_int_equal(
	    strncmp(look_word(cJSON_GetArrayItem(cJSON_GetObjectItem(o, "some"), 0), "caption"), "piece ", 6), 0);
	cJSON_Delete(o);
	part = file_path("%s/text-0000-000000.h5", p.texts);
	assert_int_equal(truncate(part, 100), 0);
	o = look_json(ACE_EDATA, p.texts);
	assert_true(look_number(o, "damaged_parts") == 1);
	assert_int_equal(look_notes(o, part), 1);
	cJSON_Delete(o);
	free(part);
	free(verify);
	cleanup(&p);
}

static void
put(const char *dir, const char *name, const char *text)
{
	char *path = file_path("%s/%s", dir, name);

	assert_ok(file_write(path, text, strlen(text)));
	free(path);
}

static void
a_dataset_list_shows_songs_clips_and_holes(void **state)
{
	char *songs;
	struct place p;
	const cJSON *row;
	cJSON *o;

	(void)state;
	setup(&p);
	songs = file_path("%s/songs", p.dir);
	assert_ok(file_mkdirs(songs));
	put(songs, "clip_0000.wav", "x");
	put(songs, "clip_0000.txt", "one\ntwo\n");
	put(songs, "clip_0000.lyrics", "la la la\n");
	put(songs, "new.wav", "x");	/* no caption, not prepared */
	o = look_json(ACE_OK, p.list);
	assert_string_equal(look_word(o, "kind"), "dataset_list");
	row = look_row(o, "data_sets", "id", "random");
	assert_non_null(row);
	assert_true(look_number(row, "songs") == 2);
	assert_true(look_number(row, "with_captions") == 1);
	assert_true(look_number(row, "with_lyrics") == 1);
	assert_true(look_number(row, "prepared") == CLIPS);
	assert_true(look_number(row, "missing_captions") == 0);
	assert_true(look_number(look_row(o, "texts", "id", "texts"), "captions") == 2 * CLIPS + 1);
	assert_int_equal(look_notes(o, "new.txt"), 1);
	assert_int_equal(look_notes(o, "1 songs are not prepared"), 1);
	assert_int_equal(look_notes(o, "of 69 clips in the store the song is gone"), 1);
	cJSON_Delete(o);
	assert_ok(file_remove_tree(p.texts));
	o = look_json(ACE_OK, p.list);
	assert_true(look_number(look_row(o, "data_sets", "id", "random"), "missing_captions") == 2 * CLIPS);
	cJSON_Delete(o);
	put(p.dir, "multidatabackend.json", "[{\"id\": 3}]");
	char *text;
	assert_int_equal(look_text(p.list, &text), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "multidatabackend.json"));
	free(text);
	free(songs);
	cleanup(&p);
}

static void
a_folder_of_songs_shows_captions_and_lyrics(void **state)
{
	const char *dir = golden_tmp();
	const cJSON *row;
	cJSON *o;
	char *text;

	(void)state;
	put(dir, "a.mp3", "12345");
	put(dir, "a.txt", "slow\nfast\n");
	put(dir, "a.lyrics", "words\n");
	put(dir, "b.flac", "1");
	put(dir, "b.txt", "");
	o = look_json(ACE_OK, dir);
	assert_string_equal(look_word(o, "kind"), "songs");
	assert_true(look_number(o, "n_songs") == 2);
	assert_true(look_number(o, "bytes") == 6);
	assert_true(look_number(o, "with_captions") == 1);
	assert_true(look_number(o, "captions") == 2);
	assert_true(look_number(o, "with_lyrics") == 1);
	row = look_row(o, "songs", "key", "a.mp3");
	assert_true(look_number(row, "captions") == 2);
	assert_string_equal(look_word(row, "lyrics"), "yes");
	assert_string_equal(look_word(look_row(o, "songs", "key", "b.flac"), "lyrics"), "instrumental");
	assert_int_equal(look_notes(o, "b.txt"), 1);
	cJSON_Delete(o);
	assert_ok(file_remove_tree(dir));
	assert_ok(file_mkdirs(dir));
	assert_int_equal(look_text(dir, &text), ACE_EDATA);	/* nothing in it */
	assert_non_null(strstr(ace_message(), dir));
	free(text);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_latent_store_shows_clips_hours_bytes_and_provenance),
		cmocka_unit_test(damage_is_shown_and_named),
		cmocka_unit_test(a_text_store_shows_its_captions),
		cmocka_unit_test(a_dataset_list_shows_songs_clips_and_holes),
		cmocka_unit_test(a_folder_of_songs_shows_captions_and_lyrics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
