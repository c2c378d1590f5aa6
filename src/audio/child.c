/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Six hours decode in a few minutes; 4 GiB above what the parent had. */
enum { CPU_SECONDS = 1800 };
#define MEMORY_MORE ((rlim_t)4 << 30)

/* What goes through the pipe: blocks of samples, each behind its count, and at the end a count of 0 and the verdict. */
enum { BLOCK_MAX = 1 << 22 };		/* floats */

struct block {
	int32_t channels;
	int32_t n;			/* samples per channel; 0: the verdict follows */
};

struct verdict {
	int32_t status;
	struct clip head;
	char message[600];
};

static bool
send_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size) {
		ssize_t n = write(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

/* A child that was made while another thread held a lock of some library may wait for it for ever: it sleeps and uses no
 * processor time while we wait for its word. It is ended, and another one tried. */
enum { SILENCE = 5, SILENCES = 3, TRIES = 3 };		/* SILENCE in seconds */

struct line {
	int fd;
	pid_t pid;
	unsigned long long ticks;	/* that the child had used at the last look */
	int idle;			/* looks since that found it asleep and no further */
	bool hung;
};

static void
look(struct line *l)
{
	char path[40], text[1024] = "", state = 0;
	unsigned long long user = 0, system = 0;
	const char *p;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%ld/stat", (long)l->pid);
	f = fopen(path, "r");
	if (f) {
		text[fread(text, 1, sizeof text - 1, f)] = 0;
		fclose(f);
	}
	p = strrchr(text, ')');
	if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &state, &user, &system) != 3)
		return;
	l->idle = state == 'S' && user + system == l->ticks ? l->idle + 1 : 0;
	l->ticks = user + system;
	l->hung = l->idle >= SILENCES;
}

