/* SPDX-License-Identifier: Apache-2.0 */
/* A run that is saved, forgotten and gone on with is the run that was never stopped, bit for bit; and where runs end */
#include "train/tiny.h"

#include "base/file.h"
#include "support/test.h"
#include "train/state.h"

#include <stdlib.h>
#include <string.h>

enum { UPDATES = 7, MICRO = 3, STEPS = 2 * UPDATES };

static const struct tiny_options dropped = { .kind = DEV_CPU, .threads = 2, .lora_dropout = 0.1f, .lyric_dropout = 0.1f };

static char *folder;			/* of the stores and the runs */

struct one {
	struct tiny t;
	struct tiny_data data;
	struct loop loop;
	struct step_options o;
};

static bool scaled;			/* a loss scale, that begins too high by some updates and grows every second good one */

static const struct adapter_write_options adapter;
static const struct state_facts facts = { "a mark", &adapter };

/* from: a checkpoint, or NULL. */
static void
start(struct one *r, enum optim_rule rule, const struct checkpoint *from, int64_t steps, double epochs)
{
	const struct loop_limits limits = { steps, epochs };
	struct loop_place at = { 0 };
	struct batch largest = { 0 };

	tiny_open(&r->t, &dropped);
	tiny_data_open(&r->data, &r->t, folder, 2);
	r->o = tiny_step_options(&r->t);
	r->o.dropout = (struct flow_dropout){ 0.15f, 0.5f, 0.15f };
	r->o.accumulation = MICRO;
	r->o.optim.rule = rule;
	r->o.optim.d0 = 1e-6;
	r->o.optim.d_coef = 1;
	if (scaled)
		r->o.scaler = (struct scaler){ .scale = 0x1p70, .interval = 2 };
	data_largest(r->data.d, &largest);
	assert_ok(step_open(&r->t.step, &r->t.m, &r->o, (struct step_shape){ largest.B, largest.T, largest.S, largest.Y }));
	if (from)
		assert_ok(state_restore(from, &r->t.step, &at));
	assert_ok(loop_open(&r->loop, &r->t.step, r->data.d, &limits, at));
}

static void
finish(struct one *r)
{
	loop_close(&r->loop);
	tiny_data_close(&r->data);
	tiny_close(&r->t);
}

static int
go_on(struct one *r, int updates, double *number)
{
	struct loop_report report;
	bool more;

	for (int i = 0; i < updates; i++) {
		assert_ok(loop_update(&r->loop, &report, &more));
		if (!more)
			return i;
		*number++ = report.step.loss;
		*number++ = report.step.grad_norm;
	}
	return updates;
}

static void
save(const struct one *r, const char *dir)
{
	struct checkpoint_writer *w;
	struct checkpoint_save *s;

	assert_ok(checkpoint_writer_open(&w, dir, false));
	assert_ok(checkpoint_begin(&s, r->t.step.updates, NULL));
	assert_ok(state_save(s, &r->loop, &facts));
	assert_ok(checkpoint_commit(w, s, NULL));
	assert_ok(checkpoint_writer_close(w));
}

static void
same(const struct one *a, const struct one *b)
{
	assert_int_equal(a->t.step.updates, b->t.step.updates);
	assert_memory_equal(&a->t.step.scaler, &b->t.step.scaler, sizeof a->t.step.scaler);
	assert_int_equal(a->loop.at.epoch, b->loop.at.epoch);
	assert_int_equal(a->loop.at.number, b->loop.at.number);
	for (int i = 0; i < a->t.step.optim.n; i++) {
		const struct optim_item *p = &a->t.step.optim.item[i], *q = &b->t.step.optim.item[i];
		assert_memory_equal(p->p->value.data, q->p->value.data, tensor_bytes(p->p->value));
		for (int k = 0; k < OPTIM_STATES && p->state[k].name; k++)
			assert_memory_equal(p->state[k].value.data, q->state[k].value.data, tensor_bytes(p->state[k].value));
	}
}

