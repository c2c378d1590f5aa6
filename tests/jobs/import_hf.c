/* SPDX-License-Identifier: Apache-2.0 */
/* Sets in every layout become the songs that are expected of them */
#include "support/arrow.h"
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "base/sha256.h"
#include "jobs/import_hf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[300];

static int
enter(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	return file_remove_tree(dir) != ACE_OK;
}

/* --- what an import wrote --- */

struct items {
	cJSON **line;
	int n;
	char folder[600];
};

static const char *
text_at(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

/* Lines of DST/index.jsonl of one split. */
static void
read_items(struct items *x, const char *folder, const char *split)
{
	char path[700], *text, *next;
	size_t size;

	*x = (struct items){ .line = calloc(100000, sizeof *x->line) };
	assert_non_null(x->line);
	snprintf(x->folder, sizeof x->folder, "%s", folder);
	snprintf(path, sizeof path, "%s/index.jsonl", folder);
	assert_ok(file_read(path, 64u << 20, &text, &size));
	for (char *p = text; *p; p = next) {
		size_t n = strcspn(p, "\n");
		cJSON *line;
		next = p + n + (p[n] == '\n');
		assert_ok(json_parse(p, n, path, &line));
		if (text_at(line, "split") && strcmp(text_at(line, "split"), split) == 0 && x->n < 100000)
			x->line[x->n++] = line;
		else
			cJSON_Delete(line);
	}
	free(text);
}

static void
free_items(struct items *x)
{
	for (int i = 0; i < x->n; i++)
		cJSON_Delete(x->line[i]);
	free(x->line);
}

static char *
beside(const struct items *x, int i, const char *end, bool must)
{
	const char *file = text_at(x->line[i], "file"), *dot = strrchr(file, '.');
	char path[1500], *text = NULL;
	size_t size;

	snprintf(path, sizeof path, "%s/%.*s%s", x->folder, (int)(dot - file), file, end);
	if (must || file_exists(path))
		assert_ok(file_read(path, 1u << 24, &text, &size));
	return text;
}

static void
same(const char *got, const char *want)
{
	if (!want)
		assert_null(got);
	else {
		assert_non_null(got);
		assert_string_equal(got, want);
	}
}

static void
check_sound(const struct items *x, int i, const char *sha256)
{
	char path[1200], hex[65];

	snprintf(path, sizeof path, "%s/%s", x->folder, text_at(x->line[i], "file"));
	assert_ok(sha256_file(path, hex));
	assert_string_equal(hex, sha256);
	assert_true(file_size(path) == (int64_t)cJSON_GetObjectItemCaseSensitive(x->line[i], "bytes")->valuedouble);
}

/* The .txt holds the captions, the .lyrics the lyrics when there are any. */
static void
check_texts(const struct items *x, int i, const char *lyrics)
{
	const cJSON *captions = cJSON_GetObjectItemCaseSensitive(x->line[i], "captions"), *c;
	char *txt = beside(x, i, ".txt", true), *words = beside(x, i, ".lyrics", lyrics && *lyrics), *at = txt;

	cJSON_ArrayForEach(c, captions) {
		size_t n = strlen(c->valuestring);
		assert_memory_equal(at, c->valuestring, n);
		assert_int_equal(at[n], '\n');
		at += n + 1;
	}
	assert_int_equal(*at, 0);
	if (lyrics && *lyrics)
		assert_string_equal(words, lyrics);
	else
		assert_null(words);
	free(txt);
	free(words);
}

static void
import(const char *source, const char *root, const char *to, const char *splits)
{
	struct import_job job = { .source = source, .folder = to, .audio_root = root, .splits = splits };
	struct import_report r;

	assert_ok(import_hf_run(&job, &r));
	assert_int_equal(r.failed, 0);
	assert_int_equal(r.kept, 0);
	assert_int_equal(r.fresh, r.rows);
	assert_ok(import_hf_run(&job, &r));		/* once more: nothing is done again */
	assert_int_equal(r.fresh, 0);
	assert_int_equal(r.kept, r.rows);
}

/* --- sets saved to disk --- */

/* sha256 of a song that is named by its file or its key ("song_a" is audio/song_a.wav). */
static const char *
sound_of(const cJSON *expected, const cJSON *row)
{
	const char *named = text_at(row, "audio"), *key = text_at(row, "key"), *given = text_at(row, "bytes_sha256");
	const cJSON *a;

	if (given)
		return given;
	cJSON_ArrayForEach(a, cJSON_GetObjectItemCaseSensitive(expected, "audio")) {
		const char *file = text_at(a, "file"), *name = strrchr(file, '/') + 1;
		if (named ? strcmp(file, named) == 0 : strncmp(name, key, strlen(key)) == 0 && name[strlen(key)] == '.')
			return text_at(a, "sha256");
	}
	fail_msg("no sound of %s", key);
	return NULL;
}

/* Tags as they make up a caption. */
static void
join(const cJSON *tags, char *text, size_t size)
{
	const cJSON *t;
	size_t at = 0;

	*text = 0;
	cJSON_ArrayForEach(t, tags)
		at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "", t->valuestring);
	if (at == 0)
		snprintf(text, size, "music");
}

