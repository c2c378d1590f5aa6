/* SPDX-License-Identifier: Apache-2.0 */
#include "store/latents.h"

#include "base/file.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHANNELS = 8, ROWS = 16, LYRICS = 7 };

static struct facts
made_with(const char *model)
{
	struct facts f = { 0 };

	facts_set(&f, "autoencoder", true, "%s", model);
	facts_set(&f, "product", false, "test");
	return f;
}

static int64_t
frames_of(int i)
{
	return 33 + i % 5 * 7;
}

/* Clip i as version v of it: all a function of the two. */
static void
numbers(int i, int v, float *x)
{
	rng_normal_fill(rng_stream((uint64_t)v, RNG_TEST, 0, (uint64_t)i), x, CHANNELS * ROWS * frames_of(i));
}

static void
key_of(int i, char key[32])
{
	snprintf(key, 32, "folder/clip_%05d.wav", i);
}

static void
put(struct latents_writer *w, int i, int v)
{
	float *x = malloc((size_t)(CHANNELS * ROWS * frames_of(i)) * sizeof *x);
	char key[32], caption[2][65];
	int32_t id[LYRICS];
	struct latent_item a = { .key = key, .source = "/songs/somewhere", .source_size = 1000 + i, .source_mtime = 17,
		                 .samples = 144000, .real_samples = 100, .channels = CHANNELS, .rows = ROWS,
		                 .frames = frames_of(i), .seconds = 3.25, .bucket = 3, .captions = i % 3, .lyrics = 1 + i % LYRICS,
		                 .lyric_lines = 4, .lyric_skipped = 1, .lyric_unknown = i };

	key_of(i, key);
	for (int c = 0; c < 2; c++)
		snprintf(caption[c], 65, "%032d%032d", i, c);
	a.caption = (const char (*)[65])caption;
	snprintf(a.source_sha256, 65, "%064d", v);
	for (int k = 0; k < LYRICS; k++)
		id[k] = 100 * i + k;
	numbers(i, v, x);
	assert_ok(latents_put(w, &a, x, id, i % 2));
	free(x);
}

/* Fails unless item k of the store is clip i, version v, bit for bit. */
static void
is_clip(struct latents *s, int64_t k, int i, int v, enum dtype t)
{
	int64_t n = CHANNELS * ROWS * frames_of(i);
	float *x = malloc((size_t)n * sizeof *x), *want = malloc((size_t)n * sizeof *want);
	const struct latent_item *a = latents_item(s, k);
	char key[32], caption[65];
	int32_t id[LYRICS];
	uint8_t mask[LYRICS];

	key_of(i, key);
	assert_string_equal(a->key, key);
	assert_int_equal(a->frames, frames_of(i));
	assert_int_equal(a->source_size, 1000 + i);
	assert_int_equal(a->captions, i % 3);
	for (int c = 0; c < a->captions; c++) {
		snprintf(caption, 65, "%032d%032d", i, c);
		assert_string_equal(a->caption[c], caption);
	}
	assert_ok(latents_read(s, k, x));
	numbers(i, v, want);
	for (int64_t j = 0; j < n; j++)
		if (t == BF16)
			want[j] = bf16_to_f32(f32_to_bf16(want[j]));
	assert_memory_equal(x, want, (size_t)n * sizeof *x);
	assert_int_equal(a->lyrics, 1 + i % LYRICS);
	assert_ok(latents_read_lyrics(s, k, id, mask));
	for (int j = 0; j < a->lyrics; j++) {
		assert_int_equal(id[j], 100 * i + j);
		assert_int_equal(mask[j], i % 2);
	}
	free(x);
	free(want);
}

/* Clips from ... to - 1 by one writer. */
static void
write_clips(const char *dir, int rank, int from, int to, int step, int v, enum dtype t)
{
	struct facts f = made_with("a");
	struct latents_writer *w;

	assert_ok(latents_writer_open(&w, dir, rank, t, &f));
	for (int i = from; i < to; i += step)
		put(w, i, v);
	assert_ok(latents_seal(w));
	assert_int_equal(latents_sealed(w), (to - from + step - 1) / step);
	latents_writer_close(w);
}

static struct latents *
open_store(const char *dir, bool verify)
{
	struct latents_options o = { .verify = verify };
	struct latents *s;

	assert_ok(latents_open(&s, dir, &o));
	return s;
}

