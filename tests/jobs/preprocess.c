/* SPDX-License-Identifier: Apache-2.0 */
/* Preparation as a job: what is kept, done again, refused; stops, kills and full disks. Random tiny models and noise. */
#include "base/file.h"
#include "base/msg.h"
#include "base/stop.h"
#include "data/batch.h"
#include "jobs/init_model.h"
#include "preprocess_bench.h"
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
#include <unistd.h>

enum { SONGS = 5, MORE = 12 };

/* Five songs: one with two captions, two with lyrics, one caption shared. */
static void
fill(struct bench *b)
{
	bench_open(b, "tiny");
	bench_song(b, "a.wav", 1, 0.4, "slow jazz", "[verse]\nrain on the roof\n");
	bench_song(b, "b.wav", 2, 0.5, "fast rock\nloud guitars", NULL);
	bench_song(b, "c.wav", 3, 3.2, "slow jazz", "hold on");
	bench_song(b, "d.wav", 4, 0.4, "solo piano", NULL);
	bench_song(b, "e.wav", 5, 7.4, "drums", NULL);
}

/* Every latent of the store, one behind the other, and the keys. */
struct content {
	float *x;
	int64_t n, items;
	char keys[1000];
};

static struct content
content_of(struct bench *b)
{
	struct content c = { 0 };
	struct latents *s = bench_latents(b);

	c.items = latents_count(s);
	for (int64_t i = 0; i < c.items; i++) {
		const struct latent_item *a = latents_item(s, i);
		int64_t n = a->channels * a->rows * a->frames;
		size_t at = strlen(c.keys);
		c.x = realloc(c.x, (size_t)(c.n + n) * sizeof *c.x);
		assert_non_null(c.x);
		assert_ok(latents_read(s, i, c.x + c.n));
		c.n += n;
		snprintf(c.keys + at, sizeof c.keys - at, "%s %d %d %.3g\n", a->key, a->captions, a->lyrics, a->bucket);
	}
	latents_close(s);
	return c;
}

static void
same_content(struct content a, struct content b)
{
	assert_string_equal(a.keys, b.keys);
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.x, b.x, (size_t)a.n * sizeof *a.x);
	free(a.x);
	free(b.x);
}

static void
a_second_run_changes_nothing(void **state)
{
	struct bench b;
	struct content first;
	int parts;

	(void)state;
	fill(&b);
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, SONGS);
	assert_int_equal(b.r.captions, 5);
	assert_int_equal(b.r.fresh_captions, 6);	/* with the empty one */
	assert_int_equal(b.r.with_lyrics, 2);
	assert_int_equal(b.r.instrumental, 3);
	first = content_of(&b);
	parts = bench_parts(&b);
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh + b.r.updated + b.r.failed, 0);
	assert_int_equal(b.r.kept, SONGS);
	assert_int_equal(b.r.fresh_captions, 0);
	assert_int_equal(b.r.bytes, 0);
	assert_int_equal(b.r.with_lyrics, 2);
	assert_int_equal(bench_parts(&b), parts);
	same_content(first, content_of(&b));
	bench_close(&b);
}

static void
new_words_and_dates_leave_latents_alone(void **state)
{
	struct bench b;
	struct content first, now;
	struct texts *t;
	char key[65];

	(void)state;
	fill(&b);
	bench_run(&b, ACE_OK);
	first = content_of(&b);
	bench_write(&b, "a.txt", "slow jazz, brushes", 18);
	bench_write(&b, "d.lyrics", "now there are words", 19);
	bench_date(&b, "b.wav", 1000);
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.updated, 3);
	assert_int_equal(b.r.kept, SONGS - 3);
	assert_int_equal(b.r.fresh, 0);
	assert_int_equal(b.r.fresh_captions, 1);
	assert_int_equal(b.r.with_lyrics, 3);
	now = content_of(&b);
	assert_int_equal(now.n, first.n);
	assert_memory_equal(now.x, first.x, (size_t)now.n * sizeof *now.x);
	t = bench_texts(&b);
	texts_key("slow jazz, brushes", 18, key);
	assert_true(texts_find(t, key) >= 0);
	texts_close(t);
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.kept, SONGS);
	free(first.x);
	free(now.x);
	bench_close(&b);
}

