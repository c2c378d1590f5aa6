/* SPDX-License-Identifier: Apache-2.0 */
#include "data/data_parts.h"

#include "base/msg.h"
#include "data/dataset_settings.h"
#include "num/rng.h"

#include <stdlib.h>
#include <string.h>

#define CAPTIONS_MOST (INT64_C(1) << 32)

static enum status
no_memory(const struct dataset *e)
{
	return ace_fail(ACE_ENOMEM, "data set \"%s\": no memory", e->id);
}

/* A difference is a failure, or, when overridden, one warning. */
static enum status
judge(const struct data *d, enum status st)
{
	if (st != ACE_ECONFIG || !d->o.override)
		return st;
	msg_warn("%s; used all the same (override_dataset_config)", ace_message());
	return ACE_OK;
}

/* What all stores of a run share. */
static const char *const shared_facts[] = {
	"autoencoder",   "autoencoder_dtype", "scale",   "shift",         "sample_rate", "resampler", "lyric_vocab",
	"lyric_variant", "encoder", "encoder_dtype", "tokenizer",   NULL,
};

/* One fact that both hold must be the same. */
static enum status
agree_on(const char *name, const struct facts *have, const struct facts *want, const char *where)
{
	const char *value = facts_get(want, name);
	struct facts one = { 0 };

	if (!value || !facts_get(have, name))
		return ACE_OK;
	facts_set(&one, name, true, "%s", value);
	return facts_check(have, &one, where);
}

/* A part against the run's first store, and, of latents, against what the list says of its entry. */
static enum status
agree(const struct facts *have, const struct facts *first, const struct facts *entry, const char *where)
{
	for (int i = 0; i < entry->n; i++)
		ACE_TRY(agree_on(entry->fact[i].name, have, entry, where));
	for (const char *const *name = shared_facts; *name; name++)
		ACE_TRY(agree_on(*name, have, first, where));
	return ACE_OK;
}

/* --- captions --- */

static enum status
check_texts(const struct data *d, const struct data_texts *t)
{
	const struct data_texts *first = &d->texts[0];
	const struct facts *f = NULL;
	struct facts none = { 0 };
	int64_t width = texts_width(t->texts), want = d->o.text_width ? d->o.text_width : texts_width(first->texts);

	if (texts_count(t->texts) == 0)
		return ace_fail(ACE_ENOINPUT, "%s: no captions in this text store; ace-preprocess fills it",
		                t->entry->store);
	if (width != want)
		return ace_fail(ACE_ECONFIG,
		                "%s: captions were encoded as rows of %lld numbers; wanted %lld (another text "
		                "encoder)",
		                t->entry->store, (long long)width, (long long)want);
	for (int64_t i = 0; i < texts_count(t->texts); i++) {
		if (texts_facts(t->texts, i) == f)
			continue;
		f = texts_facts(t->texts, i);
		enum status st = agree(f, texts_facts(first->texts, 0), &none, t->entry->store);
		if (st != ACE_OK)
			return judge(d, st);
	}
	return ACE_OK;
}

static enum status
open_texts(struct data *d, const struct dataset *audio, struct data_texts **out)
{
	const struct dataset *e = dataset_texts(d->o.list, audio);
	struct data_texts *t = &d->texts[d->n_texts];
	char key[65];

	if (!e)
		return ace_fail(ACE_ECONFIG, "data set \"%s\": there is no text store \"%s\"", audio->id,
		                audio->texts_id ? audio->texts_id : "");
	for (int i = 0; i < d->n_texts; i++)
		if (d->texts[i].entry == e) {
			*out = &d->texts[i];
			return ACE_OK;
		}
	*t = (struct data_texts){ .entry = e };
	d->n_texts++;
	ACE_TRY(texts_open(&t->texts, e->store, NULL));
	ACE_TRY(check_texts(d, t));
	texts_key("", 0, key);
	t->empty = texts_find(t->texts, key);
	if (t->empty < 0 && d->o.caption_dropout > 0)
		return ace_fail(ACE_EDATA, "%s: the empty caption is missing, which caption_dropout_probability needs; "
		                "ace-preprocess adds it", e->store);
	*out = t;
	return ACE_OK;
}

