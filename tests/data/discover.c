/* SPDX-License-Identifier: Apache-2.0 */
/* Songs, captions and lyrics of a folder, by themselves and as the fixture local-audio has them. */
#include "data/discover.h"

#include "base/file.h"
#include "base/msg.h"
#include "data/captions.h"
#include "data/lyrics_file.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *
text_at(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsString(v) ? v->valuestring : "";
}

static const cJSON *
golden_item(const cJSON *expected, const char *file)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(expected, "items"))
		if (strcmp(text_at(item, "file"), file) == 0)
			return item;
	return NULL;
}

static void
the_golden_folder_gives_the_golden_items(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json"), *items, *name;
	struct songs s;

	(void)state;
	items = cJSON_GetObjectItemCaseSensitive(expected, "items");
	assert_ok(songs_find(&s, golden_path("local-audio", text_at(expected, "instance_data_dir"))));
	for (int64_t i = 0; i < s.n; i++) {
		if (!golden_item(expected, s.song[i].key))
			fail_msg("%s is not among the items", s.song[i].key);
		assert_true(i == 0 || strcmp(s.song[i - 1].key, s.song[i].key) < 0);
	}
	assert_int_equal(s.n, cJSON_GetArraySize(items));
	cJSON_ArrayForEach(name, cJSON_GetObjectItemCaseSensitive(expected, "ignored_files"))
		assert_false(songs_is_sound(name->valuestring));
	songs_free(&s);
	cJSON_Delete(expected);
}

/* The captions of one item, and what is said where it has none. */
static void
check_captions(const cJSON *item, const struct dataset *d, const char *path)
{
	const cJSON *want = cJSON_GetObjectItemCaseSensitive(item, "captions");
	const char *reason = text_at(item, "reason");
	struct captions c;
	enum status st = captions_read(&c, d, path);

	if (strncmp(reason, "caption_", 8) == 0) {
		assert_int_equal(st, ACE_EDATA);
		assert_string_equal(caption_reason_name(c.reason), reason);
		assert_non_null(strstr(ace_message(), path));
		assert_null(c.text);
		return;
	}
	if (st != ACE_OK)
		fail_msg("%s: %s", text_at(item, "file"), ace_message());
	if (want)
		assert_int_equal(c.n, cJSON_GetArraySize(want));
	for (int i = 0; want && i < c.n; i++)
		assert_string_equal(c.text[i], cJSON_GetArrayItem(want, i)->valuestring);
	captions_free(&c);
}

static void
captions_of_the_golden_items_are_the_golden_ones(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json"), *item;
	struct dataset d = { 0 };
	int named = 0;

	(void)state;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(expected, "items")) {
		char *path = file_path("%s/%s", golden_path("local-audio", text_at(expected, "instance_data_dir")),
		                       text_at(item, "file"));
		struct captions c;
		d = (struct dataset){ .captions = CAPTION_TEXTFILE };
		check_captions(item, &d, path);
		if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(item, "captions")) > 1) {
			d.whole_file = true;
			assert_ok(captions_read(&c, &d, path));
			assert_int_equal(c.n, 1);
			captions_free(&c);
		}
		if (*text_at(item, "caption_from_filename")) {
			d.captions = CAPTION_FILENAME;
			assert_ok(captions_read(&c, &d, path));
			assert_string_equal(c.text[0], text_at(item, "caption_from_filename"));
			captions_free(&c);
			named++;
		}
		free(path);
	}
	assert_true(named > 0);
	cJSON_Delete(expected);
}

static void
lyrics_of_the_golden_items_are_the_golden_ones(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json"), *item;
	int found = 0, absent = 0;

	(void)state;
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(expected, "items")) {
		const cJSON *want;
		char *path = file_path("%s/%s", golden_path("local-audio", text_at(expected, "instance_data_dir")),
		                       text_at(item, "file"));
		cJSON_ArrayForEach(want, cJSON_GetObjectItemCaseSensitive(item, "lyrics")) {
			bool usual = strcmp(want->string, "{filename}.lyrics") == 0;
			struct dataset d = { .captions = CAPTION_TEXTFILE, .lyrics_format = usual ? NULL : want->string };
			struct lyrics_text t;
			assert_ok(lyrics_find(&t, &d, path, false));
			assert_string_equal(t.text, cJSON_IsString(want) ? want->valuestring : "");
			assert_int_equal(t.path != NULL, cJSON_IsString(want));
			found += t.path != NULL;
			absent += t.path == NULL;
			lyrics_text_free(&t);
		}
		free(path);
	}
	assert_true(found > 0 && absent > 0);
	cJSON_Delete(expected);
}

