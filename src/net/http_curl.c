/* SPDX-License-Identifier: Apache-2.0 */
/* What of http.h knows libcurl. */
#include "net/http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#ifdef HAVE_CURL
#include <curl/curl.h>
#include <pthread.h>

enum { HEADS_MOST = 256 << 10, CONNECT_SECONDS = 20 };

struct exchange {
	struct http *h;
	const struct http_request *q;
	struct http_reply *a;
};

/* --- what libcurl calls --- */

static size_t
on_header(char *data, size_t one, size_t n, void *me)
{
	struct http_reply *a = ((struct exchange *)me)->a;
	char *colon, *at;

	(void)one;
	if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) {	/* also behind "100 Continue" and a proxy's answer */
		a->size = a->last;
		return n;
	}
	colon = memchr(data, ':', n);
	if (!colon)
		return n;
	if (a->size + n + 3 > a->room) {
		size_t room = 2 * (a->size + n + 3);
		char *more = room <= HEADS_MOST ? realloc(a->heads, room) : NULL;
		if (!more)
			return 0;
		a->heads = more;
		a->room = room;
	}
	at = a->heads + a->size;
	for (const char *p = data; p < colon; p++)
		*at++ = *p >= 'A' && *p <= 'Z' ? (char)(*p | 0x20) : *p;
	*at++ = ':';
	*at++ = ' ';
	for (const char *p = colon + 1, *start = at; p < data + n && *p != '\r' && *p != '\n'; p++)
		if (at > start || (*p != ' ' && *p != '\t'))
			*at++ = *p == 0 ? ' ' : *p;
	*at++ = '\n';
	a->size = (size_t)(at - a->heads);
	return n;
}

static size_t
on_body(char *data, size_t one, size_t n, void *me)
{
	struct exchange *e = me;
	long code = 0;

	(void)one;
	curl_easy_getinfo(e->h->curl, CURLINFO_RESPONSE_CODE, &code);
	e->a->code = (int)code;
	if (!e->q->sink || (code != 200 && code != 206))
		return n;
	e->a->sunk = e->q->sink(e->q->me, e->a, data, n);
	return e->a->sunk == ACE_OK ? n : n + 1;
}

static int
on_tick(void *me, curl_off_t down, curl_off_t got, curl_off_t up, curl_off_t sent)
{
	const struct exchange *e = me;

	(void)down, (void)got, (void)up, (void)sent;
	return e->h->opt.stop && e->h->opt.stop();
}

/* --- one exchange --- */

static bool
may_help(CURLcode c)
{
	return c == CURLE_COULDNT_CONNECT || c == CURLE_COULDNT_RESOLVE_HOST || c == CURLE_COULDNT_RESOLVE_PROXY ||
	       c == CURLE_OPERATION_TIMEDOUT || c == CURLE_PARTIAL_FILE || c == CURLE_GOT_NOTHING || c == CURLE_RECV_ERROR ||
	       c == CURLE_SEND_ERROR || c == CURLE_HTTP2 || c == CURLE_HTTP2_STREAM || c == CURLE_WEIRD_SERVER_REPLY ||
	       c == CURLE_SSL_CONNECT_ERROR;
}

static void
set_certificates(CURL *c)
{
	static const char *const names[] = { "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE" };

	for (int i = 0; i < 3; i++) {
		const char *v = getenv(names[i]);
		if (v && *v) {
			curl_easy_setopt(c, CURLOPT_CAINFO, v);
			return;
		}
	}
}

static enum status
headers_for(const struct http *h, const char *url, struct curl_slist **list)
{
	struct curl_slist *l = curl_slist_append(NULL, "Accept-Encoding: identity"), *more;

	*list = l;
	if (!l)
		return ace_fail(ACE_ENOMEM, "%s: no memory", url);
	if (h->opt.token && h->opt.origin && http_same_origin(h->opt.origin, url)) {
		size_t n = strlen(h->opt.token) + 32;
		char *line = malloc(n);
		if (!line)
			return ace_fail(ACE_ENOMEM, "%s: no memory", url);
		snprintf(line, n, "Authorization: Bearer %s", h->opt.token);
		more = curl_slist_append(l, line);
		free(line);
		if (!more)
			return ace_fail(ACE_ENOMEM, "%s: no memory", url);
	}
	return ACE_OK;
}

