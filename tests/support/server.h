/* SPDX-License-Identifier: Apache-2.0 */
/* server.h - a small HTTP server on 127.0.0.1, in threads of the test, that answers as the test says: late, cut, wrong */
#ifndef ACE_TESTS_SUPPORT_SERVER_H
#define ACE_TESTS_SUPPORT_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct server_request {
	char method[8];
	char path[2000];	/* with its query, as it came */
	char head[4000];	/* header lines "name: value\n", names in lower case */
	int64_t from;		/* of "Range: bytes=FROM-", -1 without one */
};

struct server_reply {
	int code;		/* 0: close the connection without an answer */
	char head[4000];	/* header lines "Name: value\r\n" */
	const char *body;	/* borrowed until the server is stopped */
	size_t size;
	int64_t claim;		/* Content-Length; -1: size; -2: no such header */
	int64_t cut;		/* close after that many bytes of the body; -1: not */
	int64_t hold;		/* keep silent after that many bytes of the body, until the other side hangs up; 0: not */
};

/* Called for one request at a time. */
typedef void server_answer(void *me, const struct server_request *q, struct server_reply *a);

struct server;

/* On a free port; fails the test when there is none. */
struct server *server_start(server_answer *answer, void *me);
void server_stop(struct server *s);

/* "http://127.0.0.1:PORT" */
const char *server_url(const struct server *s);

/* Requests so far, and the i-th of them. */
int server_asked(struct server *s);
struct server_request server_request(struct server *s, int i);

/* A header of a request into text; NULL: it has none. */
const char *server_header(const struct server_request *q, const char *name, char *text, size_t size);
#endif