static void
what_changed_or_went_is_noticed(void **state)
{
	struct latents *s;
	struct bench b;

	(void)state;
	fill(&b);
	bench_run(&b, ACE_OK);
	bench_song(&b, "b.wav", 12, 0.5, NULL, NULL);
	bench_date(&b, "b.wav", 1000);
	bench_remove(&b, "c.wav");
	bench_remove(&b, "d.txt");
	b.job.max_bad = 50;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, 1);
	assert_int_equal(b.r.gone, 1);
	assert_int_equal(b.r.failed, 1);
	assert_string_equal(bench_failure(&b, "d.wav"), "caption_missing");
	s = bench_latents(&b);
	assert_int_equal(latents_count(s), SONGS - 2);
	assert_true(latents_find(s, "c.wav") < 0 && latents_find(s, "d.wav") < 0);
	latents_close(s);
	bench_write(&b, "d.txt", "solo piano", 10);
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, 1);
	assert_string_equal(bench_failure(&b, "d.wav"), "");
	bench_close(&b);
}

static void
another_model_makes_all_of_it_anew(void **state)
{
	struct init_model_job j = { .preset = "tiny", .seed = 4, .dtype = F32, .threads = 1 };
	struct content first, now;
	char other[500];
	struct bench b;

	(void)state;
	fill(&b);
	bench_run(&b, ACE_OK);
	first = content_of(&b);
	snprintf(other, sizeof other, "%s/other", b.dir);
	j.dir = other;
	assert_ok(init_model_write(&j));
	b.job.model = other;
	b.job.override = true;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.kept, SONGS);
	b.job.override = false;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, SONGS);
	assert_int_equal(b.r.fresh_captions, 0);	/* overridden captions were encoded already */
	now = content_of(&b);
	assert_int_equal(now.n, first.n);
	assert_memory_not_equal(now.x, first.x, (size_t)now.n * sizeof *now.x);
	assert_int_equal(bench_parts(&b), 1);		/* the old part is gone */
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.kept, SONGS);
	b.job.latent_dtype = F32;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, SONGS);
	free(first.x);
	free(now.x);
	bench_close(&b);
}

static void
settings_of_the_list_count(void **state)
{
	struct dataset *d;
	struct latents *s;
	struct bench b;

	(void)state;
	fill(&b);
	bench_run(&b, ACE_OK);
	s = bench_latents(&b);
	assert_true(latents_item(s, 4)->bucket == 6 && latents_item(s, 4)->samples == 6 * 48000);	/* 7.4 s */
	assert_true(latents_item(s, 0)->bucket == 0.4 && latents_item(s, 0)->samples == 144000);
	latents_close(s);
	d = &b.list.entry[0];
	d->interval = 7;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, SONGS);
	d->length_mode = LENGTH_PAD;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, SONGS);
	s = bench_latents(&b);
	assert_true(latents_item(s, 4)->bucket == 0);
	assert_int_equal(latents_item(s, 4)->samples, (int64_t)(7.4 * 48000));
	latents_close(s);
	d->max_seconds = 5;		/* clips outside the limits stay: training passes over them */
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.kept, SONGS);
	bench_song(&b, "e.wav", 55, 8, NULL, NULL);
	bench_song(&b, "f.wav", 56, 0.3, "short", NULL);
	d->min_seconds = 0.35;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.skipped, 2);
	assert_int_equal(b.r.failed, 0);
	assert_string_equal(bench_failure(&b, "e.wav"), "too_long");
	assert_string_equal(bench_failure(&b, "f.wav"), "too_short");
	bench_close(&b);
}

