/* SPDX-License-Identifier: Apache-2.0 */
/* How long an update of planned ranks takes, against the formulas of doc/scaling.md, whose blocks are equal */
#include "train/forecast.h"

#include "support/test.h"
#include "train/shards.h"
#include "train/team.h"

#include <math.h>
#include <stdlib.h>

static struct comm *alone;
static char *folder;

static int
setup(void **state)
{
	(void)state;
	assert_ok(comm_open(&alone, 60.));
	folder = team_folder(alone);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	team_folder_free(alone, folder);
	assert_ok(comm_close(&alone, ACE_OK));
	return 0;
}

/* A plan of ranks, so many a node, that train all, with its rates; the seconds of each thing are worked out here. */
struct sums {
	double g, g_rest, s, s_rest;	/* a block's, and the rest's, values and sums of gradients */
	double g_front, s_front;	/* of both parts before the blocks */
	double s_ff, s_other;		/* s: of a block's feed-forward, of the rest of it */
	double g_tokens;
	double blocks, f, b;		/* a block's passes */
};

/* with: begun together with one before it; grouped ones go around once. */
static double
ring(double bytes, double n, double here, const struct forecast_rates *r, bool with)
{
	double v = (n - 1) / n * bytes, t = n > here ? v / here / r->node : 0;

	return n < 2 ? 0 : fmax(here > 1 ? v / r->link : 0, t) + (with && link_groups() ? 0 : (n - 1) * r->hop);
}

static struct sums
work_out(const struct exchange *x, const struct forecast_rates *r)
{
	const struct shards *s = x->shards;
	double n = s->ranks, here = fmin(n, r->node_ranks), blocks = s->units - 1 - DIT_FRONTS;
	struct sums k = { .blocks = blocks, .f = r->compute * r->forward / blocks, .b = r->compute * (1 - r->forward) / blocks };

	for (int i = 0; i < s->segments; i++) {
		const struct segment *g = &s->segment[i], *before = i > 0 ? g - 1 : NULL;
		bool with = before && before->unit == g->unit;
		double values = ring((double)g->count * (double)dtype_size(g->dtype), n, here, r, with);
		double sums = ring((double)g->count * 4, n, here, r, with && (g->unit < DIT_FRONTS || g->unit == s->units - 1 || before->group == g->group));
		assert_true(g->train);
		if (g->unit == s->units - 1)
			k.g_rest += values, k.s_rest += sums;
		else if (g->unit < DIT_FRONTS)
			k.g_front += values, k.s_front += sums, k.g_tokens += g->unit == DIT_TOKENS ? values : 0;
		else
			k.g += values / blocks, *(g->group ? &k.s_other : &k.s_ff) += sums / blocks;
	}
	k.s = k.s_ff + k.s_other;
	return k;
}

/* Where each exchange takes less than half of what a block computes, and where each takes longer than that. */
static double
pass_hidden(const struct sums *k)
{
	return k->g_rest + k->g_front + k->g + k->blocks * (k->f + k->b) + k->s_other + k->g_tokens + k->s_front + k->s_rest;
}

static double
pass_bound(const struct sums *k)
{
	return k->g_rest + 2 * k->g_front + (2 * k->blocks - 2) * k->g + k->f + k->b / 2 + k->blocks * k->s + k->s_front + k->s_rest;
}

static double
exchange_full(const struct sums *k)
{
	return k->g_rest + 2 * k->g_front + (2 * k->blocks - 2) * k->g + k->blocks * k->s + k->s_front + k->s_rest;
}

static bool
about(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fabs(b);
}

static struct forecast
forecast(struct team *t, enum sharding sharding, int ranks, const struct forecast_rates *r, int64_t accumulation)
{
	const struct team_options o = { .sharding = sharding, .rule = "torch-adamw", .accumulation = accumulation };
	const struct exchange x = { .sharding = sharding, .ranks = ranks, .node_ranks = r->node_ranks };
	struct forecast f;

	team_plan(t, &x, folder, &o);
	forecast_make(&f, &t->x, r, accumulation, 8e9);
	assert_true(about(f.step, (double)accumulation * r->compute + f.exposed) && f.exposed <= f.exchange * (1 + 1e-12));
	assert_true(about(f.efficiency, (double)accumulation * r->compute / f.step));
	assert_true(about(f.part, 8e9 / ranks) && about(f.stall, f.part / r->copy) && about(f.written, 8e9 / r->disk));
	return f;
}

/* From a link that hides everything to one that is all that is waited for. */
static const double links[] = { 1e12, 1e10, 1e9, 1e8, 1e6 };

