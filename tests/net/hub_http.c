/* SPDX-License-Identifier: Apache-2.0 */
/* The exchanges of the fixture hub-http, replayed by two servers: the hub, and the storage it sends us to. */
#include "support/test.h"

#include "base/file.h"
#include "base/stop.h"
#include "jobs/fetch.h"
#include "net/download.h"
#include "net/hub_store.h"
#include "support/golden.h"
#include "support/server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODIES = 256 };

/* What both servers replay. */
static struct play {
	cJSON *root;
	struct server *base, *storage;
	int step[BODIES];		/* of sequences, by the exchange's place */
	char *body[BODIES];
	int bodies;
	int unknown, leaked;		/* requests that no exchange has; headers that must not be there */
} play;

static char dir[300];
static const struct fetch_job job = { .connections = 2, .retries = 3, .timeout = 60, .pause = 0.01 };

static const char *
text_at(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

static int64_t
number_at(const cJSON *o, const char *key)
{
	return (int64_t)cJSON_GetObjectItemCaseSensitive(o, key)->valuedouble;
}

/* --- the servers --- */

static size_t
from_base64(const char *text, char *to)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	for (; *text && *text != '='; text++) {
		const char *d = strchr(digits, *text);
		assert_non_null(d);
		bits = bits << 6 | (uint32_t)(d - digits);
		if ((have += 6) >= 8)
			to[n++] = (char)(bits >> (have -= 8));
	}
	return n;
}

/* text with @BASE@ and @STORAGE@ replaced */
static void
put_addresses(const char *text, char *to, size_t size)
{
	size_t n = 0;

	while (*text && n + 100 < size)
		if (strncmp(text, "@BASE@", 6) == 0) {
			n += (size_t)snprintf(to + n, size - n, "%s", server_url(play.base));
			text += 6;
		} else if (strncmp(text, "@STORAGE@", 9) == 0) {
			n += (size_t)snprintf(to + n, size - n, "%s", server_url(play.storage));
			text += 9;
		} else {
			to[n++] = *text++;
		}
	to[n] = 0;
}

/* Whether all headers that the exchange asks for are there as it says. */
static bool
has_headers(const cJSON *x, const struct server_request *q)
{
	const cJSON *v;
	char name[80], text[300];

	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(x, "if_header")) {
		snprintf(name, sizeof name, "%s", v->string);
		for (char *p = name; *p; p++)
			*p |= 0x20;
		if (!server_header(q, name, text, sizeof text) || strcmp(text, v->valuestring) != 0)
			return false;
	}
	return true;
}

/* The exchange of a request: one that asks for headers before one that does not. */
static const cJSON *
find(const struct server_request *q, const char *host, int *at)
{
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(play.root, "exchanges"), *x, *found = NULL;
	int i = -1;

	cJSON_ArrayForEach(x, all) {
		const char *of = text_at(x, "host");
		bool asks = cJSON_GetObjectItemCaseSensitive(x, "if_header");
		i++;
		if (strcmp(of ? of : "base", host) != 0 || strcmp(text_at(x, "method"), q->method) != 0 ||
		    strcmp(text_at(x, "path"), q->path) != 0 || !has_headers(x, q) || (found && !asks))
			continue;
		found = x;
		*at = i;
	}
	return found;
}

static void
answer_as(const cJSON *r, struct server_reply *a)
{
	const cJSON *v, *json = cJSON_GetObjectItemCaseSensitive(r, "json");
	char line[2000];

	a->code = (int)number_at(r, "status");
	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(r, "headers")) {
		put_addresses(v->valuestring, line, sizeof line);
		snprintf(a->head + strlen(a->head), sizeof a->head - strlen(a->head), "%s: %s\r\n", v->string, line);
	}
	if (!json && !text_at(r, "body_base64"))
		return;
	assert_true(play.bodies < BODIES);
	if (json) {
		a->body = play.body[play.bodies++] = cJSON_PrintUnformatted(json);
		a->size = strlen(a->body);
	} else {
		char *to = malloc(strlen(text_at(r, "body_base64")) + 1);
		a->size = from_base64(text_at(r, "body_base64"), to);
		a->body = play.body[play.bodies++] = to;
	}
}