static void
training_takes_the_samples_that_were_chosen(void **state)
{
	struct latents *s;
	struct data *d;
	struct bench b;

	(void)state;
	fill(&b);
	b.list.entry[0].max_samples = 3;
	b.job.seed = 77;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, 3);
	s = bench_latents(&b);
	assert_ok(data_open(&d, &(struct data_options){ .list = &b.list, .seed = 77 }));
	assert_int_equal(data_clips(d), 3);
	data_close(d);
	b.list.entry[0].max_samples = -1;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.kept, 3);
	b.list.entry[0].max_samples = 3;
	assert_ok(data_open(&d, &(struct data_options){ .list = &b.list, .seed = 77 }));
	for (int64_t i = 0; i < data_batches_per_epoch(d, 0); i++) {
		struct batch one = { 0 };
		assert_ok(data_batch(d, 0, i, &one));
		for (int64_t k = 0; k < one.B; k++)
			assert_true(latents_find(s, one.name[k]) >= 0);
		batch_free(&one);
	}
	data_close(d);
	latents_close(s);
	bench_close(&b);
}

/* --- shards --- */

static void
copy_bench(const struct bench *from, struct bench *to, const char *out)
{
	*to = *from;
	struct dataset_defaults d = { .output_dir = out };
	assert_ok(dataset_list_folder(&to->list, from->songs, &d));
	to->job.list = &to->list;
}

/* All bytes of the one part of a store. */
static char *
part_bytes(const char *folder, const char *prefix, size_t *size)
{
	DIR *d = opendir(folder);
	char *data = NULL;
	struct dirent *e;
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0 && strstr(e->d_name, ".h5")) {
			char *path = file_path("%s/%s", folder, e->d_name);
			n++;
			if (n == 1)
				assert_ok(file_read(path, 64 << 20, &data, size));
			free(path);
		}
	closedir(d);
	assert_int_equal(n, 1);
	return data;
}

static void
merged_stores_do_not_depend_on_the_number_of_shards(void **state)
{
	struct bench b, part[2];
	char *bytes[2][2];
	size_t size[2][2];

	(void)state;
	fill(&b);
	bench_write(&b, "bad.wav", "words", 5);
	bench_write(&b, "bad.txt", "words", 5);
	b.job.max_bad = 100;
	bench_run(&b, ACE_OK);
	for (int k = 0; k < 2; k++) {
		char *out = file_path("%s/out%d", b.dir, k);
		copy_bench(&b, &part[k], out);
		part[k].job.shards = 2 + k;
		for (int i = 1 + k; i >= 0; i--) {
			part[k].job.shard = i;
			bench_run(&part[k], ACE_OK);
		}
		part[k].job.what = PREPROCESS_MERGE;
		bench_run(&part[k], ACE_OK);
		bytes[k][0] = part_bytes(part[k].list.entry[0].store, "latents-0", &size[k][0]);
		bytes[k][1] = part_bytes(part[k].list.entry[1].store, "text-0", &size[k][1]);
		assert_string_equal(bench_failure(&part[k], "bad.wav"), "not_audio");
		same_content(content_of(&b), content_of(&part[k]));
		free(out);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(size[0][i], size[1][i]);
		assert_memory_equal(bytes[0][i], bytes[1][i], size[0][i]);
		free(bytes[0][i]);
		free(bytes[1][i]);
	}
	/* a shard that is finished has nothing to do */
	part[1].job.what = PREPROCESS_ALL;
	part[1].job.shard = 1;
	bench_run(&part[1], ACE_OK);
	assert_int_equal(part[1].r.fresh + part[1].r.updated + part[1].r.fresh_captions, 0);
	dataset_list_free(&part[0].list);
	dataset_list_free(&part[1].list);
	bench_close(&b);
}

/* --- what is wrong --- */