/* --- a folder of our own --- */

static char *
folder(void)
{
	return file_path("%s", golden_tmp());
}

static void
put(const char *dir, const char *name, const char *text)
{
	char *path = file_path("%s/%s", dir, name);

	assert_ok(file_write(path, text, strlen(text)));
	free(path);
}

static void
links_never_lead_out_of_the_folder(void **state)
{
	char *dir = folder(), *songs = file_path("%s/songs", dir), *path;
	struct songs s;

	(void)state;
	assert_ok(file_mkdirs(songs));
	put(dir, "secret.wav", "x");
	put(songs, "a.wav", "x");
	path = file_path("%s/b.wav", songs);
	assert_int_equal(symlink("a.wav", path), 0);
	free(path);
	path = file_path("%s/c.wav", songs);
	assert_int_equal(symlink("../secret.wav", path), 0);
	free(path);
	path = file_path("%s/d.wav", songs);
	assert_int_equal(symlink("nowhere.wav", path), 0);
	free(path);
	path = file_path("%s/loop", songs);
	assert_int_equal(symlink("..", path), 0);
	free(path);
	assert_ok(songs_find(&s, songs));
	assert_int_equal(s.n, 2);
	assert_string_equal(s.song[0].key, "a.wav");
	assert_string_equal(s.song[1].key, "b.wav");
	assert_int_equal(s.outside, 1);
	songs_free(&s);
	assert_ok(file_remove_tree(dir));
	free(songs);
	free(dir);
}

