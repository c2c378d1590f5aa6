/* SPDX-License-Identifier: Apache-2.0 */
#include "support/stores.h"

#include "base/file.h"
#include "num/rng.h"
#include "store/latents.h"
#include "store/texts.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECOND = 11 };	/* frames of a second, about */

static void
caption_of(int clip, int j, char *text, size_t size)
{
	snprintf(text, size, "piece %d, said another way %d", clip, j);
}

static void
make_texts(const char *folder, const struct stores_options *o)
{
	struct facts facts = { 0 };
	struct texts_writer *w;
	float *x = malloc((size_t)(o->text_rows * o->text_width) * sizeof *x);

	facts_set(&facts, "origin", true, "random");
	assert_ok(texts_writer_open(&w, folder, 0, o->dtype, o->text_width, &facts));
	for (int i = -1; i < o->clips * o->captions; i++) {	/* -1: the empty one */
		int64_t rows = i < 0 ? 1 : 1 + i % o->text_rows;
		char text[64] = "";
		if (i >= 0)
			caption_of(i / o->captions, i % o->captions, text, sizeof text);
		rng_normal_fill(rng_stream(o->seed, RNG_TEST, 1, (uint64_t)(i + 1)), x, rows * o->text_width);
		assert_ok(texts_put(w, text, strlen(text), x, rows));
	}
	assert_ok(texts_seal(w));
	texts_writer_close(w);
	free(x);
}

static void
put_clip(struct latents_writer *w, const struct stores_options *o, int i)
{
	int64_t frames = o->frames + i % 3 * o->vary, n = o->channels * o->rows * frames;
	int lyrics = i % 4 == 3 ? 1 : 1 + i % o->lyrics, mask = i % 4 != 3;
	char key[32], source[40], text[64], caption[16][65];
	float *x = malloc((size_t)n * sizeof *x);
	int32_t *id = malloc((size_t)lyrics * sizeof *id);
	struct latent_item a = { .key = key, .source = source, .samples = frames * 4458, .real_samples = frames * 4458,
		                 .channels = o->channels, .rows = o->rows, .frames = frames,
		                 .seconds = (double)frames / SECOND, .bucket = (double)(frames / SECOND / 3 * 3),
		                 .captions = o->captions, .lyrics = lyrics };
	struct rng r = rng_stream(o->seed, RNG_TEST, 2, (uint64_t)i);

	snprintf(key, sizeof key, "clip_%04d.wav", i);
	snprintf(source, sizeof source, "songs/%s", key);
	for (int c = 0; c < o->captions; c++) {
		caption_of(i, c, text, sizeof text);
		texts_key(text, strlen(text), caption[c]);
	}
	a.caption = (const char (*)[65])caption;
	rng_normal_fill(r, x, n);
	for (int k = 0; k < lyrics; k++)
		id[k] = mask ? (int32_t)rng_below(rng_sub(r, 1), (uint64_t)k, (uint64_t)o->lyric_vocab) : 0;
	assert_ok(latents_put(w, &a, x, id, mask));
	free(x);
	free(id);
}

char *
stores_make(const char *folder, const struct stores_options *o)
{
	char *latents = file_path("%s/latents", folder), *texts = file_path("%s/texts", folder);
	char *path = file_path("%s/multidatabackend.json", folder);
	char *list = file_path("[{\"id\": \"random\", \"type\": \"local\", \"dataset_type\": \"audio\", \"instance_data_dir\": "
	                       "\"%s/songs\", \"caption_strategy\": \"textfile\", \"cache_dir_vae\": \"%s\"},\n"
	                       " {\"id\": \"texts\", \"type\": \"local\", \"dataset_type\": \"text_embeds\", \"default\": true, "
	                       "\"cache_dir\": \"%s\"}]\n", folder, latents, texts);
	struct facts facts = { 0 };
	struct latents_writer *w;

	assert_true(o->captions >= 1 && o->captions <= 16 && o->lyrics >= 1 && o->text_rows >= 1);
	make_texts(texts, o);
	facts_set(&facts, "origin", true, "random");
	if (o->autoencoder)
		facts_set(&facts, "autoencoder", true, "%s", o->autoencoder);
	assert_ok(latents_writer_open(&w, latents, 0, o->dtype, &facts));
	for (int i = 0; i < o->clips; i++)
		put_clip(w, o, i);
	assert_ok(latents_seal(w));
	latents_writer_close(w);
	assert_ok(file_write(path, list, strlen(list)));
	free(latents);
	free(texts);
	free(list);
	return path;
}
