/* SPDX-License-Identifier: Apache-2.0 */
#include "data/caption_filter.h"
#include "data/dataset_parts.h"

#include <string.h>

/* NULL is written as null, which reads as absent. */
static void
add_string(cJSON *o, const char *key, const char *text)
{
	if (text)
		cJSON_AddStringToObject(o, key, text);
	else
		cJSON_AddNullToObject(o, key);
}

static void
add_shuffle(cJSON *o, const struct caption_shuffle *s)
{
	cJSON *m = cJSON_AddObjectToObject(o, "caption_shuffle");

	if (s->on || s->off)		/* else tags of rows are shuffled, and nothing else */
		cJSON_AddBoolToObject(m, "enable", s->on);
	cJSON_AddNumberToObject(m, "count", s->count);
	cJSON_AddNumberToObject(m, "seed", (double)s->seed);
	cJSON_AddStringToObject(m, "split_on", s->separator == ',' ? "comma" : s->separator == ' ' ? "space" : "period");
	cJSON_AddNumberToObject(m, "position_start", s->first);
	cJSON_AddBoolToObject(m, "include_original", s->original);
}

static void
add_audio_block(cJSON *o, const struct dataset *d)
{
	cJSON *m = cJSON_AddObjectToObject(o, "audio");

	cJSON_AddNumberToObject(m, "min_duration_seconds", d->min_seconds);
	cJSON_AddNumberToObject(m, "max_duration_seconds", d->max_seconds);
	cJSON_AddStringToObject(m, "bucket_strategy", "duration");
	cJSON_AddNumberToObject(m, "duration_interval", d->interval);
	cJSON_AddStringToObject(m, "truncation_mode", dataset_truncations[d->truncation]);
	cJSON_AddStringToObject(m, "length_mode", dataset_length_modes[d->length_mode]);
	add_string(m, "lyrics_filename_format", d->lyrics_format);
	add_string(m, "lyrics_extension", d->lyrics_extension);
	add_string(m, "lyrics_suffix", d->lyrics_suffix);
}

static void
add_filter(cJSON *o, const struct caption_filter *f)
{
	cJSON *list = f ? cJSON_AddArrayToObject(o, "caption_filter_list") : NULL;
	const char *item;

	for (int i = 0; (item = caption_filter_item(f, i)); i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(item));
}

static void
add_hub(cJSON *o, const struct dataset_hub *h)
{
	add_string(o, "dataset_name", h->name);
	add_string(o, "split", h->split);
	add_string(o, "revision", h->revision);
	add_string(o, "config_name", h->config);
	add_string(o, "audio_column", h->audio);
	add_string(o, "caption_column", h->caption);
	add_string(o, "fallback_caption_column", h->fallback);
	add_string(o, "audio_caption_fields", h->fields);
	add_string(o, "description_column", h->description);
	add_string(o, "lyrics_column", h->lyrics);
	add_string(o, "filter", h->filter);
	add_string(o, "limit", h->limit);
	add_string(o, "audio_root", h->audio_root);
	if (h->bare || h->table)
		cJSON_AddBoolToObject(cJSON_AddObjectToObject(o, "parquet"), "identifier_includes_extension", !h->bare);
}

static void
add_songs(cJSON *o, const struct dataset *d)
{
	cJSON *list;

	add_string(o, "cache_dir_vae", d->store);
	if (d->hub)
		add_hub(o, d->hub);
	else
		add_string(o, "instance_data_dir", d->folder);
	cJSON_AddStringToObject(o, "metadata_backend", d->hub ? "huggingface" : "discovery");
	cJSON_AddStringToObject(o, "caption_strategy", dataset_strategies[d->captions]);
	list = cJSON_AddArrayToObject(o, "instance_prompt");
	for (int i = 0; i < d->prompts; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(d->prompt[i]));
	cJSON_AddBoolToObject(o, "prepend_instance_prompt", d->prepend_prompt);
	cJSON_AddBoolToObject(o, "only_instance_prompt", d->only_prompt);
	cJSON_AddBoolToObject(o, "disable_multiline_split", d->whole_file);
	cJSON_AddBoolToObject(o, "vae_cache_disable", d->no_cache);
	cJSON_AddBoolToObject(o, "vae_cache_ondemand", d->ondemand);
	add_shuffle(o, &d->shuffle);
	add_string(o, "text_embeds", d->texts_id);
	cJSON_AddNumberToObject(o, "repeats", (double)d->repeats);
	if (d->max_samples >= 0)
		cJSON_AddNumberToObject(o, "max_num_samples", (double)d->max_samples);
	cJSON_AddNumberToObject(o, "probability", d->probability);
	cJSON_AddNumberToObject(o, "start_epoch", (double)d->start_epoch);
	cJSON_AddNumberToObject(o, "end_epoch", (double)d->end_epoch);
	cJSON_AddNumberToObject(o, "train_batch_size", (double)d->batch_size);
	add_audio_block(o, d);
}

enum status
dataset_list_write(const struct dataset_list *l, const char *path)
{
	static const char *const kinds[] = { "audio", "eval", "text_embeds" };
	cJSON *root = cJSON_CreateArray();
	enum status st;

	for (int i = 0; i < l->n; i++) {
		const struct dataset *d = &l->entry[i];
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "id", d->id);
		cJSON_AddStringToObject(o, "type", !d->hub ? "local" : d->hub->table ? "parquet" : "huggingface");
		cJSON_AddStringToObject(o, "dataset_type", kinds[d->kind]);
		if (d->kind == DATASET_TEXTS) {
			cJSON_AddBoolToObject(o, "default", d->is_default);
			add_string(o, "cache_dir", d->store);
			add_filter(o, d->filter);
			cJSON_AddBoolToObject(o, "text_cache_disable", d->no_cache);
			cJSON_AddBoolToObject(o, "text_cache_ondemand", d->ondemand);
		} else {
			add_songs(o, d);
		}
		cJSON_AddItemToArray(root, o);
	}
	st = json_write(path, root);
	cJSON_Delete(root);
	return st;
}
