/* SPDX-License-Identifier: Apache-2.0 */
#include "support/twins.h"

#include "kernels/kernels.h"
#include "support/test.h"

#include <string.h>

static const struct twin_cases *const all[] = { &twins_core, &twins_block, &twins_codec, &twins_pixels, &twins_wave, &twins_text, &twins_lyric, &twins_train,
	&twins_adapter, &twins_quant };

static const char *only;	/* NULL: all; else kernels in whose names this is */

/* Kernels in whose names part is. A failure that breaks the device ends the test; others are all said before it fails. */
static void
check_cases(const char *part, bool tf32)
{
	struct dev d;
	int bad = 0;

	assert_ok(dev_open(&d, DEV_CUDA, 0));
	kernels_attach(&d);
	d.tf32 = tf32;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (int j = 0; j < all[i]->n; j++) {
			const char *kernel = all[i]->c[j].kernel;
			if (!strstr(kernel, part) || (only && !strstr(kernel, only)))
				continue;
			bad += twins_check_cuda(&all[i]->c[j], &d);
			if (d.status == ACE_EDEVICE && strstr(ace_message(), "no cuda twin yet"))
				d.status = ACE_OK;
			assert_int_equal(d.status, ACE_OK);
		}
	dev_close(&d);
	assert_int_equal(bad, 0);
}

static void
every_case_agrees_on_ref_and_cuda(void **state)
{
	(void)state;
	check_cases("", false);
}

static void
attention_agrees_when_factors_are_rounded(void **state)
{
	(void)state;
	check_cases("attention", true);
}

/* twins_cuda [PART]: the kernels in whose names PART is */
int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_agrees_on_ref_and_cuda),
		cmocka_unit_test(attention_agrees_when_factors_are_rounded),
	};

	only = argc > 1 ? argv[1] : NULL;
	return test_without_cuda() ? 0 : cmocka_run_group_tests(tests, NULL, NULL);
}
