/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"

#include "base/file.h"
#include "data/caption_filter.h"
#include "data/dataset_parts.h"
#include "text/chars.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 16 << 20, ENTRIES = 4096, ID_LONGEST = 200 };

void
dataset_free(struct dataset *d)
{
	for (int i = 0; i < d->prompts; i++)
		free(d->prompt[i]);
	free(d->prompt);
	free(d->id);
	free(d->store);
	free(d->texts_id);
	free(d->folder);
	dataset_hub_free(d->hub);
	if (d->kind == DATASET_TEXTS)
		caption_filter_free(d->filter);
	free(d->lyrics_format);
	free(d->lyrics_extension);
	free(d->lyrics_suffix);
	*d = (struct dataset){ 0 };
}

void
dataset_list_free(struct dataset_list *l)
{
	if (!l)
		return;
	for (int i = 0; i < l->n; i++)
		dataset_free(&l->entry[i]);
	free(l->entry);
	free(l->path);
	*l = (struct dataset_list){ 0 };
}

/* Failures that name the entry by its place, before it has an id. */
#define place_fail(path, i, fmt, ...) ace_fail(ACE_ECONFIG, "%s: entry %d: " fmt, path, (i) + 1, __VA_ARGS__)

/* An id names folders and stands in messages. */
static enum status
read_id(const cJSON *o, const char *path, int i, const char **id)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "id");
	size_t n;

	if (!cJSON_IsString(v) || v->valuestring[0] == 0)
		return place_fail(path, i, "%s; wanted a name that stays the same, caches are kept by it",
		                  v ? "id is no text" : "id is missing");
	*id = v->valuestring;
	n = strlen(*id);
	if (n > ID_LONGEST)
		return place_fail(path, i, "id has %zu bytes, at most %d may be", n, ID_LONGEST);
	for (size_t k = 0; k < n; k++)
		if ((unsigned char)(*id)[k] < 32 || (*id)[k] == 127)
			return place_fail(path, i, "id has control characters (byte %zu)", k + 1);
	if (strcmp(*id, ".") == 0 || strcmp(*id, "..") == 0 || strstr(*id, "../") ||
	    (n > 2 && strcmp(*id + n - 3, "/..") == 0))
		return place_fail(path, i, "id is \"%s\", which leads out of the folder of the caches", *id);
	return ACE_OK;
}

static enum status
read_kind(const cJSON *o, struct entry *e)
{
	static const struct { const char *name; enum dataset_kind kind; } kinds[] = {
		{ "audio", DATASET_AUDIO }, { "eval", DATASET_EVAL }, { "text_embeds", DATASET_TEXTS },
	};
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "dataset_type");

	if (!v)
		return entry_fail(e, "dataset_type is missing; wanted %s", "audio, text_embeds or eval");
	if (!cJSON_IsString(v))
		return entry_fail(e, "dataset_type is no text; wanted %s", "audio, text_embeds or eval");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(v->valuestring, kinds[i].name) == 0) {
			e->to->kind = kinds[i].kind;
			return ACE_OK;
		}
	return entry_fail(
		e, "dataset_type is \"%.40s\", which ace_step does not train on; wanted audio, text_embeds or eval",
		v->valuestring);
}

static bool
says(const cJSON *o, const char *key, const char *word)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return text && strcmp(text, word) == 0;
}

static bool
is_csv(const cJSON *o)
{
	return says(o, "type", "csv");
}

/* A table of its own, or one beside a local folder. */
static bool
is_parquet(const cJSON *o)
{
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(o, "type");
	bool local = !type || cJSON_IsNull(type) || says(o, "type", "local");

	return says(o, "type", "parquet") ||
	       (local && (says(o, "metadata_backend", "parquet") || says(o, "caption_strategy", "parquet")));
}

static enum status
read_type(const cJSON *o, const struct entry *e, bool *hub)
{
	static const char *const never[] = { "aws", "memory", "webshart", NULL };
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "type");

	*hub = is_parquet(o);
	if (!v || cJSON_IsNull(v))
		return ACE_OK;
	if (!cJSON_IsString(v))
		return entry_fail(e, "type is no text; wanted %s", "local or huggingface");
	*hub |= strcmp(v->valuestring, "huggingface") == 0 || strcmp(v->valuestring, "csv") == 0;
	for (int i = 0; never[i]; i++)
		if (strcmp(v->valuestring, never[i]) == 0)
			return entry_fail(e,
					  "type %s is not supported; copy the files into a folder and use type local",
					  never[i]);
	if (!*hub && strcmp(v->valuestring, "local") != 0)
		return entry_fail(e, "type is \"%.40s\"; wanted local, huggingface, csv or parquet", v->valuestring);
	return ACE_OK;
}

