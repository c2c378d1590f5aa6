/* SPDX-License-Identifier: Apache-2.0 */
#include "net/http.h"

#include "base/clock.h"
#include "base/msg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOPS = 5 };
static const double LONGEST_PAUSE = 30, LONGEST_WAIT = 300;

/* --- headers --- */

static const char *
header_in(const char *at, const char *end, const char *name, char *text, size_t size)
{
	size_t n = strlen(name);

	while (at && at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		if (!line_end)
			return NULL;
		if ((size_t)(line_end - at) > n + 1 && memcmp(at, name, n) == 0 && at[n] == ':') {
			snprintf(text, size, "%.*s", (int)(line_end - at - (long)n - 2), at + n + 2);
			return text;
		}
		at = line_end + 1;
	}
	return NULL;
}

const char *
http_first(const struct http_reply *a, const char *name, char *text, size_t size)
{
	return a->heads ? header_in(a->heads, a->heads + a->size, name, text, size) : NULL;
}

const char *
http_last(const struct http_reply *a, const char *name, char *text, size_t size)
{
	return a->heads ? header_in(a->heads + a->last, a->heads + a->size, name, text, size) : NULL;
}

void
http_reply_free(struct http_reply *a)
{
	free(a->url);
	free(a->heads);
	*a = (struct http_reply){ 0 };
}

/* --- one try --- */

const char *
http_shown(const char *url, char text[200])
{
	const char *host = strstr(url, "://"), *end, *at;

	host = host ? host + 3 : url;
	end = host + strcspn(host, "/?#");
	at = memrchr(host, '@', (size_t)(end - host));
	at = at ? at + 1 : host;
	snprintf(text, 200, "%.*s%.*s", (int)(host - url), url, (int)strcspn(at, "?"), at);
	return text;
}

