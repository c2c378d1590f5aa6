/* SPDX-License-Identifier: Apache-2.0 */
#include "support/twins.h"

#include "kernels/kernels.h"
#include "support/test.h"

#include <string.h>

static const struct twin_cases *const all[] = { &twins_core, &twins_block, &twins_codec, &twins_pixels, &twins_wave, &twins_text, &twins_lyric,
	&twins_train,
	&twins_adapter, &twins_quant };

static void
every_case_agrees_on_ref_and_cpu(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (int j = 0; j < all[i]->n; j++)
			twins_check(&all[i]->c[j]);
}

static bool
has_case(const char *kernel)
{
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (int j = 0; j < all[i]->n; j++)
			if (strcmp(all[i]->c[j].kernel, kernel) == 0)
				return true;
	return false;
}

/* Parts of the list whose twins are compared here; others bring their own comparison. */
#define K(name, twin, args) { #name, #twin[0] == 'c' },
static const struct kernel_info here[] = { KERNELS_CORE(K) KERNELS_BLOCK(K) KERNELS_LYRIC(K) KERNELS_CODEC(K) KERNELS_PIXELS(K)
	KERNELS_TEXT(K) KERNELS_TRAIN(K) KERNELS_ADAPTER(K) KERNELS_QUANT(K) };
#undef K

static void
every_twin_has_a_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof here / sizeof *here; i++)
		if (!has_case(here[i].name))
			fail_msg("kernel %s has no case", here[i].name);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_agrees_on_ref_and_cpu),
		cmocka_unit_test(every_twin_has_a_case),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