static void
hidden_and_other_files_are_passed_over(void **state)
{
	char *dir = folder(), *path;
	struct songs s;

	(void)state;
	put(dir, ".hidden.wav", "x");
	put(dir, "a.WaV", "x");
	put(dir, "a.txt", "x");
	put(dir, "noextension", "x");
	put(dir, "mp3", "x");
	put(dir, "bad\x01name.mp3", "x");
	put(dir, "latin\xe9.mp3", "x");
	path = file_path("%s/folder.mp3", dir);
	assert_ok(file_mkdirs(path));
	free(path);
	path = file_path("%s/pipe.mp3", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	free(path);
	assert_ok(songs_find(&s, dir));
	assert_int_equal(s.n, 3);
	assert_string_equal(s.song[0].key, "a.WaV");
	assert_false(s.song[0].bad_name);
	assert_true(s.song[1].bad_name && s.song[2].bad_name);
	assert_int_equal(s.ignored, 4);
	songs_free(&s);
	assert_ok(file_remove_tree(dir));
	free(dir);
}

static void
a_missing_folder_is_named(void **state)
{
	struct songs s;

	(void)state;
	assert_int_equal(songs_find(&s, "/nonexistent/songs"), ACE_ENOINPUT);
	assert_non_null(strstr(ace_message(), "/nonexistent/songs"));
	assert_null(s.song);
}

static void
candidate_is(const struct dataset *d, const char *path, bool upstream, int i, const char *want)
{
	char *got = lyrics_candidate(d, path, upstream, i);

	if (!want)
		assert_null(got);
	else
		assert_string_equal(got, want);
	free(got);
}

static void
lyrics_are_looked_for_by_every_key(void **state)
{
	struct dataset d = { .captions = CAPTION_TEXTFILE };
	const char *song = "/nonexistent/pop/a.b.mp3";

	(void)state;
	candidate_is(&d, song, false, 0, "/nonexistent/pop/a.b.lyrics");
	candidate_is(&d, song, false, 1, NULL);
	candidate_is(&d, song, true, 0, "/nonexistent/pop/a.b_lyrics.txt");
	candidate_is(&d, "a.mp3", false, 0, "./a.lyrics");
	d.captions = CAPTION_FILENAME;
	candidate_is(&d, song, false, 0, NULL);
	d.lyrics_format = (char[]){ "../words/{stem}|{name}|{suffix}|{ext}|{extension}|{parent}.txt" };
	candidate_is(&d, song, false, 0,
	             "/nonexistent/pop/../words/a.b|a.b.mp3|.b.mp3|mp3|mp3|/nonexistent/pop.txt");
	d.lyrics_format = (char[]){ "/all/{filename}.lrc" };
	d.lyrics_suffix = (char[]){ "_words" };
	candidate_is(&d, song, false, 0, "/all/a.b.lrc");
	candidate_is(&d, song, false, 1, "/nonexistent/pop/a.b_words.txt");
	candidate_is(&d, song, false, 2, NULL);
	d.lyrics_extension = (char[]){ ".lrc" };
	candidate_is(&d, song, false, 1, "/nonexistent/pop/a.b_words.lrc");
	candidate_is(&d, song, false, 2, "/nonexistent/pop/a.b.lrc");
	d = (struct dataset){ .lyrics_extension = (char[]){ "lrc" } };
	candidate_is(&d, song, false, 0, "/nonexistent/pop/a.b.lrc");
	candidate_is(&d, song, false, 1, NULL);
}

static void
the_first_lyrics_that_say_something_win(void **state)
{
	struct dataset d = { .lyrics_format = (char[]){ "{stem}.1" },
			     .lyrics_suffix = (char[]){ "_2" },
			     .lyrics_extension = (char[]){ "txt" } };
	char *dir = folder(), *song = file_path("%s/a.mp3", dir);
	struct lyrics_text t;

	(void)state;
	put(dir, "a.1", " \n\xe3\x80\x80\t\n");
	put(dir, "a_2.txt", "\xef\xbb\xbf\r\n one\r\ntwo \r\n");
	assert_ok(lyrics_find(&t, &d, song, false));
	assert_string_equal(t.text, "one\ntwo");
	assert_non_null(strstr(t.path, "a_2.txt"));
	lyrics_text_free(&t);
	put(dir, "a.1", "o\xffn");
	assert_int_equal(lyrics_find(&t, &d, song, false), ACE_EDATA);
	assert_int_equal(t.reason, LYRICS_NOT_UTF8);
	assert_non_null(strstr(ace_message(), "a.1"));
	assert_ok(file_remove_tree(dir));
	free(song);
	free(dir);
}

static void
names_of_the_upstream_converter_are_understood(void **state)
{
	struct dataset d = { .captions = CAPTION_TEXTFILE };
	char *dir = folder(), *song = file_path("%s/a.mp3", dir);
	struct captions c;
	struct lyrics_text t;

	(void)state;
	put(dir, "a_prompt.txt", "rap, hard drums");
	put(dir, "a_lyrics.txt", "words");
	assert_ok(captions_read(&c, &d, song));
	assert_string_equal(c.text[0], "rap, hard drums");
	assert_true(c.upstream);
	assert_ok(lyrics_find(&t, &d, song, c.upstream));
	assert_string_equal(t.text, "words");
	lyrics_text_free(&t);
	captions_free(&c);
	put(dir, "a.txt", "pop");
	assert_ok(captions_read(&c, &d, song));
	assert_string_equal(c.text[0], "pop");
	assert_false(c.upstream);
	captions_free(&c);
	assert_ok(file_remove_tree(dir));
	free(song);
	free(dir);
}

static void
bad_caption_files_are_named_with_the_reason(void **state)
{
	struct dataset d = { .captions = CAPTION_TEXTFILE };
	char *dir = folder(), *song = file_path("%s/a.mp3", dir), *path = file_path("%s/a.txt", dir);
	struct captions c;
	char *big = malloc(3 << 20);

	(void)state;
	assert_int_equal(captions_read(&c, &d, song), ACE_EDATA);
	assert_int_equal(c.reason, CAPTION_MISSING);
	assert_non_null(strstr(ace_message(), "a.txt is missing"));
	put(dir, "a.txt", " \r\n\xef\xbb\xbf");
	assert_int_equal(captions_read(&c, &d, song), ACE_OK);	/* a mark inside is a character */
	captions_free(&c);
	put(dir, "a.txt", "\xef\xbb\xbf \r\n\t");
	assert_int_equal(captions_read(&c, &d, song), ACE_EDATA);
	assert_int_equal(c.reason, CAPTION_EMPTY);
	assert_ok(file_write(path, "r\0o\0c\0k\0", 8));	/* UTF-16 */
	assert_int_equal(captions_read(&c, &d, song), ACE_EDATA);
	assert_int_equal(c.reason, CAPTION_NOT_UTF8);
	memset(big, 'a', 3 << 20);
	assert_ok(file_write(path, big, 3 << 20));
	assert_int_equal(captions_read(&c, &d, song), ACE_EDATA);
	assert_int_equal(c.reason, CAPTION_UNREADABLE);
	assert_int_equal(unlink(path), 0);
	assert_ok(file_mkdirs(path));
	assert_int_equal(captions_read(&c, &d, song), ACE_EDATA);
	assert_int_equal(c.reason, CAPTION_UNREADABLE);
	assert_ok(file_remove_tree(dir));
	free(big);
	free(path);
	free(song);
	free(dir);
}

static void
prompts_come_before_or_instead(void **state)
{
	char *prompts[] = { (char[]){ "in the style of x" }, (char[]){ "x" } };
	struct dataset d = { .captions = CAPTION_FILENAME, .prompt = prompts, .prompts = 1, .prepend_prompt = true };
	struct captions c;

	(void)state;
	assert_ok(captions_read(&c, &d, "/songs/slow_blues.mp3"));
	assert_int_equal(c.n, 1);
	assert_string_equal(c.text[0], "in the style of x slow blues");
	captions_free(&c);
	d.only_prompt = true;
	d.prompts = 2;
	assert_ok(captions_read(&c, &d, "/songs/slow_blues.mp3"));
	assert_int_equal(c.n, 2);
	assert_string_equal(c.text[1], "x");
	captions_free(&c);
	d = (struct dataset){ .captions = CAPTION_PROMPT, .prompt = prompts, .prompts = 1 };
	assert_ok(captions_read(&c, &d, "/nonexistent.mp3"));
	assert_string_equal(c.text[0], "in the style of x");
	captions_free(&c);
}

static void
shuffled_tags_are_the_same_tags(void **state)
{
	char *prompts[] = { (char[]){ "rap,  drums, female , 90 bpm,, dark" }, (char[]){ "one, two" } };
	struct dataset d = { .captions = CAPTION_PROMPT, .prompt = prompts, .prompts = 2,
		.shuffle = { .on = true, .original = false, .count = 3, .first = 1, .separator = ',', .seed = 4 } };
	static const char *const tags[] = { "rap", "drums", "female", "90 bpm", "dark" };
	struct captions c, again;

	(void)state;
	assert_ok(captions_read(&c, &d, "a.mp3"));
	assert_ok(captions_read(&again, &d, "b.mp3"));
	assert_true(c.n >= 3 && c.n <= 4);
	assert_string_equal(c.text[c.n - 1], "one, two");	/* fewer than first + 2: unchanged */
	for (int i = 0; i < c.n - 1; i++) {
		assert_int_equal(strncmp(c.text[i], "rap, ", 5), 0);
		assert_int_equal(strlen(c.text[i]), strlen("rap, drums, female, 90 bpm, dark"));
		for (int t = 0; t < 5; t++)
			assert_non_null(strstr(c.text[i], tags[t]));
		assert_string_equal(c.text[i], again.text[i]);
	}
	captions_free(&again);
	d.shuffle.original = true;
	assert_ok(captions_read(&again, &d, "a.mp3"));
	assert_string_equal(again.text[0], prompts[0]);
	captions_free(&again);
	captions_free(&c);
}

static int
quiet(void **state)
{
	(void)state;
	msg_setup("test", MSG_QUIET, PROGRESS_NONE, 1);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_golden_folder_gives_the_golden_items),
		cmocka_unit_test(captions_of_the_golden_items_are_the_golden_ones),
		cmocka_unit_test(lyrics_of_the_golden_items_are_the_golden_ones),
		cmocka_unit_test(links_never_lead_out_of_the_folder),
		cmocka_unit_test(hidden_and_other_files_are_passed_over),
		cmocka_unit_test(a_missing_folder_is_named),
		cmocka_unit_test(lyrics_are_looked_for_by_every_key),
		cmocka_unit_test(the_first_lyrics_that_say_something_win),
		cmocka_unit_test(names_of_the_upstream_converter_are_understood),
		cmocka_unit_test(bad_caption_files_are_named_with_the_reason),
		cmocka_unit_test(prompts_come_before_or_instead),
		cmocka_unit_test(shuffled_tags_are_the_same_tags),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
