/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

char *openblas_get_corename(void);

static void
products_use_the_vector_units_of_the_processor(void **state)
{
	struct dev d;

	(void)state;
#if defined(__x86_64__)
	if (getenv("OPENBLAS_CORETYPE") || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
		skip();
	assert_ok(dev_open(&d, DEV_CPU, 1));
	kernels_attach(&d);
	assert_string_not_equal(openblas_get_corename(), "Prescott");
	assert_null(getenv("OPENBLAS_CORETYPE"));
	dev_close(&d);
#else
	(void)d;
	skip();
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(products_use_the_vector_units_of_the_processor) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