static void
answer(void *me, const struct server_request *q, struct server_reply *a)
{
	bool is_base = me == &play;
	const cJSON *x, *steps;
	char text[300];
	int at = 0;

	x = find(q, is_base ? "base" : "storage", &at);
	if (!x) {
		play.unknown++;
		return;
	}
	if (text_at(x, "must_not_have_header") && server_header(q, "authorization", text, sizeof text))
		play.leaked++;
	if (is_base && (!server_header(q, "authorization", text, sizeof text) || strcmp(text, "Bearer TESTTOKEN") != 0))
		play.leaked++;
	if (!is_base && strstr(q->head, "TESTTOKEN"))
		play.leaked++;
	steps = cJSON_GetObjectItemCaseSensitive(x, "sequence");
	if (steps) {
		int n = cJSON_GetArraySize(steps), i = play.step[at] < n ? play.step[at]++ : n - 1;
		x = cJSON_GetArrayItem(steps, i);
	}
	answer_as(x, a);
}

static int
enter(void **state)
{
	(void)state;
	play = (struct play){ 0 };
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	play.root = golden_json("hub-http", "exchanges.json");
	play.base = server_start(answer, &play);
	play.storage = server_start(answer, &play.storage);
	setenv("HF_ENDPOINT", server_url(play.base), 1);
	setenv("HF_HUB_CACHE", dir, 1);
	setenv("HF_TOKEN", "TESTTOKEN", 1);
	unsetenv("HF_HUB_OFFLINE");
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	server_stop(play.base);
	server_stop(play.storage);
	for (int i = 0; i < play.bodies; i++)
		free(play.body[i]);
	cJSON_Delete(play.root);
	return file_remove_tree(dir) != ACE_OK;
}

/* --- what is asked of them --- */

static enum status
fetch(const char *word, const struct fetch_job *with)
{
	FILE *out = fopen("/dev/null", "w");
	enum status st = fetch_repository(with, word, out);

	fclose(out);
	return st;
}

static const char *
fixture_word(char text[300])
{
	snprintf(text, 300, "%s/%s@%s", strcmp(text_at(play.root, "repo_type"), "dataset") == 0 ? "datasets" : "models",
	         text_at(play.root, "repo"), text_at(play.root, "revision"));
	return text;
}

static void
check_link(const char *path, const char *blob, int64_t size)
{
	char link[400], *target, *real, *want;
	ssize_t n = readlink(path, link, sizeof link - 1);

	assert_true(n > 0);
	link[n] = 0;
	if (link[0] == '/')
		fail_msg("%s: an absolute link", path);
	assert_non_null(strrchr(link, '/'));
	target = strrchr(link, '/') + 1;
	assert_string_equal(target, blob);
	real = realpath(path, NULL);
	assert_non_null(real);
	assert_int_equal(file_size(real), size);
	want = file_path("/blobs/%s", blob);
	assert_non_null(strstr(real, want));
	free(want);
	free(real);
}

static void
check_cache(void)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(play.root, "expected_cache")) {
		char *path = file_path("%s/%s", dir, v->string), *text;
		size_t size;
		if (cJSON_IsString(v)) {
			assert_ok(file_read(path, 1000, &text, &size));
			assert_string_equal(text, v->valuestring);
			free(text);
		} else {
			check_link(path, text_at(v, "blob"), number_at(v, "size"));
		}
		free(path);
	}
}

static void
the_cache_is_as_the_hubs_own_tools_lay_it_out(void **state)
{
	char word[300];

	(void)state;
	assert_ok(fetch(fixture_word(word), &job));
	check_cache();
	assert_int_equal(play.unknown, 0);
	assert_int_equal(play.leaked, 0);
}

static void
what_is_there_is_not_asked_for_again(void **state)
{
	char word[300];
	int before;

	(void)state;
	assert_ok(fetch(fixture_word(word), &job));
	before = server_asked(play.base);
	assert_ok(fetch(fixture_word(word), &job));
	for (int i = before; i < server_asked(play.base); i++) {
		struct server_request q = server_request(play.base, i);
		assert_null(strstr(q.path, "/resolve/"));
	}
	check_cache();
}