/* Numbers of all captions of the clips, so that reading need not look for them. */
static enum status
find_captions(struct data_set *s)
{
	int64_t all = 0;

	s->caption_at = calloc((size_t)s->n + 1, sizeof *s->caption_at);
	if (!s->caption_at)
		return no_memory(s->entry);
	for (int64_t i = 0; i < s->n; i++)
		s->caption_at[i + 1] = all += latents_item(s->latents, s->item[i])->captions;
	s->caption = all < CAPTIONS_MOST ? malloc((size_t)all * sizeof *s->caption + 1) : NULL;
	if (!s->caption)
		return no_memory(s->entry);
	for (int64_t i = 0; i < s->n; i++) {
		const struct latent_item *a = latents_item(s->latents, s->item[i]);
		if (a->captions < 1)
			return ace_fail(ACE_EDATA, "%s: clip \"%s\" has no caption; ace-preprocess adds it",
			                s->entry->store, a->key);
		for (int c = 0; c < a->captions; c++) {
			int64_t k = texts_find(s->texts->texts, a->caption[c]);
			if (k < 0)
				return ace_fail(ACE_EDATA,
				                "%s: caption %.12s of clip \"%s\" is not in this text store; "
				                "ace-preprocess adds it",
				                s->texts->entry->store, a->caption[c], a->key);
			s->caption[s->caption_at[i] + c] = (int32_t)k;
		}
	}
	return ACE_OK;
}

/* --- clips --- */

/* One clip with the random word that max_num_samples chooses by: the same clips for a seed, whatever else is there. */
struct chance {
	uint64_t word;
	int64_t i;
};

static int
by_word(const void *a, const void *b)
{
	const struct chance *x = a, *y = b;

	return x->word != y->word ? (x->word < y->word ? -1 : 1) : (x->i > y->i) - (x->i < y->i);
}

static int
by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static enum status
choose_some(const struct data *d, struct data_set *s)
{
	struct chance *c;

	if (s->entry->max_samples < 0 || s->n <= s->entry->max_samples)
		return ACE_OK;
	c = malloc((size_t)s->n * sizeof *c);
	if (!c)
		return no_memory(s->entry);
	for (int64_t i = 0; i < s->n; i++) {
		const char *key = latents_item(s->latents, s->item[i])->key;
		c[i] = (struct chance){ dataset_chance(d->o.seed, s->entry->id, key), s->item[i] };
	}
	qsort(c, (size_t)s->n, sizeof *c, by_word);
	s->n = s->entry->max_samples;
	for (int64_t i = 0; i < s->n; i++)
		s->item[i] = c[i].i;
	qsort(s->item, (size_t)s->n, sizeof *s->item, by_number);
	free(c);
	return ACE_OK;
}

/* Clips within the entry's limits. */
static enum status
choose(const struct data *d, struct data_set *s)
{
	const struct dataset *e = s->entry;
	int64_t all = latents_count(s->latents);

	s->item = malloc((size_t)all * sizeof *s->item + 1);
	if (!s->item)
		return no_memory(e);
	for (int64_t i = 0; i < all; i++) {
		double seconds = latents_item(s->latents, i)->seconds;
		if ((e->min_seconds <= 0 || seconds >= e->min_seconds) &&
		    (e->max_seconds <= 0 || seconds <= e->max_seconds))
			s->item[s->n++] = i;
	}
	if (s->n < all)
		msg_info("data set \"%s\": %lld of %lld clips are left out: shorter or longer than its limits", e->id,
		         (long long)(all - s->n), (long long)all);
	ACE_TRY(choose_some(d, s));
	if (all == 0)
		return ace_fail(ACE_ENOINPUT,
		                "%s: no clips of data set \"%s\" in this latent store; ace-preprocess fills it",
		                e->store, e->id);
	if (s->n == 0)
		return ace_fail(ACE_ENOINPUT, "data set \"%s\": none of its %lld clips is within its limits", e->id,
		                (long long)all);
	s->bucket = malloc((size_t)s->n * sizeof *s->bucket);
	s->id = malloc((size_t)s->n * sizeof *s->id);
	if (!s->bucket || !s->id)
		return no_memory(e);
	for (int64_t i = 0; i < s->n; i++) {
		const struct latent_item *a = latents_item(s->latents, s->item[i]);
		s->bucket[i] = a->bucket;
		s->id[i] = dataset_sample_id(e->id, a->key);
	}
	return ACE_OK;
}

