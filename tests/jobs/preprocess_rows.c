/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a data set, prepared where they are, give what the same songs in a folder give */
#include "jobs/preprocess_bench.h"
#include "support/arrow.h"
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "base/programs.h"
#include "base/settings.h"
#include "data/captions.h"
#include "data/dataset_settings.h"
#include "data/songs.h"
#include "formats/tar.h"
#include "jobs/import_hf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utime.h>

enum { SONGS = 3 };

static struct bench b;

static int
enter(void **state)
{
	static const char *const captions[SONGS] = { "slow jazz, piano", "fast rock", "a choir" };
	char name[20], rows[600];
	int at = 0;

	(void)state;
	bench_open(&b, "tiny");
	for (int i = 0; i < SONGS; i++) {
		snprintf(name, sizeof name, "s%d.wav", i);
		bench_song(&b, name, i, 3.5 + i, captions[i], i == 1 ? "[verse]\nhello there" : NULL);
		at += snprintf(rows + at, sizeof rows - (size_t)at, "{\"file_name\": \"s%d.wav\", \"prompt\": \"%s\", \"lyrics\": %s}\n", i,
		               captions[i], i == 1 ? "\"[verse]\\nhello there\"" : "null");
	}
	snprintf(rows + at, sizeof rows - (size_t)at, "{\"file_name\": \"gone.wav\", \"prompt\": \"x\"}\n");
	bench_run(&b, ACE_OK);
	bench_write(&b, "metadata.jsonl", rows, strlen(rows));
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	bench_close(&b);
	return 0;
}

/* Prepare an entry with these keys into a store of its own. */
static void
prepare_entry(const char *keys, const char *id, struct dataset_list *l)
{
	const struct dataset_defaults d = { .output_dir = b.dir };
	struct preprocess_job job = b.job;
	char text[3000];

	snprintf(text, sizeof text, "[{\"id\": \"%s\", %s, \"dataset_type\": \"audio\", \"cache_dir_vae\": \"%s/%s\"}, "
	         "{\"id\": \"t\", \"dataset_type\": \"text_embeds\", \"cache_dir\": \"%s/texts\"}]", id, keys, b.dir, id, b.dir);
	assert_ok(dataset_list_parse(l, text, strlen(text), "list.json", &d));
	job.list = l;
	job.max_bad = 1;
	job.max_bad_percent = false;
	assert_ok(preprocess_run(&job, &b.r));
}

/* The set at `source`. */
static void
prepare(const char *source, const char *id, struct dataset_list *l)
{
	char keys[1500];

	snprintf(keys, sizeof keys, "\"type\": \"huggingface\", \"dataset_name\": \"%s\"", source);
	prepare_entry(keys, id, l);
}

/* The clips of the store are those of the folder, in its order, bit for bit. */
static void
same_clips(const struct dataset_list *l)
{
	struct latents *have = bench_latents(&b), *got;

	assert_ok(latents_open(&got, l->entry[0].store, NULL));
	assert_int_equal(latents_count(got), SONGS);
	for (int64_t i = 0; i < SONGS; i++) {
		char key[20];
		const struct latent_item *a, *c;
		snprintf(key, sizeof key, "s%d.wav", (int)i);
		a = latents_item(have, latents_find(have, key));
		snprintf(key, sizeof key, "%09d", (int)i);
		assert_true(latents_find(got, key) >= 0);
		c = latents_item(got, latents_find(got, key));
		assert_string_equal(a->audio_sha256, c->audio_sha256);
		assert_string_equal(a->source_sha256, c->source_sha256);
		assert_string_equal(a->caption[0], c->caption[0]);
		assert_string_equal(a->lyrics_sha256, c->lyrics_sha256);
		assert_int_equal(a->frames, c->frames);
		assert_true(file_exists(c->source));
		size_t n = (size_t)(a->channels * a->rows * a->frames);
		float *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
		assert_true(x && y);
		assert_ok(latents_read(have, latents_find(have, a->key), x));
		assert_ok(latents_read(got, latents_find(got, key), y));
		assert_memory_equal(x, y, n * sizeof *x);
		free(x);
		free(y);
	}
	latents_close(have);
	latents_close(got);
}

static void
rows_that_name_files_are_prepared_in_place(void **state)
{
	struct dataset_list l;

	(void)state;
	prepare(b.songs, "rows", &l);
	assert_int_equal(b.r.files, SONGS + 1);
	assert_int_equal(b.r.fresh, SONGS);
	assert_int_equal(b.r.failed, 1);
	same_clips(&l);
	dataset_list_free(&l);
	prepare(b.songs, "rows", &l);
	assert_int_equal(b.r.fresh, 0);
	assert_int_equal(b.r.kept, SONGS);
	dataset_list_free(&l);
}

