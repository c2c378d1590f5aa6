/* SPDX-License-Identifier: Apache-2.0 */
/* Values that entries leave out, and where their stores lie. */
#include "data/dataset_parts.h"

#include "base/file.h"
#include "text/buffer.h"

#include <stdlib.h>
#include <string.h>

const char *
dataset_family(const struct dataset_defaults *d)
{
	return d->model_family ? d->model_family : "ace_step";
}

void
dataset_start(struct dataset *to, const struct dataset_defaults *d)
{
	*to = (struct dataset){
		.kind = to->kind,
		.captions = d->caption_strategy,
		.prepend_prompt = d->prepend_prompt,
		.only_prompt = d->only_prompt,
		.whole_file = d->whole_file,
		.no_cache = to->kind == DATASET_TEXTS ? d->no_texts : d->no_cache,
		.ondemand = to->kind == DATASET_TEXTS ? d->texts_ondemand : d->latents_ondemand,
		.shuffle = { .original = true, .count = 1, .seed = d->seed, .separator = ',' },
		.max_samples = -1,
		.probability = 1,
		.start_epoch = 1,
		.batch_size = d->batch_size > 0 ? d->batch_size : 1,
		.min_seconds = d->min_seconds,
		.max_seconds = d->max_seconds,
		.interval = d->interval > 0 ? d->interval : 3,
		.truncation = d->truncation,
		.length_mode = d->length_mode,
	};
}

char *
dataset_expand(const char *text, const char *model_family, const char *id)
{
	const struct { const char *token, *value; } all[] = { { "{model_family}", model_family }, { "{id}", id } };
	struct buffer b = { 0 };

	while (*text) {
		int i = 0;
		while (i < 2 && strncmp(text, all[i].token, strlen(all[i].token)) != 0)
			i++;
		if (i < 2) {
			buffer_str(&b, all[i].value);
			text += strlen(all[i].token);
		} else {
			buffer_char(&b, *text++);
		}
	}
	if (buffer_done(&b))
		return b.data;
	buffer_free(&b);
	return NULL;
}

char *
dataset_latents_at(const struct dataset_defaults *d, const char *id)
{
	const char *out = d->output_dir ? d->output_dir : "output";

	if (d->cache_dir_vae)
		return dataset_expand(d->cache_dir_vae, dataset_family(d), id);
	if (d->cache_dir)
		return file_path("%s/vae/%s/%s", d->cache_dir, dataset_family(d), id);
	return file_path("%s/cache/audio/vae/%s/%s", out, dataset_family(d), id);
}

char *
dataset_texts_at(const struct dataset_defaults *d, bool folder)
{
	const char *out = d->output_dir ? d->output_dir : "output";

	if (d->cache_dir_text)
		return file_path("%s/%s", d->cache_dir_text, dataset_family(d));
	if (d->cache_dir)
		return file_path("%s/text/%s", d->cache_dir, dataset_family(d));
	return folder ? file_path("%s/cache/text/%s", out, dataset_family(d)) : file_path("cache/%s", dataset_family(d));
}
