/* SPDX-License-Identifier: Apache-2.0 */
/* What ranks decide together, and the groups they split into. */
#include "ranks.h"

static void
all_well_is_all_well(void **state)
{
	(void)state;
	assert_ok(comm_agree(world, ACE_OK));
}

static void
the_failure_of_one_is_everyones_with_its_message(void **state)
{
	char want[200];

	(void)state;
	for (int r = 0; r < world->size; r++) {
		enum status st = ACE_OK;
		if (world->rank == r)
			st = ace_fail(ACE_EIO, "songs/%d.mp3: disk full", r);
		assert_int_equal(comm_agree(world, st), ACE_EIO);
		snprintf(want, sizeof want, "rank %d (", r);
		assert_memory_equal(ace_message(), want, strlen(want));
		snprintf(want, sizeof want, "): songs/%d.mp3: disk full", r);
		assert_non_null(strstr(ace_message(), want));
	}
	assert_int_equal(comm_agree(world, world->rank > 0 ? ace_fail(ACE_EDATA, "late") : ace_fail(ACE_EIO, "early")), ACE_EIO);
	assert_non_null(strstr(ace_message(), "rank 0 ("));
	assert_ok(comm_agree(world, ACE_OK));
}

static void
what_all_say_alike_names_no_rank(void **state)
{
	(void)state;
	assert_int_equal(comm_agree(world, ace_fail(ACE_EUSAGE, "unknown option \"lora_rnk\"")), ACE_EUSAGE);
	assert_string_equal(ace_message(), "unknown option \"lora_rnk\"");
}

static void
stopping_and_lost_ranks_count_less_than_what_failed(void **state)
{
	bool last = world->rank == world->size - 1;

	(void)state;
	assert_int_equal(comm_agree(world, world->rank == 0 ? ACE_ESTOPPED : ACE_OK), ACE_ESTOPPED);
	assert_int_equal(comm_agree(world, last ? ace_fail(ACE_ERANK, "gone") : ACE_ESTOPPED), ACE_ERANK);
	assert_int_equal(comm_agree(world, last ? ace_fail(ACE_ENOMEM, "full") : ace_fail(ACE_ERANK, "gone")), ACE_ENOMEM);
	assert_non_null(strstr(ace_message(), "): full"));
}

static void
a_flag_of_one_is_seen_by_all(void **state)
{
	uint32_t all;

	(void)state;
	assert_ok(comm_agree_flags(world, 0, &all));
	assert_int_equal(all, 0);
	assert_ok(comm_agree_flags(world, world->rank == 1 ? 2u : 0, &all));
	assert_int_equal(all, 2);
	assert_ok(comm_agree_flags(world, 1u << world->rank | 1u << 31, &all));
	assert_int_equal(all, ((1u << world->size) - 1) | 1u << 31);
}

static void
ranks_know_their_place_on_the_node(void **state)
{
	(void)state;
	assert_int_equal(world->node, 0);	/* mpiexec starts them here */
	assert_int_equal(world->nodes, 1);
	assert_int_equal(world->node_rank, world->rank);
	assert_int_equal(world->node_size, world->size);
	assert_true(*world->host != 0);
}

static void
colors_make_groups_in_the_order_of_ranks(void **state)
{
	struct comm *part, *none;
	int64_t *all = calloc((size_t)world->size, sizeof *all), mine = world->rank;

	(void)state;
	assert_ok(comm_split(world, world->rank % 2, &part));
	assert_int_equal(part->rank, world->rank / 2);
	assert_int_equal(part->size, (world->size + 1 - world->rank % 2) / 2);
	assert_int_equal(part->node_rank, part->rank);
	assert_ok(comm_allgather(part, tensor_of(all, I64, 1, part->size), tensor_of(&mine, I64, 1, 1), "ranks"));
	for (int r = 0; r < part->size; r++)
		assert_int_equal(all[r], 2 * r + world->rank % 2);
	assert_ok(comm_split(world, world->rank == 0 ? -1 : 0, &none));
	if (world->rank == 0) {
		assert_null(none);
	} else {
		assert_int_equal(none->size, world->size - 1);
		assert_int_equal(none->rank, world->rank - 1);
		assert_ok(comm_allreduce(none, tensor_of(&mine, I64, 0), COMM_SUM, "ranks"));
		assert_int_equal(mine, world->size * (world->size - 1) / 2);
	}
	comm_leave(none);
	comm_leave(part);
	free(all);
}

static void
groups_are_used_side_by_side(void **state)
{
	struct comm *pair;
	float x = (float)world->rank, y = 1.f;
	int64_t first, second;

	(void)state;
	assert_ok(comm_split(world, world->rank / 2, &pair));
	for (int i = 0; i < 20; i++) {
		x = (float)world->rank;
		y = 1.f;
		be_late(world, i);
		first = comm_allreduce_start(pair, tensor_of(&x, F32, 0), COMM_SUM, "pairs");
		second = comm_allreduce_start(world, tensor_of(&y, F32, 0), COMM_SUM, "all");
		assert_ok(comm_wait(world, second));
		assert_ok(comm_wait(pair, first));
		assert_true(y == (float)world->size);
		assert_true(x == (float)(pair->size == 2 ? world->rank / 2 * 4 + 1 : world->rank));
	}
	comm_leave(pair);
}

static void
one_node_splits_into_itself_and_single_ranks(void **state)
{
	struct comm *inside, *across;

	(void)state;
	assert_ok(comm_split_nodes(world, &inside, &across));
	assert_int_equal(inside->size, world->size);
	assert_int_equal(inside->rank, world->rank);
	assert_int_equal(across->size, 1);
	assert_ok(comm_barrier(inside, "the test"));
	assert_ok(comm_barrier(across, "the test"));
	comm_leave(inside);
	comm_leave(across);
}

static void
a_launcher_has_said_how_many_there_are(void **state)
{
	(void)state;
	assert_int_equal(comm_launched(), world->size);
	assert_int_equal(comm_launched_rank(), world->rank);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_well_is_all_well),
		cmocka_unit_test(the_failure_of_one_is_everyones_with_its_message),
		cmocka_unit_test(what_all_say_alike_names_no_rank),
		cmocka_unit_test(stopping_and_lost_ranks_count_less_than_what_failed),
		cmocka_unit_test(a_flag_of_one_is_seen_by_all),
		cmocka_unit_test(ranks_know_their_place_on_the_node),
		cmocka_unit_test(colors_make_groups_in_the_order_of_ranks),
		cmocka_unit_test(groups_are_used_side_by_side),
		cmocka_unit_test(one_node_splits_into_itself_and_single_ranks),
		cmocka_unit_test(a_launcher_has_said_how_many_there_are),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
