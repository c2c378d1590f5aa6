/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/fetch.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hub.h"
#include "base/msg.h"
#include "base/stop.h"
#include "jobs/fetch_files.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { MOVED_MOST = 3, GRACE = 10 };
static const char used_parts[] = "ace_step_transformer/*,music_dcae_f8c8/*,music_vocoder/*,umt5-base/*";

/* --- which files --- */

/* Whether path fits one of the patterns between commas; "folder/" stands for all below it. */
static bool
fits(const char *patterns, const char *path)
{
	char one[300];

	for (const char *p = patterns; *p; p += *p == ',') {
		size_t n = strcspn(p, ",");
		while (n > 0 && *p == ' ')
			p++, n--;
		snprintf(one, sizeof one, "%.*s%s", (int)n, p, n > 0 && p[n - 1] == '/' ? "*" : "");
		p += n;
		if (*one && fnmatch(one, path, 0) == 0)
			return true;
	}
	return false;
}

static bool
is_ace_step(const struct hub_list *l)
{
	for (int i = 0; i < l->n; i++)
		if (strncmp(l->file[i].path, "ace_step_transformer/", 21) == 0)
			return true;
	return false;
}

/* Keep of the list what is wanted. */
static enum status
choose(const struct fetch_job *job, const struct hub_repo *r, struct hub_list *l)
{
	const char *include = job->include ? job->include : !r->dataset && is_ace_step(l) ? used_parts : NULL;
	int n = 0;

	for (int i = 0; i < l->n; i++)
		if ((!include || fits(include, l->file[i].path)) && !(job->exclude && fits(job->exclude, l->file[i].path)))
			l->file[n++] = l->file[i];
		else
			free(l->file[i].path);
	if (n == 0 && l->n > 0) {
		l->n = 0;
		return ace_fail(ACE_ENOINPUT, "%s: none of its files is left by include=%s exclude=%s", r->name,
				include ? include : "*", job->exclude ? job->exclude : "");
	}
	l->n = n;
	return n > 0 ? ACE_OK : ace_fail(ACE_ENOINPUT, "%s: has no files at %s", r->name, r->revision);
}

/* --- one repository --- */

struct state {
	const struct fetch_job *job;
	struct hub hub;
	struct hub_repo repo;
	struct hub_store store;
	struct hub_list list;
	struct http_options options;
	struct http http;
	FILE *out;
};

/* Sizes and checksums that the list did not have. */
static enum status
complete(struct state *s)
{
	for (int i = 0; i < s->list.n; i++)
		if (!s->list.file[i].etag[0] || s->list.file[i].size < 0)
			ACE_TRY(hub_file_head(&s->hub, &s->http, &s->repo, &s->list.file[i]));
	return ACE_OK;
}

/* Bytes that are still to come. */
static int64_t
missing(const struct state *s)
{
	int64_t n = 0;

	for (int i = 0; i < s->list.n; i++) {
		const struct hub_file *f = &s->list.file[i];
		char *part;
		int64_t there;
		if (hub_store_has(&s->store, f))
			continue;
		part = hub_store_blob(&s->store, f->etag, ".incomplete");
		there = part ? file_size(part) : -1;
		free(part);
		n += f->size - (there > 0 && there <= f->size ? there : 0);
	}
	return n;
}

static enum status
check_space(const struct state *s, int64_t wanted)
{
	int64_t left = file_free_bytes(s->store.cache);
	char a[32], b[32];

	if (left < 0 || wanted <= left)
		return ACE_OK;
	return ace_fail(ACE_EIO, "%s: %s still to come, and %s are free", s->store.cache, fetch_size((double)wanted, a),
			fetch_size((double)left, b));
}

static void
list_files(const struct state *s, int64_t wanted)
{
	char all[32], text[32];
	double bytes = 0;

	for (int i = 0; i < s->list.n; i++) {
		const struct hub_file *f = &s->list.file[i];
		fprintf(s->out, "%lld\t%s\t%s\n", (long long)f->size, hub_store_has(&s->store, f) ? "there" : "wanted", f->path);
		bytes += (double)f->size;
	}
	msg_info("%s at %s: %d files, %s, of which %s are to come", s->repo.name, s->repo.commit, s->list.n, fetch_size(bytes, all),
	         fetch_size((double)wanted, text));
}

static void
say_done(const struct fetch_files *f, const char *folder)
{
	char all[32], came[32];
	double bytes = 0;

	for (int i = 0; i < f->list->n; i++)
		bytes += (double)f->list->file[i].size;
	msg_info("done: %s at %.12s: %d files, %s: %d fetched (%s, %.1f MB/s), %d kept -> %s", f->repo->name, f->repo->commit,
	         f->list->n, fetch_size(bytes, all), f->fetched, fetch_size((double)f->bytes, came),
	         f->seconds > 0 ? (double)f->bytes / f->seconds / 1e6 : 0.0, f->kept, folder);
}