static void
check_saved_row(const cJSON *expected, const cJSON *want, const struct items *x, int i)
{
	const cJSON *captions = cJSON_GetObjectItemCaseSensitive(x->line[i], "captions"), *c;
	const cJSON *duration = cJSON_GetObjectItemCaseSensitive(want, "duration");
	const char *prompt = text_at(want, "prompt_from_tags");
	char joined[4000];
	int k = 1;

	if (text_at(want, "prompt"))
		prompt = text_at(want, "prompt");
	if (!prompt) {
		join(cJSON_GetObjectItemCaseSensitive(want, "tags"), joined, sizeof joined);
		prompt = joined;
	}
	same(text_at(x->line[i], "key"), text_at(want, "key"));
	same(cJSON_GetArrayItem(captions, 0)->valuestring, prompt);
	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(want, "recaptions"))
		same(cJSON_GetArrayItem(captions, k++)->valuestring, c->valuestring);
	assert_int_equal(cJSON_GetArraySize(captions), k);
	same(text_at(x->line[i], "lyrics"), text_at(want, "lyrics"));
	if (duration)
		assert_true(cJSON_GetObjectItemCaseSensitive(x->line[i], "seconds")->valuedouble == duration->valuedouble);
	if (text_at(want, "path"))
		same(text_at(x->line[i], "inside"), text_at(want, "path"));
	check_sound(x, i, sound_of(expected, want));
	check_texts(x, i, text_at(want, "lyrics"));
}

static void
check_keys(const cJSON *keys, const struct items *x)
{
	assert_int_equal(x->n, cJSON_GetArraySize(keys));
	for (int i = 0; i < x->n; i++) {
		same(text_at(x->line[i], "key"), cJSON_GetArrayItem(keys, i)->valuestring);
		assert_int_equal(cJSON_GetObjectItemCaseSensitive(x->line[i], "row")->valueint, i);
	}
}

/* The set's own folder holds the songs, unless they are in it. */
static void
check_saved(const cJSON *expected, const cJSON *set)
{
	const cJSON *rows = cJSON_GetObjectItemCaseSensitive(set, "rows"), *keys = cJSON_GetObjectItemCaseSensitive(set, "keys"), *s;
	char source[700], root[700], to[700];
	struct items x;

	snprintf(source, sizeof source, "%s", golden_path("hf-saved", set->string));
	snprintf(root, sizeof root, "%s", golden_set("hf-saved"));
	snprintf(to, sizeof to, "%s/%s", dir, set->string);
	import(source, root, to, NULL);
	cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(set, "splits")) {
		read_items(&x, to, s->string);
		check_keys(s, &x);
		free_items(&x);
	}
	if (!rows && !keys)
		return;
	read_items(&x, to, "train");
	if (keys)
		check_keys(keys, &x);
	if (rows)
		assert_int_equal(x.n, cJSON_GetArraySize(rows));
	for (int i = 0; rows && i < x.n; i++)
		check_saved_row(expected, cJSON_GetArrayItem(rows, i), &x, i);
	free_items(&x);
}