/* Facts of every part, against the entry and against the run's first store. */
static enum status
check_facts(const struct data *d, const struct data_set *s)
{
	const struct facts *first = latents_facts(d->set[0].latents, d->set[0].item[0]), *f = NULL;
	struct facts want = { 0 };
	enum status st;

	dataset_facts(&want, s->entry, d->o.seed);
	for (int64_t i = 0; i < s->n; i++) {
		if (latents_facts(s->latents, s->item[i]) == f)
			continue;
		f = latents_facts(s->latents, s->item[i]);
		st = agree(f, first, &want, s->entry->store);
		if (st != ACE_OK)
			return judge(d, st);
	}
	return ACE_OK;
}

/* Shapes, and the largest of each length. */
static enum status
measure(struct data *d, struct data_set *s)
{
	struct batch *most = &d->largest;

	for (int64_t i = 0; i < s->n; i++) {
		const struct latent_item *a = latents_item(s->latents, s->item[i]);
		if (most->channels == 0) {
			most->channels = a->channels;
			most->rows = a->rows;
		}
		if (a->channels != most->channels || a->rows != most->rows)
			return ace_fail(ACE_ECONFIG,
			                "%s: the latent of clip \"%s\" is [%lld, %lld, ...]; wanted [%lld, %lld, "
			                "...] as before (another autoencoder)",
			                s->entry->store, a->key, (long long)a->channels, (long long)a->rows,
			                (long long)most->channels, (long long)most->rows);
		most->T = a->frames > most->T ? a->frames : most->T;
		most->Y = a->lyrics > most->Y ? a->lyrics : most->Y;
	}
	for (int64_t c = 0; c < s->caption_at[s->n]; c++) {
		int64_t rows = texts_item(s->texts->texts, s->caption[c])->rows;
		most->S = rows > most->S ? rows : most->S;
	}
	if (d->o.caption_dropout > 0 && texts_item(s->texts->texts, s->texts->empty)->rows > most->S)
		most->S = texts_item(s->texts->texts, s->texts->empty)->rows;
	return ACE_OK;
}

static enum status
open_set(struct data *d, const struct dataset *e)
{
	struct data_set *s = &d->set[d->sets];

	s->entry = e;
	d->sets++;
	if (d->o.clips)
		ACE_TRY(d->o.clips(d->o.me, e, &s->latents));
	if (!s->latents)
		ACE_TRY(latents_open(&s->latents, e->store, NULL));
	ACE_TRY(choose(d, s));
	ACE_TRY(check_facts(d, s));
	ACE_TRY(open_texts(d, e, &s->texts));
	ACE_TRY(find_captions(s));
	ACE_TRY(measure(d, s));
	d->order[d->sets - 1] = (struct sampler_set){ .name = e->id, .bucket = s->bucket, .id = s->id, .n = s->n,
		                                      .repeats = e->repeats, .batch_size = e->batch_size,
		                                      .probability = e->probability, .start_epoch = e->start_epoch,
		                                      .end_epoch = e->end_epoch };
	return ACE_OK;
}

/* --- all together --- */

