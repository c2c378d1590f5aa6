/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint FOLDER GIB [gathered]: ranks (mpiexec) that each have a part of GIB of state save it three times, between updates of 50 ms
 * that agree as a run's do. One line of JSON. gathered: every tensor is put together on the first rank, which writes all.
 * 41 GiB is the 3.5B model where all trains with fp32 masters and two moments; each rank needs twice its part in memory, gathered the
 * first one all of it. */
#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "comm/comm.h"
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TENSORS = 96, SAVES = 3 };

struct bench {
	struct comm *c;
	struct checkpoint_writer *w;
	bool gathered;
	float *mine;			/* [TENSORS, part] */
	int64_t part;
	double stall, written, update, beside;	/* seconds; the two last: an update alone, and while a save is written */
	int beside_n;
	struct checkpoint_report report;
};

static enum status
add(struct bench *b, struct checkpoint_save *s, int k)
{
	struct tensor mine = tensor_of(b->mine + k * b->part, F32, 1, b->part), whole = tensor_of(NULL, F32, 1, b->part * b->c->size);
	enum status st = ACE_OK;
	char name[40], *all;
	size_t *at;

	snprintf(name, sizeof name, "main.block.%d.exp_avg", k);
	if (!b->gathered)
		return checkpoint_add_part(s, CHECKPOINT_OPTIMIZER, name, whole, NULL, mine, b->part * b->c->rank);
	ACE_TRY(comm_gather(b->c, mine.data, tensor_bytes(mine), SIZE_MAX / 2, &all, &at, name));
	whole.data = all;
	if (b->c->rank == 0)
		st = checkpoint_add_tensor(s, CHECKPOINT_OPTIMIZER, name, NULL, whole);
	free(at);
	free(all);
	return st;
}

/* An update: something to compute, and the agreement behind it. */
static enum status
update(struct bench *b, double *seconds, uint32_t *asked)
{
	double start = clock_now();
	static float x[1 << 14];

	for (int i = 0; i < 2500; i++)
		for (size_t k = 0; k < sizeof x / sizeof *x; k++)
			x[k] = x[k] * 0.999f + 1.f;
	ACE_TRY(comm_agree_flags(b->c, checkpoint_asks(b->w), asked));
	*seconds = clock_now() - start;
	return ACE_OK;
}

static enum status
until_written(struct bench *b)
{
	bool done = false;

	while (!done) {
		uint32_t asked, all;
		double s;
		ACE_TRY(update(b, &s, &asked));
		b->beside += s;
		b->beside_n++;
		if (b->gathered && b->c->rank > 0)
			done = true;
		else if (b->gathered)
			ACE_TRY(checkpoint_poll(b->w, &done, &b->report));
		else {
			ACE_TRY(checkpoint_settle(b->w, asked));
			ACE_TRY(checkpoint_poll(b->w, &done, &b->report));
		}
		ACE_TRY(comm_agree_flags(b->c, done && b->c->rank == 0, &all));
		done = all != 0;
	}
	return ACE_OK;
}

static enum status
save(struct bench *b, int64_t step)
{
	struct checkpoint_save *s = NULL;
	double start;

	ACE_TRY(comm_barrier(b->c, "a save"));
	start = clock_now();
	ACE_TRY(checkpoint_begin(&s, step, NULL));
	for (int k = 0; k < TENSORS; k++)
		ACE_TRY(add(b, s, k));
	if (b->gathered && b->c->rank > 0)
		checkpoint_save_free(s);
	else
		ACE_TRY(checkpoint_commit(b->w, s, &(struct checkpoint_rule){ .limit = 1 }));
	ACE_TRY(comm_barrier(b->c, "a save"));
	b->stall += clock_now() - start;
	ACE_TRY(until_written(b));
	b->written += clock_now() - start;
	return ACE_OK;
}

static enum status
run(struct bench *b, const char *folder, double gib)
{
	uint32_t asked;
	double s;

	b->part = (int64_t)(gib * 0x1p30 / 4 / TENSORS / b->c->size);
	b->mine = malloc((size_t)b->part * TENSORS * sizeof *b->mine);
	if (!b->mine)
		return ace_fail(ACE_ENOMEM, "no memory for %.1f GiB", gib / b->c->size);
	for (int64_t i = 0; i < b->part * TENSORS; i++)
		b->mine[i] = (float)i;
	ACE_TRY(checkpoint_writer_open(&b->w, folder, true));
	if (!b->gathered)
		checkpoint_writer_join(b->w, b->c);
	for (int i = 0; i < 10; i++) {
		ACE_TRY(update(b, &s, &asked));
		b->update += s / 10;
	}
	for (int i = 1; i <= SAVES; i++)
		ACE_TRY(save(b, i));
	return ACE_OK;
}

int
main(int argc, char **argv)
{
	struct bench b = { .gathered = argc == 4 && strcmp(argv[3], "gathered") == 0 };
	enum status st;

	if (argc < 3)
		return 64;
	msg_setup("checkpoint", MSG_QUIET, PROGRESS_NONE, 10);
	st = comm_open(&b.c, 600.);
	if (st == ACE_OK)
		st = run(&b, argv[1], atof(argv[2]));
	if (st == ACE_OK && b.c->rank == 0)
		printf("{\"ranks\": %d, \"way\": \"%s\", \"bytes\": %lld, \"stall_s\": %.3f, \"written_s\": %.3f, \"update_ms\": %.1f, "
		       "\"update_beside_ms\": %.1f}\n", b.c->size, b.gathered ? "gathered" : "parts", (long long)b.report.bytes,
		       b.stall / SAVES, b.written / SAVES, b.update * 1e3, b.beside / (b.beside_n > 0 ? b.beside_n : 1) * 1e3);
	if (st != ACE_OK)
		fprintf(stderr, "%s\n", ace_message());
	if (checkpoint_writer_close(b.w) != ACE_OK)
		fprintf(stderr, "%s\n", ace_message());
	free(b.mine);
	st = comm_close(&b.c, st);
	comm_abandon(b.c, 1);
	return st == ACE_OK ? 0 : 1;
}
