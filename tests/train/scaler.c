/* SPDX-License-Identifier: Apache-2.0 */
#include "train/scaler.h"

#include "support/golden.h"
#include "support/test.h"

static void
scales_and_skipped_updates_are_the_reference_s(void **state)
{
	cJSON *root = golden_json("optim", "manifest.json"), *g = cJSON_GetObjectItemCaseSensitive(root, "grad_scaler");
	struct scaler s = { .scale = golden_number(g, "init_scale"), .interval = (int64_t)golden_number(g, "growth_interval") };
	const cJSON *row;
	int n = 0;

	(void)state;
	assert_true(golden_number(g, "growth_factor") == 2 && golden_number(g, "backoff_factor") == 0.5);
	cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(g, "rows")) {
		bool skipped = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, "step_skipped"));
		assert_true(s.scale == golden_number(row, "scale_before"));
		assert_int_equal(scaler_update(&s, golden_number(row, "overflow") == 0), !skipped);
		assert_true(s.scale == golden_number(row, "scale_after"));
		n++;
	}
	assert_true(n > 0);
	cJSON_Delete(root);
}

static void
the_default_doubles_after_2000_good_updates(void **state)
{
	struct scaler s = SCALER_DEFAULT;

	(void)state;
	for (int i = 0; i < 1999; i++)
		assert_true(scaler_update(&s, true));
	assert_true(s.scale == 65536);
	scaler_update(&s, true);
	assert_true(s.scale == 131072);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scales_and_skipped_updates_are_the_reference_s),
		cmocka_unit_test(the_default_doubles_after_2000_good_updates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
