/* SPDX-License-Identifier: Apache-2.0 */
/* The seeds of the readers of data sets, as they are and damaged: rows, or one line that says why, and never harm. */
#include "fuzz/import_one.h"
#include "support/arrow.h"
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "formats/tar.h"
#include "num/rng.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flips, repeats and drops; the first byte, which chooses the reader, stays. Returns the new size, at most 2 * size. */
static size_t
damage(unsigned char *b, size_t size, struct rng r)
{
	uint64_t i = 0, kind = rng_below(r, i++, 6);
	size_t flips = 1 + (size_t)rng_below(r, i++, 8);

	if (size < 4)
		return size;
	if (kind == 0)
		size = 2 + (size_t)rng_below(r, i++, size - 2);
	if (kind == 1) {
		size_t from = 1 + (size_t)rng_below(r, i++, size / 2), n = (size_t)rng_below(r, i++, size / 3);
		memmove(b + from, b + from + n, size - from - n);
		size -= n;
	}
	if (kind == 2) {
		size_t from = 1 + (size_t)rng_below(r, i++, size - 1), n = size - from;
		memcpy(b + size, b + from, n);
		size += n;
	}
	while (flips--) {
		size_t at = 1 + (size_t)rng_below(r, i++, size - 1);
		b[at] = (unsigned char)rng_below(r, i++, 256);
		if (rng_below(r, i++, 4) == 0)
			b[at] = rng_below(r, i++, 2) ? 0xff : 0;
	}
	return size;
}

static void
replay(bool arrow)
{
	const char *top = getenv("top_srcdir");
	char folder[600], path[900], *data;
	int rounds = test_rounds("ACE_FUZZ", 100), rows = 0, refused = 0, seeds = 0;
	struct dirent *e;
	DIR *d;
	size_t size;

	snprintf(folder, sizeof folder, "%s/tests/fuzz/import.seeds", top ? top : ".");
	d = opendir(folder);
	assert_non_null(d);
	while ((e = readdir(d))) {
		unsigned char *b;
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
		assert_ok(file_read(path, 1 << 20, &data, &size));
		assert_true(size > 1);
		if ((data[0] == 'a') != arrow || (data[0] == 't' && !tar_load())) {
			free(data);
			continue;
		}
		if (import_one((const unsigned char *)data, size) < 1)
			fail_msg("%s gives no rows", path);
		seeds++;
		b = malloc(2 * size + 1);
		assert_non_null(b);
		for (int k = 0; k < rounds; k++) {
			memcpy(b, data, size);
			size_t n = damage(b, size, rng_stream((uint64_t)k, RNG_TEST, size, (uint64_t)(unsigned char)e->d_name[0]));
			if (import_one(b, n) > 0)
				rows++;
			else
				refused++;
		}
		free(b);
		free(data);
	}
	closedir(d);
	print_message("# %d seeds, %d damaged ones gave rows, %d none\n", seeds, rows, refused);
	assert_true(seeds > 0 && rows > 0);
}

static void
tables_cards_and_archives_never_do_harm(void **state)
{
	(void)state;
	replay(false);
}

static void
arrow_and_parquet_files_never_do_harm(void **state)
{
	(void)state;
	need_arrow();
	replay(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_cards_and_archives_never_do_harm),
		cmocka_unit_test(arrow_and_parquet_files_never_do_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
