/* SPDX-License-Identifier: Apache-2.0 */
#include "lists.h"

#include "base/file.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

struct stores_options
lists_stores(int clips)
{
	return (struct stores_options){ .clips = clips,
		                        .captions = 3,
		                        .channels = 4,
		                        .rows = 2,
		                        .frames = 40,
		                        .vary = 35,
		                        .text_width = 12,
		                        .text_rows = 6,
		                        .lyrics = 9,
		                        .lyric_vocab = 50,
		                        .dtype = BF16,
		                        .seed = 11 };
}

struct dataset *
lists_add(struct dataset_list *l, const char *id, const char *folder)
{
	struct dataset *e = realloc(l->entry, (size_t)(l->n + 2) * sizeof *e);

	assert_non_null(e);
	l->entry = e;
	e += l->n;
	l->n += 2;
	e[0] = (struct dataset){ .id = strdup(id), .kind = DATASET_AUDIO, .store = file_path("%s/latents", folder),
		                 .texts_id = file_path("%s texts", id), .max_samples = -1, .probability = 1,
		                 .start_epoch = 1, .batch_size = 3, .interval = 3 };
	e[1] = (struct dataset){ .id = file_path("%s texts", id), .kind = DATASET_TEXTS,
		                 .store = file_path("%s/texts", folder) };
	return e;
}

struct dataset_list
lists_one(const char *folder)
{
	struct dataset_list l = { 0 };

	lists_add(&l, "random", folder);
	l.entry[1].is_default = true;
	return l;
}

void
lists_free(struct dataset_list *l)
{
	for (int i = 0; i < l->n; i++) {
		free(l->entry[i].id);
		free(l->entry[i].store);
		free(l->entry[i].texts_id);
	}
	free(l->entry);
}

void
lists_same_batch(const struct batch *a, const struct batch *b)
{
	assert_int_equal(a->B, b->B);
	assert_int_equal(a->T, b->T);
	assert_int_equal(a->S, b->S);
	assert_int_equal(a->Y, b->Y);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->number, b->number);
	assert_string_equal(a->dataset, b->dataset);
	assert_true(a->bucket == b->bucket);
	if (a->B == 0)
		return;
	assert_memory_equal(a->latents, b->latents, (size_t)(a->B * a->channels * a->rows * a->T) * sizeof(float));
	assert_memory_equal(a->frame_mask, b->frame_mask, (size_t)(a->B * a->T) * sizeof(float));
	assert_memory_equal(a->text, b->text, (size_t)(a->B * a->S * a->text_width) * sizeof(float));
	assert_memory_equal(a->text_mask, b->text_mask, (size_t)(a->B * a->S) * sizeof(float));
	assert_memory_equal(a->speaker, b->speaker, (size_t)(a->B * a->speaker_width) * sizeof(float));
	assert_memory_equal(a->lyric_ids, b->lyric_ids, (size_t)(a->B * a->Y) * sizeof(int32_t));
	assert_memory_equal(a->lyric_mask, b->lyric_mask, (size_t)(a->B * a->Y) * sizeof(float));
	assert_memory_equal(a->sample_id, b->sample_id, (size_t)a->B * sizeof(uint64_t));
	assert_memory_equal(a->samples, b->samples, (size_t)a->B * sizeof(int64_t));
	for (int64_t k = 0; k < a->B; k++)
		assert_string_equal(a->name[k], b->name[k]);
}
