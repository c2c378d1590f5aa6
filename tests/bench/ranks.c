/* SPDX-License-Identifier: Apache-2.0 */
/* ranks [MiB]: how long the operations of a group take, to be run by mpiexec. Best and middle of the repetitions; bytes are
 * those that each rank sends, in GB/s. */
#include "base/clock.h"
#include "comm/comm.h"

#include <stdio.h>
#include <stdlib.h>

enum { TIMES = 15 };

enum what { AGREE, FLAGS, REDUCE_4K, GATHER, SCATTER, SCATTER_BF16, REDUCE, CAST };

static const char *const names[] = { "agree", "flags", "all-reduce of 4 KiB", "all-gather", "reduce-scatter", "reduce-scatter BF16",
				     "all-reduce", "broadcast" };

struct bench {
	struct comm *c;
	void *x, *part;
	int64_t n;			/* F32 of one rank's part */
};

static enum status
once(const struct bench *b, enum what w)
{
	struct comm *c = b->c;
	struct tensor all = tensor_of(b->x, F32, 2, c->size, b->n), part = tensor_of(b->part, F32, 1, b->n);
	uint32_t flags;

	switch (w) {
	case AGREE: return comm_agree(c, ACE_OK);
	case FLAGS: return comm_agree_flags(c, 0, &flags);
	case REDUCE_4K: return comm_allreduce(c, tensor_of(b->x, F32, 1, 1024), COMM_SUM, "4 KiB");
	case GATHER: return comm_allgather(c, all, part, "x");
	case SCATTER: return comm_reduce_scatter(c, part, all, COMM_SUM, "x");
	case SCATTER_BF16:
		return comm_reduce_scatter(c, tensor_of(b->part, BF16, 1, 2 * b->n), tensor_of(b->x, BF16, 2, c->size, 2 * b->n),
					   COMM_SUM, "x");
	case REDUCE: return comm_allreduce(c, all, COMM_SUM, "x");
	case CAST: return comm_broadcast(c, all, 0, "x");
	}
	return ACE_OK;
}

static int
by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static enum status
measure(const struct bench *b, enum what w)
{
	double t[TIMES], bytes = (double)b->n * 4 * (b->c->size - 1);
	int repeat = w <= REDUCE_4K ? 100 : 1;

	for (int i = 0; i < TIMES; i++) {
		double start;
		ACE_TRY(comm_barrier(b->c, "the start"));
		start = clock_now();
		for (int k = 0; k < repeat; k++)
			ACE_TRY(once(b, w));
		t[i] = (clock_now() - start) / repeat;
	}
	qsort(t, TIMES, sizeof *t, by_time);
	if (b->c->rank == 0 && w <= REDUCE_4K)
		printf("%-20s %8.0f us  (%.0f)\n", names[w], t[0] * 1e6, t[TIMES / 2] * 1e6);
	else if (b->c->rank == 0)
		printf("%-20s %8.1f ms  (%.1f)  %.2f GB/s\n", names[w], t[0] * 1e3, t[TIMES / 2] * 1e3,
		       bytes * (w == REDUCE ? 2 : 1) / t[0] * 1e-9);
	return ACE_OK;
}

int
main(int argc, char **argv)
{
	struct bench b = { .n = 0 };
	enum status st = comm_open(&b.c, 60);

	if (st == ACE_OK) {
		b.n = (int64_t)(argc > 1 ? atof(argv[1]) : 64) * (1 << 18) / b.c->size;
		b.x = calloc((size_t)(b.n * b.c->size) + 1024, 4);
		b.part = calloc((size_t)b.n + 1, 4);
		st = b.x && b.part ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");
		for (int w = AGREE; w <= CAST && st == ACE_OK; w++)
			st = measure(&b, (enum what)w);
	}
	free(b.x);
	free(b.part);
	st = comm_close(&b.c, st);
	if (st != ACE_OK)
		fprintf(stderr, "%s\n", ace_message());
	return status_exit_code(st);
}
