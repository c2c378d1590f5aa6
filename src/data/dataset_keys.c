/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of an entry, one row each: what takes it, or what is said about it (datasets.md section 1). */
#include "data/dataset_parts.h"

#include "base/msg.h"
#include "base/options.h"

#include <stdio.h>
#include <string.h>

enum { SONGS = 1, TEXTS = 2, ANY = SONGS | TEXTS };	/* SONGS: audio and eval */

enum take {
	HANDLED,			/* read before the table */
	STRING, BOOL, I64, F64, WORD,	/* into the struct at offset */
	CALL,				/* fn */
	LATER,				/* not built: refused unless neutral */
	IDLE,				/* a notice with what is said, unless neutral */
	REFUSED,			/* with what is said, unless neutral */
};

struct key {
	const char *name;		/* at the entry's top */
	const char *inside;		/* name in its "audio" block */
	const char *other;		/* more names at the top, between blanks */
	unsigned kinds;
	enum take take;
	size_t offset;
	double low, high;
	const char *const *words;
	enum status (*fn)(struct entry *e, const char *name, const cJSON *v);
	const char *says;
};

#define AT(field) .offset = offsetof(struct dataset, field)

/* --- the table --- */

static const char of_video[] = "is of films; give the sound files themselves";

static const char of_steps[] = "would make the order of batches one of ranks and accumulation; use start_epoch and end_epoch";

