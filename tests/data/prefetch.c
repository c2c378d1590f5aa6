/* SPDX-License-Identifier: Apache-2.0 */
#include "data/prefetch.h"

#include "base/file.h"
#include "lists.h"
#include "support/golden.h"
#include "support/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLIPS = 17 };

struct place {
	char dir[300];
	struct dataset_list list;
	struct data_options o;
};

static void
setup(struct place *p)
{
	struct stores_options s = lists_stores(CLIPS);

	snprintf(p->dir, sizeof p->dir, "%s", golden_tmp());
	free(stores_make(p->dir, &s));
	p->list = lists_one(p->dir);
	p->o = (struct data_options){ .list = &p->list, .seed = 3, .speaker = 4 };
}

static struct data *
open_data(const struct place *p)
{
	struct data *d;

	assert_ok(data_open(&d, &p->o));
	return d;
}

static void
cleanup(struct place *p)
{
	lists_free(&p->list);
	assert_ok(file_remove_tree(p->dir));
}

static int
threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	if (!d)
		skip();
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* A joined thread may be in the list a little longer. */
static void
threads_become(int n)
{
	const struct timespec pause = { 0, 1000 * 1000 };

	for (int i = 0; i < 120000 && threads() != n; i++)
		nanosleep(&pause, NULL);
	assert_int_equal(threads(), n);
}

/* Rank r of k sees batch from + r, then each k-th one, or none; the bits are those of data_batch. from: where other ranks stopped. */
static void
any_number_of_ranks_sees_the_same_batches(void **state)
{
	struct batch want = { 0 };
	struct place p;
	struct data *whole;

	(void)state;
	setup(&p);
	whole = open_data(&p);
	for (int k = 1; k <= 9; k += 2) {
		for (int r = 0; r < k; r++) {
			int64_t from = k / 2;
			struct data *d = open_data(&p);
			struct prefetch *f;
			assert_ok(prefetch_open(&f, d, 0, from, r, k));
			for (int64_t epoch = 0; epoch < 3; epoch++, from = 0) {
				int64_t all = data_batches_per_epoch(whole, epoch), turns = (all - from + k - 1) / k;
				for (int64_t n = from + r; n < from + turns * k; n += k) {
					const struct batch *b;
					double waited;
					assert_ok(prefetch_next(f, &b, &waited));
					assert_true(waited >= 0);
					assert_int_equal(b->epoch, epoch);
					assert_int_equal(b->number, n);
					if (n >= all) {
						assert_int_equal(b->B, 0);
						continue;
					}
					assert_ok(data_batch(whole, epoch, n, &want));
					lists_same_batch(b, &want);
				}
			}
			prefetch_close(f);
			data_close(d);
		}
	}
	batch_free(&want);
	data_close(whole);
	cleanup(&p);
}

static void
going_on_from_a_batch_equals_not_stopping(void **state)
{
	struct batch want = { 0 };
	struct place p;
	struct data *whole;
	int64_t all;

	(void)state;
	setup(&p);
	whole = open_data(&p);
	all = data_batches_per_epoch(whole, 0);
	for (int64_t from = 0; from <= 2 * all; from++) {	/* the end of an epoch as well */
		struct data *d = open_data(&p);
		struct prefetch *f;
		assert_ok(prefetch_open(&f, d, from > all, from > all ? from - all : from, 0, 1));
		for (int64_t n = from; n < 2 * all + 2; n++) {
			const struct batch *b;
			assert_ok(prefetch_next(f, &b, NULL));
			assert_ok(data_batch(whole, n / all, n % all, &want));
			lists_same_batch(b, &want);
		}
		prefetch_close(f);
		data_close(d);
	}
	batch_free(&want);
	data_close(whole);
	cleanup(&p);
}

static void
a_batch_stays_until_the_next_call(void **state)
{
	const struct timespec pause = { 0, 20 * 1000 * 1000 };
	struct place p;
	struct prefetch *f;
	struct data *d;

	(void)state;
	setup(&p);
	d = open_data(&p);
	assert_ok(prefetch_open(&f, d, 0, 0, 0, 1));
	for (int i = 0; i < 3 * PREFETCH_RING; i++) {
		const struct batch *b;
		uint64_t id;
		float x;
		assert_ok(prefetch_next(f, &b, NULL));
		id = b->sample_id[0];
		x = b->latents[0];
		nanosleep(&pause, NULL);	/* the thread fills what is free meanwhile */
		assert_true(id == b->sample_id[0] && x == b->latents[0]);
		assert_int_equal(b->epoch * data_batches_per_epoch(d, 0) + b->number, i);
	}
	prefetch_close(f);
	data_close(d);
	cleanup(&p);
}

