/* SPDX-License-Identifier: Apache-2.0 */
/* A loss or gradient of one rank that is not finite: all stop with one message, or all skip that update, whatever the sharding */
#include "../comm/ranks.h"

#include "train/team.h"

#include <math.h>
#include <stdlib.h>

static char *folder;			/* of model and stores; the same on all ranks */

static int
setup(void **state)
{
	if (open_world(state) != 0)
		return -1;
	folder = team_folder(world);
	return 0;
}

static int
teardown(void **state)
{
	team_folder_free(world, folder);
	return close_world(state);
}

static void
start(struct team *t, enum sharding sharding, const char *rule, int64_t nonfinite, double loss_scale)
{
	const struct team_options o = { .sharding = sharding, .rule = rule, .adapters = 4, .accumulation = 1, .nonfinite = nonfinite,
		.loss_scale = loss_scale, .average = true };

	team_open(t, world, folder, &o);
}

enum poison { NOTHING, LOSS, GRADIENT };

/* The update of the n-th batch of every rank, the last of which has a number that is none. */
static enum status
update(struct team *t, int n, enum poison poison, struct step_report *r)
{
	bool mine = world->rank == world->size - 1, parted = t->x.sharding == SHARDING_FULL || t->x.sharding == SHARDING_HYBRID;

	team_batch(t, n);
	if (poison == LOSS && mine)
		t->b.latents[3] = NAN;
	if (poison == GRADIENT && mine && !parted)	/* whose sums begin in the pass */
		((float *)t->step.grads.data)[0] = INFINITY;
	assert_ok(step_run(&t->step, &t->b, NULL));
	if (poison == GRADIENT && mine && parted)	/* which the pass writes */
		((float *)t->step.grads.data)[0] = INFINITY;
	return step_update(&t->step, r);
}

/* All that this rank has of values, states, averages and the optimiser's course; owned by the caller. */
static char *
remains(struct team *t, size_t *size)
{
	const struct optim *o = &t->step.optim;
	char *all = malloc(1 << 24);
	struct exchange_item it;
	size_t n = 0;

	assert_non_null(all);
	for (int i = 0; exchange_item(&t->x, &t->m, i, &it); i++) {
		struct tensor x = it.p->value;
		if (!it.p->train || !x.data)
			continue;
		memcpy(all + n, x.data, tensor_bytes(x));
		n += tensor_bytes(x);
	}
	for (int i = 0; i < o->n; i++)
		for (int k = 0; k < OPTIM_STATES && o->item[i].state[k].name; k++) {
			struct tensor x = o->item[i].state[k].value;
			memcpy(all + n, x.data, tensor_bytes(x));
			n += tensor_bytes(x);
		}
	for (int i = 0; i < t->step.ema.n; i++) {
		memcpy(all + n, t->step.ema.shadow[i].data, tensor_bytes(t->step.ema.shadow[i]));
		n += tensor_bytes(t->step.ema.shadow[i]);
	}
	for (int i = 0; i < OPTIM_SCALARS && o->scalar[i].name; i++, n += sizeof(double))
		memcpy(all + n, &o->scalar[i].value, sizeof(double));
	*size = n;
	return all;
}

/* What is left of three batches with a spoilt one between the first two, or (NOTHING) without it. */
static char *
course(enum sharding sharding, const char *rule, enum poison poison, size_t *size)
{
	char *left, speaker[32], want[40];
	struct step_report r;
	struct team t;
	double rate;

	start(&t, sharding, rule, 1, 0);
	assert_ok(update(&t, 0, NOTHING, &r));
	assert_true(r.samples == 2 * world->size && !r.skipped && !r.why);
	rate = step_rate(&t.step);
	if (poison != NOTHING) {
		snprintf(speaker, sizeof speaker, "rank %d", poison == LOSS ? world->size - 1 : 0);
		snprintf(want, sizeof want, "step 2: %s", poison == LOSS ? "the loss is nan" : "the norm of the gradients is");
		assert_ok(update(&t, 1, poison, &r));
		assert_true(r.skipped && r.ema_decay == -1 && r.samples == 2 * world->size);
		assert_non_null(r.why);
		assert_non_null(strstr(r.why, speaker));
		assert_non_null(strstr(r.why, want));
		assert_true(poison == LOSS ? isnan(r.loss) : isfinite(r.loss) && !isfinite(r.grad_norm));
		assert_true(t.step.scaler.skipped == 1 && t.step.spoilt == 1 && t.step.updates == 2 && step_rate(&t.step) == rate);
	}
	assert_ok(update(&t, 2, NOTHING, &r));
	assert_ok(update(&t, 3, NOTHING, &r));
	assert_true(!r.skipped && !r.why && isfinite(r.loss) && t.step.spoilt == 0);
	left = remains(&t, size);
	team_close(&t);
	return left;
}