static const struct key keys[] = {
	{ "id", .kinds = ANY, .take = HANDLED },
	{ "type", .kinds = ANY, .take = HANDLED },
	{ "dataset_type", .kinds = ANY, .take = HANDLED },
	{ "disabled", .kinds = ANY, .take = HANDLED },
	{ "disable", .kinds = ANY, .take = HANDLED },
	{ "audio", .kinds = SONGS, .take = HANDLED },
	{ "default", .kinds = TEXTS, .take = BOOL, AT(is_default) },
	{ "cache_dir", .kinds = TEXTS, .take = STRING, AT(store) },
	{ "cache_dir_vae", "cache_dir", .kinds = SONGS, .take = STRING, AT(store) },
	{ "instance_data_dir", .kinds = SONGS, .take = STRING, AT(folder) },
	{ "caption_strategy", .kinds = SONGS, .take = CALL, .fn = dataset_take_strategy },
	{ "metadata_backend", .kinds = SONGS, .take = CALL, .fn = dataset_take_metadata },
	{ "instance_prompt", .kinds = SONGS, .take = CALL, .fn = dataset_take_prompt },
	{ "prepend_instance_prompt", .kinds = SONGS, .take = BOOL, AT(prepend_prompt) },
	{ "only_instance_prompt", .kinds = SONGS, .take = BOOL, AT(only_prompt) },
	{ "disable_multiline_split", .kinds = SONGS, .take = BOOL, AT(whole_file) },
	{ "caption_shuffle", .kinds = SONGS, .take = CALL, .fn = dataset_take_shuffle },
	{ "caption_filter_list", .kinds = TEXTS, .take = CALL, .fn = dataset_take_filter },
	{ "repeats", .kinds = SONGS, .take = I64, AT(repeats), .high = 1e6 },
	{ "probability", .kinds = SONGS, .take = F64, AT(probability), .low = -1e9, .high = 1e9 },
	{ "max_num_samples", .kinds = SONGS, .take = I64, AT(max_samples), .low = 1, .high = 1e15 },
	{ "start_epoch", .kinds = SONGS, .take = I64, AT(start_epoch), .low = 1, .high = 1e15 },
	{ "end_epoch", .kinds = SONGS, .take = I64, AT(end_epoch), .high = 1e15 },
	{ "start_step", .kinds = SONGS, .take = REFUSED, .says = of_steps },
	{ "end_step", .kinds = SONGS, .take = REFUSED, .says = of_steps },
	{ "train_batch_size", .kinds = SONGS, .take = I64, AT(batch_size), .low = 1, .high = 1e6 },
	{ "timestep_sampling_offset", .kinds = SONGS, .take = LATER },
	{ "is_regularisation_data", .other = "is_regularization_data", .kinds = SONGS, .take = REFUSED,
	  .says = "is of lycoris training with a parent model; remove the entry" },
	{ "vae_cache_ondemand", .kinds = SONGS, .take = BOOL, AT(ondemand) },
	{ "vae_cache_disable", .kinds = SONGS, .take = BOOL, AT(no_cache) },
	{ "vae_cache_clear_each_epoch", .kinds = SONGS, .take = LATER },
	{ "text_cache_ondemand", .kinds = TEXTS, .take = BOOL, AT(ondemand) },
	{ "text_cache_disable", .kinds = TEXTS, .take = BOOL, AT(no_cache) },
	{ "disable_vae_cache", .kinds = ANY, .take = REFUSED, .says = "has another name now; use vae_cache_disable" },
	{ "write_batch_size", .kinds = ANY, .take = IDLE,
	  .says = "has no effect: parts are written every 64 entries or 30 s" },
	{ "text_encoder_batch_size", .kinds = TEXTS, .take = IDLE,
	  .says = "has no effect: captions are encoded one by one" },
	{ "text_embeds", .kinds = SONGS, .take = STRING, AT(texts_id) },
	{ "skip_file_discovery", .kinds = ANY, .take = IDLE,
	  .says = "has no effect: files are always looked for, which is cheap" },
	{ "preserve_data_backend_cache", .kinds = ANY, .take = IDLE,
	  .says = "has no effect: no list of files is kept, entries of the store are" },
	{ "disable_validation", .kinds = SONGS, .take = IDLE, .says = "has no effect: no data set is validated" },
	{ "hash_filenames", .kinds = SONGS, .take = IDLE, .says = "has no effect: a store has no file a clip" },
	{ "dataset_name", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "split", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "config_name", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "filter", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "limit", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "audio_root", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "revision", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "streaming", .kinds = SONGS, .take = REFUSED, .says = "wants the network; ace-fetch brings the data set first" },
	{ "num_proc", .kinds = SONGS, .take = IDLE, .says = "has no effect: one thread reads rows" },
	{ "audio_column", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "caption_column", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "lyrics_column", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "audio_caption_fields", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "fallback_caption_column", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "description_column", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "huggingface", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub_block },
	{ "config", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub_block },
	{ "csv_file", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "csv_caption_column", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "csv_url_column", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "csv_cache_dir", .kinds = SONGS, .take = IDLE, .says = "has no effect: rows name files, nothing is fetched" },
	{ "csv_lyrics_column", .kinds = SONGS, .take = CALL, .fn = dataset_take_hub },
	{ "parquet", .kinds = SONGS, .take = CALL, .fn = dataset_take_parquet },
	{ "audio_min_duration_seconds", "min_duration_seconds", .kinds = SONGS, .take = F64, AT(min_seconds),
	  .high = 1e6 },
	{ "audio_max_duration_seconds", "max_duration_seconds", .kinds = SONGS, .take = F64, AT(max_seconds),
	  .high = 1e6 },
	{ "audio_channels", "channels", .kinds = SONGS, .take = CALL, .fn = dataset_take_fixed },
	{ "audio_sample_rate", "sample_rate", .kinds = SONGS, .take = CALL, .fn = dataset_take_fixed },
	{ "audio_bucket_strategy", "bucket_strategy", .kinds = SONGS, .take = CALL, .fn = dataset_take_fixed },
	{ "audio_resampler", "resampler", .kinds = SONGS, .take = CALL, .fn = dataset_take_fixed },
	{ "audio_duration_interval", "duration_interval", "audio_duration_interval_seconds audio_bucket_interval",
	  SONGS, CALL, .fn = dataset_take_interval },
	{ "audio_truncation_mode", "truncation_mode", "truncation_mode", SONGS, WORD, AT(truncation),
	  .words = dataset_truncations },
	{ "audio_length_mode", "length_mode", .kinds = SONGS, .take = WORD, AT(length_mode),
	  .words = dataset_length_modes },
	{ "lyrics_filename_format", "lyrics_filename_format", .kinds = SONGS, .take = CALL,
	  .fn = dataset_take_format },
	{ "lyrics_extension", "lyrics_extension", .kinds = SONGS, .take = STRING, AT(lyrics_extension) },
	{ "lyrics_suffix", "lyrics_suffix", .kinds = SONGS, .take = STRING, AT(lyrics_suffix) },
	{ "audio_auto_split", "auto_split", .kinds = SONGS, .take = REFUSED, .says = of_video },
	{ "audio_source_from_video", "source_from_video", .kinds = SONGS, .take = REFUSED, .says = of_video },
	{ "audio_allow_zero_audio", "allow_zero_audio", .kinds = SONGS, .take = REFUSED, .says = of_video },
	{ "audio_audio_only", "audio_only", "audio_only", SONGS, REFUSED, .says = of_video },
	{ "audio_target_resolution", "target_resolution", .kinds = SONGS, .take = REFUSED, .says = of_video },
};

enum { KEYS = sizeof keys / sizeof *keys };

/* Beginnings of the keys of pictures and films. */
static const char *const pictures[] = { "resolution",
					"crop",
					"minimum_image_size",
					"maximum_image_size",
					"target_downsample",
					"aspect",
					"minimum_aspect",
					"maximum_aspect",
					"image",
					"video",
					"frame",
					"num_frames",
					"conditioning",
					"mask",
					"square",
					"upscal",
					"downsampl",
					"max_upscaling",
					"aws_",
					NULL };

/* --- using it --- */

static const struct key *
find(const char *name, bool inside)
{
	for (int i = 0; i < KEYS; i++)
		if (inside ? keys[i].inside && strcmp(keys[i].inside, name) == 0
		           : strcmp(keys[i].name, name) == 0 || (keys[i].other && option_has_word(keys[i].other, name)))
			return &keys[i];
	return NULL;
}

