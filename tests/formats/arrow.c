/* SPDX-License-Identifier: Apache-2.0 */
/* Arrow and Parquet files through the shim: every form gives the same rows, and damaged ones are refused by name */
#include "support/arrow.h"
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "num/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Text of a JSON member and of a cell: both null, or the same. */
static bool
same_text(struct cell got, const cJSON *want)
{
	const char *text;
	size_t size;

	if (!want || cJSON_IsNull(want))
		return cell_kind(got) == CELL_NULL;
	return cell_text(got, &text, &size) && strlen(want->valuestring) == size && memcmp(text, want->valuestring, size) == 0;
}

static bool
same_list(struct cell got, const cJSON *want)
{
	bool same = cell_kind(got) == CELL_LIST && cell_count(got) == cJSON_GetArraySize(want);

	if (!want || cJSON_IsNull(want))
		return cell_kind(got) == CELL_NULL;
	for (int i = 0; same && i < cJSON_GetArraySize(want); i++)
		same = same_text(cell_element(got, i), cJSON_GetArrayItem(want, i));
	return same;
}

/* Each column of the file that the expected row knows. */
static void
compare_row(const char *path, struct cell row, const cJSON *want, int64_t number)
{
	for (int64_t c = 0; c < cell_count(row); c++) {
		const char *name;
		struct cell v = cell_member_at(row, c, &name);
		bool key = strcmp(name, "keys") == 0, lyrics = strcmp(name, "norm_lyrics") == 0;
		const cJSON *w = cJSON_GetObjectItemCaseSensitive(want, key ? "key" : lyrics ? "lyrics" : name);
		if (!w || cJSON_IsNumber(w))
			continue;
		if (!(cJSON_IsArray(w) || strcmp(name, "tags") == 0 ? same_list(v, w) : same_text(v, w)))
			fail_msg("%s: row %lld: %s is not what was expected", path, (long long)number, name);
	}
}

static int64_t
compare_file(const char *path, const cJSON *rows, int64_t first)
{
	struct arrow_file *f;
	int64_t n, at = 0;

	assert_ok(arrow_open(&f, path, NULL));
	for (;;) {
		assert_ok(arrow_next(f, &n));
		for (int64_t i = 0; i < n; i++, at++) {
			const cJSON *want = cJSON_GetArrayItem(rows, (int)(first + at));
			assert_non_null(want);
			compare_row(path, arrow_row(f, i), want, at);
		}
		if (n == 0)
			break;
	}
	arrow_close(f);
	return at;
}

static void
every_form_of_ipc_gives_the_same_rows(void **state)
{
	(void)state;
	need_arrow();
	cJSON *e = golden_json("hf-saved", "expected.json"), *ipc = cJSON_GetObjectItemCaseSensitive(e, "ipc"), *f;
	cJSON *rows = cJSON_GetObjectItemCaseSensitive(ipc, "rows");
	int files = 0;

	cJSON_ArrayForEach(f, cJSON_GetObjectItemCaseSensitive(ipc, "files")) {
		char name[200];
		int from = 0, to = cJSON_GetArraySize(rows) - 1;
		snprintf(name, sizeof name, "ipc/%s", f->string);
		if (sscanf(f->valuestring, "rows %d..%d", &from, &to) == 2)	/* both counted */
			assert_true(from <= to && to < cJSON_GetArraySize(rows));
		assert_int_equal(compare_file(golden_path("hf-saved", name), rows, from), to - from + 1);
		files++;
	}
	assert_true(files > 0);
	cJSON_Delete(e);
}

static void
saved_sets_have_the_expected_columns(void **state)
{
	(void)state;
	need_arrow();
	cJSON *e = golden_json("hf-saved", "expected.json"), *set;
	int sets = 0;

	cJSON_ArrayForEach(set, cJSON_GetObjectItemCaseSensitive(e, "datasets")) {
		const cJSON *rows = cJSON_GetObjectItemCaseSensitive(set, "rows");
		char name[200];
		if (!rows || strcmp(set->string, "embedded") == 0)
			continue;
		snprintf(name, sizeof name, "%s/data-00000-of-00001.arrow", set->string);
		assert_int_equal(compare_file(golden_path("hf-saved", name), rows, 0), cJSON_GetArraySize(rows));
		sets++;
	}
	assert_true(sets > 0);
	cJSON_Delete(e);
}