/* Seconds that Retry-After asks for: a number, or a date; -1: neither. */
static double
retry_after(const struct http_reply *a)
{
	char text[80], *end;
	struct tm tm = { 0 };
	double v;

	if (!http_last(a, "retry-after", text, sizeof text))
		return -1;
	v = strtod(text, &end);
	if (end != text && *end == 0 && v >= 0)
		return v < LONGEST_WAIT ? v : LONGEST_WAIT;
	if (!strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
		return -1;
	v = (double)timegm(&tm) - clock_wall();
	return v < 0 ? 0 : v < LONGEST_WAIT ? v : LONGEST_WAIT;
}

static bool
is_redirect(int code)
{
	return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
}

/* The next address into *url (freed before); *done: the answer is to be taken as it is. */
static enum status
next_hop(const struct http_request *q, const struct http_reply *a, char **url, bool *done)
{
	char where[4096];
	char *next;

	*done = !is_redirect(a->code);
	if (*done)
		return ACE_OK;
	if (!http_last(a, "location", where, sizeof where) || strlen(where) == sizeof where - 1)
		return ace_fail(ACE_EDATA, "%s: sent on with code %d, but nowhere", http_shown(*url, (char[200]){ 0 }), a->code);
	next = http_join(*url, where);
	if (!next)
		return ace_fail(ACE_EDATA, "%s: sent on to what is no http address", http_shown(*url, (char[200]){ 0 }));
	if (q->head && !http_same_origin(*url, next)) {
		free(next);
		*done = true;
		return ACE_OK;
	}
	if (strncmp(*url, "https:", 6) == 0 && strncmp(next, "https:", 6) != 0) {
		free(next);
		return ace_fail(ACE_EDATA, "%s: sent on from https to http, which is not followed",
				http_shown(q->url, (char[200]){ 0 }));
	}
	free(*url);
	*url = next;
	return ACE_OK;
}

enum status
http_once(struct http *h, const struct http_request *q, struct http_reply *a)
{
	char *url = strdup(q->url);
	enum status st = url ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", q->url);
	bool done = false;

	*a = (struct http_reply){ .wait = -1 };
	for (int hop = 0; st == ACE_OK && !done; hop++) {
		if (hop > HOPS)
			st = ace_fail(ACE_EDATA, "%s: sent on more than %d times", http_shown(q->url, (char[200]){ 0 }), HOPS);
		else
			st = http_exchange(h, q, url, a);
		if (st == ACE_OK)
			st = next_hop(q, a, &url, &done);
	}
	a->url = url;
	if (st != ACE_OK)
		return st;
	if (a->code != 408 && a->code != 429 && a->code < 500)
		return ACE_OK;
	a->again = true;
	a->wait = retry_after(a);
	return ace_fail(ACE_ERANK, "%s: the server answers with code %d", http_shown(q->url, (char[200]){ 0 }), a->code);
}

/* --- several --- */

enum status
http_pause(struct http *h, int n, const struct http_reply *a)
{
	double wait = h->opt.pause, until;
	struct timespec tick = { .tv_nsec = 20000000 };

	for (int i = 1; i < n && wait < LONGEST_PAUSE; i++)
		wait *= 2;
	if (wait > LONGEST_PAUSE)
		wait = LONGEST_PAUSE;
	if (a->wait > wait)
		wait = a->wait;
	msg_debug("%s; once more in %.1f s", ace_message(), wait);
	for (until = clock_now() + wait; clock_now() < until; nanosleep(&tick, NULL))
		if (h->opt.stop && h->opt.stop())
			return ace_fail(ACE_ESTOPPED, "stopped");
	return ACE_OK;
}

struct text {
	char *data;
	size_t size, limit;
};

static enum status
keep(void *me, const struct http_reply *a, const char *data, size_t size)
{
	struct text *t = me;
	char *more;

	(void)a;
	if (size > t->limit - t->size)
		return ace_fail(ACE_EDATA, "the answer is larger than %zu bytes", t->limit);
	more = realloc(t->data, t->size + size + 1);
	if (!more)
		return ace_fail(ACE_ENOMEM, "no memory for an answer");
	memcpy(more + t->size, data, size);
	t->data = more;
	t->size += size;
	t->data[t->size] = 0;
	return ACE_OK;
}

static enum status
until_answered(struct http *h, struct http_request *q, struct text *t, struct http_reply *a)
{
	enum status st = ACE_OK;

	for (int n = 0;; n++) {
		if (n > 0 && (st = http_pause(h, n, a)) != ACE_OK)
			break;
		if (n > 0)
			http_reply_free(a);
		free(t->data);
		t->data = NULL;
		t->size = 0;
		st = http_once(h, q, a);
		if (st == ACE_OK || !a->again || n >= h->opt.retries)
			break;
	}
	if (st != ACE_OK && a->again)
		return ace_fail_prefix(st, "tried %d times: ", h->opt.retries + 1);
	return st;
}

enum status
http_text(struct http *h, const char *url, size_t limit, char **text, size_t *size, struct http_reply *a)
{
	struct text t = { .limit = limit };
	struct http_request q = { .url = url, .sink = keep, .me = &t };
	enum status st = until_answered(h, &q, &t, a);

	*text = NULL;
	*size = 0;
	if (st == ACE_OK && a->code == 200) {
		*text = t.data ? t.data : strdup("");
		*size = t.size;
		return *text ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", url);
	}
	free(t.data);
	return st;
}

enum status
http_head(struct http *h, const char *url, struct http_reply *a)
{
	struct text none = { 0 };
	struct http_request q = { .url = url, .head = true };

	return until_answered(h, &q, &none, a);
}

char *
http_escape(const char *text, bool keep_slashes)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	char *to = malloc(3 * strlen(text) + 1), *at = to;

	if (!to)
		return NULL;
	for (; *text; text++)
		if (strchr(plain, *text) || (keep_slashes && *text == '/'))
			*at++ = *text;
		else
			at += sprintf(at, "%%%02X", (unsigned char)*text);
	*at = 0;
	return to;
}