/* The n-th part file of a folder, by name. */
static char *
part_path(const char *dir, int n)
{
	struct dirent **e;
	int all = scandir(dir, &e, NULL, alphasort);
	char *path = NULL;

	for (int i = 0; i < all; i++) {
		if (strncmp(e[i]->d_name, "latents-0", 9) == 0 && n-- == 0)
			path = file_path("%s/%s", dir, e[i]->d_name);
		free(e[i]);
	}
	free(e);
	return path;
}

static void
what_is_written_is_read(void **state)
{
	static const enum dtype types[] = { BF16, F32 };

	(void)state;
	for (int t = 0; t < 2; t++) {
		const char *dir = golden_tmp();
		struct latents *s;
		write_clips(dir, 3, 0, 150, 1, 1, types[t]);
		s = open_store(dir, true);
		assert_int_equal(latents_count(s), 150);
		assert_int_equal(latents_parts(s), 3);	/* 64, 64, 22 */
		for (int i = 149; i >= 0; i--)
			is_clip(s, i, i, 1, types[t]);
		assert_int_equal(latents_find(s, "folder/clip_00149.wav"), 149);
		assert_int_equal(latents_find(s, "folder/clip_00150.wav"), -1);
		assert_string_equal(facts_get(latents_facts(s, 5), "latent_dtype"), t ? "f32" : "bf16");
		latents_close(s);
		assert_ok(file_remove_tree(dir));
	}
}

static void
nothing_there_is_an_empty_store(void **state)
{
	struct latents *s = open_store("/nonexistent/nowhere", false);

	(void)state;
	assert_int_equal(latents_count(s), 0);
	latents_close(s);
}

static void
a_later_item_replaces_and_a_drop_forgets(void **state)
{
	const char *dir = golden_tmp();
	struct facts f = made_with("a");
	struct latents_writer *w;
	struct latents *s;
	int removed;

	(void)state;
	write_clips(dir, 5, 0, 10, 1, 1, BF16);
	write_clips(dir, 0, 3, 5, 1, 2, BF16);	/* a lower rank, a later run */
	assert_ok(latents_writer_open(&w, dir, 7, BF16, &f));
	assert_ok(latents_drop(w, "folder/clip_00009.wav"));
	assert_ok(latents_seal(w));
	latents_writer_close(w);
	s = open_store(dir, false);
	assert_int_equal(latents_count(s), 9);
	for (int i = 0; i < 9; i++)
		is_clip(s, i, i, i == 3 || i == 4 ? 2 : 1, BF16);
	latents_close(s);
	assert_ok(latents_sweep(dir, &removed));
	assert_int_equal(removed, 0);	/* the drop still hides an item of the first part */
	for (int i = 0; i < 9; i++)
		write_clips(dir, 1, i, i + 1, 1, 3, BF16);
	assert_ok(latents_sweep(dir, &removed));
	assert_int_equal(removed, 3);
	s = open_store(dir, false);
	assert_int_equal(latents_count(s), 9);
	latents_close(s);
	assert_ok(file_remove_tree(dir));
}

static void
an_index_changes_nothing(void **state)
{
	const char *dir = golden_tmp();
	char *index = file_path("%s/latents-index.h5", dir), *part;
	struct latents *s;

	(void)state;
	write_clips(dir, 0, 0, 70, 1, 1, BF16);
	assert_ok(latents_index(dir));
	assert_true(file_exists(index));
	write_clips(dir, 1, 60, 80, 1, 2, BF16);	/* unknown to the index */
	for (int pass = 0; pass < 3; pass++) {
		s = open_store(dir, false);
		assert_int_equal(latents_count(s), 80);
		for (int i = 0; i < 80; i++)
			is_clip(s, i, i, i < 60 ? 1 : 2, BF16);
		latents_close(s);
		if (pass == 0)
			assert_ok(latents_index(dir));
		else
			assert_ok(file_write(index, "no HDF5 file at all", 19));
	}
	part = part_path(dir, 0);
	assert_int_equal(unlink(part), 0);	/* a part that is gone takes its items along, whatever the index says */
	s = open_store(dir, false);
	assert_int_equal(latents_count(s), 20);
	latents_close(s);
	free(part);
	free(index);
	assert_ok(file_remove_tree(dir));
}