static void
columns_can_be_chosen(void **state)
{
	static const char *const some[] = { "no such column", "keys", NULL }, *const none[] = { "no such column", NULL };
	struct arrow_file *f;
	const char *name;
	static const char *const member[] = { "filename.path", "recaption.none", NULL };
	int64_t n;

	(void)state;
	need_arrow();
	for (int form = 0; form < 2; form++) {
		const char *path = golden_path("hf-saved", form ? "ipc/file-format.arrow" : "ipc/plain.arrow");
		assert_ok(arrow_open(&f, path, some));
		assert_ok(arrow_next(f, &n));
		assert_true(n > 0);
		assert_int_equal(cell_count(arrow_row(f, 0)), 1);
		assert_int_equal(cell_kind(cell_member_at(arrow_row(f, 0), 0, &name)), CELL_TEXT);
		assert_string_equal(name, "keys");
		arrow_close(f);
		assert_ok(arrow_open(&f, path, none));
		assert_true(arrow_schema(f)->n_children > 1);
		arrow_close(f);
	}
	/* a member of what has none is the column itself */
	assert_ok(arrow_open(&f, golden_path("hf-parquet", "no-card/data/train-00000-of-00001.parquet"), member));
	assert_ok(arrow_next(f, &n));
	assert_int_equal(cell_count(arrow_row(f, 0)), 1);
	(void)cell_member_at(arrow_row(f, 0), 0, &name);
	assert_string_equal(name, "filename");
	arrow_close(f);
}

/* What other writers than Arrow's make of texts: short ones lie in the views, longer ones in buffers of their own. */
static void
views_are_texts(void **state)
{
	static const char far[] = "behind this: words that are too long for a view";
	struct { int32_t size; char begin[4]; int32_t buffer, at; } view[3] = { { .size = 12 }, { .size = 34, .buffer = 1, .at = 13 }, { .size = 34, .buffer = 7 } };
	const int64_t sizes[2] = { 0, sizeof far };
	const void *buffers[5] = { NULL, view, NULL, far, sizes };
	struct ArrowArray a = { .length = 3, .n_buffers = 5, .buffers = buffers };
	struct ArrowSchema s = { .format = "vu" };
	const char *text;
	size_t size;

	(void)state;
	memcpy((char *)view + 4, "twelve bytes", 12);
	assert_int_equal(cell_kind(cell_of_arrow(&s, &a, 0)), CELL_TEXT);
	assert_true(cell_text(cell_of_arrow(&s, &a, 0), &text, &size));
	assert_int_equal(size, 12);
	assert_memory_equal(text, "twelve bytes", size);
	assert_true(cell_text(cell_of_arrow(&s, &a, 1), &text, &size));
	assert_int_equal(size, 34);
	assert_memory_equal(text, "words that are too long for a view", size);
	assert_false(cell_text(cell_of_arrow(&s, &a, 2), &text, &size));
	s.format = "vz";
	assert_int_equal(cell_kind(cell_of_arrow(&s, &a, 1)), CELL_BYTES);
}

static void
what_is_no_table_is_refused_by_name(void **state)
{
	static const struct { const char *name; const char *bytes; size_t size; enum status st; } bad[] = {
		{ "empty", "", 0, ACE_EDATA },
		{ "text", "this is not a table at all, it only looks like one", 50, ACE_EDATA },
		{ "parquet", "PAR1 and nothing behind it PAR1", 31, ACE_EDATA },
		{ "encrypted", "PARE....", 8, ACE_EDATA },
		{ "arrow", "ARROW1\0\0", 8, ACE_EDATA },
		{ "long", "\xff\xff\xff\xff\xf8\xff\xff\x7f", 8, ACE_EDATA },
	};
	struct arrow_file *f;
	char dir[600], path[700];

	(void)state;
	need_arrow();
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, bad[i].name);
		assert_ok(file_write(path, bad[i].bytes, bad[i].size));
		assert_int_equal(arrow_open(&f, path, NULL), bad[i].st);
		assert_null(f);
		assert_non_null(strstr(ace_message(), bad[i].name));
	}
	assert_int_equal(arrow_open(&f, dir, NULL), ACE_EDATA);
	snprintf(path, sizeof path, "%s/none", dir);
	assert_int_equal(arrow_open(&f, path, NULL), ACE_ENOINPUT);
	assert_ok(file_remove_tree(dir));
}