static void
closing_ends_the_thread_wherever_it_is(void **state)
{
	struct place p;
	struct data *d;
	int before;

	(void)state;
	setup(&p);
	d = open_data(&p);
	before = threads();
	for (int i = 0; i < 40; i++) {
		struct timespec pause = { 0, i % 8 * 100 * 1000 };
		struct prefetch *f;
		const struct batch *b;
		assert_ok(prefetch_open(&f, d, i, i % 5, i % 3, 1 + i % 3));
		threads_become(before + 1);
		for (int k = 0; k < i % 7; k++)
			assert_ok(prefetch_next(f, &b, NULL));
		nanosleep(&pause, NULL);
		prefetch_close(f);
		threads_become(before);
	}
	prefetch_close(NULL);
	data_close(d);
	cleanup(&p);
}

/* Change bytes in the middle of every part of a folder. */
static void
spoil(const char *folder)
{
	DIR *d = opendir(folder);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		char *path = file_path("%s/%s", folder, e->d_name);
		FILE *f = strstr(e->d_name, "latents-0") ? fopen(path, "r+") : NULL;
		if (f) {
			long size;
			assert_int_equal(fseek(f, 0, SEEK_END), 0);
			size = ftell(f);
			for (long at = size / 4; at < size - size / 4; at += 16) {
				assert_int_equal(fseek(f, at, SEEK_SET), 0);
				assert_int_equal(fputc(0xa5, f), 0xa5);
			}
			assert_int_equal(fclose(f), 0);
			n++;
		}
		free(path);
	}
	closedir(d);
	assert_true(n > 0);
}

static void
a_failure_is_handed_over_and_stays(void **state)
{
	enum status st = ACE_OK;
	struct place p;
	struct prefetch *f;
	struct data *d;
	const struct batch *b;
	char message[512];

	(void)state;
	setup(&p);
	d = open_data(&p);
	spoil(p.list.entry[0].store);
	assert_ok(prefetch_open(&f, d, 0, 0, 0, 1));
	for (int i = 0; i < 2 * CLIPS && st == ACE_OK; i++)
		st = prefetch_next(f, &b, NULL);
	assert_int_equal(st, ACE_EDATA);
	assert_null(b);
	assert_non_null(strstr(ace_message(), "latents-0000-000000.h5"));
	snprintf(message, sizeof message, "%s", ace_message());
	assert_int_equal(ace_fail(ACE_EIO, "something else"), ACE_EIO);
	assert_int_equal(prefetch_next(f, &b, NULL), ACE_EDATA);
	assert_string_equal(ace_message(), message);
	prefetch_close(f);
	data_close(d);
	cleanup(&p);
}

static void
epochs_without_batches_are_passed_over(void **state)
{
	const struct batch *b;
	struct place p;
	struct prefetch *f;
	struct data *d;
	int64_t all;

	(void)state;
	setup(&p);
	p.list.entry[0].start_epoch = 3;
	p.list.entry[0].end_epoch = 3;
	d = open_data(&p);
	all = data_batches_per_epoch(d, 2);
	assert_ok(prefetch_open(&f, d, 0, 0, 0, 1));
	for (int64_t n = 0; n < all; n++) {
		assert_ok(prefetch_next(f, &b, NULL));
		assert_int_equal(b->epoch, 2);
		assert_int_equal(b->number, n);
	}
	assert_int_equal(prefetch_next(f, &b, NULL), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "no data set is active after epoch 3"));
	prefetch_close(f);
	data_close(d);
	cleanup(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_ranks_sees_the_same_batches),
		cmocka_unit_test(going_on_from_a_batch_equals_not_stopping),
		cmocka_unit_test(a_batch_stays_until_the_next_call),
		cmocka_unit_test(closing_ends_the_thread_wherever_it_is),
		cmocka_unit_test(a_failure_is_handed_over_and_stays),
		cmocka_unit_test(epochs_without_batches_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
