/* SPDX-License-Identifier: Apache-2.0 */
#include "data/sampler.h"

#include "num/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define USES_MOST (INT64_C(1) << 36)

/* One use of a sample, with the random words that place it: they follow from (seed, epoch, id, repeat) alone, so a
 * clip that comes or goes leaves the others in their order. */
struct place {
	double bucket;
	uint64_t word, batch_word;	/* among the uses; of the batch that it begins, among the batches */
	struct sampler_use use;
};

/* What is left of one data set. */
struct lane {
	struct place *place;
	struct sampler_batch *batch;	/* first: into place */
	int64_t uses, batches, next;
	double weight;
};

static int
by_word(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int
by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int word = by_word(x->word, y->word);

	if (x->bucket != y->bucket)
		return x->bucket < y->bucket ? -1 : 1;
	if (word != 0)
		return word;
	if (x->use.sample != y->use.sample)
		return x->use.sample < y->use.sample ? -1 : 1;
	return (x->use.repeat > y->use.repeat) - (x->use.repeat < y->use.repeat);
}

static int
by_batch_word(const void *a, const void *b, void *place)
{
	const struct sampler_batch *x = a, *y = b;
	const struct place *p = place;
	int word = by_word(p[x->first].batch_word, p[y->first].batch_word);

	return word ? word : (x->first > y->first) - (x->first < y->first);
}

bool
sampler_active(const struct sampler_set *s, int64_t epoch)
{
	return s->n > 0 && s->probability > 0 && epoch + 1 >= s->start_epoch &&
	       (s->end_epoch <= 0 || epoch + 1 <= s->end_epoch);
}

/* The shuffled list of a set, split by bucket: sorting by (bucket, word) does both. */
static enum status
shuffle(const struct sampler_set *s, uint64_t seed, int64_t epoch, struct lane *l)
{
	int64_t each, k = 0;

	if (s->repeats < 0 || s->repeats >= USES_MOST || s->n > USES_MOST / (s->repeats + 1))
		return ace_fail(ACE_ECONFIG, "data set \"%s\": %lld clips, each seen %lld times more, are too many",
		                s->name, (long long)s->n, (long long)s->repeats);
	each = s->repeats + 1;
	l->uses = s->n * each;
	l->place = malloc((size_t)l->uses * sizeof *l->place);
	if (!l->place)
		return ace_fail(ACE_ENOMEM, "data set \"%s\": no memory for an order of %lld clips", s->name,
		                (long long)l->uses);
	for (int64_t i = 0; i < s->n; i++) {
		struct rng r = rng_stream(seed, RNG_SHUFFLE, (uint64_t)epoch, s->id[i]);
		for (int64_t j = 0; j < each; j++) {
			uint32_t w[4];
			rng_block(r, (uint64_t)j, w);
			l->place[k++] = (struct place){ .bucket = s->bucket[i], .word = (uint64_t)w[0] << 32 | w[1],
			                                .batch_word = (uint64_t)w[2] << 32 | w[3], .use = { i, j } };
		}
	}
	qsort(l->place, (size_t)l->uses, sizeof *l->place, by_place);
	return ACE_OK;
}

/* Batches of each bucket, then in an order of their own. */
static enum status
cut(const struct sampler_set *s, int set, bool drop_incomplete, struct lane *l)
{
	int64_t size = s->batch_size, most = 0, from = 0;
	double bucket = 0;

	if (size < 1 || size > INT32_MAX)
		return ace_fail(ACE_ECONFIG, "data set \"%s\": train_batch_size is %lld; wanted 1 or more", s->name,
		                (long long)size);
	l->batch = malloc((size_t)l->uses * sizeof *l->batch);
	if (!l->batch)
		return ace_fail(ACE_ENOMEM, "data set \"%s\": no memory for its batches", s->name);
	for (int64_t end = 1; end <= l->uses; end++) {
		if (end < l->uses && l->place[end].bucket == l->place[from].bucket)
			continue;
		if (end - from > most) {
			most = end - from;
			bucket = l->place[from].bucket;
		}
		for (; from < end; from += size) {
			int64_t n = end - from < size ? end - from : size;
			if (n == size || !drop_incomplete)
				l->batch[l->batches++] =
				    (struct sampler_batch){ set, from, (int)n, l->place[from].bucket };
		}
		from = end;
	}
	if (l->batches == 0)
		return ace_fail(
		    ACE_ECONFIG,
		    "data set \"%s\": drop_incomplete_batches leaves nothing: bucket %gs, its largest, has %lld "
		    "clips, train_batch_size is %lld",
		    s->name, bucket, (long long)most, (long long)size);
	qsort_r(l->batch, (size_t)l->batches, sizeof *l->batch, by_batch_word, l->place);
	return ACE_OK;
}

