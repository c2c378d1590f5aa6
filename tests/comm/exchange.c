/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation against what one rank can compute alone from what it knows of all: exactly, sums in the order of ranks. */
#include "ranks.h"

#include <math.h>

static const int64_t sizes[] = { 0, 1, 7, 1000, 33333, (1 << 20) + 3 };

enum { SIZES = sizeof sizes / sizeof *sizes };

static void *
room(int64_t bytes)
{
	void *p = calloc(1, (size_t)bytes + 1);

	assert_non_null(p);
	return p;
}

/* --- all-gather, broadcast, gather: bytes --- */

static uint8_t
byte(int t, int r, int64_t i)
{
	return (uint8_t)((unsigned)t * 31 + (unsigned)r * 7 + (unsigned)i * 13 + (unsigned)(i >> 8));
}

static void
check_allgather(int t, int64_t n, bool in_place)
{
	uint8_t *all = room(n * world->size), *own = room(n), *mine = in_place ? all + world->rank * n : own;

	for (int64_t i = 0; i < n; i++)
		mine[i] = byte(t, world->rank, i);
	be_late(world, t);
	assert_ok(comm_allgather(world, tensor_of(all, U8, 2, world->size, n), tensor_of(mine, U8, 1, n), "bytes"));
	for (int r = 0; r < world->size; r++)
		for (int64_t i = 0; i < n; i++)
			if (all[r * n + i] != byte(t, r, i))
				fail_msg("size %lld, rank %d, byte %lld", (long long)n, r, (long long)i);
	free(all);
	free(own);
}

static void
all_gather_brings_every_part_to_every_rank(void **state)
{
	(void)state;
	for (int k = 0; k < SIZES; k++) {
		check_allgather(k, sizes[k], false);
		check_allgather(k, 5 * sizes[k], true);
	}
}

static void
broadcast_brings_what_the_root_has_whoever_it_is(void **state)
{
	(void)state;
	for (int k = 0; k < SIZES; k++)
		for (int root = 0; root < world->size; root++) {
			int64_t n = sizes[k] * 5;
			uint8_t *x = room(n);
			for (int64_t i = 0; i < n; i++)
				x[i] = byte(k, world->rank, i);
			be_late(world, k + root);
			assert_ok(comm_broadcast(world, tensor_of(x, U8, 1, n), root, "bytes"));
			for (int64_t i = 0; i < n; i++)
				assert_int_equal(x[i], byte(k, root, i));
			free(x);
		}
}

static void
gather_brings_parts_of_any_length_to_rank_0(void **state)
{
	(void)state;
	for (int k = 0; k < SIZES; k++) {
		int64_t n = world->rank == 1 ? 0 : sizes[k] * (world->rank + 1);
		uint8_t *x = room(n);
		size_t *at, end = 0;
		char *all;
		for (int64_t i = 0; i < n; i++)
			x[i] = byte(k, world->rank, i);
		be_late(world, k);
		assert_ok(comm_gather(world, x, (size_t)n, 64 << 20, &all, &at, "reports"));
		free(x);
		if (world->rank > 0) {
			assert_null(all);
			assert_null(at);
			continue;
		}
		for (int r = 0; r < world->size; r++) {
			assert_int_equal(at[r], end);
			end += (size_t)(r == 1 ? 0 : sizes[k] * (r + 1));
			for (size_t i = at[r]; i < end; i++)
				assert_int_equal((uint8_t)all[i], byte(k, r, (int64_t)(i - at[r])));
		}
		assert_int_equal(at[world->size], end);
		free(all);
		free(at);
	}
}

static void
gather_and_share_refuse_what_is_too_long_everywhere(void **state)
{
	char text[100] = "x", *all, *data = text;
	size_t *at, size = sizeof text;

	(void)state;
	assert_int_equal(comm_gather(world, text, sizeof text, 150, &all, &at, "reports"), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "reports"));
	assert_null(all);
	assert_int_equal(comm_share(world, &data, &size, 99, "the list"), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "the list has 100 bytes"));
	assert_ok(comm_barrier(world, "the test"));
}

static void
share_gives_others_their_own_copy(void **state)
{
	static const char *const texts[] = { "", "{\"a\": 1}" };

	(void)state;
	for (int k = 0; k < 2; k++) {
		char *data = world->rank == 0 ? strdup(texts[k]) : NULL;
		size_t size = world->rank == 0 ? strlen(texts[k]) : 99;
		assert_ok(comm_share(world, &data, &size, 1000, "a list"));
		assert_int_equal(size, strlen(texts[k]));
		assert_string_equal(data, texts[k]);
		free(data);
	}
}

