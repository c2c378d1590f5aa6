/* SPDX-License-Identifier: Apache-2.0 */
#include "data/data_parts.h"

#include "num/rng.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

const struct facts *
data_latent_facts(const struct data *d, const char **store)
{
	*store = d->set[0].entry->store;
	return latents_facts(d->set[0].latents, d->set[0].item[0]);
}

const struct facts *
data_text_facts(const struct data *d, const char **store)
{
	*store = d->texts[0].entry->store;
	return texts_facts(d->texts[0].texts, 0);
}

int64_t
data_clips(const struct data *d)
{
	int64_t n = 0;

	for (int i = 0; i < d->sets; i++)
		n += d->set[i].n;
	return n;
}

double
data_seconds(const struct data *d)
{
	int64_t samples = 0;

	for (int i = 0; i < d->sets; i++)
		for (int64_t k = 0; k < d->set[i].n; k++)
			samples += latents_item(d->set[i].latents, d->set[i].item[k])->samples;
	return (double)samples / PREPARE_RATE;
}

int
data_buckets(const struct data *d)
{
	int n = 0;

	for (int i = 0; i < d->sets; i++)
		n += d->set[i].buckets;
	return n;
}

int64_t
data_batches_per_epoch(const struct data *d, int64_t epoch)
{
	int64_t n = 0;

	for (int i = 0; i < d->sets; i++)
		n += sampler_active(&d->order[i], epoch) ? d->set[i].batches : 0;
	return n;
}

int64_t
data_next_epoch(const struct data *d, int64_t epoch)
{
	int64_t first = -1;

	for (int i = 0; i < d->sets; i++) {
		int64_t start = d->order[i].start_epoch - 1, from = start > epoch ? start : epoch;
		if (sampler_active(&d->order[i], from) && (first < 0 || from < first))
			first = from;
	}
	return first;
}

void
data_largest(const struct data *d, struct batch *b)
{
	b->B = d->largest.B;
	b->T = d->largest.T;
	b->S = d->largest.S;
	b->Y = d->largest.Y;
	b->channels = d->largest.channels;
	b->rows = d->largest.rows;
	b->text_width = d->largest.text_width;
	b->speaker_width = d->largest.speaker_width;
}

const float *
data_empty_text(const struct data *d, int64_t *rows)
{
	*rows = d->empty_rows;
	return d->empty;
}

/* --- the memory of a batch --- */

/* Add room for n x m x k x size bytes; false: that is no number. */
static bool
room(size_t *at, size_t *used, int64_t n, int64_t m, int64_t k, size_t size)
{
	size_t bytes;

	*at = *used;
	return !__builtin_mul_overflow((size_t)n, (size_t)m, &bytes) &&
	       !__builtin_mul_overflow(bytes, (size_t)k, &bytes) && !__builtin_mul_overflow(bytes, size, &bytes) &&
	       !__builtin_add_overflow(bytes, (size_t)ALIGN - 1, &bytes) &&
	       !__builtin_add_overflow(*used, bytes / ALIGN * ALIGN, used);
}