static void
a_table_of_songs_is_a_data_set(void **state)
{
	static const char table[] = "number,song,text,words\r\n1,s0.wav,\"slow jazz, piano\",\r\n"
		"2,s1.wav,fast rock,\"[verse]\nhello there\"\r\n3,s2.wav,a choir,\r\n4,gone.wav,x,\r\n";
	char keys[1500], path[600];
	struct dataset_list l;

	(void)state;
	snprintf(path, sizeof path, "%s/table.csv", b.dir);	/* not beside the songs */
	assert_ok(file_write(path, table, sizeof table - 1));
	snprintf(keys, sizeof keys, "\"type\": \"csv\", \"csv_file\": \"%s\", \"instance_data_dir\": \"%s\", \"caption_strategy\": \"csv\", "
	         "\"csv_caption_column\": \"text\", \"csv_url_column\": \"song\", \"csv_lyrics_column\": \"words\"", path, b.songs);
	prepare_entry(keys, "table", &l);
	assert_int_equal(b.r.fresh, SONGS);
	assert_int_equal(b.r.failed, 1);
	same_clips(&l);
	dataset_list_free(&l);
	prepare_entry(keys, "table", &l);
	assert_int_equal(b.r.kept, SONGS);
	dataset_list_free(&l);
}

/* A table beside a folder, whose names lack their extension; with "metadata_backend": "parquet" it may be of JSON lines too. */
static void
a_table_beside_a_folder_is_read_by_its_columns(void **state)
{
	static const char table[] = "{\"id\": \"s0\", \"text\": \"slow jazz, piano\"}\n"
		"{\"id\": \"s1\", \"text\": \"\", \"other\": \"fast rock\", \"words\": \"[verse]\\nhello there\"}\n"
		"{\"id\": \"s2.wav\", \"text\": \"a choir\"}\n{\"id\": \"s\", \"text\": \"x\"}\n";
	char keys[1500], path[600];
	struct dataset_list l;
	struct songs s;

	(void)state;
	snprintf(path, sizeof path, "%s/table.jsonl", b.dir);
	assert_ok(file_write(path, table, sizeof table - 1));
	snprintf(keys, sizeof keys, "\"type\": \"local\", \"instance_data_dir\": \"%s\", \"metadata_backend\": \"parquet\", "
	         "\"caption_strategy\": \"parquet\", \"parquet\": {\"path\": \"%s\", \"filename_column\": \"id\", "
	         "\"caption_column\": \"text\", \"fallback_caption_column\": \"other\", \"lyrics_column\": \"words\"}", b.songs, path);
	prepare_entry(keys, "beside", &l);
	assert_int_equal(b.r.fresh, SONGS);
	assert_int_equal(b.r.failed, 1);
	same_clips(&l);
	dataset_list_free(&l);
	snprintf(keys, sizeof keys, "[{\"id\": \"a\", \"dataset_type\": \"audio\", \"instance_data_dir\": \"%s\", "
	         "\"metadata_backend\": \"parquet\", \"parquet\": {\"path\": \"%s\", \"filename_column\": \"id\", "
	         "\"caption_column\": \"text\", \"identifier_includes_extension\": true}}]", b.songs, path);
	assert_ok(dataset_list_parse(&l, keys, strlen(keys), "list.json", &(struct dataset_defaults){ .output_dir = b.dir }));
	assert_ok(songs_of(&s, &l.entry[0]));
	assert_int_equal(s.n, SONGS + 1);
	for (int i = 0; i < s.n; i++)
		assert_true((s.song[i].row->code == NULL) == (i == 2));		/* s2.wav alone is a whole name */
	songs_free(&s);
	dataset_list_free(&l);
}

static const char *
first_caption(const struct songs *s, int64_t i)
{
	return s->song[i].row->captions > 0 ? s->song[i].row->caption[0] : "";
}