static void
sets_saved_to_disk_become_songs(void **state)
{
	(void)state;
	need_arrow();
	cJSON *e = golden_json("hf-saved", "expected.json"), *set;
	char home[1000];

	(void)golden_path("hf-saved", "audio");		/* the committed cut has no sound */
	assert_non_null(getcwd(home, sizeof home));
	assert_int_equal(chdir(golden_set("hf-saved")), 0);	/* whose files the rows name */
	cJSON_ArrayForEach(set, cJSON_GetObjectItemCaseSensitive(e, "datasets"))
		check_saved(e, set);
	assert_int_equal(chdir(home), 0);
	cJSON_Delete(e);
}

/* --- repositories --- */

static void
check_parquet_row(const cJSON *want, const struct items *x, int i)
{
	const cJSON *captions = cJSON_GetObjectItemCaseSensitive(x->line[i], "captions");
	const char *caption = text_at(want, "caption") ? text_at(want, "caption") : text_at(want, "prompt");
	const char *file = text_at(want, "file_name"), *lyrics = text_at(want, "lyrics"), *got = text_at(x->line[i], "lyrics");
	const cJSON *duration = cJSON_GetObjectItemCaseSensitive(want, "duration");

	assert_int_equal(cJSON_GetArraySize(captions), 1);
	same(cJSON_GetArrayItem(captions, 0)->valuestring, caption);
	if (lyrics && *lyrics)
		same(got, lyrics);
	else
		assert_true(!got || !*got);	/* a table of commas has no null */
	if (text_at(want, "path"))
		same(text_at(x->line[i], "inside"), text_at(want, "path"));
	if (text_at(want, "key"))
		same(text_at(x->line[i], "key"), text_at(want, "key"));
	if (duration)
		assert_true(cJSON_GetObjectItemCaseSensitive(x->line[i], "seconds")->valuedouble == duration->valuedouble);
	if (file)
		assert_non_null(strstr(text_at(x->line[i], "audio"), file));
	if (text_at(want, "audio_ext"))
		same(strrchr(text_at(x->line[i], "file"), '.') + 1, text_at(want, "audio_ext"));
	check_sound(x, i, text_at(want, "bytes_sha256"));
	check_texts(x, i, lyrics);
}

/* splits: {name: rows}, in the order of the rows; NULL: all are of train. */
static void
check_repository(const char *source, const char *to, const cJSON *splits, const cJSON *rows)
{
	const cJSON *s;
	struct items x;
	int at = 0;

	import(source, NULL, to, NULL);
	if (!splits) {
		read_items(&x, to, "train");
		assert_int_equal(x.n, cJSON_GetArraySize(rows));
		for (int i = 0; i < x.n; i++)
			check_parquet_row(cJSON_GetArrayItem(rows, i), &x, i);
		free_items(&x);
		return;
	}
	cJSON_ArrayForEach(s, splits) {
		read_items(&x, to, s->string);
		assert_int_equal(x.n, s->valueint);
		for (int i = 0; i < x.n; i++)
			check_parquet_row(cJSON_GetArrayItem(rows, at++), &x, i);
		free_items(&x);
	}
	assert_int_equal(at, cJSON_GetArraySize(rows));
}

static bool
has_sounds(const cJSON *rows)
{
	return text_at(cJSON_GetArrayItem(rows, 0), "bytes_sha256") != NULL;
}