static void
bad_songs_are_named_and_counted(void **state)
{
	struct bench b;
	char *wav;
	size_t size;

	(void)state;
	fill(&b);
	char *path = file_path("%s/c.wav", b.songs);
	assert_ok(file_read(path, 4 << 20, &wav, &size));
	free(path);
	bench_write(&b, "half.wav", wav, size / 2);
	bench_write(&b, "head.wav", wav, 40);
	bench_write(&b, "empty.wav", "", 0);
	bench_write(&b, "words.mp3", "only words\n", 11);
	bench_write(&b, "latin.lyrics", "d\xe9j\xe0", 4);
	bench_song(&b, "latin.wav", 21, 0.4, "x", NULL);
	bench_song(&b, "caption.wav", 22, 0.4, "caf\xe9", NULL);
	bench_song(&b, "none.wav", 23, 0.4, NULL, NULL);
	bench_song(&b, "tiny.wav", 24, 0.01, "too little to be heard", NULL);
	bench_song(&b, "bad\x01name.wav", 25, 0.4, "x", NULL);
	for (int i = 0; i < 4; i++) {
		static const char *const names[] = { "half.txt", "head.txt", "empty.txt", "words.txt" };
		bench_write(&b, names[i], "x", 1);
	}
	bench_run(&b, ACE_EDATA);
	assert_non_null(strstr(ace_message(), "max_bad=10%"));
	assert_non_null(strstr(ace_message(), "failures.jsonl"));
	assert_int_equal(b.r.fresh, SONGS + 1);		/* half a file gives what is there */
	assert_int_equal(b.r.failed, 7);
	assert_int_equal(b.r.skipped, 1);
	assert_int_equal(b.r.short_data, 1);
	assert_string_equal(bench_failure(&b, "head.wav"), "decode_failed");
	assert_string_equal(bench_failure(&b, "empty.wav"), "empty_file");
	assert_string_equal(bench_failure(&b, "words.mp3"), "not_audio");
	assert_string_equal(bench_failure(&b, "latin.wav"), "lyrics_not_utf8");
	assert_string_equal(bench_failure(&b, "caption.wav"), "caption_not_utf8");
	assert_string_equal(bench_failure(&b, "none.wav"), "caption_missing");
	assert_string_equal(bench_failure(&b, "tiny.wav"), "silent");
	assert_string_equal(bench_failure(&b, "?"), "bad_name");
	b.job.max_bad_percent = false;
	b.job.max_bad = 7;
	bench_run(&b, ACE_OK);
	b.job.max_bad = 6;
	bench_run(&b, ACE_EDATA);
	b.job.what = PREPROCESS_CHECK;
	bench_run(&b, ACE_EDATA);		/* sound is not decoded: only 4 are known to be bad, and are not in the stores */
	assert_int_equal(b.r.failed, 4);
	free(wav);
	bench_close(&b);
}

/* Japanese without a dictionary is the one language whose lines cannot be read. */
static void
lines_that_cannot_be_read_are_counted_or_refused(void **state)
{
	static const char lyrics[] = "hello\nこんにちは、さくら\nworld\n";
	struct bench b;

	(void)state;
	assert_int_equal(unsetenv("ACE_UNIDIC"), 0);
	bench_open(&b, "tiny");
	bench_song(&b, "a.wav", 1, 0.4, "x", lyrics);
	bench_song(&b, "b.wav", 2, 0.4, "x", "hello");
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.lyric_skipped, 1);
	assert_int_equal(b.r.with_lyrics, 2);
	assert_true(b.r.tokens > 0);
	b.job.whole_lyrics = true;
	bench_write(&b, "a.lyrics", lyrics + 1, sizeof lyrics - 2);
	bench_run(&b, ACE_EDATA);
	assert_string_equal(bench_failure(&b, "a.wav"), "lyrics_unreadable_line");
	bench_close(&b);
}

static int
mask_of(struct latents *s, const char *key)
{
	int64_t i = latents_find(s, key);
	const struct latent_item *a = latents_item(s, i);
	int32_t *id = calloc((size_t)a->lyrics, sizeof *id);
	uint8_t *mask = calloc((size_t)a->lyrics, 1);
	int first;

	assert_ok(latents_read_lyrics(s, i, id, mask));
	first = mask[0];
	for (int64_t k = 0; k < a->lyrics; k++)
		assert_int_equal(mask[k], first);
	assert_true(a->lyrics > 1 || id[0] == 0);
	free(id);
	free(mask);
	return first;
}

