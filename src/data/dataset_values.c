/* SPDX-License-Identifier: Apache-2.0 */
/* How values of an entry are read, and the keys that have rules of their own. */
#include "data/dataset_parts.h"

#include "base/msg.h"
#include "data/caption_filter.h"
#include "data/lyrics_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const dataset_strategies[] = { "textfile", "filename", "instanceprompt", "huggingface", NULL };
const char *const dataset_truncations[] = { "beginning", "end", "random", NULL };
const char *const dataset_length_modes[] = { "bucket", "pad", NULL };

/* --- values --- */

/* null, false, 0, "", [] and {}: nothing was asked for */
bool
dataset_is_neutral(const cJSON *v)
{
	return cJSON_IsNull(v) || cJSON_IsFalse(v) || (cJSON_IsNumber(v) && v->valuedouble == 0) ||
	       (cJSON_IsString(v) && v->valuestring[0] == 0) ||
	       ((cJSON_IsArray(v) || cJSON_IsObject(v)) && !v->child);
}

/* A value for a message, cut when it is long; into text, returned. */
const char *
dataset_shown(const cJSON *v, char text[64])
{
	char *all = cJSON_PrintUnformatted(v);

	snprintf(text, 64, "%.60s", all ? all : "?");
	if (all && strlen(all) > 60)
		strcpy(text + 57, "...");
	cJSON_free(all);
	return text;
}

enum status
dataset_wanted(const struct entry *e, const char *name, const cJSON *v, const char *what)
{
	char text[64];

	return entry_fail(e, "%s is %s; wanted %s", name, dataset_shown(v, text), what);
}

enum status
dataset_take_string(struct entry *e, const char *name, const cJSON *v, char **to)
{
	char *text;

	if (!cJSON_IsString(v))
		return dataset_wanted(e, name, v, "a text");
	if (v->valuestring[0] == 0)
		return ACE_OK;		/* as if it were not there */
	text = dataset_expand(v->valuestring, dataset_family(e->defaults), e->id);
	if (!text)
		return ace_fail(ACE_ENOMEM, "%s: no memory", e->path);
	free(*to);
	*to = text;
	return ACE_OK;
}

enum status
dataset_take_number(struct entry *e, const char *name, const cJSON *v, double low, double high, bool whole, double *to)
{
	char what[96];

	if (cJSON_IsNumber(v) && v->valuedouble >= low && v->valuedouble <= high &&
	    (!whole || v->valuedouble == floor(v->valuedouble))) {
		*to = v->valuedouble;
		return ACE_OK;
	}
	if (high >= 1e15)
		snprintf(what, sizeof what, "a %s, %.15g or more", whole ? "whole number" : "number", low);
	else
		snprintf(what, sizeof what, "a %s from %.15g to %.15g", whole ? "whole number" : "number", low, high);
	return dataset_wanted(e, name, v, what);
}

enum status
dataset_take_word(struct entry *e, const char *name, const cJSON *v, const char *const *words, int *to)
{
	char what[160] = "one of";
	int i;

	for (i = 0; words[i]; i++) {
		size_t n = strlen(what);
		if (cJSON_IsString(v) && strcmp(v->valuestring, words[i]) == 0)
			break;
		snprintf(what + n, sizeof what - n, "%s %s", i ? "," : "", words[i]);
	}
	if (!words[i])
		return dataset_wanted(e, name, v, what);
	*to = i;
	return ACE_OK;
}

/* --- keys with rules of their own --- */

enum status
dataset_take_strategy(struct entry *e, const char *name, const cJSON *v)
{
	int i;

	if (e->to->hub && cJSON_IsString(v) &&
	    (strcmp(v->valuestring, "csv") == 0 || strcmp(v->valuestring, "parquet") == 0))
		return ACE_OK;		/* the rows', as they are */
	ACE_TRY(dataset_take_word(e, name, v, dataset_strategies, &i));
	if (i == CAPTION_ROW && !e->to->hub)
		return entry_fail(e, "%s huggingface is of type huggingface, and this entry is local", name);
	if ((i == CAPTION_TEXTFILE || i == CAPTION_FILENAME) && e->to->hub)
		return entry_fail(e, "%s %s is of local folders; wanted huggingface or instanceprompt", name, dataset_strategies[i]);
	e->to->captions = (enum caption_strategy)i;
	return ACE_OK;
}

enum status
dataset_take_metadata(struct entry *e, const char *name, const cJSON *v)
{
	static const char *const words[] = { "discovery", "json", NULL };
	int i;

	if (e->to->hub && cJSON_IsString(v) &&
	    (strcmp(v->valuestring, "huggingface") == 0 || strcmp(v->valuestring, "csv") == 0 ||
	     strcmp(v->valuestring, "parquet") == 0))
		return ACE_OK;
	if (cJSON_IsString(v) && strcmp(v->valuestring, "huggingface") == 0)
		return entry_fail(e, "%s \"%s\" is of type huggingface, and this entry is local; wanted discovery, json or parquet", name,
		                  v->valuestring);
	return dataset_take_word(e, name, v, words, &i);
}

