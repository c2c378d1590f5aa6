/* SPDX-License-Identifier: Apache-2.0 */
/* The seeds of the readers of foreign files, as they are and damaged: read, or refused with a line that says why, never harm.
 * ACE_FUZZ is the number of damaged ones of each seed. */
#include "fuzz/files_one.h"
#include "support/test.h"

#include "base/file.h"
#include "base/msg.h"
#include "num/rng.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Some bytes become others; a piece is left out, doubled, or the end is cut off. The first byte, which chooses the reader, stays.
 * b has room for twice its size. */
static size_t
damage(unsigned char *b, size_t size, struct rng r)
{
	uint64_t i = 0, kind = rng_below(r, i++, 6);
	size_t from, n;

	if (size < 8)
		return size;
	from = 1 + (size_t)rng_below(r, i++, size - 1);
	n = (size_t)rng_below(r, i++, (size - from < 64 ? size - from : 64) + 1);
	if (kind == 0) {
		size = from;
	} else if (kind == 1) {
		memmove(b + from, b + from + n, size - from - n);
		size -= n;
	} else if (kind == 2) {
		memmove(b + from + n, b + from, size - from);
		size += n;
	}
	for (uint64_t k = rng_below(r, i++, 5); size > 1 && k > 0; k--) {
		size_t at = 1 + (size_t)rng_below(r, i++, size - 1);
		b[at] = rng_below(r, i++, 2) ? (unsigned char)rng_below(r, i++, 256) : (unsigned char)"09{}[]\",:\\\xff\x80"[rng_below(r, i++, 12)];
	}
	return size;
}

static void
replay(const char *path, const char *name, int rounds, int *good, int *refused)
{
	unsigned char *b;
	size_t size;
	char *data;
	uint64_t salt = 0;

	assert_ok(file_read(path, 1 << 20, &data, &size));
	b = malloc(2 * size + 1);
	assert_non_null(b);
	for (const char *p = name; *p; p++)
		salt = salt * 31 + (unsigned char)*p;
	if (files_one((unsigned char *)data, size) != (strncmp(name, "bad-", 4) != 0))
		fail_msg("%s: %s", path, ace_message());
	for (int k = 0; k < rounds; k++) {
		memcpy(b, data, size);
		if (files_one(b, damage(b, size, rng_stream((uint64_t)k, RNG_TEST, 0, salt))))
			++*good;
		else
			++*refused;
	}
	free(b);
	free(data);
}

static void
seeds_and_their_damaged_kin_never_do_harm(void **state)
{
	const char *top = getenv("top_srcdir");
	int rounds = test_rounds("ACE_FUZZ", 200), good = 0, refused = 0, seeds = 0;
	struct dirent **e;
	char folder[600];
	int n;

	(void)state;
	msg_setup("test", MSG_QUIET, PROGRESS_NONE, 1e9);
	snprintf(folder, sizeof folder, "%s/tests/fuzz/files.seeds", top ? top : ".");
	n = scandir(folder, &e, NULL, alphasort);
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		char *path = file_path("%s/%s", folder, e[i]->d_name);
#ifndef HAVE_ZLIB
		if (strstr(e[i]->d_name, "wheel"))
			e[i]->d_name[0] = '.';
#endif
		if (e[i]->d_name[0] != '.') {
			replay(path, e[i]->d_name, rounds, &good, &refused);
			seeds++;
		}
		free(path);
		free(e[i]);
	}
	free(e);
	print_message("# %d seeds, %d damaged ones were read, %d refused\n", seeds, good, refused);
	assert_true(seeds > 0 && good > 0 && refused > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeds_and_their_damaged_kin_never_do_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
