/* SPDX-License-Identifier: Apache-2.0 */
/* What preparation says before and after (ux.md), failures.jsonl, and whether it was good enough. */
#include "jobs/preprocess_parts.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "text/buffer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *
prep_number(int64_t n, char text[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0 && digits[i - 1] != '-')
			text[at++] = ',';
		text[at++] = digits[i];
	}
	text[at] = 0;
	return text;
}

const char *
prep_bytes(double n, char text[32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	int u = 0;

	for (; u < 5 && n >= 999.5; u++)
		n /= 1000;
	snprintf(text, 32, u > 0 && n < 9.95 ? "%.1f %s" : "%.0f %s", n, units[u]);
	return text;
}

/* --- before --- */

/* "songs/", or "3 data sets". */
static const char *
places(const struct prep *p, char *text, size_t size)
{
	const char *folder = p->set[0].songs.folder;
	size_t n = strlen(folder);

	if (p->sets == 1)
		snprintf(text, size, "%s%s", folder, n > 0 && folder[n - 1] == '/' ? "" : "/");
	else
		snprintf(text, size, "%d data sets", p->sets);
	return text;
}

enum status
prep_say_plan(const struct prep *p)
{
	enum { FILES = TODO_NONE + 1, SECONDS, NUMBERS };
	char number[4][32], where[300], length[32], need[32], room[32], line[900];
	double n[NUMBERS] = { [FILES] = (double)p->r->files };
	int at;

	for (int k = 0; k < p->sets; k++)
		for (int64_t i = 0; i < p->set[k].n; i++) {
			const struct prep_item *it = &p->set[k].item[i];
			n[it->todo]++;
			n[SECONDS] += it->todo == TODO_ENCODE ? it->seconds : 0;
		}
	ACE_TRY(prep_sum(p, n, NUMBERS));
	at = snprintf(line, sizeof line, "%s files in %s: %s to encode (%s), %s unchanged",
		      prep_number((int64_t)n[FILES], number[0]), places(p, where, sizeof where),
		      prep_number((int64_t)n[TODO_ENCODE], number[1]), clock_length(n[SECONDS], length, sizeof length),
		      prep_number((int64_t)n[TODO_KEEP], number[2]));
	if (n[TODO_UPDATE] > 0)
		at += snprintf(line + at, sizeof line - (size_t)at, ", %s with new captions, lyrics or dates",
		               prep_number((int64_t)n[TODO_UPDATE], number[3]));
	if (n[TODO_NONE] > 0)
		at += snprintf(line + at, sizeof line - (size_t)at, ", %s not usable",
			       prep_number((int64_t)n[TODO_NONE], number[3]));
	if (p->r->need > 0 && p->r->free_bytes >= 0)
		at += snprintf(line + at, sizeof line - (size_t)at, "; needs %s of %s free",
		               prep_bytes((double)p->r->need, need), prep_bytes((double)p->r->free_bytes, room));
	if (p->ranks > 1)
		snprintf(line + at, sizeof line - (size_t)at, "; %d ranks", p->ranks);
	msg_info("ace-preprocess: %s", line);
	return ACE_OK;
}

/* --- after --- */

static void
count_item(struct preprocess_report *r, const struct prep_set *s, const struct prep_item *it)
{
	const struct latent_item *have = it->have >= 0 ? latents_item(s->have, it->have) : NULL;
	bool kept = it->todo == TODO_KEEP && have;

	r->failed += it->code && !it->skipped;
	r->skipped += it->code && it->skipped;
	r->kept += kept;
	r->fresh += it->done && it->todo == TODO_ENCODE;
	r->updated += it->done && it->todo == TODO_UPDATE;
	if (!kept && !it->done)
		return;
	r->with_lyrics += it->has_lyrics;
	r->instrumental += !it->has_lyrics;
	r->tokens += it->done ? it->tokens : it->has_lyrics ? have->lyrics : 0;
	r->unknown += it->done ? it->unknown : have->lyric_unknown;
	r->unknown_songs += it->done ? it->unknown > LYRIC_UNKNOWN_MOST * it->tokens
	                             : (double)have->lyric_unknown > LYRIC_UNKNOWN_MOST * (double)have->lyrics;
	r->lyric_lines += it->done ? it->lyric_lines : have->lyric_lines;
	r->lyric_skipped += it->done ? it->lyric_skipped : have->lyric_skipped;
}

enum status
prep_count(struct prep *p)
{
	double good = 0;

	for (int k = 0; k < p->sets; k++)
		for (int64_t i = 0; i < p->set[k].n; i++) {
			count_item(p->r, &p->set[k], &p->set[k].item[i]);
			good += !p->set[k].item[i].code;
		}
	ACE_TRY(prep_sum_report(p));
	ACE_TRY(prep_sum(p, &good, 1));
	p->good = (int64_t)good;
	return ACE_OK;
}

/* One line of failures.jsonl. */
static void
add_failure(struct buffer *b, const struct prep_set *s, const struct prep_item *it)
{
	const struct song *song = &s->songs.song[it->song];
	cJSON *o = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(o, "path", song->bad_name ? "?" : song->key);
	cJSON_AddStringToObject(o, "folder", s->songs.folder);
	cJSON_AddStringToObject(o, "code", it->code);
	cJSON_AddStringToObject(o, "reason", it->reason);
	cJSON_AddBoolToObject(o, "skipped", it->skipped);
	text = cJSON_PrintUnformatted(o);
	if (text)
		buffer_str(b, text);
	else
		b->bad = true;
	buffer_char(b, '\n');
	cJSON_free(text);
	cJSON_Delete(o);
}

/* The file of a set's faults: written, or removed when there are none. */
static enum status
write_faults(const struct prep_set *s, const char *path, const struct buffer *b)
{
	enum status st = ACE_OK;

	if (b->len > 0 && (st = file_mkdirs(s->entry->store)) == ACE_OK)
		st = file_write(path, b->data, b->len);
	else if (b->len == 0 && unlink(path) != 0 && errno != ENOENT)
		msg_debug("%s: cannot be removed: %s", path, strerror(errno));
	return st;
}

static char *
text_of(const cJSON *o, const char *name)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);

	return strdup(cJSON_IsString(v) ? v->valuestring : "");
}