static void
check_repositories(bool tables)
{
	cJSON *e = golden_json("hf-parquet", "expected.json"), *repo;
	int done = 0;

	cJSON_ArrayForEach(repo, cJSON_GetObjectItemCaseSensitive(e, "repos")) {
		const cJSON *rows = cJSON_GetObjectItemCaseSensitive(repo, "rows");
		char source[700], to[700];
		bool plain = strncmp(repo->string, "folder-", 7) == 0 || strncmp(repo->string, "tar-", 4) == 0;
		if (plain != tables || (rows && !has_sounds(rows)))
			continue;
		rows = rows ? rows : cJSON_GetObjectItemCaseSensitive(e, "rows");
		snprintf(source, sizeof source, "%s", golden_path("hf-parquet", repo->string));
		snprintf(to, sizeof to, "%s/%s", dir, repo->string);
		check_repository(source, to, cJSON_GetObjectItemCaseSensitive(repo, "splits"), rows);
		done++;
	}
	cJSON_Delete(e);
	if (done == 0) {
		print_message("# SKIP the committed cut of fixture set hf-parquet has none of them\n");
		skip();
	}
}

static void
repositories_of_parquet_become_songs(void **state)
{
	(void)state;
	need_arrow();
	check_repositories(false);
}

static void
songs_with_tables_and_tar_shards_become_songs(void **state)
{
	(void)state;
	check_repositories(true);
}

static void
a_set_of_the_hub_cache_is_found_by_its_name(void **state)
{
	(void)state;
	need_arrow();
	cJSON *e = golden_json("hf-parquet", "expected.json"), *h = cJSON_GetObjectItemCaseSensitive(e, "hub_cache");
	const cJSON *like = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(e, "repos"), text_at(h, "same_rows_as"));
	char to[700];

	setenv("HF_HUB_CACHE", golden_path("hf-parquet", text_at(h, "root")), 1);
	snprintf(to, sizeof to, "%s/hub", dir);
	check_repository(text_at(h, "repo"), to, cJSON_GetObjectItemCaseSensitive(like, "splits"),
	                 cJSON_GetObjectItemCaseSensitive(e, "rows"));
	unsetenv("HF_HUB_CACHE");
	cJSON_Delete(e);
}

/* Rows of a set whose songs are not there: what they say is read all the same. */
static void
rows_without_their_songs_are_read_and_named(void **state)
{
	(void)state;
	need_arrow();
	cJSON *e = golden_json("hf-parquet", "expected.json"), *repo;

	cJSON_ArrayForEach(repo, cJSON_GetObjectItemCaseSensitive(e, "repos")) {
		const cJSON *rows = cJSON_GetObjectItemCaseSensitive(repo, "rows"), *want;
		const struct hf_columns usual = { 0 };
		struct hf_repo r;
		struct hf_rows *at;
		struct hf_row row;
		bool more;
		if (!rows || has_sounds(rows))
			continue;
		assert_ok(hf_repo_open(&r, golden_path("hf-parquet", repo->string), NULL, NULL));
		assert_ok(hf_rows_open(&at, &r, hf_repo_split(&r, "train"), NULL));
		cJSON_ArrayForEach(want, rows) {
			const cJSON *recaption = cJSON_GetObjectItemCaseSensitive(want, "recaption"), *c;
			struct hf_song s;
			char joined[1000];
			int k = 1;
			assert_ok(hf_rows_next(at, &row, &more));
			assert_true(more);
			assert_ok(hf_song_read(&s, &r, &row, &usual));
			same(s.name, text_at(want, "filename"));
			same(s.lyrics, text_at(want, "norm_lyrics"));
			join(cJSON_GetObjectItemCaseSensitive(want, "tags"), joined, sizeof joined);
			same(s.caption[0], joined);
			cJSON_ArrayForEach(c, recaption)
				if (cJSON_IsString(c) && *c->valuestring)
					same(s.caption[k++], c->valuestring);
			assert_int_equal(s.captions, k);
			same(s.code, "audio_missing");
			hf_song_free(&s);
		}
		assert_ok(hf_rows_next(at, &row, &more));
		assert_false(more);
		hf_rows_close(at);
		hf_repo_close(&r);
	}
	cJSON_Delete(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_saved_to_disk_become_songs),
		cmocka_unit_test(repositories_of_parquet_become_songs),
		cmocka_unit_test(songs_with_tables_and_tar_shards_become_songs),
		cmocka_unit_test(a_set_of_the_hub_cache_is_found_by_its_name),
		cmocka_unit_test(rows_without_their_songs_are_read_and_named),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
