/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of an update's exchange before it runs is, to the byte, what ranks send in it */
#include "../comm/ranks.h"

#include "train/forecast.h"
#include "train/shards.h"
#include "train/team.h"

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

/* Two ranks a node, for as long as groups are made. */
static void
pretend_nodes(bool on)
{
	int each = on ? 2 : world->size;

	world->node = world->rank / each;
	world->nodes = world->size / each;
	world->node_rank = world->rank % each;
	world->node_size = each;
}

static int64_t
sent_here(const struct exchange *x)
{
	return comm_sent(world) + (x->inside ? comm_sent(x->inside) + comm_sent(x->across) : 0);
}

/* Bytes that all ranks send in an update: what is counted, but for sums of a few numbers, of which every rank tells every other. */
static int64_t
counted(struct team *t, const struct team_options *o)
{
	enum { SUMS = 5, NORMS = 2 };		/* loss, last loss, clips of both, seconds; of each segment: squares, largest */
	int64_t sent = sent_here(&t->x), n = world->size, group = t->x.inside ? t->x.inside->size : n;
	struct step_report r;

	for (int i = 0; i < o->accumulation; i++) {
		team_batch(t, i);
		assert_ok(step_run(&t->step, &t->b, NULL));
	}
	assert_ok(step_update(&t->step, &r));
	assert_ok(exchange_settle(&t->x));	/* values still come */
	sent = sent_here(&t->x) - sent;
	sent -= SUMS * (n - 1) * (int64_t)sizeof(double);
	sent -= o->sharding == SHARDING_NONE ? 0 : NORMS * (t->x.shards->segments + 1) * (group - 1) * (int64_t)sizeof(float);
	assert_ok(comm_allreduce(world, tensor_of(&sent, I64, 1, 1), COMM_SUM, "bytes"));
	return sent;
}

/* One rank's, as a plan has it; checked against the forecast, in which every byte takes a second. */
static double
said(const struct exchange *x, const struct team_options *o)
{
	const struct exchange plan = exchange_planned(x);
	const struct forecast_rates r = { .link = 1, .node = 1, .copy = 1, .disk = 1, .compute = 1, .forward = 0.5, .node_ranks = plan.node_ranks };
	struct forecast f;
	struct team t;
	double sent;

	team_plan(&t, &plan, folder, o);
	sent = exchange_traffic(&t.x, o->accumulation);
	forecast_make(&f, &t.x, &r, o->accumulation, 0);
	assert_true(f.sent == sent);
	if (plan.node_ranks >= world->size || o->sharding == SHARDING_HYBRID)
		assert_true(f.exchange > sent * (1 - 1e-12) && f.exchange < sent * (1 + 1e-12));
	team_close(&t);
	return sent;
}

static void
ranks_send_what_the_plan_says(void **state)
{
	static const struct { const char *rule; int64_t adapters, accumulation; } what[] = {
		{ "torch-adamw", 64, 1 }, { "torch-adamw", 0, 2 }, { "torch-adafactor", 0, 1 },
	};

	(void)state;
	for (enum sharding k = SHARDING_NONE; k <= SHARDING_HYBRID; k++)
		for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
			const struct team_options o = { .sharding = k, .rule = what[i].rule, .adapters = what[i].adapters,
				.accumulation = what[i].accumulation };
			bool nodes = k == SHARDING_HYBRID && world->size == 4;
			int64_t have;
			double want;
			struct team t;
			pretend_nodes(nodes);
			team_open(&t, world, folder, &o);
			assert_true(!nodes || (t.x.inside->size == 2 && t.x.across->size == 2));
			have = counted(&t, &o);
			want = said(&t.x, &o) * world->size;
			pretend_nodes(false);
			if (world->rank == 0)
				print_message("# %s, %s, %s, %d a step: %lld bytes\n", sharding_name(k), o.adapters ? "adapters" : "all", o.rule,
				              (int)o.accumulation, (long long)have);
			assert_true(want > 0 && have == (int64_t)(want + 0.5));
			team_close(&t);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_send_what_the_plan_says),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
