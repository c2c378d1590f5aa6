/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset_settings.h"

#include "data/dataset_parts.h"

#include <string.h>

static int
word_of(const char *text, const char *const *words)
{
	for (int i = 0; text && words[i]; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return 0;
}

enum status
dataset_list_settings(struct dataset_list *l, const struct settings *s)
{
	const char *strategy = settings_str(s, "caption_strategy");
	const char *folder = settings_str(s, "dataset"), *path = settings_str(s, "data_backend_config"), *rows = settings_str(s, "dataset_path");
	struct dataset_defaults d = {
		.model_family = settings_str(s, "model_family"),
		.output_dir = settings_str(s, "output_dir"),
		.cache_dir = settings_str(s, "cache_dir"),
		.cache_dir_text = settings_is_set(s, "cache_dir_text") ? settings_str(s, "cache_dir_text") : NULL,
		.cache_dir_vae = settings_str(s, "cache_dir_vae"),
		.min_seconds = settings_f64(s, "audio_min_duration_seconds"),
		.max_seconds = settings_f64(s, "audio_max_duration_seconds"),
		.interval = settings_f64(s, "audio_duration_interval"),
		.batch_size = settings_i64(s, "train_batch_size"),
		.prompt = settings_str(s, "instance_prompt"),
		.prepend_prompt = settings_bool(s, "prepend_instance_prompt"),
		.only_prompt = settings_bool(s, "only_instance_prompt"),
		.whole_file = settings_bool(s, "disable_multiline_split"),
		.no_cache = settings_bool(s, "vae_cache_disable"),
		.no_texts = settings_bool(s, "text_cache_disable"),
		.latents_ondemand = settings_bool(s, "vae_cache_ondemand"),
		.texts_ondemand = settings_bool(s, "text_cache_ondemand"),
		.parquet_caption = settings_str(s, "parquet_caption_column"),
		.parquet_filename = settings_str(s, "parquet_filename_column"),
		.seed = (uint64_t)settings_i64(s, "seed"),
	};

	*l = (struct dataset_list){ 0 };
	d.caption_strategy = (enum caption_strategy)word_of(strategy, dataset_strategies);
	if (strcmp(strategy, "csv") == 0 || strcmp(strategy, "parquet") == 0)
		d.caption_strategy = CAPTION_ROW;
	d.truncation = (enum truncation)word_of(settings_str(s, "audio_truncation_mode"), dataset_truncations);
	d.length_mode = (enum length_mode)word_of(settings_str(s, "audio_length_mode"), dataset_length_modes);
	if (folder && path)
		return ace_fail(ACE_EUSAGE,
				"dataset=%s and data_backend_config=%s are both given; wanted one of them", folder,
				path);
	if (rows && *rows && (folder || path))
		return ace_fail(ACE_EUSAGE, "dataset_path=%s and %s=%s are both given; wanted one of them", rows,
		                folder ? "dataset" : "data_backend_config", folder ? folder : path);
	if (rows && *rows)
		return dataset_list_rows(l, rows, &d);
	if (!folder && !path)
		return ace_fail(ACE_EUSAGE,
				"no data set; give dataset=FOLDER (songs with captions) or data_backend_config=FILE");
	if (!folder)
		return dataset_list_read(l, path, &d);
	return dataset_is_rows(folder) ? dataset_list_rows(l, folder, &d) : dataset_list_folder(l, folder, &d);
}

void
dataset_facts(struct facts *f, const struct dataset *d, uint64_t seed)
{
	facts_set(f, "length_mode", true, "%s", dataset_length_modes[d->length_mode]);
	if (d->length_mode == LENGTH_PAD)
		return;
	facts_set(f, "interval", true, "%g s", d->interval);
	if (d->truncation == TRUNCATE_RANDOM)
		facts_set(f, "truncation", true, "random, seed %llu", (unsigned long long)seed);
	else
		facts_set(f, "truncation", true, "%s", dataset_truncations[d->truncation]);
}