/* What an entry says must make sense by itself. */
static enum status
check_entry(const struct entry *e)
{
	const struct dataset *d = e->to;

	if (d->kind == DATASET_TEXTS)
		return ACE_OK;
	if (!d->folder && !d->hub)
		return entry_fail(e, "instance_data_dir is missing; wanted %s", "the folder of the songs");
	if (d->captions == CAPTION_ROW && !d->hub)
		return entry_fail(e, "the option caption_strategy is of data sets with rows, and this entry is a folder of songs; wanted %s",
		                  "a caption_strategy of its own");
	if (d->hub && !d->hub->name)
		return entry_fail(e, "%s", is_csv(e->json) ? "csv_file is missing; wanted a table with a row for each song"
		                  : is_parquet(e->json)    ? "parquet.path is missing; wanted a table with a row for each song"
		                  : "dataset_name is missing; wanted OWNER/NAME of the hub cache, or a folder");
	if (d->prompts == 0 && (d->captions == CAPTION_PROMPT || d->prepend_prompt || d->only_prompt))
		return entry_fail(e, "instance_prompt is missing, which %s needs",
		                  d->captions == CAPTION_PROMPT ? "caption_strategy instanceprompt"
		                  : d->prepend_prompt           ? "prepend_instance_prompt"
		                                                : "only_instance_prompt");
	if (d->max_seconds > 0 && d->min_seconds > d->max_seconds)
		return entry_fail(e, "min_duration_seconds %g is above max_duration_seconds %g: no clip is left",
				  d->min_seconds, d->max_seconds);
	if (d->end_epoch > 0 && d->end_epoch < d->start_epoch)
		return entry_fail(e, "end_epoch %lld is before start_epoch %lld", (long long)d->end_epoch,
		                  (long long)d->start_epoch);
	return ACE_OK;
}

static enum status
is_disabled(const cJSON *o, const char *path, int i, bool *off)
{
	static const char *const names[] = { "disabled", "disable" };

	*off = false;
	for (int k = 0; k < 2; k++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, names[k]);
		if (v && !cJSON_IsNull(v) && !cJSON_IsBool(v))
			return place_fail(path, i, "%s wants true or false", names[k]);
		*off |= cJSON_IsTrue(v);
	}
	return ACE_OK;
}

/* Columns that the options name and the entry does not. */
static enum status
default_columns(struct dataset_hub *h, const struct dataset_defaults *d)
{
	if (!h->caption && d->parquet_caption && *d->parquet_caption && !(h->caption = strdup(d->parquet_caption)))
		return ace_fail(ACE_ENOMEM, "no memory");
	if (!h->audio && d->parquet_filename && *d->parquet_filename && !(h->audio = strdup(d->parquet_filename)))
		return ace_fail(ACE_ENOMEM, "no memory");
	return ACE_OK;
}

static enum status
read_entry(const cJSON *o, const char *path, int i, const struct dataset_defaults *d, struct dataset *to)
{
	struct entry e = { .path = path, .json = o, .to = to, .defaults = d };
	bool hub;

	ACE_TRY(read_id(o, path, i, &e.id));
	ACE_TRY(read_kind(o, &e));
	ACE_TRY(read_type(o, &e, &hub));
	dataset_start(to, d);
	if (hub && to->kind != DATASET_TEXTS) {
		to->captions = CAPTION_ROW;
		to->hub = calloc(1, sizeof *to->hub);
		if (!to->hub)
			return ace_fail(ACE_ENOMEM, "%s: no memory", path);
		to->hub->bare = is_parquet(o);
		to->hub->table = is_parquet(o) || is_csv(o);
	}
	to->id = strdup(e.id);
	if (d->prompt && to->kind != DATASET_TEXTS) {
		to->prompt = calloc(2, sizeof *to->prompt);
		if (to->prompt && (to->prompt[0] = strdup(d->prompt)))
			to->prompts = 1;
	}
	if (!to->id || (d->prompt && to->kind != DATASET_TEXTS && to->prompts == 0))
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	ACE_TRY(dataset_take_keys(&e));
	if (to->hub && is_parquet(o))
		ACE_TRY(default_columns(to->hub, d));
	if (to->hub && to->folder && (is_csv(o) || is_parquet(o))) {	/* its paths may be below that folder */
		free(to->hub->audio_root);
		to->hub->audio_root = to->folder;
		to->folder = NULL;
	}
	if (!to->store)
		to->store = to->kind == DATASET_TEXTS ? dataset_texts_at(d, false) : dataset_latents_at(d, e.id);
	if (!to->store)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	return check_entry(&e);
}

