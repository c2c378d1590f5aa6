/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/fft.h"

#include "num/rng.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

static void
every_length_gives_the_sum_of_the_definition(void **state)
{
	(void)state;
	for (int n = 4; n <= 512; n *= 2) {
		struct fft f;
		double *x = malloc((size_t)n * sizeof *x), *re = malloc((size_t)n * sizeof *re), *im = malloc((size_t)n * sizeof *im);
		double *work;
		assert_ok(fft_open(&f, n));
		work = malloc((size_t)fft_work(&f) * sizeof *work);
		for (int i = 0; i < n; i++)
			x[i] = (double)rng_normal(rng_stream(1, RNG_TEST, 0, (uint64_t)n), (uint64_t)i);
		fft_real(&f, re, im, x, work);
		for (int k = 0; k <= n / 2; k++) {
			double a = 0, b = 0;
			for (int i = 0; i < n; i++) {
				a += x[i] * cos(2 * M_PI * i * k / n);
				b -= x[i] * sin(2 * M_PI * i * k / n);
			}
			if (!(fabs(re[k] - a) < 1e-10 && fabs(im[k] - b) < 1e-10))
				fail_msg("length %d, bin %d: %g %+gi, wanted %g %+gi", n, k, re[k], im[k], a, b);
		}
		fft_close(&f);
		free(work);
		free(x);
		free(re);
		free(im);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_length_gives_the_sum_of_the_definition) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