static bool
receive_all(struct line *l, void *data, size_t size)
{
	char *p = data;

	while (size) {
		struct pollfd wait = { l->fd, POLLIN, 0 };
		if (poll(&wait, 1, 1000 * SILENCE) == 0) {
			look(l);
			if (l->hung)
				return false;
			continue;
		}
		l->idle = 0;
		ssize_t n = read(l->fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

static enum status
pipe_put(struct sink *s, const float *x, int64_t n)
{
	int fd = *(int *)s->me, channels = s->head.channels;

	while (n > 0) {
		int64_t now = n < BLOCK_MAX / channels ? n : BLOCK_MAX / channels;
		struct block b = { channels, (int32_t)now };
		if (!send_all(fd, &b, sizeof b) || !send_all(fd, x, (size_t)(now * channels) * sizeof *x))
			_exit(1);		/* nobody listens */
		x += now * channels;
		n -= now;
	}
	return ACE_OK;
}

static void
limit(int what, rlim_t most)
{
	struct rlimit r;

	if (getrlimit(what, &r))
		return;
	if (r.rlim_cur == RLIM_INFINITY || r.rlim_cur > most)
		r.rlim_cur = most;
	(void)setrlimit(what, &r);
}

static rlim_t
memory_now(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long long pages = 0;

	if (!f)
		return RLIM_INFINITY;
	if (fscanf(f, "%llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages ? (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) : RLIM_INFINITY;
}

static _Noreturn void
child(const char *path, bool probe, int fd, rlim_t memory)
{
	/* Those that ask a whole process group to stop are the parent's to heed: it finishes its clip. When the parent is gone,
	 * so is the pipe's other end. */
	static const int asking[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM };
	static const int dying[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE };
	struct sink s = { .probe = probe, .put = pipe_put, .me = &fd };
	struct verdict v = { 0 };
	struct block end = { 0 };
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
		signal(asking[i], SIG_IGN);
	for (size_t i = 0; i < sizeof dying / sizeof *dying; i++)
		signal(dying[i], SIG_DFL);	/* the parent's handlers are about the parent's work */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null >= 0) {			/* libraries that talk */
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
	}
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_CPU, CPU_SECONDS);
	if (memory != RLIM_INFINITY)
		limit(RLIMIT_AS, memory + MEMORY_MORE);
	v.status = (int32_t)decode_into(path, &s);
	v.head = s.head;
	v.head.data = NULL;
	if (v.status)
		snprintf(v.message, sizeof v.message, "%s", ace_message());
	_exit(!(send_all(fd, &end, sizeof end) && send_all(fd, &v, sizeof v)));
}

/* Everything the child says, but for the first samples that an earlier one has said. False: it fell silent before its verdict. */
static bool
listen_to(struct line *l, struct sink *s, struct verdict *v)
{
	int64_t known = s->got;
	struct block b;
	float *x = NULL;
	size_t room = 0;
	bool whole = false;

	while (receive_all(l, &b, sizeof b)) {
		if (b.n == 0) {
			whole = receive_all(l, v, sizeof *v);
			break;
		}
		if (b.n < 0 || b.channels < 1 || b.channels > BLOCK_MAX || b.n > BLOCK_MAX / b.channels)
			break;
		size_t bytes = (size_t)b.n * (size_t)b.channels * sizeof *x;
		if (bytes > room) {
			free(x);
			x = malloc(bytes);
			room = x ? bytes : 0;
			if (!x) {
				s->status = ace_fail(ACE_ENOMEM, "no memory for a block of samples");
				break;
			}
		}
		if (!receive_all(l, x, bytes))
			break;
		int64_t skip = known < b.n ? known : b.n;
		known -= skip;
		if (skip == b.n)
			continue;
		s->head.channels = b.channels;
		s->got += b.n - skip;
		if ((s->status = s->put(s, x + skip * b.channels, b.n - skip)))
			break;
	}
	free(x);
	return whole;
}

/* One child's life. *hung: it had to be ended. */
static enum status
one_child(const char *path, struct sink *s, struct verdict *v, bool *whole, int *state, bool *hung)
{
	rlim_t memory = memory_now();
	struct line l = { 0 };
	int fd[2];

	if (pipe(fd))
		return ace_fail(ACE_EIO, "%s: no pipe for its decoder: %s", path, strerror(errno));
	l.fd = fd[0];
	l.pid = fork();
	if (l.pid < 0) {
		enum status st = ace_fail(ACE_ENOMEM, "%s: no process for its decoder: %s", path, strerror(errno));
		close(fd[0]);
		close(fd[1]);
		return st;
	}
	if (l.pid == 0) {
		close(fd[0]);
		child(path, s->probe, fd[1], memory);
	}
	close(fd[1]);
	*whole = listen_to(&l, s, v);
	close(fd[0]);
	if (s->status || l.hung)
		kill(l.pid, SIGKILL);
	while (waitpid(l.pid, state, 0) < 0 && errno == EINTR)
		;
	*hung = l.hung;
	return ACE_OK;
}

enum status
child_decode(const char *path, struct sink *s)
{
	struct verdict v;
	int state = 0;
	bool whole = false, hung = true;

	for (int i = 0; hung && i < TRIES; i++)
		ACE_TRY(one_child(path, s, &v, &whole, &state, &hung));
	if (s->status)
		return s->status;
	if (!whole) {
		s->head = (struct clip){ .reason = AUDIO_DECODE_FAILED };
		return ace_fail(ACE_EDATA, "%s: its decoder died (%s)", path,
		                hung ? "it slept and said nothing" : WIFSIGNALED(state) ? strsignal(WTERMSIG(state)) : "no verdict");
	}
	s->head = v.head;
	s->head.data = NULL;
	s->head.codec[sizeof s->head.codec - 1] = 0;
	v.message[sizeof v.message - 1] = 0;
	if (v.status)
		return ace_fail(v.status == ACE_ENOMEM ? ACE_ENOMEM : v.status == ACE_ENOINPUT ? ACE_ENOINPUT : ACE_EDATA,
		                "%s", v.message);
	return sink_check(path, &s->head);
}