static enum status
read_entries(struct dataset_list *l, const cJSON *root, const char *path, const struct dataset_defaults *d)
{
	const cJSON *o;
	int n = cJSON_GetArraySize(root), i = -1;

	if (!cJSON_IsArray(root))
		return ace_fail(ACE_ECONFIG, "%s: a data set list is a JSON array of objects, this is none", path);
	if (n > ENTRIES)
		return ace_fail(ACE_ECONFIG, "%s: %d entries, at most %d can be", path, n, ENTRIES);
	l->entry = calloc((size_t)n + 1, sizeof *l->entry);	/* one more: the text store that may be missing */
	l->path = strdup(path);
	if (!l->entry || !l->path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	cJSON_ArrayForEach(o, root) {
		bool off;
		i++;
		if (!cJSON_IsObject(o))
			return place_fail(path, i, "%s", "no object");
		ACE_TRY(is_disabled(o, path, i, &off));
		if (!off)
			ACE_TRY(read_entry(o, path, i, d, &l->entry[l->n++]));
	}
	return dataset_check_list(l, d);
}

enum status
dataset_list_parse(struct dataset_list *l, const char *text, size_t size, const char *path,
		   const struct dataset_defaults *d)
{
	cJSON *root = NULL;
	enum status st;

	*l = (struct dataset_list){ 0 };
	if (utf8_valid(text, size) < size)
		return ace_fail(ACE_EDATA, "%s: not UTF-8 at byte %zu", path, utf8_valid(text, size) + 1);
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {	/* a byte order mark */
		text += 3;
		size -= 3;
	}
	ACE_TRY(json_parse(text, size, path, &root));
	st = read_entries(l, root, path, d);
	cJSON_Delete(root);
	if (st != ACE_OK)
		dataset_list_free(l);
	return st;
}

enum status
dataset_list_read(struct dataset_list *l, const char *path, const struct dataset_defaults *d)
{
	enum status st;
	char *text;
	size_t size;

	*l = (struct dataset_list){ 0 };
	ACE_TRY(file_read(path, FILE_LIMIT, &text, &size));
	st = dataset_list_parse(l, text, size, path, d);
	free(text);
	return st;
}

/* The last name of a path, "songs" of "/data/songs/"; of "." or "/" that of the folder it is. Owned by the caller. */
static char *
folder_name(const char *folder)
{
	char *real = NULL, *name = NULL;
	size_t n = strlen(folder), from;

	while (n > 1 && folder[n - 1] == '/')
		n--;
	from = n;
	while (from > 0 && folder[from - 1] != '/')
		from--;
	if (n - from == 0 || (n - from == 1 && folder[from] == '.') ||
	    (n - from == 2 && memcmp(folder + from, "..", 2) == 0)) {
		real = realpath(folder, NULL);
		if (real && strrchr(real, '/')[1])
			name = strdup(strrchr(real, '/') + 1);
		free(real);
		return name ? name : strdup("songs");
	}
	return strndup(folder + from, n - from < ID_LONGEST ? n - from : ID_LONGEST);
}

/* rows: of a data set, not the files below the folder */
static enum status
list_of_one(struct dataset_list *l, const char *folder, const struct dataset_defaults *d, bool rows)
{
	struct dataset *songs, *texts;
	struct entry e = { .path = folder, .defaults = d };
	enum status st;

	*l = (struct dataset_list){ .entry = calloc(2, sizeof *l->entry), .path = strdup("") };
	if (!l->entry || !l->path)
		goto nomem;
	songs = &l->entry[0];
	texts = &l->entry[1];
	l->n = 2;
	songs->kind = DATASET_AUDIO;
	dataset_start(songs, d);
	texts->kind = DATASET_TEXTS;
	dataset_start(texts, d);
	songs->id = folder_name(folder);
	if (rows)
		songs->hub = calloc(1, sizeof *songs->hub);
	if (songs->hub) {
		songs->captions = d->caption_strategy == CAPTION_PROMPT ? CAPTION_PROMPT : CAPTION_ROW;
		songs->hub->name = strdup(folder);
		songs->hub->bare = d->parquet_filename && *d->parquet_filename;
		if (default_columns(songs->hub, d) != ACE_OK || !songs->hub->name)
			goto nomem;
	} else {
		songs->folder = strdup(folder);
	}
	if (d->prompt && (songs->prompt = calloc(2, sizeof *songs->prompt)) && (songs->prompt[0] = strdup(d->prompt)))
		songs->prompts = 1;
	songs->store = songs->id ? dataset_latents_at(d, songs->id) : NULL;
	texts->id = strdup("text-embeds");
	texts->store = dataset_texts_at(d, true);
	texts->is_default = true;
	if ((rows ? !songs->hub : !songs->folder) || !songs->store || !texts->id || !texts->store || (d->prompt && songs->prompts == 0))
		goto nomem;
	e.id = songs->id;
	e.to = songs;
	st = check_entry(&e);
	if (st != ACE_OK)
		dataset_list_free(l);
	return st;
nomem:
	dataset_list_free(l);
	return ace_fail(ACE_ENOMEM, "%s: no memory", folder);
}

enum status
dataset_list_folder(struct dataset_list *l, const char *folder, const struct dataset_defaults *d)
{
	return list_of_one(l, folder, d, false);
}

enum status
dataset_list_rows(struct dataset_list *l, const char *source, const struct dataset_defaults *d)
{
	*l = (struct dataset_list){ 0 };
	if (d->caption_strategy == CAPTION_FILENAME)
		return ace_fail(ACE_EUSAGE, "%s: caption_strategy filename is of folders of songs, and this is a data set with "
		                "rows; leave it out, or take instanceprompt", source);
	return list_of_one(l, source, d, true);
}