/* Of a table; of a hub data set such a row is told of, as one that cannot be used. */
static void
a_song_of_a_table_without_a_caption_is_called_by_its_file(void **state)
{
	static const char table[] = "{\"song\": \"s0.wav\", \"text\": null}\n{\"song\": \"s1.wav\", \"text\": \" \", \"other\": \"fast rock\"}\n"
		"{\"song\": \"s2\", \"text\": \"\"}\n";
	static const char *const types[] = {
		"\"type\": \"csv\", \"csv_file\": \"PATH\", \"csv_url_column\": \"song\", \"csv_caption_column\": \"text\", "
		"\"fallback_caption_column\": \"other\", \"parquet\": {\"identifier_includes_extension\": false}",
		"\"type\": \"parquet\", \"parquet\": {\"path\": \"PATH\", \"filename_column\": \"song\", \"caption_column\": \"text\", "
		"\"fallback_caption_column\": \"other\"}",
		"\"type\": \"huggingface\", \"dataset_name\": \"PATH\", \"audio_column\": \"song\", \"caption_column\": \"text\", "
		"\"fallback_caption_column\": \"other\"",
	};
	char keys[1500], text[2600], path[600];
	struct dataset_list l;
	struct songs s;

	(void)state;
	snprintf(path, sizeof path, "%s/calls.jsonl", b.dir);
	assert_ok(file_write(path, table, sizeof table - 1));
	for (int i = 0; i < 3; i++) {
		const struct dataset_defaults d = { .output_dir = b.dir };
		snprintf(keys, sizeof keys, "%.*s%s%s", (int)(strstr(types[i], "PATH") - types[i]), types[i], path, strstr(types[i], "PATH") + 4);
		snprintf(text, sizeof text, "[{\"id\": \"a\", \"dataset_type\": \"audio\", \"audio_root\": \"%s\", %s}]", b.songs, keys);
		assert_ok(dataset_list_parse(&l, text, strlen(text), "list.json", &d));
		snprintf(text, sizeof text, "%s/calls.json", b.dir);	/* what is written means the same */
		assert_ok(dataset_list_write(&l, text));
		dataset_list_free(&l);
		assert_ok(dataset_list_read(&l, text, &d));
		assert_ok(songs_of(&s, &l.entry[0]));
		assert_int_equal(s.n, 3);
		assert_string_equal(first_caption(&s, 0), i < 2 ? "s0" : "");
		assert_string_equal(first_caption(&s, 1), "fast rock");
		assert_string_equal(first_caption(&s, 2), i < 2 ? "s2" : "");
		assert_true(i < 2 || strcmp(s.song[0].row->code, "caption_missing") == 0);
		songs_free(&s);
		dataset_list_free(&l);
	}
}

/* The rows of a set without a card, as its fixture tells; owned. */
static cJSON *
rows_without_a_card(cJSON **all)
{
	*all = golden_json("hf-parquet", "expected.json");
	return cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(*all, "repos"), "no-card"), "rows");
}

static const char *
text_in(const cJSON *row, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(row, key));

	return text ? text : "";
}

/* The columns of the options, of a file that Arrow reads; without Arrow one line says how to get it. */
static void
a_parquet_file_is_read_by_the_columns_of_the_options(void **state)
{
	const struct dataset_defaults d = { .output_dir = b.dir, .parquet_caption = "tags", .parquet_filename = "norm_lyrics" };
	char table[500], text[2000];
	cJSON *all, *want = rows_without_a_card(&all);
	const cJSON *row;
	struct dataset_list l;
	struct songs s;
	int i = 0;

	(void)state;
	snprintf(table, sizeof table, "%s", golden_path("hf-parquet", "no-card/data/train-00000-of-00001.parquet"));
	cJSON_ArrayForEach(row, want) {
		snprintf(text, sizeof text, "%s.wav", text_in(row, "norm_lyrics"));
		if (strlen(text) > 4)
			bench_song(&b, text, 0, 3.5, NULL, NULL);
	}
	snprintf(text, sizeof text, "[{\"id\": \"p\", \"type\": \"parquet\", \"dataset_type\": \"audio\", "
	         "\"instance_data_dir\": \"%s\", \"parquet\": {\"path\": \"%s\"}}]", b.songs, table);
	assert_ok(dataset_list_parse(&l, text, strlen(text), "list.json", &d));
	snprintf(text, sizeof text, "%s/written.json", b.dir);	/* what is written means the same without the options */
	assert_ok(dataset_list_write(&l, text));
	dataset_list_free(&l);
	assert_ok(dataset_list_read(&l, text, &(struct dataset_defaults){ 0 }));
	if (arrow_load() != ACE_OK) {
		assert_int_equal(songs_of(&s, &l.entry[0]), ACE_EDEVICE);
		assert_true(strstr(ace_message(), "./quick-start arrow") || getenv("ACE_ARROW_SHIM"));
		dataset_list_free(&l);
		cJSON_Delete(all);
		need_arrow();
	}
	assert_ok(songs_of(&s, &l.entry[0]));
	assert_int_equal(s.n, cJSON_GetArraySize(want));
	cJSON_ArrayForEach(row, want) {
		const struct song_row *r = s.song[i++].row;
		const cJSON *tags = cJSON_GetObjectItem(row, "tags");
		const char *name = text_in(row, "norm_lyrics");
		assert_true((r->code == NULL) == (*name != 0));
		if (r->code)
			continue;
		snprintf(text, sizeof text, "/%s.wav", name);
		assert_non_null(strstr(r->file, text));
		assert_string_equal(r->caption[0], cJSON_GetArraySize(tags) > 0 ? tags->child->valuestring : name);
		bench_remove(&b, text + 1);
	}
	songs_free(&s);
	dataset_list_free(&l);
	cJSON_Delete(all);
}