static void
lyrics_per_song_mask_instrumentals_otherwise_and_refuse_unknown_languages(void **state)
{
	static const char thai[] = "สวัสดีครับ ฉันรักเธอ\nสวัสดีครับ ฉันรักเธอ";
	struct latents *s;
	struct bench b;

	(void)state;
	bench_open(&b, "tiny");
	bench_song(&b, "a.wav", 1, 0.4, "x", "the kettle hums a tune that nobody wrote down");
	bench_song(&b, "b.wav", 2, 0.4, "x", NULL);
	bench_song(&b, "c.wav", 3, 0.4, "x", "write a slow song that genre is blues");
	bench_song(&b, "d.wav", 4, 0.4, "x", thai);
	for (int song = 0; song < 2; song++) {
		b.job.per_song = song;
		b.job.max_bad_percent = false;
		b.job.max_bad = song;
		bench_run(&b, ACE_OK);
		/* the other variant makes lyrics again, and no latent */
		assert_int_equal(b.r.fresh, song ? 0 : 4);
		assert_int_equal(b.r.updated, song ? 3 : 0);
		assert_int_equal(b.r.failed, song);
		assert_int_equal(b.r.with_lyrics, song ? 1 : 2);
		assert_int_equal(b.r.unknown_songs, song ? 0 : 1);	/* Thai, as English */
		s = bench_latents(&b);
		assert_int_equal(mask_of(s, "a.wav"), 1);
		assert_int_equal(mask_of(s, "b.wav"), song);
		assert_int_equal(mask_of(s, "c.wav"), song);
		assert_int_equal(latents_find(s, "d.wav") >= 0, !song);
		latents_close(s);
	}
	assert_string_equal(bench_failure(&b, "d.wav"), "lyrics_language");
	bench_close(&b);
}

static void
missing_inputs_are_named(void **state)
{
	char vocab[500];
	struct bench b;

	(void)state;
	bench_open(&b, "tiny");
	bench_run(&b, ACE_ENOINPUT);
	assert_non_null(strstr(ace_message(), "no sound files"));
	bench_song(&b, "a.wav", 1, 0.4, "x", "words");
	snprintf(vocab, sizeof vocab, "%s/lyric_vocab.json", b.model);
	assert_int_equal(unlink(vocab), 0);
	bench_run(&b, ACE_ENOINPUT);
	assert_non_null(strstr(ace_message(), "lyric_vocab=PATH"));
	bench_remove(&b, "a.lyrics");
	bench_run(&b, ACE_OK);			/* without lyrics it is not wanted */
	snprintf(b.model, sizeof b.model, "%s/nowhere", b.dir);
	bench_run(&b, ACE_ENOINPUT);
	assert_non_null(strstr(ace_message(), "nowhere"));
	assert_ok(file_remove_tree(b.songs));
	bench_run(&b, ACE_ENOINPUT);
	assert_non_null(strstr(ace_message(), b.songs));
	bench_close(&b);
}

static void
looking_only_writes_nothing(void **state)
{
	char *out;
	struct bench b;

	(void)state;
	fill(&b);
	out = file_path("%s/out", b.dir);
	b.job.what = PREPROCESS_CHECK;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.files, SONGS);
	b.job.what = PREPROCESS_DRY_RUN;
	bench_run(&b, ACE_OK);
	assert_true(b.r.need > 0 && b.r.free_bytes > 0);
	assert_false(file_exists(out));
	free(out);
	bench_close(&b);
}

static void
the_estimate_of_the_disk_holds(void **state)
{
	int64_t need;
	struct bench b;

	(void)state;
	fill(&b);
	bench_run(&b, ACE_OK);
	need = b.r.need;
	assert_true(b.r.bytes <= need && b.r.bytes > need / 4);
	bench_close(&b);
}