static void
stopped_and_unstopped(enum optim_rule rule, int stop_at)
{
	double want[2 * UPDATES], got[2 * UPDATES];
	char *out = file_path("%s/out-%d-%d", folder, (int)rule, stop_at);
	struct one whole, part, rest;
	struct checkpoint c;
	uint64_t seed;
	char *path;

	start(&whole, rule, NULL, STEPS, 0);
	assert_int_equal(go_on(&whole, UPDATES, want), UPDATES);
	start(&part, rule, NULL, STEPS, 0);
	go_on(&part, stop_at, got);
	save(&part, out);
	go_on(&part, UPDATES - stop_at, got + 2 * stop_at);	/* saving has changed nothing either */
	assert_memory_equal(got, want, sizeof want);
	same(&whole, &part);
	memset(got + 2 * stop_at, 0, sizeof got - 2 * (size_t)stop_at * sizeof *got);
	finish(&part);
	assert_ok(checkpoint_latest(out, false, &path));
	assert_non_null(path);
	assert_ok(checkpoint_open(&c, path, false));
	assert_ok(state_check(&c, &whole.o, "a mark"));
	assert_ok(state_seed(&c, &seed));
	assert_int_equal(seed, whole.o.seed);
	start(&rest, rule, &c, STEPS, 0);
	assert_int_equal(rest.t.step.updates, stop_at);
	go_on(&rest, UPDATES - stop_at, got + 2 * stop_at);
	assert_memory_equal(got, want, sizeof want);
	same(&whole, &rest);
	checkpoint_close(&c);
	finish(&rest);
	finish(&whole);
	free(path);
	free(out);
}

static void
stopping_and_going_on_is_not_stopping(void **state)
{
	(void)state;
	for (int at = 1; at < UPDATES; at += 2)
		stopped_and_unstopped(OPTIM_ADAMW, at);
	stopped_and_unstopped(OPTIM_ADAMW_BF16, 2);
	stopped_and_unstopped(OPTIM_SCHEDULEFREE, 3);
	stopped_and_unstopped(OPTIM_ADAMW8BIT, 3);
	stopped_and_unstopped(OPTIM_PRODIGY, 3);
	scaled = true;
	for (int at = 1; at < UPDATES; at++)
		stopped_and_unstopped(at % 2 ? OPTIM_ADAMW8BIT : OPTIM_OPTIMI_ADAMW, at);
	scaled = false;
}

static void
a_checkpoint_of_another_model_or_optimizer_is_refused(void **state)
{
	char *out = file_path("%s/out-other", folder);
	struct step_options o;
	struct checkpoint c;
	double number[4];
	struct one r;
	char *path;

	(void)state;
	start(&r, OPTIM_ADAMW, NULL, STEPS, 0);
	go_on(&r, 1, number);
	save(&r, out);
	assert_ok(checkpoint_latest(out, false, &path));
	assert_ok(checkpoint_open(&c, path, false));
	assert_int_equal(state_check(&c, &r.o, "another mark"), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "another model"));
	o = r.o;
	o.optim.rule = OPTIM_LION;
	assert_int_equal(state_check(&c, &o, "a mark"), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "optimi-lion"));
	checkpoint_close(&c);
	finish(&r);
	free(path);
	free(out);
}

/* Left-over micro batches count for the next epoch; at the last epoch's end they are dropped. */
static void
a_run_ends_with_its_steps_or_its_epochs(void **state)
{
	double number[2 * STEPS];
	struct loop_limits l;
	int64_t batches;
	struct one r;

	(void)state;
	start(&r, OPTIM_ADAMW, NULL, 3, 0);
	assert_int_equal(go_on(&r, STEPS, number), 3);
	batches = data_batches_per_epoch(r.data.d, 0);
	assert_true(batches > MICRO && batches % MICRO != 0);
	assert_int_equal(loop_steps_per_epoch(r.data.d, MICRO, 1), (batches + MICRO - 1) / MICRO);
	finish(&r);
	start(&r, OPTIM_ADAMW, NULL, STEPS, 2);
	assert_int_equal(go_on(&r, STEPS, number), 2 * batches / MICRO);
	finish(&r);

	assert_ok(loop_limits_of(&l, 40, 1, false, 5));
	assert_true(l.steps == 40 && l.epochs == 0);
	assert_ok(loop_limits_of(&l, 0, 1.5, false, 5));
	assert_true(l.steps == 8 && l.epochs == 1.5);
	assert_int_equal(loop_limits_of(&l, 0, 0, false, 5), ACE_ECONFIG);
	assert_int_equal(loop_limits_of(&l, 40, 0, true, 5), ACE_ECONFIG);
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
		cmocka_unit_test(stopping_and_going_on_is_not_stopping),
		cmocka_unit_test(a_checkpoint_of_another_model_or_optimizer_is_refused),
		cmocka_unit_test(a_run_ends_with_its_steps_or_its_epochs),
	};

	return cmocka_run_group_tests(tests, prepare, tidy);
}
