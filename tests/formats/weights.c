/* SPDX-License-Identifier: Apache-2.0 */
/* What tensors of a file cost: those of the wanted type lie in the mapping, the others are copies, which a dry opening only counts */
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "formats/weights.h"
#include "num/rng.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 700, COLUMNS = 33 };

static float number[ROWS * COLUMNS];
static char *dir, *path;

static int
write_file(void **state)
{
	static const char *const text[] = { "format", "pt" };
	struct st_item item[3];

	(void)state;
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), number, ROWS * COLUMNS);
	item[0] = (struct st_item){ "wide", tensor_of(number, F32, 2, ROWS, COLUMNS) };
	item[1] = (struct st_item){ "small", tensor_of(number, F32, 1, 5) };
	item[2] = (struct st_item){ "number", tensor_of(number, I32, 1, 5) };
	dir = file_path("%s", golden_tmp());
	path = file_path("%s/weights.safetensors", dir);
	return st_write(path, item, 3, text, 1) == ACE_OK ? 0 : 1;
}

static struct weights
opened(bool dry)
{
	struct weights w;

	assert_ok(weights_open(&w, path));
	w.dry = dry;
	return w;
}

static void
copies_are_rounded_and_counted_and_leave_the_file_readable(void **state)
{
	struct weights w = opened(false);
	struct tensor x, y;

	(void)state;
	assert_ok(weights_get(&w, "wide", BF16, 2, (const int64_t[TENSOR_RANK]){ ROWS, COLUMNS }, &x));
	for (int i = 0; i < ROWS * COLUMNS; i++)
		assert_int_equal(((uint16_t *)x.data)[i], f32_to_bf16(number[i]));
	assert_ok(weights_get(&w, "wide", F32, -1, NULL, &y));
	assert_memory_equal(y.data, number, sizeof number);
	assert_int_equal(w.copied, 2 * ROWS * COLUMNS);
	assert_int_equal(w.mapped, sizeof number);
	weights_close(&w);
}

static void
a_dry_opening_counts_copies_and_makes_none(void **state)
{
	struct weights w = opened(true);
	struct tensor x;

	(void)state;
	assert_ok(weights_get(&w, "wide", BF16, -1, NULL, &x));
	assert_null(x.data);
	assert_true(x.dtype == BF16 && x.dim[0] == ROWS && x.dim[1] == COLUMNS);
	assert_int_equal(w.copied, 2 * ROWS * COLUMNS);
	assert_int_equal(w.n_owned, 0);
	assert_int_equal(weights_get(&w, "number", BF16, -1, NULL, &x), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "number is I32"));
	assert_ok(weights_get(&w, "small", F32, -1, NULL, &x));
	assert_non_null(x.data);
	assert_int_equal(w.mapped, 20);
	weights_close(&w);
}

static void
reading_ahead_changes_nothing(void **state)
{
	struct weights w = opened(false);
	struct tensor x, y;

	(void)state;
	assert_ok(weights_get(&w, "wide", F32, -1, NULL, &x));
	assert_ok(weights_get(&w, "wide", BF16, -1, NULL, &y));
	weights_read_ahead(&w, x);
	weights_read_ahead(&w, y);
	weights_read_ahead(&w, (struct tensor){ 0 });
	assert_memory_equal(x.data, number, sizeof number);
	weights_close(&w);
}

static int
tidy(void **state)
{
	int bad = file_remove_tree(dir) != ACE_OK;

	(void)state;
	free(path);
	free(dir);
	return bad;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_rounded_and_counted_and_leave_the_file_readable),
		cmocka_unit_test(a_dry_opening_counts_copies_and_makes_none),
		cmocka_unit_test(reading_ahead_changes_nothing),
	};

	return cmocka_run_group_tests(tests, write_file, tidy);
}