static void
a_truncated_part_costs_its_own_items_only(void **state)
{
	const char *dir = golden_tmp();
	char *part, *aside;
	struct latents *s;

	(void)state;
	write_clips(dir, 0, 0, 130, 1, 1, BF16);
	part = part_path(dir, 1);
	aside = file_path("%s.damaged", part);
	assert_int_equal(truncate(part, file_size(part) / 2), 0);
	s = open_store(dir, false);
	assert_int_equal(latents_count(s), 66);
	assert_int_equal(latents_damaged(s), 1);
	latents_close(s);
	s = open_store(dir, true);	/* its writer sets it aside */
	assert_int_equal(latents_damaged(s), 1);
	latents_close(s);
	assert_false(file_exists(part));
	assert_true(file_exists(aside));
	write_clips(dir, 0, 64, 128, 1, 1, BF16);
	s = open_store(dir, true);
	assert_int_equal(latents_damaged(s), 0);
	assert_int_equal(latents_count(s), 130);
	for (int i = 0; i < 130; i++)
		is_clip(s, i, i, 1, BF16);
	latents_close(s);
	free(part);
	free(aside);
	assert_ok(file_remove_tree(dir));
}

static void
a_part_can_be_looked_at_by_itself(void **state)
{
	const char *dir = golden_tmp();
	struct latents *s;
	char *part, *other;

	(void)state;
	write_clips(dir, 0, 0, 130, 1, 1, BF16);
	part = part_path(dir, 1);
	s = open_store(part, false);
	assert_int_equal(latents_count(s), 64);
	for (int i = 0; i < 64; i++)
		is_clip(s, i, 64 + i, 1, BF16);
	latents_close(s);
	assert_int_equal(truncate(part, 1000), 0);
	s = open_store(part, false);
	assert_int_equal(latents_count(s), 0);
	assert_int_equal(latents_damaged(s), 1);
	assert_non_null(strstr(latents_damage(s, 0), part));
	latents_close(s);
	other = file_path("%s/other.h5", dir);
	assert_int_equal(rename(part, other), 0);
	assert_int_equal(latents_open(&s, other, NULL), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "latents-RRRR-NNNNNN.h5"));
	free(part);
	free(other);
	assert_ok(file_remove_tree(dir));
}

/* Any byte of a part may be changed: the part, or the clip, is refused, or what is read is right. */
static void
a_changed_byte_is_noticed_or_harmless(void **state)
{
	const char *dir = golden_tmp();
	struct rng r = rng_stream(7, RNG_TEST, 0, 0);
	int64_t size;
	size_t n;
	int noticed = 0, tries = 300;
	char *part, *data;

	(void)state;
	write_clips(dir, 0, 0, 3, 1, 1, BF16);
	part = part_path(dir, 0);
	assert_ok(file_read(part, 1 << 26, &data, &n));
	size = (int64_t)n;
	for (int t = 0; t < tries; t++) {
		size_t at = (size_t)rng_below(r, 2 * (uint64_t)t, (uint64_t)size);
		struct latents *s;
		data[at] = (char)(data[at] ^ (1 << rng_below(r, 2 * (uint64_t)t + 1, 8)));
		assert_ok(file_write(part, data, n));
		s = open_store(dir, false);
		noticed += latents_damaged(s);
		for (int64_t i = 0; i < latents_count(s); i++) {
			const struct latent_item *a = latents_item(s, i);
			float *x = malloc((size_t)(a->channels * a->rows * a->frames) * sizeof *x);
			uint8_t mask[LYRICS];
			int32_t id[LYRICS];
			int number = -1;
			assert_true(a->lyrics <= LYRICS);
			if (latents_read(s, i, x) != ACE_OK || latents_read_lyrics(s, i, id, mask) != ACE_OK)
				noticed++;
			else if (sscanf(a->key, "folder/clip_%d.wav", &number) == 1)
				is_clip(s, i, number, 1, BF16);
			free(x);
		}
		latents_close(s);
		assert_ok(file_write(part, data, n));
		data[at] = (char)(data[at] ^ (1 << rng_below(r, 2 * (uint64_t)t + 1, 8)));
	}
	assert_true(noticed > tries / 2);
	free(part);
	free(data);
	assert_ok(file_remove_tree(dir));
}

static void
a_foreign_store_is_refused_naming_both(void **state)
{
	struct facts here = made_with("other");
	struct latents_options o = { .want = &here };
	const char *dir = golden_tmp();
	struct latents *s;
	int removed;

	(void)state;
	write_clips(dir, 0, 0, 4, 1, 1, BF16);
	assert_int_equal(latents_open(&s, dir, &o), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), dir));
	assert_non_null(strstr(ace_message(), "autoencoder a"));
	assert_non_null(strstr(ace_message(), "other"));
	o.override = true;
	assert_ok(latents_open(&s, dir, &o));
	assert_int_equal(latents_count(s), 4);
	assert_true(latents_stale(s, 0));
	latents_close(s);
	here = made_with("a");
	facts_set(&here, "latent_dtype", true, "f32");
	o.override = false;
	assert_int_equal(latents_open(&s, dir, &o), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "latent_dtype bf16"));
	write_clips(dir, 0, 0, 4, 1, 1, F32);	/* all made anew: the old parts are not in use any more */
	assert_ok(latents_open(&s, dir, &o));
	latents_close(s);
	assert_ok(latents_sweep(dir, &removed));
	assert_int_equal(removed, 1);
	assert_ok(file_remove_tree(dir));
}

