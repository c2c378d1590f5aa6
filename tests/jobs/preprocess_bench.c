/* SPDX-License-Identifier: Apache-2.0 */
#include "preprocess_bench.h"

#include "audio/write.h"
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "jobs/init_model.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
bench_open(struct bench *b, const char *preset)
{
	const char *dir = golden_tmp();
	char *songs = file_path("%s/songs", dir);

	assert_ok(file_mkdirs(songs));
	free(songs);
	bench_again(b, dir);
	if (*preset) {
		struct init_model_job j = { .preset = preset, .dir = b->model, .seed = 3, .dtype = F32, .threads = 1 };
		assert_ok(init_model_write(&j));
	}
}

void
bench_again(struct bench *b, const char *dir)
{
	*b = (struct bench){ .dir = file_path("%s", dir) };
	b->songs = file_path("%s/songs", b->dir);
	msg_setup("test", MSG_QUIET, PROGRESS_NONE, 1e9);
	snprintf(b->model, sizeof b->model, "%s/model", b->dir);
	char *out = file_path("%s/out", b->dir);
	struct dataset_defaults d = { .output_dir = out };
	assert_ok(dataset_list_folder(&b->list, b->songs, &d));
	free(out);
	b->job = (struct preprocess_job){ .list = &b->list,
					  .model = b->model,
					  .model_name = "tiny",
					  .device = DEV_CPU,
					  .threads = 1,
					  .latent_dtype = BF16,
					  .text_tokens = 256,
					  .lyric_tokens = 4096,
					  .max_bad = 10,
					  .max_bad_percent = true };
}

void
bench_leave(struct bench *b)
{
	dataset_list_free(&b->list);
	free(b->songs);
	free(b->dir);
}

void
bench_close(struct bench *b)
{
	assert_ok(file_remove_tree(b->dir));
	bench_leave(b);
}

void
bench_write(struct bench *b, const char *name, const void *data, size_t size)
{
	char *path = file_path("%s/%s", b->songs, name);

	assert_ok(file_write(path, data, size));
	free(path);
}

void
bench_remove(struct bench *b, const char *name)
{
	char *path = file_path("%s/%s", b->songs, name);

	assert_int_equal(unlink(path), 0);
	free(path);
}

void
bench_song(struct bench *b, const char *name, int number, double seconds, const char *caption, const char *lyrics)
{
	int64_t n = (int64_t)(seconds * 44100);
	float *x = malloc(2 * (size_t)n * sizeof *x);
	char *path = file_path("%s/%s", b->songs, name), side[300];
	int stem = (int)(strrchr(name, '.') - name);

	assert_non_null(x);
	rng_normal_fill(rng_stream(17, RNG_TEST, 0, (uint64_t)number), x, 2 * n);
	for (int64_t i = 0; i < 2 * n; i++)
		x[i] *= 0.1f;
	assert_ok(audio_write(path, x, 2, n, 44100, AUDIO_PCM16));
	free(path);
	free(x);
	snprintf(side, sizeof side, "%.*s.txt", stem, name);
	if (caption)
		bench_write(b, side, caption, strlen(caption));
	snprintf(side, sizeof side, "%.*s.lyrics", stem, name);
	if (lyrics)
		bench_write(b, side, lyrics, strlen(lyrics));
}

void
bench_date(struct bench *b, const char *name, int64_t seconds)
{
	const struct timespec t[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };
	char *path = file_path("%s/%s", b->songs, name);

	assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
	free(path);
}

void
bench_run(struct bench *b, enum status want)
{
	enum status st = preprocess_run(&b->job, &b->r);

	if (st != want)
		fail_msg("status %d, wanted %d: %s", st, want, ace_message());
}

struct latents *
bench_latents(struct bench *b)
{
	struct latents *s;

	assert_ok(latents_open(&s, b->list.entry[0].store, &(struct latents_options){ .verify = true }));
	assert_int_equal(latents_damaged(s), 0);
	return s;
}

struct texts *
bench_texts(struct bench *b)
{
	struct texts *s;

	assert_ok(texts_open(&s, dataset_texts(&b->list, &b->list.entry[0])->store,
			     &(struct texts_options){ .verify = true }));
	assert_int_equal(texts_damaged(s), 0);
	return s;
}

const char *
bench_failure(struct bench *b, const char *key)
{
	static char code[64];
	char *path = file_path("%s/failures.jsonl", b->list.entry[0].store), *text, *save = NULL;
	size_t size;

	*code = 0;
	if (file_exists(path)) {
		assert_ok(file_read(path, 1 << 20, &text, &size));
		for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			cJSON *o;
			assert_ok(json_parse(line, strlen(line), path, &o));
			if (strcmp(cJSON_GetObjectItemCaseSensitive(o, "path")->valuestring, key) == 0) {
				assert_true(strlen(cJSON_GetObjectItemCaseSensitive(o, "reason")->valuestring) > 0);
				snprintf(code, sizeof code, "%s", cJSON_GetObjectItemCaseSensitive(o, "code")->valuestring);
			}
			cJSON_Delete(o);
		}
		free(text);
	}
	free(path);
	return code;
}

int
bench_parts(struct bench *b)
{
	DIR *d = opendir(b->list.entry[0].store);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += strncmp(e->d_name, "latents-0", 9) == 0;
	if (d)
		closedir(d);
	return n;
}
