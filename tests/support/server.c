/* SPDX-License-Identifier: Apache-2.0 */
#include "support/server.h"

#include "support/test.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS = 4096, HEAD_MOST = 16384 };

struct server {
	server_answer *answer;
	void *me;
	int listening, wake[2];
	char url[64];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	int busy;		/* connections in work */
	struct server_request *asked;
	int n;
};

struct connection {
	struct server *s;
	int fd;
};

const char *
server_header(const struct server_request *q, const char *name, char *text, size_t size)
{
	size_t n = strlen(name);

	for (const char *p = q->head; *p; p = strchr(p, '\n') + 1)
		if (strncmp(p, name, n) == 0 && p[n] == ':') {
			snprintf(text, size, "%.*s", (int)strcspn(p + n + 2, "\n"), p + n + 2);
			return text;
		}
	return NULL;
}

/* Up to the empty line; false: the connection ended before. */
static bool
read_head(int fd, char head[HEAD_MOST])
{
	size_t n = 0;

	while (n + 1 < HEAD_MOST) {
		ssize_t r = recv(fd, head + n, 1, 0);
		if (r <= 0)
			return false;
		head[++n] = 0;
		if (n >= 4 && strcmp(head + n - 4, "\r\n\r\n") == 0)
			return true;
	}
	return false;
}

static bool
parse(char *head, struct server_request *q)
{
	char *place, *line = strtok_r(head, "\r\n", &place), range[80];
	size_t at = 0;

	*q = (struct server_request){ .from = -1 };
	if (!line || sscanf(line, "%7s %1999s", q->method, q->path) != 2)
		return false;
	while ((line = strtok_r(NULL, "\r\n", &place))) {
		char *colon = strchr(line, ':');
		if (!colon)
			return false;
		for (char *p = line; p < colon; p++)
			*p = (char)tolower((unsigned char)*p);
		at += (size_t)snprintf(q->head + at, sizeof q->head - at, "%s\n", line);
		if (at >= sizeof q->head)
			return false;
	}
	if (server_header(q, "range", range, sizeof range) && strncmp(range, "bytes=", 6) == 0)
		q->from = atoll(range + 6);
	return true;
}

static bool
send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t w = send(fd, data, size, MSG_NOSIGNAL);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		data += w;
		size -= (size_t)w;
	}
	return true;
}

/* Until the other side hangs up, or patience ends. */
static void
read_rest(int fd)
{
	char rest[1000];

	while (recv(fd, rest, sizeof rest, 0) > 0)
		;
}

static void
send_reply(int fd, const struct server_request *q, const struct server_reply *a)
{
	size_t size = a->cut >= 0 && (size_t)a->cut < a->size ? (size_t)a->cut : a->size;
	bool holds = a->hold > 0 && (size_t)a->hold < size;
	char head[5000], length[64] = "";

	if (a->claim != -2)
		snprintf(length, sizeof length, "Content-Length: %lld\r\n", a->claim >= 0 ? (long long)a->claim : (long long)a->size);
	snprintf(head, sizeof head, "HTTP/1.1 %d Answer\r\n%s%sConnection: close\r\n\r\n", a->code,
	         strstr(a->head, "Content-Length:") ? "" : length, a->head);
	if (!send_all(fd, head, strlen(head)) || strcmp(q->method, "HEAD") == 0)
		return;
	if (send_all(fd, a->body, holds ? (size_t)a->hold : size) && holds)
		read_rest(fd);
}

/* What is sent must have been read, or closing would take it back. */
static void
hang_up(int fd)
{
	struct timeval patience = { .tv_sec = 60 };

	shutdown(fd, SHUT_WR);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	read_rest(fd);
	close(fd);
}

static void *
serve(void *me)
{
	struct connection c = *(struct connection *)me;
	struct server_reply a = { .code = 404, .claim = -1, .cut = -1 };
	struct server_request q;
	char head[HEAD_MOST];

	free(me);
	if (read_head(c.fd, head) && parse(head, &q)) {
		pthread_mutex_lock(&c.s->lock);
		if (c.s->n < REQUESTS)
			c.s->asked[c.s->n++] = q;
		c.s->answer(c.s->me, &q, &a);
		pthread_mutex_unlock(&c.s->lock);
		if (a.code > 0)
			send_reply(c.fd, &q, &a);
	}
	hang_up(c.fd);
	pthread_mutex_lock(&c.s->lock);
	c.s->busy--;
	pthread_cond_signal(&c.s->idle);
	pthread_mutex_unlock(&c.s->lock);
	return NULL;
}

static void
begin(struct server *s, int fd)
{
	struct connection *c = malloc(sizeof *c);
	pthread_attr_t attr;
	pthread_t thread;

	*c = (struct connection){ s, fd };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&s->lock);
	s->busy++;
	pthread_mutex_unlock(&s->lock);
	if (pthread_create(&thread, &attr, serve, c) != 0) {
		pthread_mutex_lock(&s->lock);
		s->busy--;
		pthread_mutex_unlock(&s->lock);
		close(fd);
		free(c);
	}
	pthread_attr_destroy(&attr);
}

static void *
listen_on(void *me)
{
	struct server *s = me;
	struct pollfd p[2] = { { .fd = s->listening, .events = POLLIN }, { .fd = s->wake[0], .events = POLLIN } };

	while (poll(p, 2, -1) >= 0 || errno == EINTR) {
		int fd;
		if (p[1].revents)
			break;
		fd = p[0].revents ? accept(s->listening, NULL, NULL) : -1;
		if (fd >= 0)
			begin(s, fd);
	}
	return NULL;
}

struct server *
server_start(server_answer *answer, void *me)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct server *s = calloc(1, sizeof *s);
	socklen_t n = sizeof at;

	assert_non_null(s);
	s->answer = answer;
	s->me = me;
	s->asked = calloc(REQUESTS, sizeof *s->asked);
	assert_non_null(s->asked);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->listening >= 0);
	assert_int_equal(bind(s->listening, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(s->listening, 64), 0);
	assert_int_equal(getsockname(s->listening, (struct sockaddr *)&at, &n), 0);
	assert_int_equal(pipe(s->wake), 0);
	snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", ntohs(at.sin_port));
	assert_int_equal(pthread_create(&s->thread, NULL, listen_on, s), 0);
	return s;
}

void
server_stop(struct server *s)
{
	if (!s)
		return;
	assert_int_equal(write(s->wake[1], "", 1), 1);
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	while (s->busy > 0)
		pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
	close(s->listening);
	close(s->wake[0]);
	close(s->wake[1]);
	free(s->asked);
	free(s);
}

const char *
server_url(const struct server *s)
{
	return s->url;
}

int
server_asked(struct server *s)
{
	int n;

	pthread_mutex_lock(&s->lock);
	n = s->n;
	pthread_mutex_unlock(&s->lock);
	return n;
}

struct server_request
server_request(struct server *s, int i)
{
	struct server_request q;

	pthread_mutex_lock(&s->lock);
	assert_true(i >= 0 && i < s->n);
	q = s->asked[i];
	pthread_mutex_unlock(&s->lock);
	return q;
}