/* --- sums --- */

static void
fill(void *x, enum dtype t, int test, int r, int64_t from, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		float v = value(test, r, from + i);
		switch (t) {
		case F32: ((float *)x)[i] = v; break;
		case F64: ((double *)x)[i] = (double)v * 1.1; break;
		case I64: ((int64_t *)x)[i] = (int64_t)(v * 1e6f); break;
		default: ((uint16_t *)x)[i] = f32_to_bf16(v);
		}
	}
}

/* One number of the result, by the plain formula. */
static void
plain(void *y, enum dtype t, enum comm_sum sum, int test, int64_t i)
{
	double f64 = 0;
	float f32 = 0;
	int64_t i64 = 0;

	for (int r = 0; r < world->size; r++) {
		char x[8];
		double b;
		fill(x, t, test, r, i, 1);
		b = t == F32 ? (double)*(float *)x : t == F64 ? *(double *)x : t == I64 ? (double)*(int64_t *)x
			: (double)bf16_to_f32(*(uint16_t *)x);
		if (r > 0 && sum == COMM_SUM) {
			f32 += (float)b;
			f64 += b;
			i64 += (int64_t)b;
		} else if (r == 0 || (sum == COMM_MAX && b > f64) || (sum == COMM_MIN && b < f64)) {
			f32 = (float)b;
			f64 = b;
			i64 = (int64_t)b;
		}
	}
	switch (t) {
	case F32: *(float *)y = f32; break;
	case F64: *(double *)y = f64; break;
	case I64: *(int64_t *)y = i64; break;
	default: *(uint16_t *)y = f32_to_bf16(f32);
	}
}

static void
check(const void *y, enum dtype t, enum comm_sum sum, int test, int64_t from, int64_t n)
{
	size_t bytes = dtype_size(t);
	char want[8];

	for (int64_t i = 0; i < n; i += i < 2000 ? 1 : 997) {
		plain(want, t, sum, test, from + i);
		if (memcmp((const char *)y + (size_t)i * bytes, want, bytes) != 0)
			fail_msg("%s, sum %d, %lld numbers: number %lld differs", dtype_name(t), (int)sum, (long long)n,
			         (long long)i);
	}
}

static const enum dtype types[] = { F32, F64, I64, BF16 };

static void
all_reduce_is_the_sum_in_the_order_of_ranks_bit_for_bit(void **state)
{
	(void)state;
	for (int k = 0; k < SIZES; k++)
		for (int t = 0; t < 4; t++)
			for (int s = 0; s < (sizes[k] < 40000 ? 3 : 1); s++) {
				enum dtype type = types[t];
				void *x = room(sizes[k] * (int64_t)dtype_size(type));
				fill(x, type, k, world->rank, 0, sizes[k]);
				be_late(world, k + t + s);
				assert_ok(comm_allreduce(world, tensor_of(x, type, 1, sizes[k]), (enum comm_sum)s, "x"));
				check(x, type, (enum comm_sum)s, k, 0, sizes[k]);
				free(x);
			}
}

static void
check_scatter(int64_t n, enum dtype type, enum comm_sum sum, int test, bool in_place)
{
	size_t bytes = (size_t)n * dtype_size(type);
	char *all = room((int64_t)bytes * world->size), *own = room((int64_t)bytes);
	char *part = in_place ? all + (size_t)world->rank * bytes : own;

	fill(all, type, test, world->rank, 0, n * world->size);
	be_late(world, test);
	assert_ok(comm_reduce_scatter(world, tensor_of(part, type, 1, n), tensor_of(all, type, 2, world->size, n), sum, "x"));
	check(part, type, sum, test, n * world->rank, n);
	free(all);
	free(own);
}

static void
reduce_scatter_is_every_ranks_part_of_that_sum(void **state)
{
	(void)state;
	for (int k = 0; k < SIZES; k++)
		for (int t = 0; t < 4; t++)
			check_scatter(sizes[k], types[t], sizes[k] == 7 ? COMM_MAX : COMM_SUM, k, t & 1);
	check_scatter(3 << 20, BF16, COMM_SUM, 9, true);	/* more than one piece */
}

static void
a_nan_of_one_rank_is_the_result(void **state)
{
	(void)state;
	for (int s = 0; s < 3; s++) {
		float x[2] = { world->rank == world->size - 1 ? NAN : 1.f, (float)world->rank };
		assert_ok(comm_allreduce(world, tensor_of(x, F32, 1, 2), (enum comm_sum)s, "x"));
		assert_true(isnan(x[0]));
		assert_false(isnan(x[1]));
	}
}