static void
a_disk_that_is_too_small_is_noticed_before(void **state)
{
	struct dataset *d;
	struct bench b;

	(void)state;
	if (file_free_bytes("/proc") != 0)
		skip();
	fill(&b);
	d = &b.list.entry[0];
	free(d->store);
	d->store = file_path("/proc/latents");	/* no file system has less room */
	bench_run(&b, ACE_EIO);
	assert_non_null(strstr(ace_message(), "0 B free"));
	assert_non_null(strstr(ace_message(), "cache_dir=FOLDER"));
	bench_close(&b);
}

/* --- stops, full disks, forbidden folders: in a process of its own --- */

enum { FULL = 1, FORBIDDEN = 2 };

/* What the new process does: the job of the folder dir, sealing every n songs. Its exit status is the job's. */
static int
job_of(const char *dir, int seal_every, int limits)
{
	struct rlimit l = { 60000, 60000 };
	struct bench b = { 0 };

	signal(SIGXFSZ, SIG_IGN);
	stop_setup(100);
	if ((limits & FULL && setrlimit(RLIMIT_FSIZE, &l) != 0) ||
	    (limits & FORBIDDEN && geteuid() == 0 && seteuid(65534) != 0))
		return 99;
	bench_again(&b, dir);
	b.job.seal_every = seal_every;
	int status = (int)preprocess_run(&b.job, &b.r);
	bench_leave(&b);
	return status;
}

static pid_t
start_job(const struct bench *b, int seal_every, int limits)
{
	char every[12], which[12];
	pid_t child = fork();

	if (child == 0) {
		snprintf(every, sizeof every, "%d", seal_every);
		snprintf(which, sizeof which, "%d", limits);
		execl("/proc/self/exe", "preprocess", b->dir, every, which, (char *)NULL);
		_exit(98);
	}
	return child;
}

static enum status
run_in_child(const struct bench *b, int seal_every, int limits)
{
	int status;

	assert_true(waitpid(start_job(b, seal_every, limits), &status, 0) > 0);
	assert_true(WIFEXITED(status));
	return (enum status)WEXITSTATUS(status);
}

static void
a_full_disk_keeps_what_was_sealed(void **state)
{
	struct latents *s;
	struct bench b;

	(void)state;
	fill(&b);
	bench_song(&b, "z.wav", 26, 24, "long", NULL);	/* its part is larger than the limit */
	assert_int_equal(run_in_child(&b, 1, FULL), ACE_EIO);
	s = bench_latents(&b);
	assert_int_equal(latents_count(s), SONGS);
	latents_close(s);
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, 1);
	assert_int_equal(b.r.kept, SONGS);
	bench_close(&b);
}

static void
a_folder_that_cannot_be_written_is_named(void **state)
{
	struct bench b;

	(void)state;
	fill(&b);
	assert_int_equal(chmod(b.dir, 0555), 0);
	assert_int_equal(run_in_child(&b, 0, FORBIDDEN), ACE_ECREATE);
	assert_int_equal(chmod(b.dir, 0755), 0);
	bench_close(&b);
}