/* The exchange that asks for a range, and the whole of the same path. */
static void
a_partial_file_goes_on_where_it_was(void **state)
{
	const cJSON *x, *y, *v, *all = cJSON_GetObjectItemCaseSensitive(play.root, "exchanges");
	char word[300];
	int tried = 0;

	(void)state;
	cJSON_ArrayForEach(x, all) {
		const char *range = text_at(cJSON_GetObjectItemCaseSensitive(x, "if_header"), "Range");
		if (!range)
			continue;
		cJSON_ArrayForEach(y, all) {
			char *whole, *part, *path;
			size_t n, from = (size_t)atoll(range + 6);
			if (y == x || strcmp(text_at(y, "path"), text_at(x, "path")) != 0 || !text_at(y, "body_base64") ||
			    strcmp(text_at(y, "method"), "GET") != 0)
				continue;
			whole = malloc(strlen(text_at(y, "body_base64")) + 1);
			n = from_base64(text_at(y, "body_base64"), whole);
			cJSON_ArrayForEach(v, cJSON_GetObjectItemCaseSensitive(play.root, "expected_cache")) {
				if (cJSON_IsString(v) || number_at(v, "size") != (int64_t)n)
					continue;
				path = file_path("%s/%.*s/blobs", dir, (int)strcspn(v->string, "/"), v->string);
				assert_ok(file_mkdirs(path));
				part = file_path("%s/%s.incomplete", path, text_at(v, "blob"));
				assert_ok(file_write(part, whole, from));
				free(part);
				free(path);
				tried++;
			}
			free(whole);
		}
	}
	assert_true(tried > 0);
	assert_ok(fetch(fixture_word(word), &job));
	check_cache();
	for (int i = tried = 0; i < server_asked(play.storage); i++)
		tried += server_request(play.storage, i).from > 0;
	assert_true(tried > 0);
	assert_int_equal(play.leaked, 0);
}

/* "/datasets/A/B/KEY/REVISION/REST" or without "/datasets", into r and *rest (borrowed of path). */
static const char *
repo_of(const char *path, const char *key, struct hub_repo *r)
{
	const char *at = strstr(path, key), *end = at + strlen(key) + strcspn(at + strlen(key), "/");
	char word[300];

	snprintf(word, sizeof word, "%s%.*s@%.*s", strncmp(path, "/datasets/", 10) == 0 ? "" : "models/", (int)(at - path - 1), path + 1,
	         (int)(end - at - (long)strlen(key)), at + strlen(key));
	assert_ok(hub_repo_parse(r, word, false, "main"));
	return *end ? end + 1 : end;
}

static void
what_the_hub_refuses_is_missing_input_that_says_why(void **state)
{
	const cJSON *x;
	int tried = 0;

	(void)state;
	cJSON_ArrayForEach(x, cJSON_GetObjectItemCaseSensitive(play.root, "exchanges")) {
		const char *path = text_at(x, "path"), *at = strstr(path, "/revision/");
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(x, "status");
		char word[300];
		if (!at || strncmp(path, "/api/", 5) != 0 || !v || v->valuedouble < 400)
			continue;
		snprintf(word, sizeof word, "%.*s@%s", (int)(at - path - 5), path + 5, at + 10);
		assert_int_equal(fetch(word, &job), ACE_ENOINPUT);
		assert_null(strstr(ace_message(), "TESTTOKEN"));
		if (strcmp(text_at(cJSON_GetObjectItemCaseSensitive(x, "headers"), "X-Error-Code"), "GatedRepo") == 0)
			assert_non_null(strstr(ace_message(), "access must be asked for"));
		if (strcmp(text_at(cJSON_GetObjectItemCaseSensitive(x, "headers"), "X-Error-Code"), "RevisionNotFound") == 0)
			assert_non_null(strstr(ace_message(), "no revision"));
		tried++;
	}
	assert_true(tried > 0);
}

