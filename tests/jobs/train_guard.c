/* SPDX-License-Identifier: Apache-2.0 */
/* Around checkpoints: short-lived ones, damaged ones, commands, a full disk, the end of a batch job, comments */
#include "jobs/runs.h"

#include "base/clock.h"
#include "base/file.h"
#include "formats/safetensors.h"
#include "models/adapter.h"
#include "support/golden.h"
#include "support/test.h"
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
in(const char *out, const char *name)
{
	static char text[2][700];
	static int i;
	char *to = text[i++ % 2];

	snprintf(to, sizeof text[0], "%s/%s", out, name);
	return to;
}

static void
short_lived_checkpoints_come_between_and_are_gone_on_from(void **state)
{
	const char *out = runs_at("rolling"), *whole = runs_at("whole");

	(void)state;
	runs_must(out, PAIRS("checkpoint_step_interval", "4", "checkpointing_rolling_steps", "1"));
	assert_true(runs_there(out, "checkpoint-4/.guard") && runs_there(out, "checkpoint-6/.guard"));
	assert_true(runs_there(out, "checkpoint-5-rolling/.guard"));
	assert_false(runs_there(out, "checkpoint-3-rolling") || runs_there(out, "checkpoint-4-rolling"));
	assert_ok(file_remove_tree(in(out, "checkpoint-6")));
	runs_must(out, PAIRS("checkpoint_step_interval", "4", "checkpointing_rolling_steps", "2",
	                     "checkpoints_rolling_total_limit", "3", "max_train_steps", "9"));
	assert_true(runs_there(out, "checkpoint-5-rolling/.guard") && runs_there(out, "checkpoint-6-rolling/.guard"));
	assert_false(runs_there(out, "checkpoint-8-rolling"));		/* it is an ordinary one */
	runs_must(whole, PAIRS("max_train_steps", "9"));
	runs_same_run(out, whole, 9);
}

static void
damaged_checkpoints_go_only_when_that_is_asked_for(void **state)
{
	const char *out = runs_at("hurt");

	(void)state;
	runs_must(out, PAIRS("checkpoint_step_interval", "2"));
	assert_int_equal(unlink(in(out, "checkpoint-4/.guard")), 0);
	assert_int_equal(unlink(in(out, "checkpoint-6/.guard")), 0);
	runs_must(out, PAIRS("checkpoint_step_interval", "100", "max_train_steps", "3"));
	assert_true(runs_there(out, "checkpoint-3/.guard") && runs_there(out, "checkpoint-2/.guard"));
	runs_must(out, PAIRS("checkpoint_step_interval", "2", "max_train_steps", "5"));
	assert_int_equal(unlink(in(out, "checkpoint-5/.guard")), 0);
	assert_int_equal(unlink(in(out, "checkpoint-4/.guard")), 0);
	runs_must(out, PAIRS("checkpoint_step_interval", "100", "max_train_steps", "7", "delete_invalid_checkpoints", "true"));
	assert_false(runs_there(out, "checkpoint-4") || runs_there(out, "checkpoint-5"));
	assert_true(runs_there(out, "checkpoint-7/.guard"));
}

static void
a_command_runs_behind_each_checkpoint(void **state)
{
	const char *out = runs_at("script");
	char command[800], want[1400], *have;
	size_t size, told = 0;

	(void)state;
	snprintf(command, sizeof command, "echo {global_step} {local_checkpoint_path} $(ls {local_checkpoint_path}/.guard) >> %s",
	         runs_at("told"));
	runs_must(out, PAIRS("post_checkpoint_script", command));
	assert_ok(file_read(runs_at("told"), 1 << 16, &have, &size));
	for (int step = 2; step <= 6; step += 2) {		/* they run beside one another: in any order */
		int n = snprintf(want, sizeof want, "%d %s/checkpoint-%d %s/checkpoint-%d/.guard\n", step, out, step, out, step);
		assert_non_null(strstr(have, want));
		told += (size_t)n;
	}
	assert_int_equal(size, told);
	free(have);
	runs_must(runs_at("fails"), PAIRS("post_checkpoint_script", "exit 3", "max_train_steps", "2"));
}

/* At its steps and before the first one, in their order, with the last checkpoint that is whole. */
static void
a_command_takes_the_place_of_clips(void **state)
{
	const char *out = runs_at("external"), *const how[] = { "false", "true" };
	char command[800], *have;
	size_t size;

	(void)state;
	for (int i = 0; i < 2; i++) {
		const char *told = runs_at(i ? "said-behind" : "said");
		out = runs_at(i ? "external-behind" : "external");
		snprintf(command, sizeof command, "echo {global_step} {model_family} $(basename {local_checkpoint_path}/.guard) >> %s", told);
		runs_must(out, PAIRS("validation_method", "external-script", "validation_external_script", command, "validation_step_interval", "3",
		                     "validation_on_startup", "true", "validate_after_step", "0", "validation_external_background", how[i]));
		assert_ok(file_read(told, 1 << 16, &have, &size));
		if (i == 0)
			assert_string_equal(have, "0 ace_step .guard\n3 ace_step .guard\n6 ace_step .guard\n");
		assert_int_equal(size, strlen("0 ace_step .guard\n") * 3);
		free(have);
		runs_same_run(out, runs_at("external"), 6);
	}
	snprintf(command, sizeof command, "echo {local_checkpoint_path} > %s", runs_at("which"));
	runs_must(runs_at("last"), PAIRS("validation_method", "external-script", "validation_external_script", command,
	                                 "validation_step_interval", "5"));
	assert_ok(file_read(runs_at("which"), 1 << 16, &have, &size));
	assert_true(strstr(have, "last/checkpoint-4\n") || strstr(have, "last/checkpoint-2\n"));	/* as far as it was written */
	free(have);
	runs_must(runs_at("wrong"), PAIRS("validation_method", "external-script", "validation_external_script", "exit 3",
	                                  "validation_step_interval", "3"));
	runs_fails(ACE_ECONFIG, "validation_external_script", runs_at("refused"), PAIRS("validation_method", "external-script"));
}