/* Lay the arrays out for the sizes in b. */
static enum status
lay_out(struct batch *b)
{
	size_t at[10], n = 0;
	int64_t B = b->B;
	char *p;

	if (!room(&at[0], &n, B, b->channels * b->rows, b->T, sizeof(float)) ||
	    !room(&at[1], &n, B, b->T, 1, sizeof(float)) ||
	    !room(&at[2], &n, B, b->S, b->text_width, sizeof(float)) ||
	    !room(&at[3], &n, B, b->S, 1, sizeof(float)) ||
	    !room(&at[4], &n, B, b->speaker_width, 1, sizeof(float)) ||
	    !room(&at[5], &n, B, b->Y, 1, sizeof(int32_t)) || !room(&at[6], &n, B, b->Y, 1, sizeof(float)) ||
	    !room(&at[7], &n, B, 1, 1, sizeof(uint64_t)) || !room(&at[8], &n, B, 1, 1, sizeof(int64_t)) ||
	    !room(&at[9], &n, B, 1, 1, sizeof(char *)))
		return ace_fail(ACE_ENOMEM, "a batch of %lld clips of %lld frames is too large", (long long)B,
		                (long long)b->T);
	if (n > b->size) {
		free(b->memory);
		b->size = 0;
		b->memory = aligned_alloc(ALIGN, n);
		if (!b->memory)
			return ace_fail(ACE_ENOMEM, "no memory for a batch of %lld clips (%zu bytes)", (long long)B, n);
		b->size = n;
	}
	p = b->memory;
	b->latents = (float *)(void *)(p + at[0]);
	b->frame_mask = (float *)(void *)(p + at[1]);
	b->text = (float *)(void *)(p + at[2]);
	b->text_mask = (float *)(void *)(p + at[3]);
	b->speaker = (float *)(void *)(p + at[4]);
	b->lyric_ids = (int32_t *)(void *)(p + at[5]);
	b->lyric_mask = (float *)(void *)(p + at[6]);
	b->sample_id = (uint64_t *)(void *)(p + at[7]);
	b->samples = (int64_t *)(void *)(p + at[8]);
	b->name = (const char **)(void *)(p + at[9]);
	return ACE_OK;
}

void
batch_free(struct batch *b)
{
	free(b->memory);
	*b = (struct batch){ 0 };
}

/* --- what is in it --- */

/* n ones, then zeros. */
static void
mask_of(float *mask, int64_t n, int64_t all)
{
	for (int64_t i = 0; i < all; i++)
		mask[i] = i < n ? 1.f : 0.f;
}

/* x [rows][n] in front of [rows][all]: spread it, zeros behind each row. From the last row on, so nothing is
 * overwritten. */
static void
spread(float *x, int64_t rows, int64_t n, int64_t all)
{
	if (n == all)
		return;
	for (int64_t r = rows - 1; r >= 0; r--) {
		memmove(x + r * all, x + r * n, (size_t)n * sizeof *x);
		memset(x + r * all + n, 0, (size_t)(all - n) * sizeof *x);
	}
}

/* The caption of a use: number in the text store. */
static int64_t
caption_of(const struct data *d, const struct data_set *s, int64_t epoch, const struct sampler_use *u)
{
	struct rng r = rng_stream(d->o.seed, RNG_CAPTION, (uint64_t)epoch, s->id[u->sample]);
	int64_t first = s->caption_at[u->sample], n = s->caption_at[u->sample + 1] - first;

	if (d->o.caption_dropout > 0 && rng_uniform(rng_sub(r, 1), (uint64_t)u->repeat) < d->o.caption_dropout)
		return s->texts->empty;
	return s->caption[first + (int64_t)rng_below(r, (uint64_t)u->repeat, (uint64_t)n)];
}

/* The number of a use: noise and timesteps are drawn by it, so a clip that is in a step twice must have two. */
static uint64_t
use_id(uint64_t id, int64_t repeat)
{
	return repeat == 0 ? id : rng_sub((struct rng){ .stream = id }, (uint64_t)repeat).stream;
}

static enum status
read_lyrics(struct data *d, const struct data_set *s, const struct latent_item *a, int64_t item, int32_t *id,
            float *mask, int64_t all)
{
	int64_t vocab = d->o.lyric_vocab ? d->o.lyric_vocab : INT64_C(1) << 31;

	ACE_TRY(latents_read_lyrics(s->latents, item, id, d->mask));
	for (int64_t i = 0; i < a->lyrics; i++) {
		if (id[i] < 0 || id[i] >= vocab)
			return ace_fail(ACE_EDATA, "%s: lyric token %lld of clip \"%s\" is %d; wanted 0 .. %lld",
			                s->entry->store, (long long)i, a->key, (int)id[i], (long long)vocab - 1);
		mask[i] = d->mask[i] ? 1.f : 0.f;
	}
	for (int64_t i = a->lyrics; i < all; i++) {
		id[i] = 0;
		mask[i] = 0;
	}
	return ACE_OK;
}