/* Lines of failures.jsonl, which this program has made, into p's list. */
static enum status
list_faults(struct prep *p, const struct buffer *b)
{
	int64_t n = 0;
	struct prep_fault *more;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	more = realloc(p->fault, (size_t)(p->faults + n) * sizeof *more + 1);
	if (!more)
		return ace_fail(ACE_ENOMEM, "no memory for %lld failures", (long long)n);
	p->fault = more;
	for (const char *at = b->data, *end; n-- > 0; at = end + 1) {
		cJSON *o = cJSON_ParseWithOpts(at, &end, false);
		struct prep_fault f = { text_of(o, "code"), text_of(o, "reason"),
			cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, "skipped")) };
		cJSON_Delete(o);
		p->fault[p->faults++] = f;
		if (!o || !f.code || !f.reason)
			return ace_fail(ACE_ENOMEM, "no memory for failures");
	}
	return ACE_OK;
}

/* All ranks' lines of one set on the first of them, by the songs. */
static enum status
join_set(struct prep *p, const struct prep_set *s, bool write)
{
	char *path = p->shards > 1 ? file_path("%s/failures-%04d.jsonl", s->entry->store, p->shard)
	                           : file_path("%s/failures.jsonl", s->entry->store);
	struct buffer mine = { 0 }, sorted = { 0 };
	double some = 0;
	enum status st;
	size_t size;
	char *all = NULL;

	for (int64_t i = 0; i < s->n; i++)
		if (s->item[i].code)
			add_failure(&mine, s, &s->item[i]);
	some = (double)mine.len;
	st = prep_agree(p, mine.bad || !path ? ace_fail(ACE_ENOMEM, "no memory for failures.jsonl") : ACE_OK);
	if (st == ACE_OK)
		st = prep_gather(p, mine.data, mine.len, "failures", &all, &size);
	buffer_free(&mine);
	if (st == ACE_OK && p->rank == 0) {
		st = prep_sort_lines(all, size, &sorted);
		if (st == ACE_OK)
			st = list_faults(p, &sorted);
		if (st == ACE_OK && write)
			st = write_faults(s, path, &sorted);
		buffer_free(&sorted);
	}
	free(all);
	st = prep_agree(p, st);
	if (st == ACE_OK)
		st = prep_sum(p, &some, 1);
	if (st == ACE_OK && some > 0 && write)
		snprintf(p->r->failures, sizeof p->r->failures, "%s", path);
	free(path);
	return st;
}

enum status
prep_failures(struct prep *p, bool write)
{
	for (int k = 0; k < p->sets; k++)
		ACE_TRY(join_set(p, &p->set[k], write));
	return ACE_OK;
}

/* "2 decode_failed, 1 silent" of the songs that are skipped, or not. */
static const char *
codes(const struct prep *p, bool skipped, char *text, size_t size)
{
	struct { const char *code; int64_t n; } all[32];
	int n = 0, at = 0;

	for (int64_t i = 0; i < p->faults; i++) {
		const struct prep_fault *f = &p->fault[i];
		int c = 0;
		if (f->skipped != skipped)
			continue;
		while (c < n && strcmp(all[c].code, f->code) != 0)
			c++;
		if (c == 32)
			continue;
		if (c == n) {
			all[n].code = f->code;
			all[n++].n = 0;
		}
		all[c].n++;
	}
	*text = 0;
	for (int c = 0; c < n && at < (int)size; c++)
		at += snprintf(text + at, size - (size_t)at, "%s%lld %s", c ? ", " : "", (long long)all[c].n, all[c].code);
	return text;
}