static void
set_request(struct exchange *e, const char *url, struct curl_slist *list, char why[CURL_ERROR_SIZE])
{
	CURL *c = e->h->curl;
	char range[32];

	curl_easy_reset(c);	/* keeps the connection */
	curl_easy_setopt(c, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(c, CURLOPT_USERAGENT, "ace-fetch/" PACKAGE_VERSION);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(c, CURLOPT_NOBODY, (long)e->q->head);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, e);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, e);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_tick);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, e);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	if (e->h->opt.timeout > 0) {
		curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)(e->h->opt.timeout + 0.999));
	}
	if (e->q->from > 0) {
		snprintf(range, sizeof range, "%lld-", (long long)e->q->from);
		curl_easy_setopt(c, CURLOPT_RANGE, range);
	}
	set_certificates(c);
}

enum status
http_exchange(struct http *h, const struct http_request *q, const char *url, struct http_reply *a)
{
	struct exchange e = { .h = h, .q = q, .a = a };
	char why[CURL_ERROR_SIZE] = "";
	struct curl_slist *list = NULL;
	long code = 0;
	enum status st = headers_for(h, url, &list);
	CURLcode c;

	if (st != ACE_OK) {
		curl_slist_free_all(list);
		return st;
	}
	a->last = a->size;
	a->code = 0;
	a->sunk = ACE_OK;
	set_request(&e, url, list, why);
	c = curl_easy_perform(h->curl);
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(list);
	a->code = (int)code;
	if (c == CURLE_OK)
		return ACE_OK;
	if (a->sunk != ACE_OK)
		return a->sunk;
	if (c == CURLE_ABORTED_BY_CALLBACK)
		return ace_fail(ACE_ESTOPPED, "stopped");
	a->again = may_help(c);
	return ace_fail(ACE_ERANK, "%s: %s", http_shown(url, (char[200]){ 0 }), *why ? why : curl_easy_strerror(c));
}

/* --- connections and addresses --- */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
start(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum status
http_open(struct http *h, const struct http_options *opt)
{
	pthread_once(&once, start);
	*h = (struct http){ .opt = *opt, .curl = curl_easy_init() };
	return h->curl ? ACE_OK : ace_fail(ACE_ENOMEM, "libcurl does not start");
}

void
http_close(struct http *h)
{
	if (h->curl)
		curl_easy_cleanup(h->curl);
	h->curl = NULL;
}

char *
http_join(const char *base, const char *where)
{
	CURLU *u = curl_url();
	char *text = NULL, *copy = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, where, CURLU_URLENCODE) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK &&
	    (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0))
		copy = strdup(text);
	curl_free(text);
	curl_url_cleanup(u);
	return copy;
}

bool
http_same_origin(const char *a, const char *b)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
	CURLU *u = curl_url(), *v = curl_url();
	bool same = u && v && curl_url_set(u, CURLUPART_URL, a, 0) == CURLUE_OK &&
		    curl_url_set(v, CURLUPART_URL, b, 0) == CURLUE_OK;

	for (int i = 0; i < 3 && same; i++) {
		char *x = NULL, *y = NULL;
		same = curl_url_get(u, parts[i], &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
		       curl_url_get(v, parts[i], &y, CURLU_DEFAULT_PORT) == CURLUE_OK && strcasecmp(x, y) == 0;
		curl_free(x);
		curl_free(y);
	}
	curl_url_cleanup(u);
	curl_url_cleanup(v);
	return same;
}
#else
enum status
http_open(struct http *h, const struct http_options *opt)
{
	*h = (struct http){ .opt = *opt };
	return ace_fail(ACE_ECONFIG, "this build has no libcurl and cannot fetch: install it (Debian: libcurl4-openssl-dev), "
			"configure --with-curl and build again");
}

void
http_close(struct http *h)
{
	(void)h;
}

enum status
http_exchange(struct http *h, const struct http_request *q, const char *url, struct http_reply *a)
{
	(void)h, (void)q, (void)a;
	return ace_fail(ACE_ECONFIG, "%s: no libcurl", url);
}

char *
http_join(const char *base, const char *where)
{
	(void)base, (void)where;
	return NULL;
}

bool
http_same_origin(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}
#endif
