/* SPDX-License-Identifier: Apache-2.0 */
/* ranks_save DIR STEP [[full] STAGE RANK]: all ranks save a step; one of them is killed when its writing has come to that stage; full: from
 * there on it can write no more. Ends as programs do, with one line of the first rank where all fail together.
 * ranks_save DIR: prints the step of the checkpoint that a run goes on from, once all of its bytes are those of that step. */
#include "base/msg.h"
#include "comm/comm.h"
#include "train/checkpoint_parts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TENSORS = 5, NUMBERS = 3000 };

static const char *stage;

static void
die(const char *at)
{
	if (strcmp(at, stage) == 0)
		kill(getpid(), SIGKILL);
}

static void
fill_disk(const char *at)
{
	if (strcmp(at, stage) == 0 && setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 0, RLIM_INFINITY }) != 0)
		abort();
}

static float
value(int64_t step, int tensor, int64_t i)
{
	return (float)(step * 1000 + tensor) + (float)i / 4096;
}

static enum status
fill(struct checkpoint_save *s, const struct comm *c, int64_t step)
{
	const struct tensor whole = tensor_of(NULL, F32, 1, NUMBERS);
	int64_t from = (int64_t)NUMBERS * c->rank / c->size, to = (int64_t)NUMBERS * (c->rank + 1) / c->size;
	struct checkpoint_training t = { .global_step = step };
	float x[NUMBERS];

	for (int k = 0; k < TENSORS; k++) {
		char name[16];
		snprintf(name, sizeof name, "t%d", k);
		for (int64_t i = from; i < to; i++)
			x[i - from] = value(step, k, i);
		ACE_TRY(checkpoint_add_part(s, CHECKPOINT_OPTIMIZER, name, whole, NULL, tensor_of(x, F32, 1, to - from), from));
	}
	if (c->rank > 0)
		return ACE_OK;
	ACE_TRY(checkpoint_add_training(s, &t));
	return checkpoint_add_bytes(s, CHECKPOINT_MODEL "/config.json", "{}", 2);
}

static enum status
save(struct comm *c, const char *dir, int64_t step)
{
	const struct checkpoint_rule rule = { .limit = 2 };
	struct checkpoint_writer *w;
	struct checkpoint_save *s;
	enum status st;

	ACE_TRY(checkpoint_writer_open(&w, dir, true));
	checkpoint_writer_join(w, c);
	st = checkpoint_begin(&s, step, NULL);
	if (st == ACE_OK)
		st = fill(s, c, step);
	if (st == ACE_OK)
		st = checkpoint_commit(w, s, &rule);
	for (int i = 0; st == ACE_OK && i < 20; i++) {		/* as between updates */
		uint32_t all;
		usleep(500);
		st = comm_agree_flags(c, checkpoint_asks(w), &all);
		if (st == ACE_OK)
			st = checkpoint_settle(w, all);
	}
	if (st == ACE_OK)
		st = checkpoint_wait(w);
	return st == ACE_OK ? checkpoint_writer_close(w) : st;	/* a thread that is at it ends with the process */
}

static enum status
look(const char *dir)
{
	struct checkpoint c;
	struct st_file f;
	enum status st;
	char *path;

	ACE_TRY(checkpoint_latest(dir, false, &path));
	if (!path)
		return ace_fail(ACE_ENOINPUT, "%s: no checkpoint", dir);
	ACE_TRY(checkpoint_verify(path, true));
	ACE_TRY(checkpoint_open(&c, path, true));
	ACE_TRY(checkpoint_tensors(&c, CHECKPOINT_OPTIMIZER, &f));
	st = f.n == TENSORS ? ACE_OK : ace_fail(ACE_EDATA, "%s: %d tensors", path, f.n);
	for (int k = 0; k < f.n; k++)
		for (int64_t i = 0; st == ACE_OK && i < NUMBERS; i++)
			if (((const float *)f.entry[k].value.data)[i] != value(c.global_step, k, i))
				st = ace_fail(ACE_EDATA, "%s: number %d of tensor %d is another one", path, (int)i, k);
	printf("%d\n", (int)c.global_step);
	st_close(&f);
	checkpoint_close(&c);
	free(path);
	return st;
}

int
main(int argc, char **argv)
{
	struct comm *c = NULL;
	enum status st;

	msg_setup("ranks_save", MSG_QUIET, PROGRESS_NONE, 10);
	if (argc == 2) {
		st = look(argv[1]);
	} else {
		st = comm_open(&c, 60.);
		if (st == ACE_OK && argc >= 5 && atoi(argv[argc - 1]) == c->rank) {
			stage = argv[argc - 2];
			checkpoint_stage = argc == 5 ? die : fill_disk;
			signal(SIGXFSZ, SIG_IGN);
		}
		if (st == ACE_OK)
			st = save(c, argv[1], atoi(argv[2]));
	}
	if (st != ACE_OK && (!comm_agreed(c) || c->rank == 0))
		fprintf(stderr, "ranks_save: %s\n", ace_message());
	st = c ? comm_close(&c, st) : st;
	comm_abandon(c, 1);
	return st == ACE_OK ? 0 : status_exit_code(st);
}