/* The first reasons, "a; b; ...". */
static const char *
reasons(const struct prep *p, char *text, size_t size)
{
	enum { NAMED = 2 };
	int n = 0, at = 0;

	*text = 0;
	for (int64_t i = 0; i < p->faults && at < (int)size; i++) {
		if (p->fault[i].skipped || ++n > NAMED + 1)
			continue;
		at += snprintf(text + at, size - (size_t)at, "%s%s", n > 1 ? "; " : "", n > NAMED ? "..." : p->fault[i].reason);
	}
	return text;
}

static void
say_lyrics(const struct preprocess_report *r)
{
	char number[3][32];

	msg_info("lyrics: %s with, %s instrumental; unknown tokens %.2f %%%s%s%s", prep_number(r->with_lyrics, number[0]),
	         prep_number(r->instrumental, number[1]), r->tokens > 0 ? 100. * (double)r->unknown / (double)r->tokens : 0,
	         r->lyric_skipped > 0 ? "; " : "", r->lyric_skipped > 0 ? prep_number(r->lyric_skipped, number[2]) : "",
	         r->lyric_skipped > 0 ? " lines skipped, which cannot be encoded" : "");
	if (r->unknown_songs > 0)
		msg_warn("%s clips have lyrics with more than %.0f %% unknown tokens: check their language and spelling",
		         prep_number(r->unknown_songs, number[0]), 100 * LYRIC_UNKNOWN_MOST);
	if (r->instrumental > r->with_lyrics)
		msg_warn("%s of %s clips have no lyrics: they are trained as instrumentals (NAME.lyrics beside "
			 "NAME.mp3 gives them some)",
			 prep_number(r->instrumental, number[0]),
			 prep_number(r->instrumental + r->with_lyrics, number[1]));
}

void
prep_say_end(const struct prep *p)
{
	const struct preprocess_report *r = p->r;
	char number[32], text[300], why[900], line[1800], length[32], bytes[32];
	int at;

	at = snprintf(line, sizeof line, "%s new", prep_number(r->fresh, number));
	if (r->updated > 0)
		at += snprintf(line + at, sizeof line - (size_t)at, ", %s updated", prep_number(r->updated, number));
	at += snprintf(line + at, sizeof line - (size_t)at, ", %s kept", prep_number(r->kept, number));
	if (r->gone > 0)
		at += snprintf(line + at, sizeof line - (size_t)at, ", %s gone", prep_number(r->gone, number));
	if (r->skipped > 0)
		at += snprintf(line + at, sizeof line - (size_t)at, ", %s left out (%s)", prep_number(r->skipped, number),
		               codes(p, true, text, sizeof text));
	at += snprintf(line + at, sizeof line - (size_t)at, ", %s failed", prep_number(r->failed, number));
	if (r->failed > 0 && at < (int)sizeof line)
		snprintf(line + at, sizeof line - (size_t)at, ": %s (%s)", codes(p, false, text, sizeof text),
		         reasons(p, why, sizeof why));
	msg_info("done: %s%s%s", line, *r->failures ? " -> " : "", r->failures);
	if (r->fresh > 0)
		msg_info("%s of audio in %.1f s, %.1fx real time; %s captions encoded; %s written",
		         clock_length(r->seconds, length, sizeof length), r->elapsed,
		         r->elapsed > 0 ? r->seconds / r->elapsed : 0, prep_number(r->fresh_captions, number),
		         prep_bytes((double)r->bytes, bytes));
	if (r->cut > 0)
		msg_info("%s clips are longer than 240 s: only their first 240 s are used", prep_number(r->cut, number));
	if (r->cut_captions > 0)
		msg_warn("%s captions have more than %d tokens: what is behind is not read",
			 prep_number(r->cut_captions, number), p->job->text_tokens);
	if (r->with_lyrics + r->instrumental > 0)
		say_lyrics(r);
}

enum status
prep_judge(const struct prep *p)
{
	const struct preprocess_report *r = p->r;
	const struct preprocess_job *j = p->job;
	double most = j->max_bad_percent ? j->max_bad * (double)r->files / 100 : j->max_bad;
	bool check = j->what != PREPROCESS_ALL;
	char number[2][32], where[1100] = "";

	if (*r->failures)
		snprintf(where, sizeof where, "\nsee %s", r->failures);
	if (p->good == 0 && r->files > 0)
		return ace_fail(ACE_EDATA, "no clip is %s: all %s files failed or were left out%s", check ? "good" : "left",
		                prep_number(r->files, number[0]), where);
	if ((double)r->failed > most)
		return ace_fail(ACE_EDATA, "%s of %s files failed, more than max_bad=%g%s allows%s",
				prep_number(r->failed, number[0]), prep_number(r->files, number[1]), j->max_bad,
				j->max_bad_percent ? "%" : "", where);
	return ACE_OK;
}