/* Batches and buckets of each set, counted in an epoch of its own, which also says early what cannot be. */
static enum status
count_batches(struct data *d)
{
	struct sampler_options o = { .drop_incomplete = d->o.drop_incomplete };

	for (int i = 0; i < d->sets; i++) {
		struct sampler_set one = d->order[i];
		struct sampler_epoch e;
		struct data_set *s = &d->set[i];
		one.start_epoch = one.end_epoch = 0;
		ACE_TRY(sampler_epoch(&one, 1, &o, 0, &e));
		s->batches = e.batches;
		for (int64_t b = 0; b < e.batches; b++)
			d->largest.B = e.batch[b].n > d->largest.B ? e.batch[b].n : d->largest.B;
		sampler_epoch_free(&e);
	}
	return ACE_OK;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static enum status
count_buckets(struct data_set *s)
{
	double *all = malloc((size_t)s->n * sizeof *all);

	if (!all)
		return no_memory(s->entry);
	memcpy(all, s->bucket, (size_t)s->n * sizeof *all);
	qsort(all, (size_t)s->n, sizeof *all, by_value);
	for (int64_t i = 0; i < s->n; i++)
		s->buckets += i == 0 || all[i] != all[i - 1];
	free(all);
	return ACE_OK;
}

static enum status
read_empty(struct data *d)
{
	const struct data_texts *t = &d->texts[0];

	if (t->empty < 0)
		return ACE_OK;
	d->empty_rows = texts_item(t->texts, t->empty)->rows;
	d->empty = malloc((size_t)(d->empty_rows * texts_width(t->texts)) * sizeof *d->empty);
	if (!d->empty)
		return ace_fail(ACE_ENOMEM, "%s: no memory", t->entry->store);
	return texts_read(t->texts, t->empty, d->empty);
}

static enum status
open_all(struct data *d)
{
	const struct dataset_list *l = d->o.list;
	int audio = 0;

	d->set = calloc((size_t)l->n + 1, sizeof *d->set);
	d->order = calloc((size_t)l->n + 1, sizeof *d->order);
	d->texts = calloc((size_t)l->n + 1, sizeof *d->texts);
	if (!d->set || !d->order || !d->texts)
		return ace_fail(ACE_ENOMEM, "no memory for %d data sets", l->n);
	for (int i = 0; i < l->n; i++) {
		const struct dataset *e = &l->entry[i];
		audio += e->kind == DATASET_AUDIO;
		if (e->kind == DATASET_AUDIO && e->probability > 0 && e->max_samples != 0)
			ACE_TRY(open_set(d, e));
	}
	if (d->sets == 0)
		return ace_fail(ACE_ENOINPUT,
		                "%s: no clip to train on: %d audio data sets, none with a probability above 0",
		                l->path && l->path[0] ? l->path : "data sets", audio);
	ACE_TRY(count_batches(d));
	for (int i = 0; i < d->sets; i++)
		ACE_TRY(count_buckets(&d->set[i]));
	d->largest.text_width = texts_width(d->texts[0].texts);
	d->largest.speaker_width = d->o.speaker;
	d->mask = malloc((size_t)d->largest.Y);
	if (!d->mask)
		return ace_fail(ACE_ENOMEM, "no memory for %lld lyric tokens", (long long)d->largest.Y);
	return read_empty(d);
}

enum status
data_open(struct data **out, const struct data_options *o)
{
	struct data *d = calloc(1, sizeof *d);
	enum status st = d ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory");

	*out = NULL;
	if (st == ACE_OK) {
		d->o = *o;
		d->epoch_number = -1;
		st = open_all(d);
	}
	if (st != ACE_OK) {
		data_close(d);
		return st;
	}
	*out = d;
	return ACE_OK;
}

void
data_close(struct data *d)
{
	if (!d)
		return;
	for (int i = 0; i < d->sets; i++) {
		struct data_set *s = &d->set[i];
		latents_close(s->latents);
		free(s->item);
		free(s->bucket);
		free(s->id);
		free(s->caption_at);
		free(s->caption);
	}
	for (int i = 0; i < d->n_texts; i++)
		texts_close(d->texts[i].texts);
	sampler_epoch_free(&d->epoch);
	free(d->set);
	free(d->order);
	free(d->texts);
	free(d->empty);
	free(d->mask);
	free(d);
}