/* Read every value, as an importer may. */
static int64_t
touch(struct cell c, int depth)
{
	int64_t n = cell_count(c), sum = 0;
	const char *text, *name;
	size_t size;
	double x;

	if (cell_text(c, &text, &size))
		for (size_t i = 0; i < size; i++)
			sum += text[i];
	if (cell_number(c, &x))
		sum++;
	for (int64_t i = 0; i < n && i < 1000 && depth < 8; i++)
		sum += touch(cell_kind(c) == CELL_LIST ? cell_element(c, i) : cell_member_at(c, i, &name), depth + 1);
	return sum;
}

static bool
read_all(const char *path)
{
	struct arrow_file *f;
	int64_t n = 0, sum = 0;
	enum status st;

	if (arrow_open(&f, path, NULL) != ACE_OK)
		return false;
	while ((st = arrow_next(f, &n)) == ACE_OK && n > 0)
		for (int64_t i = 0; i < n && i < 100; i++)
			sum += touch(arrow_row(f, i), 0);
	arrow_close(f);
	return st == ACE_OK && sum >= INT64_MIN;
}

static void
damage(const char *source, int memory, int rounds, int *good, int *refused)
{
	char *data, *b, path[40];
	size_t size;

	assert_ok(file_read(source, 1u << 20, &data, &size));
	b = malloc(size + 1);
	assert_non_null(b);
	snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
	for (int k = 0; k < rounds; k++) {
		struct rng r = rng_stream((uint64_t)k, RNG_TEST, size, 3);
		size_t n = size, flips = 1 + (size_t)rng_below(r, 0, 6);
		memcpy(b, data, size);
		if (rng_below(r, 1, 8) == 0)
			n = (size_t)rng_below(r, 2, size);
		for (size_t i = 0; i < flips; i++)
			b[rng_below(r, 10 + 2 * i, size)] = (char)rng_below(r, 11 + 2 * i, 256);
		assert_int_equal(ftruncate(memory, 0), 0);
		assert_int_equal(pwrite(memory, b, n, 0), n);
		if (read_all(path)) {
			++*good;
		} else {
			assert_true(*ace_message() != 0 && !strchr(ace_message(), '\n'));
			++*refused;
		}
	}
	free(b);
	free(data);
}

static void
damaged_files_never_do_harm(void **state)
{
	static const char *const files[] = { "converted/data-00000-of-00001.arrow", "large/data-00000-of-00001.arrow",
		"nulls/data-00000-of-00001.arrow", "ipc/dictionary.arrow", "ipc/zstd.arrow", "ipc/lz4.arrow",
		"ipc/file-format.arrow" };
	int good = 0, refused = 0;
	int memory = memfd_create("damaged", MFD_CLOEXEC);

	(void)state;
	need_arrow();
	assert_true(memory >= 0);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		damage(golden_path("hf-saved", files[i]), memory, test_rounds("ACE_FUZZ", 60), &good, &refused);
	print_message("# %d damaged files read, %d refused\n", good, refused);
	assert_true(good > 0 && refused > 0);
	close(memory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_ipc_gives_the_same_rows),
		cmocka_unit_test(saved_sets_have_the_expected_columns),
		cmocka_unit_test(columns_can_be_chosen),
		cmocka_unit_test(views_are_texts),
		cmocka_unit_test(what_is_no_table_is_refused_by_name),
		cmocka_unit_test(damaged_files_never_do_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
