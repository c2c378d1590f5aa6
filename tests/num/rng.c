/* SPDX-License-Identifier: Apache-2.0 */
#include "num/rng.h"

#include "support/test.h"

#include <math.h>

/* Known answer of Philox 4x32-10 for key and counter of all ones bits (Random123's kat_vectors). */
static void
philox_gives_the_published_answer(void **state)
{
	uint32_t w[4];

	(void)state;
	rng_block((struct rng){ .key = ~0ull, .stream = ~0ull }, ~0ull, w);
	assert_int_equal(w[0], 0x408f276d);
	assert_int_equal(w[1], 0x41c83b0e);
	assert_int_equal(w[2], 0xa20bc7c6);
	assert_int_equal(w[3], 0x6d5451fd);
}

static void
normals_have_mean_0_and_deviation_1(void **state)
{
	struct rng r = rng_stream(1, RNG_TEST, 2, 3);
	double s = 0, q = 0;
	enum { N = 20000 };

	(void)state;
	for (int i = 0; i < N; i++) {
		double x = (double)rng_normal(r, (uint64_t)i);
		s += x;
		q += x * x;
	}
	assert_true(fabs(s / N) < 0.03);
	assert_true(fabs(q / N - 1) < 0.04);
}

static void
a_fill_equals_single_draws(void **state)
{
	struct rng r = rng_stream(1, RNG_TEST, 0, 0);
	float x[7];

	(void)state;
	rng_normal_fill(r, x, 7);
	for (int i = 0; i < 7; i++)
		assert_true(x[i] == rng_normal(r, (uint64_t)i));
}

static void
a_range_equals_single_draws(void **state)
{
	struct rng r = rng_stream(5, RNG_TEST, 0, 0);
	static const uint64_t from[] = { 0, 4, 36, 0xfffffff0u, 0x3fffffff8u };	/* the last: where a block's number passes 32 bits */
	float x[75], y[75];

	(void)state;
	for (size_t k = 0; k < sizeof from / sizeof *from; k++)
		for (int64_t n = 0; n <= 75; n += 15) {
			rng_uniform_range(r, from[k], x, n);
			rng_normal_range(r, from[k], y, n);
			for (int64_t i = 0; i < n; i++) {
				assert_true(x[i] == rng_uniform(r, from[k] + (uint64_t)i));
				assert_true(y[i] == rng_normal(r, from[k] + (uint64_t)i));
			}
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(philox_gives_the_published_answer),
		cmocka_unit_test(normals_have_mean_0_and_deviation_1),
		cmocka_unit_test(a_fill_equals_single_draws),
		cmocka_unit_test(a_range_equals_single_draws),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
