/* SPDX-License-Identifier: Apache-2.0 */
/* What is written is read back, however it was put; and a file is there whole or not at all. */
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "num/rng.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ITEMS = 6 };

static const struct {
	const char *name;
	enum dtype dtype;
	int rank;
	int64_t dim[3];
} shapes[ITEMS] = {
	{ "b.weight", F32, 2, { 5, 7 } }, { "a \"quoted\" \\ name", BF16, 1, { 9 } },
	{ "empty", F32, 2, { 0, 4 } },	  { "scalar", I64, 0, { 0 } },
	{ "bytes", U8, 1, { 3 } },	  { "\xe7\x94\xbb", F32, 3, { 2, 1, 2 } },
};

static void
make_items(struct st_item item[ITEMS])
{
	for (int i = 0; i < ITEMS; i++) {
		item[i].name = shapes[i].name;
		item[i].value = tensor_make(NULL, shapes[i].dtype, shapes[i].rank, shapes[i].dim);
		size_t bytes = tensor_bytes(item[i].value);
		unsigned char *p = malloc(bytes + 1);
		for (size_t k = 0; k < bytes; k++)
			p[k] = (unsigned char)rng_u32(rng_stream(1, RNG_TEST, 0, (uint64_t)i), k);
		item[i].value.data = p;
	}
}

static void
free_items(struct st_item item[ITEMS])
{
	for (int i = 0; i < ITEMS; i++)
		free(item[i].value.data);
}

static const char *const meta[] = { "format", "pt", "note", "a \"b\"\nc" };

static void
is_as_written(const char *path, const struct st_item item[ITEMS])
{
	struct st_file f;

	assert_ok(st_open(&f, path));
	assert_int_equal(f.n, ITEMS);
	for (int i = 0; i < ITEMS; i++) {
		const struct st_entry *e = st_find(&f, item[i].name);
		assert_non_null(e);
		assert_true(tensor_same(e->value, item[i].value));
		assert_memory_equal(e->value.data, item[i].value.data, tensor_bytes(e->value));
	}
	assert_int_equal(f.n_meta, 2);
	assert_string_equal(st_meta(&f, "format"), "pt");
	assert_string_equal(st_meta(&f, "note"), "a \"b\"\nc");
	assert_null(st_meta(&f, "other"));
	assert_null(st_find(&f, "other"));
	st_close(&f);
}