/* Single edits that turn a into b; the shorter texts, the less. */
static int
distance(const char *a, const char *b)
{
	enum { MOST = 47 };
	int row[MOST + 1], n = (int)strlen(b);

	if (n > MOST || strlen(a) > MOST)
		return MOST;
	for (int j = 0; j <= n; j++)
		row[j] = j;
	for (; *a; a++) {
		int corner = row[0]++;
		for (int j = 1; j <= n; j++) {
			int change = corner + (*a != b[j - 1]), least = row[j] < row[j - 1] ? row[j] : row[j - 1];
			corner = row[j];
			row[j] = change < least + 1 ? change : least + 1;
		}
	}
	return row[n];
}

static void
say_unknown(const struct entry *e, const char *name, bool inside)
{
	const char *near = NULL, *block = inside ? "audio." : "";
	int least = 3;

	for (int i = 0; pictures[i]; i++)
		if (strncmp(name, pictures[i], strlen(pictures[i])) == 0) {
			msg_info("%s: entry \"%s\": %s%s is of pictures: passed over", e->path, e->id, block, name);
			return;
		}
	for (int i = 0; i < KEYS; i++) {
		const char *known = inside ? keys[i].inside : keys[i].name;
		int far = known ? distance(name, known) : least;
		if (far < least) {
			least = far;
			near = known;
		}
	}
	msg_warn("%s: entry \"%s\": unknown key \"%s%s\" is passed over%s%s%s", e->path, e->id, block, name,
	         near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static enum status
take(struct entry *e, const struct key *k, const char *name, const cJSON *v)
{
	char *at = (char *)e->to + k->offset, text[64];
	double x = 0;
	int i = 0;

	switch (k->take) {
	case HANDLED:
		return ACE_OK;
	case STRING:
		return dataset_take_string(e, name, v, (char **)(void *)at);
	case BOOL:
		if (!cJSON_IsBool(v))
			return dataset_wanted(e, name, v, "true or false");
		*(bool *)at = cJSON_IsTrue(v);
		return ACE_OK;
	case I64:
		ACE_TRY(dataset_take_number(e, name, v, k->low, k->high, true, &x));
		*(int64_t *)(void *)at = (int64_t)x;
		return ACE_OK;
	case F64:
		ACE_TRY(dataset_take_number(e, name, v, k->low, k->high, false, &x));
		*(double *)(void *)at = x;
		return ACE_OK;
	case WORD:
		ACE_TRY(dataset_take_word(e, name, v, k->words, &i));
		*(int *)(void *)at = i;
		return ACE_OK;
	case CALL:
		return k->fn(e, name, v);
	case LATER:
		return dataset_is_neutral(v) ? ACE_OK : entry_fail(e, "%s is not built yet; remove it", name);
	case IDLE:
		if (!dataset_is_neutral(v))
			msg_info("%s: entry \"%s\": %s %s", e->path, e->id, name, k->says);
		return ACE_OK;
	case REFUSED:
		return dataset_is_neutral(v)
			       ? ACE_OK
			       : entry_fail(e, "%s is %s: it %s", name, dataset_shown(v, text), k->says);
	}
	return ACE_OK;
}

/* Keys of one object; inside: the audio block. seen: the value of each row so far, and under which name. */
static enum status
take_object(struct entry *e, const cJSON *o, bool inside, const cJSON *seen[KEYS])
{
	unsigned kind = e->to->kind == DATASET_TEXTS ? TEXTS : SONGS;
	const cJSON *v;

	cJSON_ArrayForEach(v, o) {
		const struct key *k = find(v->string, inside);
		char name[80];
		if (!k) {
			say_unknown(e, v->string, inside);
			continue;
		}
		snprintf(name, sizeof name, "%s%s", inside ? "audio." : "", v->string);
		if (cJSON_IsNull(v))
			continue;
		if (!(k->kinds & kind)) {
			msg_info("%s: entry \"%s\": %s means nothing in %s entry", e->path, e->id, name,
			         kind == TEXTS ? "a text_embeds" : "an audio");
			continue;
		}
		if (seen[k - keys] && !cJSON_Compare(seen[k - keys], v, true))
			return entry_fail(e, "%s and %s say different things", seen[k - keys]->string, name);
		seen[k - keys] = v;
		ACE_TRY(take(e, k, name, v));
	}
	return ACE_OK;
}

enum status
dataset_take_keys(struct entry *e)
{
	const cJSON *audio = cJSON_GetObjectItemCaseSensitive(e->json, "audio"), *seen[KEYS] = { NULL };

	ACE_TRY(take_object(e, e->json, false, seen));
	if (!audio || cJSON_IsNull(audio) || e->to->kind == DATASET_TEXTS)
		return ACE_OK;
	if (!cJSON_IsObject(audio))
		return dataset_wanted(e, "audio", audio, "an object with min_duration_seconds, truncation_mode ...");
	return take_object(e, audio, true, seen);
}
