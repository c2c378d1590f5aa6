/* SPDX-License-Identifier: Apache-2.0 */
#include "base/msg.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
	const char *name;
	enum msg_level level;
	enum msg_progress progress;
	double interval, last;
	int log;
	bool bar_on_screen, color;
	int rank;
	char who[96];			/* "[rank 3 n07] "; "" for rank 0 */
	char bar[512];
	pthread_mutex_t lock;
} out = { .name = "ace", .level = MSG_INFO, .progress = PROGRESS_AUTO, .interval = 10.0, .log = -1,
	  .lock = PTHREAD_MUTEX_INITIALIZER };

void
msg_setup(const char *name, enum msg_level level, enum msg_progress progress, double interval)
{
	const char *term = getenv("TERM");

	out.name = name;
	out.level = level;
	out.progress = progress;
	out.interval = interval;
	if (progress == PROGRESS_AUTO)
		out.progress = isatty(2) && term && strcmp(term, "dumb") != 0 ? PROGRESS_BAR
		                                                               : PROGRESS_PLAIN;
}

enum status
msg_log_to(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0)
		return ace_fail(ACE_ECREATE, "%s: cannot open the log file: %s", path, strerror(errno));
	if (out.log >= 0)
		close(out.log);
	out.log = fd;
	return ACE_OK;
}

void
msg_ranks(int rank, const char *host)
{
	out.rank = rank;
	*out.who = 0;
	if (rank > 0)
		snprintf(out.who, sizeof out.who, "[rank %d %s] ", rank, host);
}

void
msg_color(bool on)
{
	out.color = on;
}

bool
msg_is_terminal(void)
{
	return out.progress == PROGRESS_BAR;
}

static void
put(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, text, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return;		/* nowhere to complain */
		text += w;
		n -= (size_t)w;
	}
}

/* Text that may hold names out of files: nothing in it moves the cursor or colours the screen. */
static void
tame(char *text, int n)
{
	for (int i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i], d = i + 1 < n ? (unsigned char)text[i + 1] : 0;
		if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
			text[i] = '?';
		else if (c == 0xc2 && d >= 0x80 && d < 0xa0)	/* U+0080 ... U+009F */
			text[i] = text[i + 1] = '?';
	}
}

static void ACE_PRINTF(2, 0)
line(const char *prefix, const char *fmt, va_list ap)
{
	char text[4096];
	int at = 0, n, head;

	if (prefix)
		at = snprintf(text, sizeof text, "%s: %s%s", out.name, out.who, prefix);
	head = at;
	n = vsnprintf(text + at, sizeof text - 2 - (size_t)at, fmt, ap);
	if (n < 0)
		return;
	at += n;
	if (at > (int)sizeof text - 2)
		at = (int)sizeof text - 2;
	tame(text + head, at - head);
	text[at++] = '\n';
	pthread_mutex_lock(&out.lock);
	if (out.bar_on_screen)
		put(2, "\r\033[K", 4);
	if (out.color && head) {
		put(2, *prefix ? "\033[33m" : "\033[31m", 5);
		put(2, text, (size_t)head);
		put(2, "\033[0m", 4);
		put(2, text + head, (size_t)(at - head));
	} else {
		put(2, text, (size_t)at);
	}
	if (out.bar_on_screen)
		put(2, out.bar, strlen(out.bar));
	if (out.log >= 0)
		put(out.log, text, (size_t)at);
	pthread_mutex_unlock(&out.lock);
}

#define SAY(fn, min, prefix)                    \
	void fn(const char *fmt, ...)           \
	{                                       \
		va_list ap;                     \
		if (out.level < (min) || (out.rank > 0 && (min) > MSG_WARN)) \
			return;                 \
		va_start(ap, fmt);              \
		line(prefix, fmt, ap);          \
		va_end(ap);                     \
	}
SAY(msg_info, MSG_INFO, NULL)
SAY(msg_warn, MSG_WARN, "warning: ")
SAY(msg_debug, MSG_DEBUG, "debug: ")
SAY(msg_error, MSG_QUIET, "")
SAY(msg_plain, MSG_QUIET, NULL)

static int
columns(void)
{
	struct winsize w;

	return ioctl(2, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

/* Bytes of text that fill at most cols columns; UTF-8 continuation bytes take none. */
static size_t
fit(const char *text, int cols)
{
	size_t i = 0;

	for (; text[i]; i++)
		if (((unsigned char)text[i] & 0xC0) != 0x80 && cols-- == 0)
			break;
	return i;
}

static void
draw(const char *label, int64_t done, int64_t total, const char *rest)
{
	enum { CELLS = 24 };
	char bar[CELLS * 3 + 1], text[sizeof out.bar - 8];
	int full = total > 0 ? (int)(done * CELLS / total) : 0, at = 0;

	for (int i = 0; i < CELLS; i++)
		at += snprintf(bar + at, sizeof bar - (size_t)at, "%s", i < full ? "━" : "─");
	snprintf(text, sizeof text, "%s  %s  %lld/%lld  %s", label, bar, (long long)done,
	         (long long)total, rest);
	text[fit(text, columns() - 1)] = 0;
	pthread_mutex_lock(&out.lock);
	snprintf(out.bar, sizeof out.bar, "%s", text);
	put(2, "\r\033[K", 4);
	put(2, out.bar, strlen(out.bar));
	out.bar_on_screen = true;
	pthread_mutex_unlock(&out.lock);
}

void
msg_progress(const char *label, int64_t done, int64_t total, const char *fmt, ...)
{
	double now = clock_now(), gap = out.progress == PROGRESS_BAR ? 0.1 : out.interval;
	char rest[400];
	va_list ap;

	if (out.progress == PROGRESS_NONE || out.level < MSG_INFO || out.rank > 0)
		return;
	if (now - out.last < gap && done < total)
		return;
	out.last = now;
	va_start(ap, fmt);
	vsnprintf(rest, sizeof rest, fmt, ap);
	va_end(ap);
	if (out.progress == PROGRESS_BAR)
		draw(label, done, total, rest);
	else
		msg_info("%s%s%lld/%lld  %s", label, label[strlen(label) - 1] == '=' ? "" : " ", (long long)done,
		         (long long)total, rest);
}

void
msg_progress_end(void)
{
	pthread_mutex_lock(&out.lock);
	if (out.bar_on_screen)
		put(2, "\n", 1);
	out.bar_on_screen = false;
	out.last = 0;
	pthread_mutex_unlock(&out.lock);
}