static void
a_low_disk_stops_the_run_or_is_told_to_a_script(void **state)
{
	const char *out = runs_at("low");
	char command[700];

	(void)state;
	runs_must(runs_at("enough"), PAIRS("disk_low_threshold", "1KiB", "max_train_steps", "2"));
	runs_fails(ACE_EIO, "disk_low_threshold is", out, PAIRS("disk_low_threshold", "700P"));
	assert_false(runs_there(out, "checkpoint-2"));
	snprintf(command, sizeof command, "touch %s", runs_at("called"));
	runs_fails(ACE_EIO, "stopped at step 0", out,
	           PAIRS("disk_low_threshold", "700P", "disk_low_action", "script", "disk_low_script", command));
	assert_true(file_exists(runs_at("called")));
	runs_fails(ACE_ECONFIG, "disk_low_threshold", out, PAIRS("disk_low_threshold", "lots"));
	runs_fails(ACE_ECONFIG, "disk_low_script", out, PAIRS("disk_low_threshold", "1G", "disk_low_action", "script"));
	runs_fails(ACE_ECONFIG, "disk_low_threshold", out, PAIRS("disk_low_action", "wait"));
}

/* The job ends in an hour: too late for a limit of two, not for one of a second. */
static void
a_job_near_its_end_is_left_in_time(void **state)
{
	char end[40];

	(void)state;
	snprintf(end, sizeof end, "%.0f", clock_wall() + 3600);
	assert_int_equal(setenv("SLURM_JOB_END_TIME", end, 1), 0);
	runs_must(runs_at("in-time"), PAIRS("checkpoint_time_limit", "1", "max_train_steps", "2"));
	runs_fails(ACE_ESTOPPED, "stopped on request", runs_at("late"), PAIRS("checkpoint_time_limit", "7200", "max_train_steps", "2"));
	assert_int_equal(unsetenv("SLURM_JOB_END_TIME"), 0);
}

static void
a_comment_is_filled_in_and_written(void **state)
{
	const char *out = runs_at("comment"), *text;
	struct st_file f;

	(void)state;
	assert_int_equal(setenv("ACE_TEST_WHO", "me", 1), 0);
	runs_must(out, PAIRS("modelspec_comment", "step {current_step}, epoch {current_epoch}, by {env:ACE_TEST_WHO}, {else}"));
	assert_ok(st_open(&f, in(out, "checkpoint-4/" ADAPTER_FILE)));
	text = st_meta(&f, "modelspec.comment");
	assert_non_null(text);
	assert_non_null(strstr(text, "step 4, epoch "));
	assert_non_null(strstr(text, ", by me, {else}"));
	st_close(&f);
	assert_ok(st_open(&f, in(out, ADAPTER_FILE)));
	assert_non_null(strstr(st_meta(&f, "modelspec.comment"), "step 6"));
	st_close(&f);
}

/* With this decay the first update makes all that follows overflow. A run that goes on counts on. */
static void
losses_that_are_not_finite_are_skipped_up_to_a_limit(void **state)
{
	static const char end[] = "2 updates in a row skipped before it, as many as nonfinite_limit allows";
	const char *out = runs_at("overflow");
	double skipped[64];

	(void)state;
	runs_fails(ACE_EDATA, "step 2: the loss is ", runs_at("overflow-0"), PAIRS("optimizer_config", "weight_decay=1e30"));
	assert_null(strstr(ace_message(), "nonfinite_limit"));
	runs_fails(ACE_EDATA, end, out, PAIRS("optimizer_config", "weight_decay=1e30", "nonfinite_limit", "2"));
	assert_non_null(strstr(ace_message(), "step 4: the loss is "));
	assert_int_equal(runs_metric(out, "skipped_updates", skipped), 3);
	assert_true(skipped[1] == 0 && skipped[2] == 1 && skipped[3] == 2);
	assert_true(runs_there(out, "checkpoint-2/.guard"));
	runs_fails(ACE_EDATA, end, out, PAIRS("optimizer_config", "weight_decay=1e30", "nonfinite_limit", "2"));
	assert_non_null(strstr(ace_message(), "step 4: the loss is "));
	runs_must(out, PAIRS("optimizer_config", "weight_decay=1e30", "nonfinite_limit", "5"));
	assert_int_equal(runs_metric(out, "skipped_updates", skipped), 6);
	assert_true(skipped[6] == 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_lived_checkpoints_come_between_and_are_gone_on_from),
		cmocka_unit_test(damaged_checkpoints_go_only_when_that_is_asked_for),
		cmocka_unit_test(a_command_runs_behind_each_checkpoint),
		cmocka_unit_test(a_command_takes_the_place_of_clips),
		cmocka_unit_test(a_low_disk_stops_the_run_or_is_told_to_a_script),
		cmocka_unit_test(a_job_near_its_end_is_left_in_time),
		cmocka_unit_test(a_comment_is_filled_in_and_written),
		cmocka_unit_test(losses_that_are_not_finite_are_skipped_up_to_a_limit),
	};

	if (!golden_set("transformer-tiny")) {
		printf("1..0 # SKIP transformer-tiny\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, runs_prepare, runs_tidy);
}
