/* SPDX-License-Identifier: Apache-2.0 */
/* A group of one, and the sums that all groups use. */
#include "comm/comm.h"
#include "comm/comm_parts.h"

#include "support/test.h"

#include <math.h>
#include <string.h>

static struct comm *self;

static int
open_self(void **state)
{
	(void)state;
	unsetenv("SLURM_STEP_NUM_TASKS");
	assert_ok(comm_open(&self, 5.));
	return 0;
}

static int
close_self(void **state)
{
	(void)state;
	assert_ok(comm_close(&self, ACE_OK));
	assert_null(self);
	return 0;
}

static void
alone_is_rank_0_of_1_on_one_node(void **state)
{
	(void)state;
	assert_int_equal(self->rank, 0);
	assert_int_equal(self->size, 1);
	assert_int_equal(self->nodes, 1);
	assert_int_equal(self->node_size, 1);
	assert_int_equal(comm_launched(), 1);
	assert_true(comm_speaks(self));
	comm_set_patience(self, 3, true);
	assert_ok(comm_check(self));
	comm_abandon(self, 76);		/* comes back: there is nobody else */
}

static void
what_comes_out_is_what_went_in(void **state)
{
	float x[3] = { 1, 2, 3 }, y[3] = { 0 };
	struct tensor tx = tensor_of(x, F32, 1, 3), ty = tensor_of(y, F32, 2, 1, 3);
	int64_t ticket;

	(void)state;
	assert_ok(comm_allgather(self, ty, tx, "x"));
	assert_memory_equal(x, y, sizeof x);
	memset(y, 0, sizeof y);
	ticket = comm_reduce_scatter_start(self, tensor_of(y, F32, 1, 3), tensor_of(x, F32, 2, 1, 3), COMM_SUM, "x");
	assert_true(comm_done(self, ticket));
	assert_ok(comm_wait(self, ticket));
	assert_memory_equal(x, y, sizeof x);
	assert_ok(comm_allreduce(self, tx, COMM_MIN, "x"));
	assert_ok(comm_broadcast(self, tx, 0, "x"));
	assert_ok(comm_barrier(self, "x"));
	assert_memory_equal(x, y, sizeof x);
}

static void
bytes_and_agreements_stay_with_their_rank(void **state)
{
	char text[] = "report", *all, *data = text;
	size_t *at, size = 6;
	uint32_t flags;

	(void)state;
	assert_ok(comm_gather(self, text, 6, 6, &all, &at, "reports"));
	assert_string_equal(all, "report");
	assert_int_equal(at[1], 6);
	free(all);
	free(at);
	assert_int_equal(comm_gather(self, text, 6, 5, &all, &at, "reports"), ACE_EDATA);
	assert_ok(comm_share(self, &data, &size, 6, "a list"));
	assert_ptr_equal(data, text);
	assert_ok(comm_agree_flags(self, 5, &flags));
	assert_int_equal(flags, 5);
	assert_int_equal(comm_agree(self, ace_fail(ACE_EIO, "disk full")), ACE_EIO);
	assert_string_equal(ace_message(), "disk full");
}

static void
groups_of_one_split_into_groups_of_one(void **state)
{
	struct comm *inside, *across, *none;

	(void)state;
	assert_ok(comm_split_nodes(self, &inside, &across));
	assert_int_equal(inside->size, 1);
	assert_int_equal(across->size, 1);
	assert_ok(comm_barrier(across, "x"));
	comm_leave(inside);
	comm_leave(across);
	assert_ok(comm_split(self, -1, &none));
	assert_null(none);
}

static void
a_failure_ends_with_its_own_status(void **state)
{
	struct comm *c;

	(void)state;
	assert_ok(comm_open(&c, 5.));
	assert_int_equal(comm_close(&c, ace_fail(ACE_EDATA, "bad")), ACE_EDATA);
	assert_string_equal(ace_message(), "bad");
	assert_null(c);
	assert_int_equal(comm_close(&c, ACE_ESTOPPED), ACE_ESTOPPED);
}

/* --- sums --- */

static void
sums_run_in_the_order_of_their_sources(void **state)
{
	float a[1500], b[1500], c[1500], y[1500];
	const void *from[3] = { a, b, c };

	(void)state;
	for (int i = 0; i < 1500; i++) {
		a[i] = 1e8f;
		b[i] = -1e8f;
		c[i] = 1.f + (float)i;
	}
	sum_sources(y, from, 3, 1500, F32, COMM_SUM);
	assert_true(y[0] == 1.f && y[1499] == 1500.f);
	from[0] = c, from[1] = a, from[2] = b;
	sum_sources(y, from, 3, 1500, F32, COMM_SUM);
	assert_true(y[0] == 0.f);		/* 1 is lost in 1e8 */
	sum_sources(a, from, 3, 1500, F32, COMM_SUM);	/* into one of them */
	assert_memory_equal(a, y, sizeof a);
}

static void
half_precision_is_rounded_once(void **state)
{
	uint16_t one = f32_to_bf16(1.f), small = f32_to_bf16(0x1p-9f), y;
	const void *from[5] = { &one, &small, &small, &small, &small };

	(void)state;
	assert_int_equal(f32_to_bf16(1.f + 0x1p-9f), one);
	sum_sources(&y, from, 5, 1, BF16, COMM_SUM);
	assert_int_equal(y, f32_to_bf16(1.f + 0x1p-7f));
}

static void
largest_and_smallest_keep_a_nan(void **state)
{
	double a[3] = { NAN, 1, 2 }, b[3] = { 1, NAN, -3 }, y[3];
	int64_t p = INT64_MAX, q = INT64_MIN, z;
	const void *from[2] = { a, b }, *ints[2] = { &p, &q };

	(void)state;
	for (int s = COMM_MAX; s <= COMM_MIN; s++) {
		sum_sources(y, from, 2, 3, F64, (enum comm_sum)s);
		assert_true(isnan(y[0]) && isnan(y[1]));
		assert_true(y[2] == (s == COMM_MAX ? 2 : -3));
	}
	sum_sources(&z, ints, 2, 1, I64, COMM_MAX);
	assert_true(z == INT64_MAX);
	sum_sources(&z, ints, 2, 1, I64, COMM_SUM);
	assert_true(z == -1);
}

/* --- starts that cannot work --- */

static void
ranks_that_do_not_know_each_other_are_refused(void **state)
{
	struct comm *c;

	(void)state;
	setenv("SLURM_STEP_NUM_TASKS", "nonsense", 1);
	assert_int_equal(comm_launched(), 1);
	setenv("SLURM_STEP_NUM_TASKS", "4", 1);
	assert_int_equal(comm_launched(), 4);
	assert_int_equal(comm_open(&c, 20.), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "4 ranks"));
#ifdef HAVE_MPI
	assert_non_null(strstr(ace_message(), "--mpi=pmix"));
#endif
	assert_null(c);
	unsetenv("SLURM_STEP_NUM_TASKS");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(alone_is_rank_0_of_1_on_one_node),
		cmocka_unit_test(what_comes_out_is_what_went_in),
		cmocka_unit_test(bytes_and_agreements_stay_with_their_rank),
		cmocka_unit_test(groups_of_one_split_into_groups_of_one),
		cmocka_unit_test(a_failure_ends_with_its_own_status),
		cmocka_unit_test(sums_run_in_the_order_of_their_sources),
		cmocka_unit_test(half_precision_is_rounded_once),
		cmocka_unit_test(largest_and_smallest_keep_a_nan),
		cmocka_unit_test(ranks_that_do_not_know_each_other_are_refused),
	};

	return cmocka_run_group_tests(tests, open_self, close_self);
}