/* Which lane gives batch j. */
static int
draw(const struct lane *lane, int sets, struct rng r, int64_t j)
{
	uint64_t w = (uint64_t)rng_u32(r, 2 * (uint64_t)j) << 32 | rng_u32(r, 2 * (uint64_t)j + 1);
	double total = 0, at;
	int last = -1;

	for (int i = 0; i < sets; i++)
		if (lane[i].next < lane[i].batches)
			total += lane[i].weight;
	at = (double)(w >> 11) * 0x1p-53 * total;
	for (int i = 0; i < sets; i++) {
		if (lane[i].next >= lane[i].batches)
			continue;
		last = i;
		if (at < lane[i].weight)
			break;
		at -= lane[i].weight;
	}
	return last;
}

static enum status
merge(struct lane *lane, int sets, struct rng r, struct sampler_epoch *e)
{
	int64_t uses = 0, batches = 0;

	for (int i = 0; i < sets; i++) {
		batches += lane[i].batches;
		for (int64_t b = 0; b < lane[i].batches; b++)
			uses += lane[i].batch[b].n;
	}
	e->batch = malloc((size_t)batches * sizeof *e->batch + 1);
	e->use = malloc((size_t)uses * sizeof *e->use + 1);
	if (!e->batch || !e->use)
		return ace_fail(ACE_ENOMEM, "no memory for an epoch of %lld batches", (long long)batches);
	while (e->batches < batches) {
		struct lane *l = &lane[draw(lane, sets, r, e->batches)];
		struct sampler_batch *b = &e->batch[e->batches++];
		const struct place *p;
		*b = l->batch[l->next++];
		p = l->place + b->first;
		b->first = e->uses;
		for (int i = 0; i < b->n; i++)
			e->use[e->uses++] = p[i].use;
	}
	return ACE_OK;
}

enum status
sampler_epoch(const struct sampler_set *set, int sets, const struct sampler_options *o, int64_t epoch,
              struct sampler_epoch *e)
{
	struct lane *lane = calloc((size_t)sets + 1, sizeof *lane);
	enum status st = lane ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for %d data sets", sets);

	*e = (struct sampler_epoch){ 0 };
	for (int i = 0; st == ACE_OK && i < sets; i++) {
		if (!sampler_active(&set[i], epoch))
			continue;
		st = shuffle(&set[i], o->seed, epoch, &lane[i]);
		if (st == ACE_OK)
			st = cut(&set[i], i, o->drop_incomplete, &lane[i]);
		lane[i].weight = set[i].probability * (o->uniform ? 1. : (double)lane[i].uses);
	}
	if (st == ACE_OK)
		st = merge(lane, sets, rng_stream(o->seed, RNG_DATASET, (uint64_t)epoch, 0), e);
	if (st != ACE_OK)
		sampler_epoch_free(e);
	for (int i = 0; lane && i < sets; i++) {
		free(lane[i].place);
		free(lane[i].batch);
	}
	free(lane);
	return st;
}

void
sampler_epoch_free(struct sampler_epoch *e)
{
	free(e->batch);
	free(e->use);
	*e = (struct sampler_epoch){ 0 };
}
