/* SPDX-License-Identifier: Apache-2.0 */
/* A device's operations through staged memory have the bits of those on host memory, several under way at once. */
#include "ranks.h"

#include "comm/link.h"
#include "kernels/kernels.h"

#include <stdlib.h>

static struct dev dev;

static int
setup(void **state)
{
	if (open_world(state) != 0 || dev_open(&dev, DEV_CPU, 1) != ACE_OK)
		return -1;
	kernels_attach(&dev);
	return 0;
}

static int
teardown(void **state)
{
	dev_close(&dev);
	return close_world(state);
}

static struct tensor
numbers(enum dtype t, int test, int64_t n)
{
	struct tensor x = tensor_of(calloc((size_t)n + 1, dtype_size(t)), t, 1, n);

	assert_non_null(x.data);
	for (int64_t i = 0; i < n; i++)
		if (t == F32)
			((float *)x.data)[i] = value(test, world->rank, i);
		else
			((uint16_t *)x.data)[i] = f32_to_bf16(value(test, world->rank, i));
	return x;
}

static void
same(struct tensor a, struct tensor b)
{
	assert_memory_equal(a.data, b.data, tensor_bytes(a));
}

/* One of each, all under way before the first is joined. */
static void
check(struct link *k, enum dtype t, int64_t n)
{
	struct tensor sum[2], all[2], part[2], mine, scattered[2];
	int64_t ticket, number;

	for (int i = 0; i < 2; i++) {
		sum[i] = numbers(t, 1, n);
		scattered[i] = numbers(t, 2, n * world->size);
		all[i] = numbers(t, 3, n * world->size);
		part[i] = numbers(t, 4, n);
	}
	mine = numbers(t, 5, n);
	comm_allreduce_start(world, sum[0], COMM_SUM, "x");
	comm_reduce_scatter_start(world, part[0], scattered[0], COMM_SUM, "x");
	ticket = comm_allgather_start(world, all[0], mine, "x");
	assert_ok(comm_wait(world, ticket));
	be_late(world, (int)(n % 7));
	link_allreduce(k, sum[1], COMM_SUM, "sums of %d", 1);
	number = link_reduce_scatter(k, part[1], scattered[1], COMM_SUM, "parts of %d", 2);
	assert_ok(link_join(k, number));
	number = link_allgather(k, all[1], mine, "all of %d", 3);
	assert_ok(link_join(k, number));
	same(sum[1], sum[0]);
	same(part[1], part[0]);
	same(all[1], all[0]);
	for (int i = 0; i < 2; i++) {
		free(sum[i].data);
		free(scattered[i].data);
		free(all[i].data);
		free(part[i].data);
	}
	free(mine.data);
}

static void
staged_operations_have_the_bits_of_plain_ones(void **state)
{
	static const enum link_way way[] = { LINK_PLAIN, LINK_STAGED };
	static const int64_t size[] = { 0, 1, 7, 1000, 70001 };

	(void)state;
	for (int w = 0; w < 2; w++) {
		struct link *k;
		assert_ok(link_open(&k, world, &dev, way[w]));
		assert_int_equal(link_way(k), way[w]);
		for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
			check(k, F32, size[i]);
			check(k, BF16, size[i]);
		}
		link_close(k);
	}
}

/* More than there are stages: old ones land by themselves. */
static void
many_are_under_way_at_once(void **state)
{
	enum { MANY = 21, N = 501 };
	struct tensor x[MANY], y[MANY];
	int64_t number = 0;
	struct link *k;

	(void)state;
	assert_ok(link_open(&k, world, &dev, LINK_STAGED));
	for (int i = 0; i < MANY; i++) {
		x[i] = numbers(F32, i, N);
		y[i] = numbers(F32, i, N);
		assert_ok(comm_allreduce(world, y[i], COMM_SUM, "x"));
		number = link_allreduce(k, x[i], COMM_SUM, "piece %d", i);
	}
	assert_ok(link_join(k, number));
	for (int i = 0; i < MANY; i++) {
		same(x[i], y[i]);
		free(x[i].data);
		free(y[i].data);
	}
	link_close(k);
}

static void
a_rank_s_place_in_the_whole_may_be_its_part(void **state)
{
	enum { N = 1003 };
	struct tensor all = numbers(F32, 1, (int64_t)N * world->size), sums = numbers(F32, 2, (int64_t)N * world->size);
	struct tensor want = numbers(F32, 2, (int64_t)N * world->size), place = tensor_slice(sums, (int64_t)N * world->rank, N);
	struct link *k;

	(void)state;
	assert_ok(link_open(&k, world, &dev, LINK_STAGED));
	for (int64_t i = 0; i < N; i++)
		((float *)all.data)[N * world->rank + i] = value(9, world->rank, i);
	assert_ok(link_join(k, link_allgather(k, all, tensor_slice(all, (int64_t)N * world->rank, N), "all")));
	for (int r = 0; r < world->size; r++)
		for (int64_t i = 0; i < N; i++)
			assert_true(((float *)all.data)[N * r + i] == value(9, r, i));
	assert_ok(comm_allreduce(world, want, COMM_SUM, "all"));
	assert_ok(link_join(k, link_reduce_scatter(k, place, sums, COMM_SUM, "parts")));
	assert_memory_equal(place.data, (float *)want.data + (int64_t)N * world->rank, N * sizeof(float));
	link_close(k);
	free(all.data);
	free(sums.data);
	free(want.data);
}

static void
nccl_is_refused_where_there_is_no_gpu(void **state)
{
	struct link *k;

	(void)state;
	assert_int_equal(link_open(&k, world, &dev, LINK_NCCL), ACE_ECONFIG);
	assert_null(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(staged_operations_have_the_bits_of_plain_ones),
		cmocka_unit_test(many_are_under_way_at_once),
		cmocka_unit_test(a_rank_s_place_in_the_whole_may_be_its_part),
		cmocka_unit_test(nccl_is_refused_where_there_is_no_gpu),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
