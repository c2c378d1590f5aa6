/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optim_settings.h"

#include "support/test.h"

#include <math.h>
#include <string.h>

static const struct optim_wish nothing = { .beta1 = NAN, .beta2 = NAN, .adam_beta1 = NAN, .adam_beta2 = NAN,
	.adam_epsilon = NAN, .adam_weight_decay = NAN };

static struct optim_settings
resolved(const struct optim_wish *w, const char *want_unknown)
{
	struct optim_settings o;
	char unknown[100];

	assert_ok(optim_settings_resolve(&o, w, unknown, sizeof unknown));
	assert_string_equal(unknown, want_unknown);
	return o;
}

static void
refused(const struct optim_wish *w, const char *names)
{
	struct optim_settings o;
	char unknown[100];

	assert_int_equal(optim_settings_resolve(&o, w, unknown, sizeof unknown), ACE_ECONFIG);
	if (!strstr(ace_message(), names))
		fail_msg("'%s' does not name %s", ace_message(), names);
}

static void
a_rule_alone_gives_its_own_numbers(void **state)
{
	static const struct { const char *name; double b1, b2, eps, wd; } want[] = {
		{ "torch-adamw", 0.9, 0.999, 1e-8, 0.01 }, { "adamw_bf16", 0.9, 0.999, 1e-6, 0.01 },
		{ "ao-adamw8bit", 0.9, 0.999, 1e-6, 0.01 }, { "optimi-adamw", 0.9, 0.99, 1e-6, 0 },
		{ "optimi-stableadamw", 0.9, 0.99, 1e-6, 0.01 }, { "optimi-lion", 0.9, 0.99, 0, 0 },
		{ "torch-adam", 0.9, 0.999, 1e-8, 0 }, { "adamw_schedulefree", 0.9, 0.999, 1e-8, 0.01 },
		{ "prodigy", 0.9, 0.99, 1e-8, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		struct optim_wish w = nothing;
		struct optim_settings o = resolved((w.optimizer = want[i].name, &w), "");
		assert_true(o.beta1 == want[i].b1 && o.beta2 == want[i].b2);
		assert_true(o.eps == want[i].eps && o.weight_decay == want[i].wd);
		assert_string_equal(optim_rule_name(o.rule), want[i].name);
	}
}

static void
later_sources_are_stronger(void **state)
{
	struct optim_wish w = nothing;
	struct optim_settings o;

	(void)state;
	w.optimizer = "adamw_bf16";
	w.adam_beta1 = 0.7, w.adam_epsilon = 1e-5, w.adam_weight_decay = 0.5;
	o = resolved(&w, "");
	assert_true(o.beta1 == 0.7 && o.beta2 == 0.999 && o.eps == 1e-5 && o.weight_decay == 0.5);
	w.config = "beta1=0.6, weight_decay = 0.25";
	o = resolved(&w, "");
	assert_true(o.beta1 == 0.6 && o.eps == 1e-5 && o.weight_decay == 0.25);
	w.beta1 = 0.5, w.beta2 = 0.4;
	o = resolved(&w, "");
	assert_true(o.beta1 == 0.5 && o.beta2 == 0.4 && o.weight_decay == 0.25);
}

static void
keys_that_a_rule_lacks_are_dropped_and_told(void **state)
{
	struct optim_wish w = nothing;
	struct optim_settings o;

	(void)state;
	w.optimizer = "torch-sgd";
	w.config = "momentum=0.9,nesterov=true,d_coef=0.1,,beta1=0.3,weight_decay=none";
	w.adam_beta1 = 0.2;
	o = resolved(&w, "adam_beta1, d_coef, beta1");
	assert_true(o.momentum == 0.9 && o.nesterov && o.beta1 == 0 && o.weight_decay == 0);
}

static void
aliases_stand_for_their_rule(void **state)
{
	static const char *const alias[][2] = { { "bnb-adamw8bit", "ao-adamw8bit" }, { "bnb-adamw8bit-paged", "ao-adamw8bit" },
		{ "bnb-lion", "optimi-lion" }, { "bnb-lion8bit", "optimi-lion" } };

	(void)state;
	for (size_t i = 0; i < sizeof alias / sizeof *alias; i++) {
		struct optim_wish w = nothing;
		w.optimizer = alias[i][0];
		assert_string_equal(optim_rule_name(resolved(&w, "").rule), alias[i][1]);
	}
}

static void
what_cannot_be_meant_is_refused_by_name(void **state)
{
	struct optim_wish w = nothing;

	(void)state;
	w.optimizer = "soap";
	refused(&w, "torch-adamw, ");		/* those that there are */
	w.optimizer = "adamw8bit";
	refused(&w, "ao-adamw8bit has taken its place");
	w.optimizer = "torch-adamw";
	w.beta1 = 0.9;
	refused(&w, "optimizer_beta2");
	w.beta2 = 1.0;
	refused(&w, "optimizer_beta2: beta2");
	w.beta1 = w.beta2 = NAN;
	w.adam_epsilon = -1;
	refused(&w, "adam_epsilon");
	w.adam_epsilon = NAN;
	w.config = "eps=tiny";
	refused(&w, "'tiny'");
	w.config = "eps";
	refused(&w, "no key=value");
	w.config = "eps=1e-8x";
	refused(&w, "1e-8x");
	w.optimizer = "torch-sgd";
	w.config = "nesterov=0.5";
	refused(&w, "nesterov");
}

static void
rules_say_what_they_leave_out(void **state)
{
	(void)state;
	assert_true(optim_clips(OPTIM_ADAMW) && !optim_clips(OPTIM_STABLEADAMW) && !optim_clips(OPTIM_PRODIGY));
	assert_true(optim_averages(OPTIM_SCHEDULEFREE) && optim_averages(OPTIM_PRODIGY) && !optim_averages(OPTIM_LION));
	assert_true(optim_follows_schedule(OPTIM_ADAMW_BF16) && !optim_follows_schedule(OPTIM_SCHEDULEFREE));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_alone_gives_its_own_numbers),
		cmocka_unit_test(later_sources_are_stronger),
		cmocka_unit_test(keys_that_a_rule_lacks_are_dropped_and_told),
		cmocka_unit_test(aliases_stand_for_their_rule),
		cmocka_unit_test(what_cannot_be_meant_is_refused_by_name),
		cmocka_unit_test(rules_say_what_they_leave_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