/* dataset=SOURCE of a program, or another option that names one. */
static void
list_by(struct dataset_list *l, const char *option, const char *source)
{
	struct settings s;

	assert_ok(settings_init(&s, program_named("ace-preprocess")));
	assert_ok(settings_set(&s, option, source, "test"));
	assert_ok(settings_set(&s, "output_dir", b.dir, "test"));
	assert_ok(dataset_list_settings(l, &s));
	settings_free(&s);
}

static void
list_dataset(struct dataset_list *l, const char *source)
{
	list_by(l, "dataset", source);
}

static void
a_folder_is_known_for_rows_or_songs(void **state)
{
	struct dataset_list l;
	char path[700];

	(void)state;
	list_dataset(&l, b.songs);			/* with a table that is none of Parquet */
	assert_null(l.entry[0].hub);
	dataset_list_free(&l);
	bench_write(&b, "index.parquet", "x", 1);	/* songs beside it are what was meant */
	list_dataset(&l, b.songs);
	assert_null(l.entry[0].hub);
	dataset_list_free(&l);
	bench_remove(&b, "index.parquet");
	snprintf(path, sizeof path, "%s/metadata.jsonl", b.songs);
	list_dataset(&l, path);				/* one file of rows */
	assert_string_equal(l.entry[0].hub->name, path);
	assert_int_equal(l.entry[0].captions, CAPTION_ROW);
	dataset_list_free(&l);
}

static void
a_dataset_folder_with_rows_is_read_row_by_row(void **state)
{
	char saved[500], plain[500];
	cJSON *all, *want = rows_without_a_card(&all);
	const cJSON *tags = cJSON_GetObjectItem(want->child, "tags"), *tag;
	char joined[300] = "";
	struct dataset_list l;
	struct songs s;

	(void)state;
	snprintf(saved, sizeof saved, "%s", golden_path("hf-saved", "converted"));
	snprintf(plain, sizeof plain, "%s", golden_path("hf-parquet", "no-card"));
	list_by(&l, "dataset_path", saved);
	assert_non_null(l.entry[0].hub);
	dataset_list_free(&l);
	list_dataset(&l, saved);
	assert_non_null(l.entry[0].hub);
	assert_null(l.entry[0].folder);
	if (arrow_load() != ACE_OK) {
		assert_int_equal(songs_of(&s, &l.entry[0]), ACE_EDEVICE);
		dataset_list_free(&l);
		cJSON_Delete(all);
		need_arrow();
	}
	assert_ok(songs_of(&s, &l.entry[0]));
	assert_true(s.n > 0 && s.song[0].row->captions > 0);
	songs_free(&s);
	dataset_list_free(&l);
	list_dataset(&l, plain);
	assert_non_null(l.entry[0].hub);
	assert_ok(songs_of(&s, &l.entry[0]));
	assert_int_equal(s.n, cJSON_GetArraySize(want));
	cJSON_ArrayForEach(tag, tags)
		strcat(strcat(joined, *joined ? ", " : ""), tag->valuestring);
	assert_string_equal(s.song[0].row->caption[0], *joined ? joined : "music");
	assert_string_equal(s.song[0].row->lyrics ? s.song[0].row->lyrics : "", text_in(want->child, "norm_lyrics"));
	songs_free(&s);
	dataset_list_free(&l);
	cJSON_Delete(all);
}

