/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/exp.h"

#include "support/test.h"

#include <math.h>

static void
the_exponential_is_right_to_2e_7(void **state)
{
	(void)state;
	for (double x = -87; x <= 88; x += 0.00173) {
		double want = exp((double)(float)x);
		assert_true(fabs((double)exp_f32((float)x) - want) <= 2e-7 * want);
	}
	assert_true(exp_f32(0.f) == 1.f);
	assert_true(isnan(exp_f32(NAN)));
}

static void
silu_ends_in_zero_and_in_x(void **state)
{
	(void)state;
	assert_true(fabsf(silu_f32(-1000.f)) < 1e-30f);
	assert_true(silu_f32(1000.f) == 1000.f);
	assert_true(fabsf(silu_slope_f32(-1000.f)) < 1e-30f);
	assert_true(silu_slope_f32(1000.f) == 1.f);
	assert_true(silu_slope_f32(0.f) == 0.5f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_exponential_is_right_to_2e_7),
		cmocka_unit_test(silu_ends_in_zero_and_in_x),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