static void
a_spoilt_update_leaves_what_there_would_be_without_it(void **state)
{
	static const char *const rules[] = { "torch-adamw", "torch-adafactor", "prodigy", "adamw_schedulefree" };

	(void)state;
	for (enum sharding k = SHARDING_NONE; k <= SHARDING_HYBRID; k++)
		for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
			size_t size, other;
			char *without = course(k, rules[i], NOTHING, &size), *with;
			assert_true(size > 0);
			for (enum poison p = LOSS; p <= GRADIENT; p++) {
				with = course(k, rules[i], p, &other);
				assert_int_equal(size, other);
				assert_memory_equal(with, without, size);
				free(with);
			}
			free(without);
		}
}

static void
more_of_them_in_a_row_than_allowed_stop_all(void **state)
{
	struct step_report r;
	struct team t;

	(void)state;
	for (enum sharding k = SHARDING_NONE; k <= SHARDING_HYBRID; k++) {
		start(&t, k, "torch-adamw", 2, 0);
		assert_ok(update(&t, 0, LOSS, &r));
		assert_ok(update(&t, 1, GRADIENT, &r));
		assert_ok(update(&t, 2, NOTHING, &r));		/* from here on they are counted anew */
		assert_ok(update(&t, 3, GRADIENT, &r));
		assert_ok(update(&t, 4, LOSS, &r));
		assert_int_equal(update(&t, 5, LOSS, &r), ACE_EDATA);
		assert_non_null(strstr(ace_message(), "step 6: the loss is nan"));
		assert_non_null(strstr(ace_message(), "2 updates in a row skipped before it, as many as nonfinite_limit allows"));
		assert_true(comm_agreed(world) && t.step.scaler.skipped == 4);
		team_close(&t);
	}
}

/* With a loss scale a spoilt loss is skipped as gradients that overflow are. */
static void
a_spoilt_loss_lowers_the_loss_scale(void **state)
{
	struct step_report r;
	struct team t;

	(void)state;
	start(&t, SHARDING_FULL, "torch-adamw", 1, 1024);
	assert_ok(update(&t, 0, GRADIENT, &r));
	assert_true(r.skipped && !r.why && t.step.spoilt == 0 && t.step.scaler.scale == 512);
	assert_ok(update(&t, 1, LOSS, &r));
	assert_true(r.skipped && r.why && t.step.spoilt == 1 && t.step.scaler.skipped == 2 && t.step.scaler.scale == 256);
	assert_int_equal(update(&t, 2, LOSS, &r), ACE_EDATA);
	team_close(&t);
}

static void
a_loss_that_is_no_number_on_one_rank_stops_all(void **state)
{
	char victim[32];
	struct step_report r;
	struct team t;

	(void)state;
	start(&t, SHARDING_NONE, "torch-adamw", 0, 0);
	assert_ok(update(&t, 0, NOTHING, &r));
	assert_int_equal(update(&t, 1, LOSS, &r), ACE_EDATA);
	snprintf(victim, sizeof victim, "rank %d", world->size - 1);
	assert_non_null(strstr(ace_message(), victim));
	assert_non_null(strstr(ace_message(), "the loss is nan"));
	if (world->rank == world->size - 1)
		assert_non_null(strstr(ace_message(), t.b.name[0]));
	team_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loss_that_is_no_number_on_one_rank_stops_all),
		cmocka_unit_test(a_spoilt_update_leaves_what_there_would_be_without_it),
		cmocka_unit_test(more_of_them_in_a_row_than_allowed_stop_all),
		cmocka_unit_test(a_spoilt_loss_lowers_the_loss_scale),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