static void
full_sharding_hides_what_the_formula_says(void **state)
{
	int hidden = 0, bound = 0;

	(void)state;
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		for (int ranks = 4; ranks <= 64; ranks *= 4) {
			if (ranks == 64)
				assert_int_equal(setenv("ACE_NCCL_GROUPS", "1", 1), 0);
			const struct forecast_rates r = { .link = links[i], .node = links[i] / 16, .copy = 1e10, .disk = 1e9, .hop = 1e-7,
				.compute = 3e-3, .forward = 0.25, .node_ranks = 8 };
			struct team t;
			struct forecast f = forecast(&t, SHARDING_FULL, ranks, &r, 3);
			struct sums k = work_out(&t.x, &r);
			if (fmax(k.g, k.s) <= k.b / 2 && k.g <= k.f && k.g_tokens <= k.b / 2) {
				assert_true(about(f.step, 3 * pass_hidden(&k)));
				hidden++;
			} else if (fmin(k.g, fmin(k.s_ff, k.s_other)) >= fmax(k.b, k.f)) {
				assert_true(about(f.step, 3 * pass_bound(&k)));
				bound++;
			}
			assert_true(f.step > 3 * r.compute && f.step < 3 * (r.compute + exchange_full(&k)));
			assert_true(about(f.exchange, 3 * exchange_full(&k)));
			team_close(&t);
			assert_int_equal(unsetenv("ACE_NCCL_GROUPS"), 0);
		}
	assert_true(hidden > 1 && bound > 1);
}

static void
hybrid_sharding_adds_the_sums_between_nodes(void **state)
{
	const struct forecast_rates r = { .link = 1e12, .node = 1e8, .copy = 1e10, .disk = 1e9, .hop = 1e-8, .compute = 3e-3, .forward = 0.25,
		.node_ranks = 8 };
	struct forecast f;
	struct sums k;
	struct team t;
	double across = 0, card = 0;

	(void)state;
	f = forecast(&t, SHARDING_HYBRID, 32, &r, 2);
	k = work_out(&t.x, &r);
	for (int i = 0; i < t.x.shards->segments; i++)
		if (t.x.shards->segment[i].train) {
			across += 2 * ring((double)t.x.shards->segment[i].part * 4, 4, 1, &r, false);
			card += 2 * 0.75 * (double)t.x.shards->segment[i].part * 4;
		}
	assert_true(about(f.step, 2 * pass_hidden(&k) + across) && about(f.card, card) && card > 0);
	team_close(&t);
}

static void
parted_states_wait_for_the_last_sums_and_for_values_block_by_block(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		const struct forecast_rates r = { .link = links[i], .node = 1, .copy = 1e10, .disk = 1e9, .hop = 1e-7, .compute = 3e-3,
			.forward = 0.25, .node_ranks = 8 };
		struct team t;
		struct forecast f = forecast(&t, SHARDING_OPTIMIZER, 8, &r, 2);
		struct sums k = work_out(&t.x, &r);
		double back = k.b + (k.blocks - 1) * fmax(k.b, k.s) + k.s + k.s_front + k.s_rest;
		assert_true(about(f.step, k.g_rest + k.g_front + k.blocks * k.g + r.compute * (1 + r.forward) + back) && f.card == 0);
		team_close(&t);
		f = forecast(&t, SHARDING_OPTIMIZER, 8, &r, 1);
		assert_true(about(f.step, k.g_rest + k.g_front + k.g + (k.blocks - 1) * fmax(k.f, k.g) + k.f + back));
		team_close(&t);
	}
}

static void
small_gradients_are_summed_behind_the_pass(void **state)
{
	const struct forecast_rates r = { .link = 1e9, .node = 1e7, .copy = 1e10, .disk = 1e9, .hop = 1e-6, .compute = 3e-3, .forward = 0.25,
		.node_ranks = 8 };
	struct forecast f;
	struct team t;
	double sums;

	(void)state;
	f = forecast(&t, SHARDING_NONE, 64, &r, 1);
	sums = 2 * ring((double)tensor_bytes(t.x.grads), 64, 8, &r, false);
	assert_true(about(f.step, r.compute + sums) && about(f.exposed, f.exchange) && about(f.card * 8, f.sent));
	team_close(&t);
}

/* 2 GB of them: the 16th piece is ready when the pass is over. */
static void
large_gradients_are_summed_in_pieces_during_the_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		const struct forecast_rates r = { .link = 100 * links[i], .node = 1, .copy = 1e10, .disk = 1e9, .hop = 1e-6, .compute = 0.1,
			.forward = 0.25, .node_ranks = 8 };
		const struct exchange x = { .ranks = 8, .node_ranks = 8, .grads = tensor_of(NULL, F32, 1, 500 << 20) };
		double piece = 2 * ring((double)tensor_bytes(x.grads) / 16, 8, 8, &r, false), backward = 0.075;
		struct forecast f;
		forecast_make(&f, &x, &r, 2, 1);
		assert_true(about(f.step, 0.2 - backward + backward / 16 + 15 * fmax(backward / 16, piece) + piece));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_sharding_hides_what_the_formula_says),
		cmocka_unit_test(hybrid_sharding_adds_the_sums_between_nodes),
		cmocka_unit_test(parted_states_wait_for_the_last_sums_and_for_values_block_by_block),
		cmocka_unit_test(small_gradients_are_summed_behind_the_pass),
		cmocka_unit_test(large_gradients_are_summed_in_pieces_during_the_pass),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
