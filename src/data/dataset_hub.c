/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of huggingface entries: at the top, in "huggingface" and in "config", wherever published lists put them; what is said twice
 * must be the same (datasets.md sections 1 and 3). */
#include "base/file.h"
#include "base/msg.h"
#include "data/dataset_parts.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	size_t offset;
} keys[] = {
	{ "dataset_name", offsetof(struct dataset_hub, name) },
	{ "split", offsetof(struct dataset_hub, split) },
	{ "revision", offsetof(struct dataset_hub, revision) },
	{ "config_name", offsetof(struct dataset_hub, config) },
	{ "audio_column", offsetof(struct dataset_hub, audio) },
	{ "caption_column", offsetof(struct dataset_hub, caption) },
	{ "fallback_caption_column", offsetof(struct dataset_hub, fallback) },
	{ "audio_caption_fields", offsetof(struct dataset_hub, fields) },
	{ "description_column", offsetof(struct dataset_hub, description) },
	{ "lyrics_column", offsetof(struct dataset_hub, lyrics) },
	{ "filter", offsetof(struct dataset_hub, filter) },
	{ "limit", offsetof(struct dataset_hub, limit) },
	{ "audio_root", offsetof(struct dataset_hub, audio_root) },
	/* of type csv, a table as a data set of its own */
	{ "csv_file", offsetof(struct dataset_hub, name) },
	{ "csv_url_column", offsetof(struct dataset_hub, audio) },
	{ "csv_caption_column", offsetof(struct dataset_hub, caption) },
	{ "csv_lyrics_column", offsetof(struct dataset_hub, lyrics) },
};
enum { OWN = 13 };			/* of these, whose texts are to be freed */

/* of the block "parquet" */
static const struct {
	const char *name;
	size_t offset;
} table_keys[] = {
	{ "path", offsetof(struct dataset_hub, name) },
	{ "filename_column", offsetof(struct dataset_hub, audio) },
	{ "caption_column", offsetof(struct dataset_hub, caption) },
	{ "fallback_caption_column", offsetof(struct dataset_hub, fallback) },
	{ "lyrics_column", offsetof(struct dataset_hub, lyrics) },
};
enum { TABLE_KEYS = sizeof table_keys / sizeof *table_keys };

enum { KEYS = sizeof keys / sizeof *keys };

void
dataset_hub_free(struct dataset_hub *h)
{
	for (int i = 0; h && i < OWN; i++)
		free(*(char **)(void *)((char *)h + keys[i].offset));
	free(h);
}

/* A text, or a list of texts as one between commas; owned. NULL: something else, or (memory) none. */
static char *
as_list(const cJSON *v)
{
	const cJSON *one;
	size_t size = 1;
	char *all;

	if (cJSON_IsString(v))
		return strdup(v->valuestring);
	if (cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < 9e15)
		return file_path("%.0f", floor(v->valuedouble));
	if (!cJSON_IsArray(v))
		return NULL;
	cJSON_ArrayForEach(one, v) {
		if (!cJSON_IsString(one))
			return NULL;
		size += strlen(one->valuestring) + 1;
	}
	all = calloc(size, 1);
	cJSON_ArrayForEach(one, (all ? v : (const cJSON *)NULL))
		strcat(strcat(all, *all ? "," : ""), one->valuestring);
	return all;
}

/* Into the text at offset of the hub, with placeholders replaced. */
static enum status
take_text(struct entry *e, const char *name, const cJSON *v, size_t offset)
{
	char **to = (char **)(void *)((char *)e->to->hub + offset), *text, *full;

	if (dataset_is_neutral(v))
		return ACE_OK;
	text = as_list(v);
	if (!text)
		return dataset_wanted(e, name, v, "a name, or a list of names");
	full = dataset_expand(text, dataset_family(e->defaults), e->id);
	free(text);
	if (!full)
		return ace_fail(ACE_ENOMEM, "%s: no memory", e->path);
	if (*to && strcmp(*to, full) != 0) {
		enum status st = entry_fail(e, "%s is \"%.60s\", and \"%.60s\" in another place", name, full, *to);
		free(full);
		return st;
	}
	free(*to);
	*to = full;
	return ACE_OK;
}

/* name may have its block in front: "config.lyrics_column". */
enum status
dataset_take_hub(struct entry *e, const char *name, const cJSON *v)
{
	const char *dot = strrchr(name, '.'), *key = dot ? dot + 1 : name;
	int i = 0;

	if (!e->to->hub) {
		if (!dataset_is_neutral(v))
			msg_info("%s: entry \"%s\": %s is of tables and hub data sets; a local folder has none", e->path, e->id,
			         name);
		return ACE_OK;
	}
	while (i < KEYS && strcmp(keys[i].name, key) != 0)
		i++;
	return i == KEYS ? ACE_OK : take_text(e, name, v, keys[i].offset);
}

/* One key of the block "parquet". */
static enum status
take_table_key(struct entry *e, const cJSON *v)
{
	static const char *const lengths[] = { "audio_sample_rate_column", "audio_num_samples_column", "audio_duration_column",
					       "audio_channels_column" };
	char full[100];

	snprintf(full, sizeof full, "parquet.%.60s", v->string);
	for (int i = 0; i < TABLE_KEYS; i++)
		if (strcmp(table_keys[i].name, v->string) == 0)
			return take_text(e, full, v, table_keys[i].offset);
	if (strcmp(v->string, "identifier_includes_extension") == 0) {
		if (!cJSON_IsBool(v))
			return dataset_wanted(e, full, v, "true or false");
		e->to->hub->bare = !cJSON_IsTrue(v);
		return ACE_OK;
	}
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
		if (strcmp(lengths[i], v->string) == 0) {
			msg_info("%s: entry \"%s\": %s has no effect: the sound itself tells", e->path, e->id, full);
			return ACE_OK;
		}
	msg_warn("%s: entry \"%s\": unknown key \"%s\" is passed over", e->path, e->id, full);
	return ACE_OK;
}

/* Of a table beside a local folder, or of one alone; a text is its path. */
enum status
dataset_take_parquet(struct entry *e, const char *name, const cJSON *v)
{
	const cJSON *m;

	if (!e->to->hub)
		return dataset_take_hub(e, name, v);
	if (cJSON_IsString(v))
		return take_text(e, name, v, offsetof(struct dataset_hub, name));
	if (!cJSON_IsObject(v))
		return dataset_wanted(e, name, v, "an object with path, filename_column, caption_column ...");
	cJSON_ArrayForEach(m, v)
		if (!cJSON_IsNull(m))
			ACE_TRY(take_table_key(e, m));
	return ACE_OK;
}

enum status
dataset_take_hub_block(struct entry *e, const char *name, const cJSON *v)
{
	const cJSON *m;

	if (!e->to->hub)
		return dataset_take_hub(e, name, v);
	if (!cJSON_IsObject(v))
		return dataset_wanted(e, name, v, "an object with caption_column, lyrics_column ...");
	cJSON_ArrayForEach(m, v) {
		char full[100];
		bool known = false;
		for (int i = 0; i < KEYS; i++)
			known |= strcmp(keys[i].name, m->string) == 0;
		snprintf(full, sizeof full, "%s.%.60s", name, m->string);
		if (!known)
			msg_warn("%s: entry \"%s\": unknown key \"%s\" is passed over", e->path, e->id, full);
		else
			ACE_TRY(dataset_take_hub(e, full, m));
	}
	return ACE_OK;
}