static void
songs_inside_a_shard_are_prepared_in_place(void **state)
{
	char command[1500], shard[600];
	struct dataset_list l;

	(void)state;
	snprintf(shard, sizeof shard, "%s/shard.tar", b.dir);
	snprintf(command, sizeof command, "cd '%s' && tar -cf '%s' s0.* s1.* s2.*", b.songs, shard);
	if (!tar_load() || system(command) != 0) {
		print_message("# SKIP there is no libarchive, or no tar, here\n");
		skip();
	}
	prepare(shard, "inside", &l);
	assert_int_equal(b.r.fresh, SONGS);
	assert_int_equal(b.r.failed, 0);
	same_clips(&l);
	dataset_list_free(&l);
	prepare(shard, "inside", &l);
	assert_int_equal(b.r.kept, SONGS);
	dataset_list_free(&l);
	assert_int_equal(utime(shard, &(struct utimbuf){ 1000, 1000 }), 0);	/* another date, the same songs */
	prepare(shard, "inside", &l);
	assert_int_equal(b.r.updated, SONGS);
	assert_int_equal(b.r.fresh, 0);
	same_clips(&l);
	dataset_list_free(&l);
}

static void
an_import_in_place_makes_a_list_that_is_read(void **state)
{
	char to[600], path[700];
	struct import_job job = { .source = b.songs, .folder = to, .in_place = true, .filter = "prompt!=fast rock", .limit = 2,
		.max_bad = 1 };
	const struct dataset_defaults d = { .output_dir = b.dir };
	struct preprocess_job prep = b.job;
	struct import_report r;
	struct dataset_list l;

	(void)state;
	snprintf(to, sizeof to, "%s/list", b.dir);
	snprintf(path, sizeof path, "%s/multidatabackend.json", to);
	assert_ok(import_hf_run(&job, &r));
	assert_int_equal(r.fresh, 2);
	assert_ok(dataset_list_read(&l, path, &d));
	assert_string_equal(l.entry[0].id, "songs");
	prep.list = &l;
	prep.what = PREPROCESS_CHECK;
	(void)!preprocess_run(&prep, &b.r);
	assert_int_equal(b.r.files, 2);			/* the first and the third */
	assert_int_equal(b.r.failed, 0);
	dataset_list_free(&l);
}

static void
tags_of_a_row_are_shuffled_unless_that_is_off(void **state)
{
	char *caption[] = { (char *)(uintptr_t)"a, b, c, d, e, f, g, h", (char *)(uintptr_t)"another wording" };
	struct song_row row = { .caption = caption, .captions = 2, .tags = true, .shard = caption[0] };
	struct dataset d = { .captions = CAPTION_ROW };
	struct captions c;
	char once[60];

	(void)state;
	assert_ok(captions_of(&c, &d, "row", &row));
	assert_int_equal(c.n, 2);
	assert_string_equal(c.text[1], caption[1]);
	assert_int_equal(strlen(c.text[0]), strlen(caption[0]));
	assert_string_not_equal(c.text[0], caption[0]);
	snprintf(once, sizeof once, "%s", c.text[0]);
	captions_free(&c);
	assert_ok(captions_of(&c, &d, "row", &row));
	assert_string_equal(c.text[0], once);
	captions_free(&c);
	d.shuffle.off = true;
	assert_ok(captions_of(&c, &d, "row", &row));
	assert_string_equal(c.text[0], caption[0]);
	captions_free(&c);
	char *longer = malloc(1001);
	assert_non_null(longer);
	memset(longer, 'x', 1000);
	longer[1000] = 0;
	caption[0] = longer;
	assert_ok(captions_of(&c, &d, "row", &row));
	assert_int_equal(strlen(c.text[0]), 256);	/* as upstream cuts them */
	captions_free(&c);
	row.tags = false;
	assert_ok(captions_of(&c, &d, "row", &row));
	assert_int_equal(strlen(c.text[0]), 1000);
	captions_free(&c);
	free(longer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_that_name_files_are_prepared_in_place),
		cmocka_unit_test(a_table_of_songs_is_a_data_set),
		cmocka_unit_test(a_table_beside_a_folder_is_read_by_its_columns),
		cmocka_unit_test(a_song_of_a_table_without_a_caption_is_called_by_its_file),
		cmocka_unit_test(a_parquet_file_is_read_by_the_columns_of_the_options),
		cmocka_unit_test(a_folder_is_known_for_rows_or_songs),
		cmocka_unit_test(a_dataset_folder_with_rows_is_read_row_by_row),
		cmocka_unit_test(songs_inside_a_shard_are_prepared_in_place),
		cmocka_unit_test(an_import_in_place_makes_a_list_that_is_read),
		cmocka_unit_test(tags_of_a_row_are_shuffled_unless_that_is_off),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