static int
entries(const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int n = 0;

	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void
what_is_written_is_read(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/a.safetensors", dir);
	struct st_item item[ITEMS];
	struct st_file f;

	(void)state;
	make_items(item);
	assert_ok(st_write(path, item, ITEMS, meta, 2));
	is_as_written(path, item);
	assert_ok(st_write(path, item, 0, NULL, 0)); /* over the one that is there */
	assert_ok(st_open(&f, path));
	assert_int_equal(f.n, 0);
	st_close(&f);
	assert_int_equal(entries(dir), 1);
	free_items(item);
	free(path);
	assert_ok(file_remove_tree(dir));
}

/* The items' bytes put in pieces of that many. */
static void
put_in_pieces(const char *path, const struct st_item item[ITEMS], size_t piece)
{
	char all[1024];
	size_t n = 0;
	struct st_writer *w, *order;

	assert_ok(st_writer_open(&order, path, item, ITEMS, meta, 2));
	for (int i; (i = st_writer_next(order)) >= 0; n += tensor_bytes(item[i].value)) {
		memcpy(all + n, item[i].value.data, tensor_bytes(item[i].value));
		assert_ok(st_writer_put(order, item[i].value.data, tensor_bytes(item[i].value)));
	}
	st_writer_abort(order);
	assert_ok(st_writer_open(&w, path, item, ITEMS, meta, 2));
	for (size_t at = 0; at < n; at += piece)
		assert_ok(st_writer_put(w, all + at, n - at < piece ? n - at : piece));
	assert_int_equal(st_writer_next(w), -1);
	int64_t size = st_writer_size(w);
	assert_ok(st_writer_commit(w));
	assert_int_equal(file_size(path), size);
}

static void
pieces_of_any_size_give_the_same_bytes(void **state)
{
	const char *dir = golden_tmp();
	char *whole = file_path("%s/whole", dir), *pieces = file_path("%s/pieces", dir), *a, *b;
	static const size_t piece[] = { 1, 3, 8, 50, 1000 };
	struct st_item item[ITEMS];
	size_t na, nb;

	(void)state;
	make_items(item);
	assert_ok(st_write(whole, item, ITEMS, meta, 2));
	assert_ok(file_read(whole, 1 << 20, &a, &na));
	for (size_t i = 0; i < sizeof piece / sizeof *piece; i++) {
		put_in_pieces(pieces, item, piece[i]);
		is_as_written(pieces, item);
		assert_ok(file_read(pieces, 1 << 20, &b, &nb));
		assert_int_equal(na, nb);
		assert_memory_equal(a, b, na);
		free(b);
	}
	assert_int_equal(entries(dir), 2);
	free(a);
	free_items(item);
	free(whole);
	free(pieces);
	assert_ok(file_remove_tree(dir));
}

static void
data_begins_at_a_multiple_of_8_bytes(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/a", dir), name[20] = "";
	float x = 1.f;

	(void)state;
	for (int i = 0; i < 9; i++) {
		struct st_item item = { name, tensor_of(&x, F32, 1, 1) };
		struct st_file f;
		strcat(name, "n");
		assert_ok(st_write(path, &item, 1, NULL, 0));
		assert_ok(st_open(&f, path));
		assert_int_equal((f.size - 4) % 8, 0);
		st_close(&f);
	}
	free(path);
	assert_ok(file_remove_tree(dir));
}

static void
names_twice_are_refused(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/a", dir);
	float x[2] = { 1, 2 };
	uint8_t y = 3;
	struct st_item item[3] = { { "a", tensor_of(x, F32, 1, 2) },
				   { "b", tensor_of(x, F32, 1, 2) },
				   { "a", tensor_of(&y, U8, 1, 1) } };
	struct st_item reserved = { "__metadata__", tensor_of(x, F32, 1, 2) };

	(void)state;
	assert_int_equal(st_write(path, item, 3, NULL, 0), ACE_EBUG);
	assert_int_equal(st_write(path, &reserved, 1, NULL, 0), ACE_EBUG);
	assert_int_equal(entries(dir), 0);
	free(path);
	assert_ok(file_remove_tree(dir));
}

static void
too_few_or_too_many_bytes_leave_nothing(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/a", dir);
	float x[2] = { 1, 2 };
	struct st_item item = { "a", tensor_of(x, F32, 1, 2) };
	struct st_writer *w;

	(void)state;
	assert_ok(st_writer_open(&w, path, &item, 1, NULL, 0));
	assert_ok(st_writer_put(w, x, 7));
	assert_int_equal(st_writer_next(w), 0);
	assert_int_equal(st_writer_commit(w), ACE_EBUG);
	assert_int_equal(entries(dir), 0);
	assert_ok(st_writer_open(&w, path, &item, 1, NULL, 0));
	assert_int_equal(st_writer_put(w, x, 9), ACE_EBUG);
	st_writer_abort(w);
	assert_int_equal(entries(dir), 0);
	st_writer_abort(NULL);
	free(path);
	assert_ok(file_remove_tree(dir));
}

/* In a child, whose limits are its own: the status of writing item to path. */
static enum status
write_with_limit(const char *path, const struct st_item *item, bool full, bool forbidden)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct rlimit l = { 4096, 4096 };
		signal(SIGXFSZ, SIG_IGN);
		if ((full && setrlimit(RLIMIT_FSIZE, &l) != 0) ||
		    (forbidden && geteuid() == 0 && seteuid(65534) != 0))
			_exit(99);
		_exit((int)st_write(path, item, 1, NULL, 0));
	}
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
	return (enum status)WEXITSTATUS(status);
}

/* A disk that fills, in the first bytes or in the last, leaves the old file as it was. */
static void
a_full_disk_leaves_what_was_there(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/a", dir), *old, *now;
	float *x = calloc(1 << 16, sizeof *x);
	static const int64_t counts[] = { 1010, 1024, 5000, 1 << 16 };
	struct st_item small = { "old", tensor_of(x, F32, 1, 8) };
	size_t n, m;

	(void)state;
	assert_ok(st_write(path, &small, 1, NULL, 0));
	assert_ok(file_read(path, 1 << 20, &old, &n));
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct st_item big = { "new", tensor_of(x, F32, 1, counts[i]) };
		assert_int_equal(write_with_limit(path, &big, true, false), ACE_EIO);
		assert_int_equal(entries(dir), 1);
		assert_ok(file_read(path, 1 << 20, &now, &m));
		assert_int_equal(n, m);
		assert_memory_equal(old, now, n);
		free(now);
	}
	free(old);
	free(x);
	free(path);
	assert_ok(file_remove_tree(dir));
}

static void
a_folder_that_cannot_be_written_to_is_said_so(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/a", dir), *below = file_path("%s/no/a", dir);
	float x = 0;
	struct st_item item = { "x", tensor_of(&x, F32, 1, 1) };

	(void)state;
	assert_int_equal(chmod(dir, 0555), 0);
	assert_int_equal(write_with_limit(path, &item, false, true), ACE_ECREATE);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(st_write(below, &item, 1, NULL, 0), ACE_ECREATE);
	assert_non_null(strstr(ace_message(), below));
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(st_write(path, &item, 1, NULL, 0), ACE_EIO); /* a folder has its name */
	assert_int_equal(entries(dir), 1);
	free(path);
	free(below);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(pieces_of_any_size_give_the_same_bytes),
		cmocka_unit_test(data_begins_at_a_multiple_of_8_bytes),
		cmocka_unit_test(names_twice_are_refused),
		cmocka_unit_test(too_few_or_too_many_bytes_leave_nothing),
		cmocka_unit_test(a_full_disk_leaves_what_was_there),
		cmocka_unit_test(a_folder_that_cannot_be_written_to_is_said_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
