/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/import_hf_parts.h"

#include "base/file.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
add(cJSON *o, const char *key, const char *text)
{
	if (text)
		cJSON_AddStringToObject(o, key, text);
}

static cJSON *
list_entry(const struct import_job *j, const struct hf_split *split, const char *name, bool several)
{
	char *root = j->audio_root ? realpath(j->audio_root, NULL) : NULL, *source = realpath(j->source, NULL), id[150];
	bool held_out = strcmp(split->name, "validation") == 0 || strcmp(split->name, "test") == 0;
	cJSON *o = cJSON_CreateObject();

	snprintf(id, sizeof id, "%.80s%s%.60s", name, several ? "-" : "", several ? split->name : "");
	add(o, "id", id);
	add(o, "type", "huggingface");
	add(o, "dataset_type", held_out && several ? "eval" : "audio");
	add(o, "dataset_name", source ? source : j->source);
	add(o, "split", split->name);
	add(o, "revision", j->revision);
	add(o, "config_name", j->config);
	add(o, "audio_column", j->columns.audio);
	add(o, "caption_column", j->columns.caption);
	add(o, "fallback_caption_column", j->columns.fallback);
	add(o, "audio_caption_fields", j->columns.fields);
	add(o, "description_column", j->columns.description);
	add(o, "lyrics_column", j->columns.lyrics);
	add(o, "filter", j->filter);
	if (j->limit > 0)
		cJSON_AddNumberToObject(o, "limit", (double)j->limit);
	add(o, "audio_root", root);
	add(o, "metadata_backend", "huggingface");
	add(o, "caption_strategy", "huggingface");
	free(root);
	free(source);
	return o;
}

enum status
import_write_list(const struct import_job *j, const struct hf_split *const *split, int n)
{
	char *path = file_path("%s/multidatabackend.json", j->folder), name[81] = "";
	const char *from = j->source + strlen(j->source);
	cJSON *list = cJSON_CreateArray(), *texts = cJSON_CreateObject();
	enum status st = ace_fail(ACE_ENOMEM, "no memory");

	while (from > j->source && from[-1] == '/')
		from--;
	for (const char *end = from; from > j->source && from[-1] != '/'; from--)
		snprintf(name, sizeof name, "%.*s", (int)(end - from + 1), from - 1);
	for (char *p = name; *p; p++)
		if ((unsigned char)*p < 33 || *p == 127 || *p == '.')
			*p = '-';
	for (int i = 0; i < n; i++)
		cJSON_AddItemToArray(list, list_entry(j, split[i], *name ? name : "songs", n > 1));
	add(texts, "id", "text-embeds");
	add(texts, "dataset_type", "text_embeds");
	cJSON_AddTrueToObject(texts, "default");
	add(texts, "cache_dir", "cache/text/{model_family}");
	cJSON_AddItemToArray(list, texts);
	if (path)
		st = json_write(path, list);
	cJSON_Delete(list);
	free(path);
	return st;
}
