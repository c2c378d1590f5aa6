/* SPDX-License-Identifier: Apache-2.0 */
/* ace-preprocess --check: what it finds where stores and songs differ, and that the next run does that anew and no more. */
#include "base/file.h"
#include "jobs/init_model.h"
#include "preprocess_bench.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SONGS = 4 };

static char said[4000];

static void
fill(struct bench *b)
{
	bench_open(b, "tiny");
	bench_song(b, "a.wav", 1, 0.4, "slow jazz", "[verse]\nrain on the roof\n");
	bench_song(b, "b.wav", 2, 0.5, "fast rock", NULL);
	bench_song(b, "c.wav", 3, 0.6, "slow jazz", "hold on");
	bench_song(b, "d.wav", 4, 0.4, "solo piano", NULL);
}

/* --check must end so, with that many lines on the output. */
static void
check(struct bench *b, enum status want, int lines)
{
	enum preprocess_what what = b->job.what;
	int n = 0;

	memset(said, 0, sizeof said);
	b->job.what = PREPROCESS_CHECK;
	b->job.out = fmemopen(said, sizeof said, "w");
	bench_run(b, want);
	fclose(b->job.out);
	b->job.out = NULL;
	b->job.what = what;
	for (const char *p = said; *p; p++)
		n += *p == '\n';
	if (n != lines || b->r.findings != lines)
		fail_msg("%d lines, %d findings, wanted %d:\n%s", n, (int)b->r.findings, lines, said);
}

/* Some line names the one and says the other. */
static void
line_says(const char *name, const char *text)
{
	for (char *line = said, *end; (end = strchr(line, '\n')); line = end + 1) {
		bool found;
		*end = 0;
		found = strstr(line, name) && strstr(line, text);
		*end = '\n';
		if (found)
			return;
	}
	fail_msg("no line with %s and %s in:\n%s", name, text, said);
}

static void
stores_that_fit_are_said_to(void **state)
{
	struct bench b;

	(void)state;
	fill(&b);
	check(&b, ACE_OK, 0);		/* nothing is there yet */
	bench_run(&b, ACE_OK);
	check(&b, ACE_OK, 0);
	bench_song(&b, "b.wav", 2, 0.5, NULL, NULL);	/* another date, the same bytes */
	check(&b, ACE_OK, 0);
	b.job.model = NULL;
	check(&b, ACE_OK, 0);
	bench_close(&b);
}

static void
every_difference_has_its_line_and_is_done_anew(void **state)
{
	struct bench b;

	(void)state;
	fill(&b);
	bench_run(&b, ACE_OK);
	bench_song(&b, "a.wav", 7, 0.4, NULL, NULL);		/* as long, other bytes */
	bench_song(&b, "b.wav", 2, 0.7, NULL, NULL);
	bench_write(&b, "c.txt", "slow jazz, live", 15);
	bench_remove(&b, "d.wav");
	bench_song(&b, "e.wav", 5, 0.4, "drums", NULL);
	check(&b, ACE_EDATA, 7);
	line_says("a.wav", "the same size, other bytes");
	line_says("b.wav", "bytes, encoded from");
	line_says("c.wav", "captions have changed");
	line_says("d.wav", "no such song");
	line_says("e.wav", "not in the store");
	line_says("slow jazz, live", "not in the store");
	line_says("drums", "not in the store");
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, 3);
	assert_int_equal(b.r.updated, 1);
	assert_int_equal(b.r.kept, 0);
	assert_int_equal(b.r.gone, 1);
	check(&b, ACE_OK, 0);
	bench_write(&b, "c.lyrics", "let go", 6);
	check(&b, ACE_EDATA, 1);
	line_says("c.wav", "lyrics have changed");
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.updated, 1);
	assert_int_equal(b.r.kept, 3);
	bench_close(&b);
}

static void
a_store_of_another_model_is_found(void **state)
{
	struct bench b;
	char *other;

	(void)state;
	fill(&b);
	bench_run(&b, ACE_OK);
	other = file_path("%s/other", b.dir);
	assert_ok(init_model_write(&(struct init_model_job){ .preset = "tiny", .dir = other, .seed = 9, .dtype = F32, .threads = 1 }));
	b.job.model = other;
	check(&b, ACE_EDATA, SONGS + 4);	/* three captions and the empty one */
	line_says("a.wav", "autoencoder");
	line_says("caption \"solo piano\"", "another encoder");
	b.job.model = b.model;
	check(&b, ACE_OK, 0);
	free(other);
	bench_close(&b);
}

/* Change one byte in the middle of the data of a file, keeping its size. */
static void
spoil(const char *folder, const char *name, double where)
{
	char *path = file_path("%s/%s", folder, name), *data;
	size_t size;

	assert_ok(file_read(path, 1 << 24, &data, &size));
	data[(size_t)((double)size * where)] ^= 0x40;
	assert_ok(file_write(path, data, size));
	free(data);
	free(path);
}

static void
damaged_parts_are_found_and_their_clips_done_anew(void **state)
{
	struct bench b;
	const char *store;
	char *path;

	(void)state;
	fill(&b);
	b.job.seal_every = 1;		/* a part for each clip */
	bench_run(&b, ACE_OK);
	store = b.list.entry[0].store;
	path = file_path("%s/latents-0000-000001.h5", store);
	assert_ok(file_write(path, "no HDF5 file", 12));
	check(&b, ACE_EDATA, 2);
	line_says("latents-0000-000001.h5", "damaged");
	line_says("b.wav", "not in the store");
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, 1);
	assert_int_equal(b.r.kept, SONGS - 1);
	check(&b, ACE_OK, 0);
	free(path);
	bench_close(&b);
}

/* Somewhere in a part's numbers: whatever byte it is, either it does not matter or the clip has a line. */
static void
a_changed_number_is_found_by_reading_all(void **state)
{
	struct bench b;
	int found = 0;

	(void)state;
	fill(&b);
	b.job.seal_every = 2;
	bench_run(&b, ACE_OK);
	for (int i = 0; i < 12; i++) {
		const char *store = b.list.entry[0].store;
		double where = (i + 0.5) / 12;
		spoil(store, "latents-0000-000001.h5", where);
		b.job.what = PREPROCESS_CHECK;
		found += preprocess_run(&b.job, &b.r) == ACE_EDATA && b.r.findings > 0;
		spoil(store, "latents-0000-000001.h5", where);
	}
	assert_true(found > 4);
	b.job.what = PREPROCESS_ALL;
	spoil(b.list.entry[0].store, "latents-0000-000001.h5", 0.6);
	check(&b, ACE_EDATA, 1);
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.kept, SONGS);	/* nobody has looked */
	b.job.verify = true;
	bench_run(&b, ACE_OK);
	assert_int_equal(b.r.fresh, 1);
	assert_int_equal(b.r.kept, SONGS - 1);
	check(&b, ACE_OK, 0);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stores_that_fit_are_said_to),
		cmocka_unit_test(every_difference_has_its_line_and_is_done_anew),
		cmocka_unit_test(a_store_of_another_model_is_found),
		cmocka_unit_test(damaged_parts_are_found_and_their_clips_done_anew),
		cmocka_unit_test(a_changed_number_is_found_by_reading_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