/* Into the next second, which files must not keep. */
static void
wait_for_a_second(void)
{
	const struct timespec pause = { 1, 100 * 1000 * 1000 };

	nanosleep(&pause, NULL);
}

static void
merging_gives_the_same_bytes_however_the_work_was_shared(void **state)
{
	const char *dirs[2];
	char *data[2];
	size_t size[2];

	(void)state;
	for (int d = 0; d < 2; d++) {
		char name[300], *part;
		int64_t before, after;
		struct latents *s;
		snprintf(name, sizeof name, "%s", golden_tmp());
		dirs[d] = strdup(name);
		if (d == 0) {
			write_clips(name, 0, 0, 100, 1, 1, BF16);
		} else {
			wait_for_a_second();
			for (int r = 2; r >= 0; r--)
				write_clips(name, r, r, 100, 3, 1, BF16);
			write_clips(name, 4, 20, 30, 1, 2, BF16);
			write_clips(name, 4, 20, 30, 1, 1, BF16);
		}
		assert_ok(latents_merge(name, &before, &after));
		assert_int_equal(before, d == 0 ? 2 : 5);
		assert_int_equal(after, 1);
		s = open_store(name, true);
		assert_int_equal(latents_count(s), 100);
		for (int i = 0; i < 100; i++)
			is_clip(s, i, i, 1, BF16);
		latents_close(s);
		part = part_path(name, 0);
		assert_ok(file_read(part, 1 << 28, &data[d], &size[d]));
		free(part);
	}
	assert_int_equal(size[0], size[1]);
	assert_memory_equal(data[0], data[1], size[0]);
	for (int d = 0; d < 2; d++) {
		free(data[d]);
		assert_ok(file_remove_tree(dirs[d]));
		free((char *)dirs[d]);
	}
}

static void
one_writer_a_rank(void **state)
{
	struct facts f = made_with("a");
	const char *dir = golden_tmp();
	struct latents_writer *w, *other;
	int64_t before, after;

	(void)state;
	assert_ok(latents_writer_open(&w, dir, 2, BF16, &f));
	assert_int_equal(latents_writer_open(&other, dir, 2, BF16, &f), ACE_ECONFIG);
	assert_int_equal(latents_merge(dir, &before, &after), ACE_ECONFIG);
	assert_ok(latents_writer_open(&other, dir, 3, BF16, &f));
	latents_writer_close(other);
	latents_writer_close(w);
	assert_ok(file_remove_tree(dir));
}

static void
a_minute_of_music_takes_a_fifth_of_a_megabyte(void **state)
{
	struct facts f = made_with("a");
	const char *dir = golden_tmp();
	struct latent_item a = { .key = "a.wav", .source = "a.wav", .channels = 8, .rows = 16, .frames = 646, .lyrics = 400 };
	float *x = calloc((size_t)(8 * 16 * 646), sizeof *x);
	int32_t id[400] = { 0 };
	struct latents_writer *w;

	(void)state;
	assert_ok(latents_writer_open(&w, dir, 0, BF16, &f));
	assert_ok(latents_put(w, &a, x, id, 1));
	assert_ok(latents_seal(w));
	print_message("# a 60 s clip takes %lld bytes\n", (long long)latents_written(w));
	assert_true(latents_written(w) <= 200000);
	latents_writer_close(w);
	free(x);
	assert_ok(file_remove_tree(dir));
}

/* In a child: write clips for ever, saying after each how many are done. */
static void
write_until_killed(const char *dir, int from, int fd)
{
	struct facts f = made_with("a");
	struct latents_writer *w;

	if (latents_writer_open(&w, dir, 0, BF16, &f) != ACE_OK)
		_exit(1);
	for (int i = from;; i++) {
		int64_t done;
		put(w, i, 1);
		if (i % 9 == 8 && latents_seal(w) != ACE_OK)
			_exit(1);
		done = from + latents_sealed(w);
		if (write(fd, &done, sizeof done) != sizeof done)
			_exit(1);
	}
}

