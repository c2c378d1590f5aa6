/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of songs as a data set on disk, and back */
#include "support/arrow.h"
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "jobs/convert_hf.h"
#include "jobs/import_hf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[300];

static void
put(const char *name, const char *text)
{
	char path[500];

	snprintf(path, sizeof path, "%s/songs/%s", dir, name);
	assert_ok(file_write(path, text, strlen(text)));
}

static int
enter(void **state)
{
	char path[400];

	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	snprintf(path, sizeof path, "%s/songs", dir);
	assert_ok(file_mkdirs(path));
	put("a.mp3", "ID3 one");
	put("a_prompt.txt", " rap, hard drums,  two blanks \n");
	put("a_lyrics.txt", "[verse]\r\nrain\n\n");
	put("b\xc3\xa9.flac", "fLaC two");
	put("b\xc3\xa9.txt", "calm, piano\na quiet evening\n\n  another wording ");
	put("b\xc3\xa9.lyrics", "la la");
	put("c.wav", "RIFF three");
	put("c.txt", "x");
	put("d.ogg", "OggS no caption");
	put("e.mp3", "ID3 five");
	put("e.txt", "\xff\xfe not utf-8");
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	return file_remove_tree(dir) != ACE_OK;
}

static void
text_is(struct cell row, const char *name, const char *want)
{
	struct cell c = cell_member(row, name);
	const char *text;
	size_t n;

	if (!want) {
		assert_int_equal(cell_kind(c), CELL_NULL);
		return;
	}
	assert_true(cell_text(c, &text, &n));
	assert_int_equal(n, strlen(want));
	assert_memory_equal(text, want, n);
}

static void
tags_are(struct cell row, const char *const *want)
{
	struct cell tags = cell_member(row, "tags");
	int n = 0;

	for (; want[n]; n++) {
		const char *text;
		size_t size;
		assert_true(cell_text(cell_element(tags, n), &text, &size));
		assert_int_equal(size, strlen(want[n]));
		assert_memory_equal(text, want[n], size);
	}
	assert_int_equal(cell_count(tags), n);
}

static void
each_song_becomes_its_rows(void **state)
{
	static const char *const a[] = { "rap", "hard drums", " two blanks", NULL }, *const b[] = { "calm", "piano", NULL };
	char source[400], to[400], file[600], name[500];
	struct convert_job job = { .source = source, .folder = to, .repeat = 700, .max_bad = 2 };
	struct convert_report r;
	struct arrow_file *f;
	int64_t n, rows = 0;

	(void)state;
	need_arrow();
	snprintf(source, sizeof source, "%s/songs/", dir);
	snprintf(to, sizeof to, "%s/set", dir);
	assert_ok(convert_hf_run(&job, &r));
	assert_int_equal(r.songs, 5);
	assert_int_equal(r.failed, 2);
	assert_int_equal(r.rows, 2100);
	snprintf(file, sizeof file, "%s/data-00000-of-00001.arrow", to);
	assert_ok(arrow_open(&f, file, NULL));
	for (;;) {
		assert_ok(arrow_next(f, &n));
		if (n == 0)
			break;
		for (int64_t i = 0; i < n; i++, rows++) {
			struct cell row = arrow_row(f, i);
			int which = (int)(rows % 3);
			text_is(row, "keys", which == 0 ? "a" : which == 1 ? "b\xc3\xa9" : "c");
			snprintf(name, sizeof name, "%s/songs/%s", dir, which == 0 ? "a.mp3" : which == 1 ? "b\xc3\xa9.flac" : "c.wav");
			text_is(row, "filename", name);
			text_is(row, "speaker_emb_path", "");
			text_is(row, "norm_lyrics", which == 0 ? "[verse]\nrain" : which == 1 ? "la la" : "");
			text_is(row, "recaption.caption_2", which == 1 ? "a quiet evening" : NULL);
			text_is(row, "recaption.caption_3", which == 1 ? "another wording" : NULL);
			if (which < 2)
				tags_are(row, which == 0 ? a : b);
		}
	}
	assert_int_equal(rows, 2100);
	arrow_close(f);
	assert_int_equal(convert_hf_run(&job, &r), ACE_ECREATE);	/* nothing is written over */
}

