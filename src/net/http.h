/* SPDX-License-Identifier: Apache-2.0 */
/* http.h - requests over HTTP(S) by libcurl: redirects, tries again, a token that one host alone gets (datasets.md section 4.5)
 *
 * A network that fails or a server that stays away is ACE_ERANK, what is refused or not there ACE_ENOINPUT, a request to stop
 * ACE_ESTOPPED. Without libcurl http_open fails, with ACE_ECONFIG. */
#ifndef ACE_NET_HTTP_H
#define ACE_NET_HTTP_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_options {
	const char *token;		/* sent as "Authorization: Bearer", to origin alone; NULL: none */
	const char *origin;		/* an address of the host that may get the token; NULL: none may */
	int retries;			/* tries after the first, without a byte in between */
	double pause;			/* seconds before the first of them; doubles, up to 30 s */
	double timeout;			/* seconds in which nothing comes: the connection counts as lost */
	bool (*stop)(void);		/* asked often; NULL: never */
};

/* One connection, used by one thread. opt and its texts are borrowed. */
struct http {
	struct http_options opt;
	void *curl;
};

/* Bytes of the body of an answer with code 200 or 206; a failure ends the request and is its status. */
struct http_reply;
typedef enum status http_sink(void *me, const struct http_reply *a, const char *data, size_t size);

struct http_request {
	const char *url;
	bool head;			/* HEAD, whose redirects to another host are not followed */
	int64_t from;			/* "Range: bytes=FROM-" when above 0 */
	http_sink *sink;		/* NULL: the body is passed over */
	void *me;
};

struct http_reply {
	int code;			/* 0: nothing came */
	char *url;			/* that answered; owned */
	char *heads;			/* header lines "name: value\n" of all hops, names in lower case; owned */
	size_t size, room, last;	/* of heads; where the last hop's begin */
	bool again;			/* after a failure: another try may help */
	double wait;			/* seconds, as Retry-After has it; -1: not said */
	enum status sunk;		/* of the sink */
};

enum status http_open(struct http *h, const struct http_options *opt) ACE_NODISCARD;
void http_close(struct http *h);

/* One try, with up to 5 redirects. ACE_OK for every code but 408, 429 and 5xx: the caller looks at a->code. http_reply_free
 * afterwards in any case. Never from https to http. */
enum status http_once(struct http *h, const struct http_request *q, struct http_reply *a) ACE_NODISCARD;

/* Wait before try number n (from 1) after a failure with a->again. ACE_ESTOPPED when asked to stop. */
enum status http_pause(struct http *h, int n, const struct http_reply *a) ACE_NODISCARD;

/* Tries until there is an answer; its body, at most limit bytes, into *text (owned by the caller, ended by 0; NULL for codes
 * other than 200). *a is the caller's to free. */
enum status http_text(struct http *h, const char *url, size_t limit, char **text, size_t *size, struct http_reply *a) ACE_NODISCARD;

/* A HEAD request, tried until there is an answer. */
enum status http_head(struct http *h, const char *url, struct http_reply *a) ACE_NODISCARD;

void http_reply_free(struct http_reply *a);

/* A header of the first hop that has it, of the last hop alone; name in lower case. Into text[size], NULL when absent. */
const char *http_first(const struct http_reply *a, const char *name, char *text, size_t size);
const char *http_last(const struct http_reply *a, const char *name, char *text, size_t size);

/* What of an address is shown in messages, into text: what is behind '?' may be a signature, before '@' a password. */
const char *http_shown(const char *url, char text[200]);

/* One exchange without redirects, appended to a (http_curl.c). */
enum status http_exchange(struct http *h, const struct http_request *q, const char *url, struct http_reply *a) ACE_NODISCARD;

/* where, which may be relative, seen from base; owned by the caller, NULL when it is no http(s) address. */
char *http_join(const char *base, const char *where);
/* Whether scheme, host and port are the same. */
bool http_same_origin(const char *a, const char *b);

/* text percent-encoded but for unreserved characters, and '/' where slashes are kept; owned, NULL: no memory. */
char *http_escape(const char *text, bool keep_slashes);
#endif
