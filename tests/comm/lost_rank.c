/* SPDX-License-Identifier: Apache-2.0 */
/* lost_rank HOW PATIENCE WHO: ranks that reduce numbers step after step until rank WHO is lost (for lost.sh)
 *
 *   kill   dies without a word
 *   stop   is stopped as a whole, as on a node that is cut off
 *   hang   computes for ever
 *   fail   ends with a failure of its own, while the others wait for it
 *   leave  ends as if all were done
 *   agree  fails at an agreement
 *   wrong  makes another call than the others
 *   slow   is away for longer than the patience at first, which was set to be longer then
 *   work   is away for longer than the patience, which may be so as long as it answers
 *   gone   is stopped as a whole when it may be away as long as it answers
 *   busy   all others compute, and ask now and then whether all is well; who fails
 *
 * Every rank that lives says on stdout how long it took and what it was told, and ends all with that exit code. ACE_SAID: a file
 * that gets what it says, too; the ranks end when all that live have spoken there, for a launcher ends all with the first. */
#include "base/clock.h"
#include "comm/comm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 100000, LOST_AT = 3, STEPS = 6 };

static enum status
be_lost(struct comm *c, const char *how, double patience)
{
	double until = clock_now() + 300;

	if (strcmp(how, "kill") == 0)
		raise(SIGKILL);
	if (strcmp(how, "stop") == 0 || strcmp(how, "gone") == 0)
		raise(SIGSTOP);
	while (strcmp(how, "hang") == 0 && clock_now() < until)
		usleep(100000);
	if (strcmp(how, "fail") == 0 || strcmp(how, "busy") == 0)
		return ace_fail(ACE_EIO, "songs/a.mp3: disk full");
	if (strcmp(how, "wrong") == 0)
		return comm_barrier(c, "the wrong place");
	if (strcmp(how, "slow") == 0 || strcmp(how, "work") == 0)
		usleep((useconds_t)(patience * 1.5e6));
	return ACE_OK;
}

static enum status
run(struct comm *c, const char *how, double patience, int who)
{
	float *x = calloc(N, sizeof *x);
	enum status st = x ? ACE_OK : ACE_ENOMEM;

	if (strcmp(how, "slow") == 0)
		comm_set_patience(c, 60 * patience, false);
	if (strcmp(how, "work") == 0 || strcmp(how, "gone") == 0)
		comm_set_patience(c, patience, true);
	for (int step = 0; step < STEPS && st == ACE_OK; step++) {
		bool now = step == LOST_AT && c->rank == who;
		if (now && strcmp(how, "leave") == 0)
			break;
		if (now)
			st = be_lost(c, how, patience);
		for (int i = 0; step == LOST_AT && !now && strcmp(how, "busy") == 0 && st == ACE_OK && i < 3000; i++) {
			usleep(100000);
			st = comm_check(c);
		}
		if (step == LOST_AT && strcmp(how, "agree") == 0)
			st = comm_agree(c, now ? ace_fail(ACE_EDATA, "songs/b.mp3: damaged") : ACE_OK);
		if (st == ACE_OK)
			st = comm_wait(c, comm_allreduce_start(c, tensor_of(x, F32, 1, N), COMM_SUM, "block %d", step));
	}
	free(x);
	return st;
}

/* Adds a line to the file, and waits until it has as many as ranks live, or a minute. */
static void
say(const char *line, const char *how, int size)
{
	static const char *const silent[] = { "kill", "stop", "gone", "hang" };
	const char *path = getenv("ACE_SAID");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_APPEND, 0600) : -1, lines = 0;
	char text[8192];

	fputs(line, stdout);
	fflush(stdout);
	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		return;
	for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
		size -= strcmp(how, silent[i]) == 0;
	for (double until = clock_now() + 60; lines < size && clock_now() < until; usleep(20000)) {
		ssize_t n = pread(fd, text, sizeof text, 0);
		lines = 0;
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	}
	close(fd);
}

int
main(int argc, char **argv)
{
	double patience = argc == 4 ? atof(argv[2]) : 0, from;
	struct comm *c;
	enum status st;
	char line[2048];
	int rank, size;

	if (argc != 4 || (st = comm_open(&c, patience)) != ACE_OK)
		return argc != 4 ? 64 : status_exit_code(st);
	rank = c->rank;
	size = c->size;
	from = clock_now();
	st = run(c, argv[1], patience, atoi(argv[3]));
	st = comm_close(&c, st);
	snprintf(line, sizeof line, "rank=%d code=%d seconds=%.1f open=%d speaks=%d message=%s\n", rank, status_exit_code(st),
	         clock_now() - from, c != NULL, c ? comm_speaks(c) : -1, st == ACE_OK ? "" : ace_message());
	say(line, argv[1], size);
	if (c)
		comm_abandon(c, status_exit_code(st));
	return status_exit_code(st);
}