static void
a_kill_loses_nothing_that_was_reported_done(void **state)
{
	const char *dir = golden_tmp();
	int kills = test_rounds("ACE_KILLS", 5);
	int64_t done = 0, found = 0;

	(void)state;
	for (int k = 0; k < kills; k++) {
		struct latents *s;
		int fd[2], status;
		pid_t child;
		assert_int_equal(pipe(fd), 0);
		child = fork();
		if (child == 0) {
			close(fd[0]);
			write_until_killed(dir, (int)found, fd[1]);
		}
		close(fd[1]);
		while (k == 0 && done == 0)	/* the first lives until something is done, however busy the machine */
			assert_int_equal(read(fd[0], &done, sizeof done), sizeof done);
		usleep((useconds_t)(5000 + rng_below(rng_stream(11, RNG_TEST, 0, 0), (uint64_t)k, 60000)));
		kill(child, SIGKILL);
		while (read(fd[0], &done, sizeof done) == sizeof done)
			;
		close(fd[0]);
		waitpid(child, &status, 0);
		assert_true(WIFSIGNALED(status));
		s = open_store(dir, true);
		assert_int_equal(latents_damaged(s), 0);
		found = latents_count(s);
		assert_true(found >= done);
		for (int64_t i = 0; i < found; i++)
			is_clip(s, i, (int)i, 1, BF16);
		latents_close(s);
	}
	assert_true(found > 0);
	print_message("# %d kills, %lld clips done, none lost\n", kills, (long long)found);
	assert_ok(file_remove_tree(dir));
}

/* In a child, whose limits are its own: the status of writing some clips. */
static enum status
write_with_limit(const char *dir, bool full, bool forbidden)
{
	struct facts f = made_with("a");
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct rlimit l = { 4096, 4096 };
		struct latents_writer *w;
		enum status st;
		signal(SIGXFSZ, SIG_IGN);
		if ((full && setrlimit(RLIMIT_FSIZE, &l) != 0) || (forbidden && geteuid() == 0 && seteuid(65534) != 0))
			_exit(99);
		st = latents_writer_open(&w, dir, 1, BF16, &f);
		for (int i = 0; st == ACE_OK && i < 3; i++)
			put(w, 500 + i, 1);
		if (st == ACE_OK)
			st = latents_seal(w);
		_exit((int)st);
	}
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
	return (enum status)WEXITSTATUS(status);
}

static void
a_full_disk_leaves_nothing_half_written(void **state)
{
	const char *dir = golden_tmp();
	struct latents *s;
	struct dirent *e;
	DIR *d;

	(void)state;
	write_clips(dir, 0, 0, 5, 1, 1, BF16);
	assert_int_equal(write_with_limit(dir, true, false), ACE_EIO);
	d = opendir(dir);
	while ((e = readdir(d)))
		assert_int_not_equal(strncmp(e->d_name, "latents-0001", 12), 0);
	closedir(d);
	s = open_store(dir, true);
	assert_int_equal(latents_count(s), 5);
	latents_close(s);
	assert_ok(file_remove_tree(dir));
}

static void
an_output_that_cannot_be_written_is_said_so(void **state)
{
	const char *dir = golden_tmp();
	char *below = file_path("%s/below", dir), *file = file_path("%s/file", dir);

	(void)state;
	assert_int_equal(chmod(dir, 0555), 0);
	assert_int_equal(write_with_limit(below, false, true), ACE_ECREATE);
	assert_int_equal(write_with_limit(dir, false, true), ACE_ECREATE);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_ok(file_write(file, "x", 1));
	assert_int_equal(write_with_limit(file, false, false), ACE_ECREATE);
	free(below);
	free(file);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(nothing_there_is_an_empty_store),
		cmocka_unit_test(a_later_item_replaces_and_a_drop_forgets),
		cmocka_unit_test(an_index_changes_nothing),
		cmocka_unit_test(a_truncated_part_costs_its_own_items_only),
		cmocka_unit_test(a_part_can_be_looked_at_by_itself),
		cmocka_unit_test(a_changed_byte_is_noticed_or_harmless),
		cmocka_unit_test(a_foreign_store_is_refused_naming_both),
		cmocka_unit_test(merging_gives_the_same_bytes_however_the_work_was_shared),
		cmocka_unit_test(one_writer_a_rank),
		cmocka_unit_test(a_minute_of_music_takes_a_fifth_of_a_megabyte),
		cmocka_unit_test(a_kill_loses_nothing_that_was_reported_done),
		cmocka_unit_test(a_full_disk_leaves_nothing_half_written),
		cmocka_unit_test(an_output_that_cannot_be_written_is_said_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
