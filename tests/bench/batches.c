/* SPDX-License-Identifier: Apache-2.0 */
/* batches FOLDER [clips [batch size]]: how long a batch of 60 s clips takes to read from stores of that many clips,
 * which are made in FOLDER, as they are sealed and after merging: by itself, and as a step of 5 ms sees it with
 * reading ahead. */
#include "base/clock.h"
#include "base/file.h"
#include "data/prefetch.h"
#include "support/stores.h"
#include "support/test.h"
#include "store/latents.h"
#include "store/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 400 };

static const char *folder;
static int clips = 2000;
static int64_t batch_size = 4;

/* Resident now, in MB. */
static double
resident(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long all, pages = 0;

	if (f && fscanf(f, "%ld %ld", &all, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void
measure(const struct dataset_list *l, const char *what)
{
	struct data_options o = { .list = l, .seed = 1, .speaker = 512, .text_width = 768 };
	const struct timespec step = { 0, 5 * 1000 * 1000 };
	double opened, read, most = 0, waited = 0;
	struct batch b = { 0 };
	struct prefetch *p;
	struct data *d;

	opened = clock_now();
	assert_ok(data_open(&d, &o));
	opened = clock_now() - opened;
	read = clock_now();
	for (int i = 0; i < BATCHES; i++) {
		double from = clock_now();
		assert_ok(data_batch(d, 0, i % data_batches_per_epoch(d, 0), &b));
		if (clock_now() - from > most && i > 0)
			most = clock_now() - from;
	}
	read = (clock_now() - read) / BATCHES;
	assert_ok(prefetch_open(&p, d, 1, 0, 0, 1));
	for (int i = 0; i < BATCHES; i++) {
		const struct batch *ahead;
		double w;
		assert_ok(prefetch_next(p, &ahead, &w));
		nanosleep(&step, NULL);
		waited += i > 0 ? w : 0;
	}
	prefetch_close(p);
	printf("%s: %d clips, %lld a batch: open %.0f ms, a batch %.3f ms (longest %.2f), waited %.4f ms a step, "
	       "batch %.1f MB, resident %.0f MB\n", what, clips, (long long)batch_size, 1e3 * opened, 1e3 * read,
	       1e3 * most, 1e3 * waited / BATCHES, (double)b.size / 1e6, resident());
	batch_free(&b);
	data_close(d);
}

static void
batches(void **state)
{
	struct stores_options s = { .clips = clips,
		                    .captions = 2,
		                    .channels = 8,
		                    .rows = 16,
		                    .frames = 646,
		                    .vary = 0,
		                    .text_width = 768,
		                    .text_rows = 120,
		                    .lyrics = 400,
		                    .lyric_vocab = 6000,
		                    .dtype = BF16 };
	struct dataset e[2] = { { .id = (char *)"songs", .kind = DATASET_AUDIO, .max_samples = -1, .probability = 1,
		                  .start_epoch = 1, .batch_size = batch_size },
		                { .id = (char *)"texts", .kind = DATASET_TEXTS, .is_default = true } };
	struct dataset_list l = { .entry = e, .n = 2 };
	int64_t before, after;

	(void)state;
	e[0].store = file_path("%s/latents", folder);
	e[1].store = file_path("%s/texts", folder);
	free(stores_make(folder, &s));
	measure(&l, "sealed parts");
	assert_ok(latents_merge(e[0].store, &before, &after));
	assert_ok(texts_merge(e[1].store, &before, &after));
	measure(&l, "merged");
	free(e[0].store);
	free(e[1].store);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(batches) };

	if (argc < 2) {
		fprintf(stderr, "usage: batches FOLDER [clips [batch size]]\n");
		return 64;
	}
	folder = argv[1];
	if (argc > 2)
		clips = atoi(argv[2]);
	if (argc > 3)
		batch_size = atoi(argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