/* The job, asked to stop once a part is there -> how it ended. */
static enum status
stop_midway(struct bench *b)
{
	pid_t child = start_job(b, 2, 0), ended = 0;
	int status;

	while (bench_parts(b) == 0 && (ended = waitpid(child, &status, WNOHANG)) == 0)
		usleep(2000);
	if (ended == 0) {
		assert_int_equal(kill(child, SIGTERM), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	assert_true(WIFEXITED(status));
	return (enum status)WEXITSTATUS(status);
}

static void
a_request_to_stop_is_heeded_between_songs(void **state)
{
	struct content whole;
	struct latents *s;
	struct bench b;
	enum status st = ACE_OK;

	(void)state;
	fill(&b);
	for (int i = 0; i < MORE; i++) {
		char name[16];
		snprintf(name, sizeof name, "x%02d.wav", i);
		bench_song(&b, name, 30 + i, 3, "more", NULL);
	}
	for (int i = 0; i < 20 && st == ACE_OK; i++) {		/* a busy machine may let it end before it is asked */
		assert_true(i == 0 || file_remove_tree(b.list.entry[0].store) == ACE_OK);
		st = stop_midway(&b);
	}
	assert_int_equal(st, ACE_ESTOPPED);
	s = bench_latents(&b);
	assert_in_range(latents_count(s), 2, SONGS + MORE - 1);
	print_message("# stopped after %lld of %d songs\n", (long long)latents_count(s), SONGS + MORE);
	latents_close(s);
	bench_run(&b, ACE_OK);
	assert_true(b.r.kept >= 2);
	assert_int_equal(b.r.kept + b.r.fresh, SONGS + MORE);
	whole = content_of(&b);
	assert_ok(file_remove_tree(b.list.entry[0].store));
	bench_run(&b, ACE_OK);
	same_content(whole, content_of(&b));		/* stopped or not, the same numbers */
	bench_close(&b);
}

static void
a_minute_takes_a_fifth_of_a_megabyte(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, "tiny");
	bench_song(&b, "a.wav", 1, 60, "slow jazz", "[verse]\nrain on the roof\nI count the stops along the train\n");
	bench_run(&b, ACE_OK);
	print_message("# a clip of %.0f s takes %lld bytes, its captions included\n", b.r.seconds, (long long)b.r.bytes);
	assert_true(b.r.seconds >= 59.9);
	assert_true(b.r.bytes <= 200000);
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.kept, 1);
	struct latents *s = bench_latents(&b);
	assert_true(latents_bytes(s) <= 200000);
	latents_close(s);
	bench_close(&b);
}

static void
shares_and_shards_are_read_strictly(void **state)
{
	static const char *const bad[] = { "", "-1", "x", "10%%", "101%", "1e999", "nan" };
	static const char *const off[] = { "", "0/2", "3/2", "1", "1/2x", "1/0", "-1/2", "1/100000" };
	double most;
	bool percent;
	int i, n;

	(void)state;
	assert_ok(preprocess_max_bad("12.5%", &most, &percent));
	assert_true(most == 12.5 && percent);
	assert_ok(preprocess_max_bad("3", &most, &percent));
	assert_true(most == 3 && !percent);
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
		assert_int_equal(preprocess_max_bad(bad[k], &most, &percent), ACE_EUSAGE);
	assert_ok(preprocess_shard("2/8", &i, &n));
	assert_int_equal(i, 1);
	assert_int_equal(n, 8);
	for (size_t k = 0; k < sizeof off / sizeof *off; k++)
		assert_int_equal(preprocess_shard(off[k], &i, &n), ACE_EUSAGE);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_run_changes_nothing),
		cmocka_unit_test(new_words_and_dates_leave_latents_alone),
		cmocka_unit_test(what_changed_or_went_is_noticed),
		cmocka_unit_test(another_model_makes_all_of_it_anew),
		cmocka_unit_test(settings_of_the_list_count),
		cmocka_unit_test(training_takes_the_samples_that_were_chosen),
		cmocka_unit_test(merged_stores_do_not_depend_on_the_number_of_shards),
		cmocka_unit_test(bad_songs_are_named_and_counted),
		cmocka_unit_test(lines_that_cannot_be_read_are_counted_or_refused),
		cmocka_unit_test(lyrics_per_song_mask_instrumentals_otherwise_and_refuse_unknown_languages),
		cmocka_unit_test(missing_inputs_are_named),
		cmocka_unit_test(looking_only_writes_nothing),
		cmocka_unit_test(the_estimate_of_the_disk_holds),
		cmocka_unit_test(a_disk_that_is_too_small_is_noticed_before),
		cmocka_unit_test(a_full_disk_keeps_what_was_sealed),
		cmocka_unit_test(a_folder_that_cannot_be_written_is_named),
		cmocka_unit_test(a_request_to_stop_is_heeded_between_songs),
		cmocka_unit_test(a_minute_takes_a_fifth_of_a_megabyte),
		cmocka_unit_test(shares_and_shards_are_read_strictly),
	};

	if (argc == 4)
		_exit(job_of(argv[1], atoi(argv[2]), atoi(argv[3])));	/* no looking for leaks as another user */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