enum status
dataset_take_prompt(struct entry *e, const char *name, const cJSON *v)
{
	int n = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : 1;
	const cJSON *one = cJSON_IsArray(v) ? v->child : v;
	char **list = calloc((size_t)n + 1, sizeof *list);
	enum status st = list ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", e->path);
	int k = 0;

	for (int i = 0; st == ACE_OK && i < n; i++, one = one->next) {
		st = cJSON_IsString(one) ? dataset_take_string(e, name, one, &list[k])
					 : dataset_wanted(e, name, v, "a text or a list of texts");
		k += st == ACE_OK && list[k];
	}
	for (int i = 0; st == ACE_OK && i < e->to->prompts; i++)
		free(e->to->prompt[i]);
	if (st != ACE_OK) {
		for (int i = 0; i < k; i++)
			free(list[i]);
		free(list);
		return st;
	}
	free(e->to->prompt);
	e->to->prompt = list;
	e->to->prompts = k;
	return ACE_OK;
}

/* A list, or the path of a file that holds one. */
enum status
dataset_take_filter(struct entry *e, const char *name, const cJSON *v)
{
	enum status st = ACE_OK;
	const cJSON *one;
	char *path = NULL;

	if (!cJSON_IsArray(v)) {
		ACE_TRY(dataset_take_string(e, name, v, &path));
		if (path)
			st = caption_filter_read(&e->to->filter, path);
		free(path);
	}
	cJSON_ArrayForEach(one, (cJSON_IsArray(v) ? v : NULL)) {
		if (!cJSON_IsString(one))
			return dataset_wanted(e, name, v, "a list of texts, or the path of a file");
		if (st == ACE_OK)
			st = caption_filter_add(&e->to->filter, one->valuestring);
	}
	return st == ACE_OK || st == ACE_ENOMEM ? st : ace_fail_prefix(ACE_ECONFIG, "%s: entry \"%s\": %s: ", e->path, e->id, name);
}

static enum status
take_shuffle_member(struct entry *e, const cJSON *v)
{
	static const char *const split[] = { "comma", "space", "period", NULL };
	struct caption_shuffle *s = &e->to->shuffle;
	char name[48];
	double x;
	int i;

	snprintf(name, sizeof name, "caption_shuffle.%.30s", v->string);
	if (cJSON_IsNull(v))
		return ACE_OK;
	if (strcmp(v->string, "enable") == 0 || strcmp(v->string, "include_original") == 0) {
		if (!cJSON_IsBool(v))
			return dataset_wanted(e, name, v, "true or false");
		*(v->string[0] == 'e' ? &s->on : &s->original) = cJSON_IsTrue(v);
		s->off = v->string[0] == 'e' ? !s->on : s->off;
	} else if (strcmp(v->string, "count") == 0) {
		ACE_TRY(dataset_take_number(e, name, v, 1, 1000, true, &x));
		s->count = (int)x;
	} else if (strcmp(v->string, "position_start") == 0) {
		ACE_TRY(dataset_take_number(e, name, v, 0, 1000, true, &x));
		s->first = (int)x;
	} else if (strcmp(v->string, "seed") == 0) {
		ACE_TRY(dataset_take_number(e, name, v, 0, 9007199254740992., true, &x));
		s->seed = (uint64_t)x;
	} else if (strcmp(v->string, "split_on") == 0) {
		ACE_TRY(dataset_take_word(e, name, v, split, &i));
		s->separator = ", ."[i];
	} else {
		return entry_fail(
			e,
			"%s: no such key; known are enable, count, seed, split_on, position_start, include_original",
			name);
	}
	return ACE_OK;
}

enum status
dataset_take_shuffle(struct entry *e, const char *name, const cJSON *v)
{
	const cJSON *m;

	if (cJSON_IsFalse(v)) {
		e->to->shuffle.off = true;
		return ACE_OK;
	}
	if (!cJSON_IsObject(v))
		return dataset_wanted(e, name, v, "an object with enable, count, split_on ...");
	cJSON_ArrayForEach(m, v)
		ACE_TRY(take_shuffle_member(e, m));
	return ACE_OK;
}

enum status
dataset_take_interval(struct entry *e, const char *name, const cJSON *v)
{
	char text[64];

	if (cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1e6) {
		e->to->interval = v->valuedouble;
		return ACE_OK;
	}
	e->to->interval = 3;
	msg_info("%s: entry \"%s\": %s is %s; going on with 3 s", e->path, e->id, name, dataset_shown(v, text));
	return ACE_OK;
}

enum status
dataset_take_format(struct entry *e, const char *name, const cJSON *v)
{
	const char *bad;
	size_t n;

	ACE_TRY(dataset_take_string(e, name, v, &e->to->lyrics_format));
	if (e->to->lyrics_format && (bad = lyrics_bad_token(e->to->lyrics_format, &n)))
		return entry_fail(e,
				  "%s holds %.*s; known are {filename}, {stem}, {name}, {suffix}, {extension}, "
				  "{ext}, {parent}, "
				  "{dirname}",
				  name, (int)n, bad);
	return ACE_OK;
}

/* A value of which there is only one. */
enum status
dataset_take_fixed(struct entry *e, const char *name, const cJSON *v)
{
	static const struct { const char *name, *text; double x; const char *why; } only[] = {
		{ "channels", NULL, 2, "2: ace_step works on stereo" },
		{ "sample_rate", NULL, 48000, "48000: clips are brought to it whatever their own rate" },
		{ "bucket_strategy", "duration", 0, "duration" },
		{ "resampler", "sinc", 0, "sinc; soxr is not built yet" },
	};
	size_t i = 0;

	while (i + 1 < sizeof only / sizeof *only && !strstr(name, only[i].name))
		i++;
	if (only[i].text ? cJSON_IsString(v) && strcmp(v->valuestring, only[i].text) == 0
	                 : cJSON_IsNumber(v) && v->valuedouble == only[i].x)
		return ACE_OK;
	return dataset_wanted(e, name, v, only[i].why);
}