static void
a_head_tells_size_and_checksum_and_stays_on_the_host(void **state)
{
	struct hub hub;
	struct http_options o = { .retries = 1, .pause = 0.01, .timeout = 60 };
	struct http h;
	const cJSON *x;
	int tried = 0;

	(void)state;
	assert_ok(hub_open(&hub));
	o.token = hub.token;
	o.origin = hub.base;
	assert_ok(http_open(&h, &o));
	cJSON_ArrayForEach(x, cJSON_GetObjectItemCaseSensitive(play.root, "exchanges")) {
		const cJSON *heads = cJSON_GetObjectItemCaseSensitive(x, "headers");
		const char *etag = text_at(heads, "X-Linked-Etag") ? text_at(heads, "X-Linked-Etag") : text_at(heads, "ETag");
		struct hub_file f = { .size = -1 };
		struct hub_repo r;
		enum status st;
		if (strcmp(text_at(x, "method"), "HEAD") != 0)
			continue;
		f.path = strdup(repo_of(text_at(x, "path"), "/resolve/", &r));
		st = hub_file_head(&hub, &h, &r, &f);
		assert_int_equal(st, number_at(x, "status") >= 400 ? ACE_ENOINPUT : ACE_OK);
		if (etag && st == ACE_OK) {
			assert_non_null(strstr(etag, f.etag));
			assert_true(strlen(f.etag) + 2 == strlen(etag));
			assert_true(f.size >= 0);
		}
		free(f.path);
		hub_repo_free(&r);
		tried++;
	}
	assert_true(tried > 0);
	assert_int_equal(server_asked(play.storage), 0);
	http_close(&h);
	hub_close(&hub);
}

static void
a_busy_server_is_asked_again_when_it_says_so(void **state)
{
	const cJSON *x, *last, *steps;
	int tried = 0;

	(void)state;
	cJSON_ArrayForEach(x, cJSON_GetObjectItemCaseSensitive(play.root, "exchanges")) {
		struct http_options o = { .token = "TESTTOKEN", .origin = server_url(play.base), .retries = 3, .pause = 0.01, .timeout = 60 };
		char *url, *part, *want, *text, etag[200];
		struct http h;
		size_t n, size;
		if (!(steps = cJSON_GetObjectItemCaseSensitive(x, "sequence")))
			continue;
		last = cJSON_GetArrayItem(steps, cJSON_GetArraySize(steps) - 1);
		want = malloc(strlen(text_at(last, "body_base64")) + 1);
		n = from_base64(text_at(last, "body_base64"), want);
		snprintf(etag, sizeof etag, "%s", text_at(cJSON_GetObjectItemCaseSensitive(last, "headers"), "ETag") + 1);
		etag[strcspn(etag, "\"")] = 0;
		url = file_path("%s%s", server_url(play.base), text_at(x, "path"));
		part = file_path("%s/part", dir);
		struct download d = { .url = url, .name = "slow", .part = part, .size = (int64_t)n, .etag = etag };
		assert_ok(http_open(&h, &o));
		assert_ok(download_run(&h, &d));
		http_close(&h);
		assert_ok(file_read(part, 1 << 20, &text, &size));
		assert_int_equal(size, n);
		assert_memory_equal(text, want, n);
		assert_int_equal(server_asked(play.base), cJSON_GetArraySize(steps));
		free(text);
		free(part);
		free(url);
		free(want);
		tried++;
	}
	assert_true(tried > 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		T(the_cache_is_as_the_hubs_own_tools_lay_it_out),
		T(what_is_there_is_not_asked_for_again),
		T(a_partial_file_goes_on_where_it_was),
		T(what_the_hub_refuses_is_missing_input_that_says_why),
		T(a_head_tells_size_and_checksum_and_stays_on_the_host),
		T(a_busy_server_is_asked_again_when_it_says_so),
	};
#ifndef HAVE_CURL
	puts("1..0 # SKIP built without libcurl");
	return 0;
#endif
	if (!golden_set("hub-http")) {
		puts("1..0 # SKIP fixture set hub-http is in no root");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