static void
results_do_not_depend_on_who_comes_late(void **state)
{
	enum { N = 200000 };
	float *x = room(N * 4), *first = room(N * 4);

	(void)state;
	for (int round = 0; round < 6; round++) {
		fill(x, F32, 3, world->rank, 0, N);
		be_late(world, round);
		assert_ok(comm_allreduce(world, tensor_of(x, F32, 1, N), COMM_SUM, "x"));
		if (round == 0)
			memcpy(first, x, N * 4);
		assert_memory_equal(first, x, N * 4);
	}
	free(x);
	free(first);
}

/* --- started now, waited for later --- */

static void
gathers_ahead_and_scatters_behind_are_waited_for_in_any_order(void **state)
{
	enum { UNITS = 12, N = 4099 };
	int64_t gathered[UNITS], scattered[UNITS];
	float *whole[UNITS], *grad[UNITS], part[UNITS][N], out[UNITS][N];

	(void)state;
	for (int u = 0; u < UNITS; u++) {
		whole[u] = room(N * 4 * world->size);
		grad[u] = room(N * 4 * world->size);
		fill(part[u], F32, u, world->rank, 0, N);
		fill(grad[u], F32, 100 + u, world->rank, 0, N * world->size);
		be_late(world, u);
		gathered[u] = comm_allgather_start(world, tensor_of(whole[u], F32, 2, world->size, N), tensor_of(part[u], F32, 1, N),
						   "block %d", u);
		scattered[u] = comm_reduce_scatter_start(world, tensor_of(out[u], F32, 1, N),
							 tensor_of(grad[u], F32, 2, world->size, N), COMM_SUM, "block %d", u);
	}
	for (int u = UNITS - 1; u >= 0; u--) {
		assert_ok(comm_wait(world, scattered[u]));
		assert_true(comm_done(world, gathered[u]));
		assert_ok(comm_wait(world, gathered[u]));
		check(out[u], F32, COMM_SUM, 100 + u, N * world->rank, N);
		for (int r = 0; r < world->size; r++) {
			float want[N];
			fill(want, F32, u, r, 0, N);
			assert_memory_equal(whole[u] + r * N, want, sizeof want);
		}
		free(whole[u]);
		free(grad[u]);
	}
}

static void
more_can_be_started_than_the_queue_holds(void **state)
{
	enum { N = 300 };
	static double x[N];
	int64_t ticket = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		x[i] = i + world->rank;
		ticket = comm_allreduce_start(world, tensor_of(&x[i], F64, 0), COMM_MAX, "number %d", i);
	}
	assert_ok(comm_wait(world, ticket));
	for (int i = 0; i < N; i++)
		assert_true(x[i] == i + world->size - 1);
}

static void
what_is_started_goes_on_while_a_rank_computes(void **state)
{
	enum { N = 1 << 20 };
	float *x = room(N * 4);
	int64_t ticket;

	(void)state;
	fill(x, F32, 5, world->rank, 0, 1000);
	assert_ok(comm_barrier(world, "the test"));
	ticket = comm_allreduce_start(world, tensor_of(x, F32, 1, N), COMM_SUM, "x");
	for (int i = 0; i < 12000 && !comm_done(world, ticket); i++)	/* two minutes on a machine that is busy */
		usleep(10000);
	assert_true(comm_done(world, ticket));
	assert_ok(comm_wait(world, ticket));
	free(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_gather_brings_every_part_to_every_rank),
		cmocka_unit_test(broadcast_brings_what_the_root_has_whoever_it_is),
		cmocka_unit_test(gather_brings_parts_of_any_length_to_rank_0),
		cmocka_unit_test(gather_and_share_refuse_what_is_too_long_everywhere),
		cmocka_unit_test(share_gives_others_their_own_copy),
		cmocka_unit_test(all_reduce_is_the_sum_in_the_order_of_ranks_bit_for_bit),
		cmocka_unit_test(reduce_scatter_is_every_ranks_part_of_that_sum),
		cmocka_unit_test(a_nan_of_one_rank_is_the_result),
		cmocka_unit_test(results_do_not_depend_on_who_comes_late),
		cmocka_unit_test(gathers_ahead_and_scatters_behind_are_waited_for_in_any_order),
		cmocka_unit_test(more_can_be_started_than_the_queue_holds),
		cmocka_unit_test(what_is_started_goes_on_while_a_rank_computes),
	};

	return cmocka_run_group_tests(tests, open_world, close_world);
}
