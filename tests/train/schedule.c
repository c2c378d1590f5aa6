/* SPDX-License-Identifier: Apache-2.0 */
#include "train/schedule.h"

#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <string.h>

static double
number(const cJSON *params, const char *key, double missing)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(params, key);

	return cJSON_IsNumber(v) ? v->valuedouble : missing;
}

/* The raw kinds: the table has "constant" with a warm-up as a plain constant, which schedule_named would rename. */
static void
set_up(struct schedule *s, const cJSON *c)
{
	const cJSON *p = cJSON_GetObjectItemCaseSensitive(c, "params");
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "name"));
	const char *family = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, "family"));

	*s = (struct schedule){ .compat = strcmp(family, "compat") == 0,
		                .rate = number(p, "learning_rate", NAN),
		                .warmup = (int64_t)number(p, "lr_warmup_steps", 0),
		                .steps = (int64_t)number(p, "max_train_steps", 0),
		                .cycles = number(p, "lr_num_cycles", 1),
		                .power = number(p, "lr_power", 1),
		                .end = number(p, "lr_end", 0) };
	assert_ok(schedule_named(s, strcmp(name, "upstream_linear") == 0 ? "linear" : name));
	if (strcmp(name, "constant") == 0)
		s->kind = SCHEDULE_CONSTANT;
}

static void
every_table_of_the_reference_is_met(void **state)
{
	cJSON *root = golden_json("lr-schedules", "tables.json"), *c;
	int cases = 0;

	(void)state;
	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(root, "cases")) {
		const cJSON *lr;
		struct schedule s;
		int64_t k = 0;

		set_up(&s, c);
		cJSON_ArrayForEach(lr, cJSON_GetObjectItemCaseSensitive(c, "lr")) {
			double got = schedule_rate(&s, k), want = lr->valuedouble;
			if (!(fabs(got - want) <= 1e-9 * fabs(want)))
				fail_msg("case %d, update %lld: rate %.17g, wanted %.17g", cases, (long long)k, got, want);
			k++;
		}
		assert_true(k > 0);
		cases++;
	}
	assert_true(cases > 0);
	cJSON_Delete(root);
}

static void
a_constant_with_a_warm_up_warms_up(void **state)
{
	struct schedule s = { .rate = 1e-4, .warmup = 10, .steps = 100 };

	(void)state;
	assert_ok(schedule_named(&s, "constant"));
	assert_int_equal(s.kind, SCHEDULE_CONSTANT_WITH_WARMUP);
	assert_true(schedule_rate(&s, 0) == 0 && schedule_rate(&s, 5) == 1e-4 * 0.5 && schedule_rate(&s, 10) == 1e-4);
	s.warmup = 0;
	assert_ok(schedule_named(&s, "constant"));
	assert_int_equal(s.kind, SCHEDULE_CONSTANT);
}

static void
what_cannot_work_is_refused_by_name(void **state)
{
	struct schedule s = { .rate = 1e-4, .end = 1e-4, .steps = 100 };

	(void)state;
	assert_int_equal(schedule_named(&s, "polynomial"), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "lr_end"));
	assert_int_equal(schedule_named(&s, "sine"), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "lr_warmup_steps"));
	assert_int_equal(schedule_named(&s, "wavy"), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "wavy"));
}

static void
restarts_start_again_and_a_cosine_ends_at_nothing(void **state)
{
	struct schedule s = { .rate = 1, .steps = 90, .cycles = 3 };

	(void)state;
	assert_ok(schedule_named(&s, "cosine_with_restarts"));
	for (int64_t k = 0; k < 30; k++)
		assert_true(fabs(schedule_rate(&s, k) - schedule_rate(&s, k + 30)) < 1e-12);
	assert_true(schedule_rate(&s, 30) > 0.999 && schedule_rate(&s, 29) < 0.01 && schedule_rate(&s, 90) == 0);
	assert_ok(schedule_named(&s, "cosine"));
	assert_true(schedule_rate(&s, 90) < 1e-30 && fabs(schedule_rate(&s, 45) - 0.5) < 1e-15);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_table_of_the_reference_is_met),
		cmocka_unit_test(a_constant_with_a_warm_up_warms_up),
		cmocka_unit_test(what_cannot_work_is_refused_by_name),
		cmocka_unit_test(restarts_start_again_and_a_cosine_ends_at_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