/* From the revision's name to its files in the cache. */
static enum status
bring(struct state *s)
{
	struct fetch_files f = { .job = s->job, .hub = &s->hub, .repo = &s->repo, .store = &s->store, .list = &s->list,
				 .options = &s->options };
	int64_t wanted;

	ACE_TRY(hub_info(&s->hub, &s->http, &s->repo));
	ACE_TRY(hub_store_open(&s->store, &s->repo));
	ACE_TRY(hub_files(&s->hub, &s->http, &s->repo, &s->list));
	ACE_TRY(choose(s->job, &s->repo, &s->list));
	ACE_TRY(complete(s));
	wanted = missing(s);
	if (s->job->dry) {
		list_files(s, wanted);
		return ACE_OK;
	}
	ACE_TRY(check_space(s, wanted));
	ACE_TRY(fetch_files(&f));
	ACE_TRY(hub_store_ref(&s->store, &s->repo));
	say_done(&f, s->store.snapshot);
	fprintf(s->out, "%s\n", s->store.snapshot);
	return ACE_OK;
}

/* What a branch moves on to while we fetch is fetched instead. */
static enum status
bring_steady(struct state *s)
{
	enum status st = ACE_OK;

	for (int i = 0; i < MOVED_MOST; i++) {
		hub_store_close(&s->store);
		hub_list_free(&s->list);
		st = bring(s);
		if (st != ACE_ECONFIG)
			return st;
		msg_info("%s: %s; looking again", s->repo.name, ace_message());
	}
	return st;
}

static enum status
look_offline(struct state *s)
{
	ACE_TRY(hub_store_open(&s->store, &s->repo));
	if (hub_store_find(&s->store, s->repo.revision, s->repo.commit) != ACE_OK)
		return ace_fail(ACE_ENOINPUT, "%s: revision %s of it is not in %s, and HF_HUB_OFFLINE forbids to fetch it", s->repo.name,
				s->repo.revision, s->store.cache);
	hub_store_close(&s->store);
	ACE_TRY(hub_store_open(&s->store, &s->repo));
	msg_info("%s at %.12s: in the cache; HF_HUB_OFFLINE is set, so whether it is whole was not asked", s->repo.name,
	         s->repo.commit);
	fprintf(s->out, "%s\n", s->store.snapshot);
	return ACE_OK;
}

enum status
fetch_repository(const struct fetch_job *job, const char *word, FILE *out)
{
	struct state s = { .job = job, .out = out };
	enum status st = hub_repo_parse(&s.repo, word, job->dataset, job->revision ? job->revision : "main");

	if (st == ACE_OK)
		st = hub_open(&s.hub);
	if (st == ACE_OK && s.hub.offline) {
		st = look_offline(&s);
	} else if (st == ACE_OK) {
		s.options = (struct http_options){ .token = s.hub.token, .origin = s.hub.base, .retries = job->retries,
						   .pause = job->pause, .timeout = job->timeout, .stop = stop_asked };
		st = http_open(&s.http, &s.options);
		if (st == ACE_OK)
			st = bring_steady(&s);
		http_close(&s.http);
	}
	hub_list_free(&s.list);
	hub_store_close(&s.store);
	hub_repo_free(&s.repo);
	hub_close(&s.hub);
	return st;
}

/* --- the program --- */

enum status
fetch_run(struct settings *s)
{
	const char *kind = settings_str(s, "repo_type");
	struct fetch_job job = {
		.dataset = strcmp(kind, "dataset") == 0,
		.revision = settings_str(s, "revision"),
		.include = settings_str(s, "include"),
		.exclude = settings_str(s, "exclude"),
		.connections = (int)settings_i64(s, "connections"),
		.retries = (int)settings_i64(s, "retries"),
		.timeout = settings_f64(s, "timeout"),
		.pause = 1,
		.dry = settings_bool(s, "dry_run"),
		.verify = settings_bool(s, "verify"),
		.lyric_vocab = settings_str(s, "lyric_vocab"),
	};
	enum status st = ACE_OK;

	stop_setup(GRACE);
	for (int i = 0; i < s->n_words && st == ACE_OK; i++) {
		bool vocab = strcmp(s->word[i], "lyric-vocab") == 0 || strcmp(s->word[i], "lyric_vocab") == 0;
		st = vocab ? fetch_lyric_vocab(&job, stdout) : fetch_repository(&job, s->word[i], stdout);
	}
	if (st == ACE_ESTOPPED)
		msg_info("%s: stopped; the same command goes on from here", *stop_signal() ? stop_signal() : "stop");
	return st;
}