/* Clip k of the batch. */
static enum status
read_clip(struct data *d, const struct data_set *s, const struct sampler_use *u, struct batch *b, int64_t k)
{
	int64_t item = s->item[u->sample], caption = caption_of(d, s, b->epoch, u), maps = b->channels * b->rows;
	int64_t text_rows = texts_item(s->texts->texts, caption)->rows;
	const struct latent_item *a = latents_item(s->latents, item);
	float *latent = b->latents + k * maps * b->T, *text = b->text + k * b->S * b->text_width;

	ACE_TRY(latents_read(s->latents, item, latent));
	spread(latent, maps, a->frames, b->T);
	mask_of(b->frame_mask + k * b->T, d->o.mask == MASK_ALL ? b->T : a->frames, b->T);
	ACE_TRY(texts_read(s->texts->texts, caption, text));
	memset(text + text_rows * b->text_width, 0, (size_t)((b->S - text_rows) * b->text_width) * sizeof *text);
	mask_of(b->text_mask + k * b->S, text_rows, b->S);
	b->sample_id[k] = use_id(s->id[u->sample], u->repeat);
	b->samples[k] = a->samples;
	b->name[k] = a->key;
	return read_lyrics(d, s, a, item, b->lyric_ids + k * b->Y, b->lyric_mask + k * b->Y, b->Y);
}

static enum status
order_of(struct data *d, int64_t epoch)
{
	struct sampler_options o = { d->o.seed, d->o.uniform, d->o.drop_incomplete };

	if (epoch == d->epoch_number)
		return ACE_OK;
	d->epoch_number = -1;
	sampler_epoch_free(&d->epoch);
	ACE_TRY(sampler_epoch(d->order, d->sets, &o, epoch, &d->epoch));
	d->epoch_number = epoch;
	return ACE_OK;
}

enum status
data_batch(struct data *d, int64_t epoch, int64_t number, struct batch *b)
{
	const struct sampler_batch *from;
	const struct sampler_use *use;
	const struct data_set *s;

	assert(epoch >= 0 && number >= 0);
	ACE_TRY(order_of(d, epoch));
	assert(number < d->epoch.batches);
	from = &d->epoch.batch[number];
	use = d->epoch.use + from->first;
	s = &d->set[from->set];
	data_largest(d, b);
	b->B = from->n;
	b->T = b->S = b->Y = 0;
	for (int k = 0; k < from->n; k++) {
		const struct latent_item *a = latents_item(s->latents, s->item[use[k].sample]);
		int64_t rows = texts_item(s->texts->texts, caption_of(d, s, epoch, &use[k]))->rows;
		b->T = a->frames > b->T ? a->frames : b->T;
		b->S = rows > b->S ? rows : b->S;
		b->Y = a->lyrics > b->Y ? a->lyrics : b->Y;
	}
	b->dataset = s->entry->id;
	b->bucket = from->bucket;
	b->epoch = epoch;
	b->number = number;
	ACE_TRY(lay_out(b));
	memset(b->speaker, 0, (size_t)(b->B * b->speaker_width) * sizeof *b->speaker);
	for (int k = 0; k < from->n; k++)
		ACE_TRY(read_clip(d, s, &use[k], b, k));
	return ACE_OK;
}

enum status
data_caption(struct data *d, const struct batch *b, int64_t k, char **caption)
{
	const struct sampler_batch *from = &d->epoch.batch[b->number];
	const struct data_set *s = &d->set[from->set];
	size_t len;

	assert(b->epoch == d->epoch_number && b->number < d->epoch.batches && k >= 0 && k < from->n);
	return texts_caption(s->texts->texts, caption_of(d, s, b->epoch, d->epoch.use + from->first + k), caption, &len);
}
