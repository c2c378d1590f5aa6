/* SPDX-License-Identifier: Apache-2.0 */
/* The loss on held-out clips is that of steps over them, at given times and noise */
#include "train/tiny.h"

#include "base/file.h"
#include "support/test.h"
#include "train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLIPS = 3, TIMES = 2 };

static char *folder;

static void
start(struct tiny *t, struct tiny_data *data)
{
	struct batch largest = { 0 };
	struct step_options o;

	tiny_open(t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2, .checkpoint_interval = 1 });
	tiny_data_open(data, t, folder, 1);
	o = tiny_step_options(t);
	o.schedule.rate = 0;
	data_largest(data->d, &largest);
	assert_ok(step_open(&t->step, &t->m, &o, (struct step_shape){ largest.B, largest.T, largest.S, largest.Y }));
}

static double
step_loss(struct tiny *t, const struct batch *b, int64_t index)
{
	struct flow_time at = flow_time_at(&t->step.o.flow, index);
	int64_t n = b->channels * b->rows * b->T;
	float *noise = malloc((size_t)n * sizeof *noise);
	const struct step_given given = { noise, &at.sigma, &at.timestep };
	struct step_report r;

	assert_non_null(noise);
	rng_normal_fill(rng_stream(t->step.o.seed, RNG_VALIDATION, (uint64_t)index, b->sample_id[0]), noise, n);
	assert_ok(step_run(&t->step, b, &given));
	assert_ok(step_update(&t->step, &r));
	free(noise);
	return r.loss;
}

static void
it_is_the_mean_over_clips_and_times(void **state)
{
	struct evaluation e;
	struct batch b = { 0 };
	struct tiny_data data;
	struct tiny t;
	double loss, again, want = 0;

	(void)state;
	start(&t, &data);
	for (int i = 0; i < data.list.n; i++)
		if (data.list.entry[i].kind == DATASET_AUDIO) {
			const struct evaluation_options o = { &data.o, data.list.entry[i].id, CLIPS, TIMES };
			assert_ok(evaluation_open(&e, &t.step, &o));
			break;
		}
	assert_int_equal(e.n, CLIPS);
	assert_ok(evaluation_loss(&e, &loss));
	for (int i = 0; i < CLIPS; i++) {
		assert_ok(data_batch(data.d, 0, i, &b));
		for (int k = 0; k < TIMES; k++)
			want += step_loss(&t, &b, k == 0 ? 250 : 750) / (CLIPS * TIMES);
	}
	assert_true(want > 0);
	if (!(fabs(loss - want) <= 1e-6 * want))
		fail_msg("the loss is %.9g, of steps %.9g", loss, want);
	assert_ok(evaluation_loss(&e, &again));
	assert_true(again == loss);
	evaluation_close(&e);
	batch_free(&b);
	tiny_data_close(&data);
	tiny_close(&t);
}

static void
what_holds_no_clips_is_refused(void **state)
{
	struct evaluation e;
	struct tiny_data data;
	struct tiny t;
	struct evaluation_options o;

	(void)state;
	start(&t, &data);
	o = (struct evaluation_options){ &data.o, NULL, CLIPS, TIMES };
	assert_int_equal(evaluation_open(&e, &t.step, &o), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "dataset_type eval"));
	evaluation_close(&e);
	o.dataset = "nobody";
	assert_int_equal(evaluation_open(&e, &t.step, &o), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "eval_dataset_id=nobody"));
	evaluation_close(&e);
	tiny_data_close(&data);
	tiny_close(&t);
}

static int
prepare(void **state)
{
	(void)state;
	folder = strdup(golden_tmp());
	return folder ? 0 : 1;
}

static int
tidy(void **state)
{
	int bad = file_remove_tree(folder) != ACE_OK;

	(void)state;
	free(folder);
	return bad;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_the_mean_over_clips_and_times),
		cmocka_unit_test(what_holds_no_clips_is_refused),
	};

	if (!golden_set(TINY_SET)) {
		printf("1..0 # SKIP " TINY_SET "\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, prepare, tidy);
}