static void
too_many_bad_songs_are_an_error(void **state)
{
	char source[400], to[400];
	struct convert_job job = { .source = source, .folder = to, .repeat = 1, .max_bad = 10, .max_bad_percent = true };
	struct convert_report r;

	(void)state;
	need_arrow();
	snprintf(source, sizeof source, "%s/songs", dir);
	snprintf(to, sizeof to, "%s/none", dir);
	assert_int_equal(convert_hf_run(&job, &r), ACE_EDATA);
	assert_false(file_exists(to));
	job.source = dir + 1;
	assert_int_equal(convert_hf_run(&job, &r), ACE_ENOINPUT);
}

static void
an_import_gives_back_what_was_converted(void **state)
{
	char set[400], to[400], songs[400], path[600], *text;
	struct import_job job = { .source = set, .folder = to, .audio_root = songs, .limit = 3 };
	struct import_report r;
	size_t n;

	(void)state;
	need_arrow();
	snprintf(set, sizeof set, "%s/set", dir);
	snprintf(to, sizeof to, "%s/back", dir);
	snprintf(songs, sizeof songs, "%s/songs", dir);
	assert_ok(import_hf_run(&job, &r));
	assert_int_equal(r.fresh, 3);
	snprintf(path, sizeof path, "%s/000001-b\xc3\xa9.txt", to);
	assert_ok(file_read(path, 1000, &text, &n));
	assert_string_equal(text, "calm, piano\na quiet evening\nanother wording\n");
	free(text);
	snprintf(path, sizeof path, "%s/000001-b\xc3\xa9.flac", to);
	assert_ok(file_read(path, 1000, &text, &n));
	assert_string_equal(text, "fLaC two");
	free(text);
}

/* The features and the files beside the shard are what `datasets` writes for the same columns. */
static void
the_description_is_that_of_the_reference(void **state)
{
	char source[400], to[400], path[600], *got, *want;
	struct convert_job job = { .source = source, .folder = to, .repeat = 1 };
	struct convert_report r;
	size_t n;

	(void)state;
	need_arrow();
	assert_ok(file_read(golden_path("hf-saved", "converted/dataset_info.json"), 100000, &want, &n));
	snprintf(source, sizeof source, "%s/one", dir);
	snprintf(to, sizeof to, "%s/one-set", dir);
	assert_ok(file_mkdirs(source));
	snprintf(path, sizeof path, "%s/a.mp3", source);
	assert_ok(file_write(path, "ID3", 3));
	snprintf(path, sizeof path, "%s/a_prompt.txt", source);
	assert_ok(file_write(path, "one", 3));
	assert_ok(convert_hf_run(&job, &r));
	snprintf(path, sizeof path, "%s/dataset_info.json", to);
	assert_ok(file_read(path, 100000, &got, &n));
	assert_string_equal(got, want);
	free(got);
	free(want);
	assert_ok(file_read(golden_path("hf-saved", "converted/state.json"), 100000, &want, &n));
	snprintf(path, sizeof path, "%s/state.json", to);
	assert_ok(file_read(path, 100000, &got, &n));
	char *a = strstr(got, "_fingerprint\": \"") + 16, *b = strstr(want, "_fingerprint\": \"") + 16;
	memcpy(a, b, 16);
	assert_string_equal(got, want);
	free(got);
	free(want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_song_becomes_its_rows),
		cmocka_unit_test(too_many_bad_songs_are_an_error),
		cmocka_unit_test(an_import_gives_back_what_was_converted),
		cmocka_unit_test(the_description_is_that_of_the_reference),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
