/* SPDX-License-Identifier: Apache-2.0 */
#include "train/evaluate.h"

#include "kernels/kernels.h"
#include "train/state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The entries that are held out as data sets of their own, a clip a batch, and the texts. Texts in them are borrowed from from. */
static enum status
held_out(struct dataset_list *l, const struct dataset_list *from, const char *id)
{
	*l = (struct dataset_list){ .path = from->path };
	l->entry = calloc((size_t)from->n + 1, sizeof *l->entry);
	if (!l->entry)
		return ace_fail(ACE_ENOMEM, "no memory for a list of data sets");
	for (int i = 0; i < from->n; i++) {
		struct dataset e = from->entry[i];
		bool named = id && strcmp(e.id, id) == 0;
		if (named && e.kind == DATASET_TEXTS)
			return ace_fail(ACE_ECONFIG, "eval_dataset_id=%s has no clips: its dataset_type is text_embeds", id);
		if (e.kind != DATASET_TEXTS && !(id ? named : e.kind == DATASET_EVAL))
			continue;
		if (e.kind != DATASET_TEXTS) {
			e.kind = DATASET_AUDIO;
			e.batch_size = e.start_epoch = 1;
			e.end_epoch = e.repeats = 0;
		}
		l->entry[l->n++] = e;
	}
	for (int i = 0; i < l->n; i++)
		if (l->entry[i].kind == DATASET_AUDIO)
			return ACE_OK;
	if (id)
		return ace_fail(ACE_ECONFIG, "eval_dataset_id=%s: there is no such data set", id);
	return ace_fail(ACE_ECONFIG, "a loss on held-out clips is asked for (eval_steps_interval, eval_epoch_interval), and no data set "
	                "has dataset_type eval");
}

static enum status
read_clips(struct evaluation *e, struct data *d, int64_t clips)
{
	int64_t n = data_batches_per_epoch(d, 0);

	n = n < clips ? n : clips;
	e->batch = calloc((size_t)n + 1, sizeof *e->batch);
	if (!e->batch)
		return ace_fail(ACE_ENOMEM, "no memory for %lld clips", (long long)n);
	for (; e->n < n; e->n++)
		ACE_TRY(data_batch(d, 0, e->n, &e->batch[e->n]));
	return ACE_OK;
}

static struct tensor
take(struct ctx *c, enum dtype t, int rank, const int64_t dim[], const void *from)
{
	struct tensor x = arena_make(c->act, t, rank, dim);

	if (!dev_is_dry(c->dev))
		c->dev->m->upload(c->dev, x.data, from, tensor_bytes(x));
	return x;
}

#define TAKE(c, t, from, ...)                                                                                       \
	take(c, t, (int)(sizeof(int64_t[]){ __VA_ARGS__ } / sizeof(int64_t)), (const int64_t[]){ __VA_ARGS__ }, from)

/* The loss of one clip at one time into loss [2], on the device. */
static void
ask(struct ctx *c, const struct evaluation *e, const struct batch *b, struct flow_time t, struct tensor loss)
{
	const struct step *s = e->step;
	const float one = 1;
	int64_t stream[2];
	struct dit_input in = { .frame_mask = TAKE(c, F32, b->frame_mask, b->B, b->T),
		.text = TAKE(c, F32, b->text, b->B, b->S, b->text_width), .text_mask = TAKE(c, F32, b->text_mask, b->B, b->S),
		.speaker = TAKE(c, F32, b->speaker, b->B, b->speaker_width), .lyric_ids = TAKE(c, I32, b->lyric_ids, b->B, b->Y),
		.lyric_mask = TAKE(c, F32, b->lyric_mask, b->B, b->Y), .timestep = TAKE(c, F32, &t.timestep, b->B) };
	struct tensor x0 = TAKE(c, F32, b->latents, b->B, b->channels, b->rows, b->T), sigma = TAKE(c, F32, &t.sigma, b->B);
	struct tensor weight = TAKE(c, F32, &one, b->B), noise = arena_like(c->act, x0), x = arena_like(c->act, x0), v = arena_like(c->act, x0);

	flow_stream(rng_stream(s->o.seed, RNG_VALIDATION, (uint64_t)t.index, b->sample_id[0]), stream);
	flow_noise(c->dev, noise, TAKE(c, I64, stream, b->B, 2));
	flow_mix(c->dev, x, x0, noise, sigma, F32);
	in.latents = x;
	dit_forward(c, s->m, v, &in);
	flow_loss(c->dev, (struct tensor){ 0 }, loss, v, x, x0, noise, sigma, in.frame_mask, weight, s->o.form, F32);
}

/* The bytes that the largest of the clips takes. */
static enum status
measure(const struct evaluation *e, size_t *bytes)
{
	struct dev dry;

	*bytes = 0;
	ACE_TRY(dev_open(&dry, DEV_DRY, 1));
	dry.as = dev_like(e->step->dev);
	kernels_attach(&dry);
	for (int i = 0; i < e->n; i++) {
		struct arena act = { 0 };
		struct ctx c = { .dev = &dry, .act = &act, .half = F32 };
		ask(&c, e, &e->batch[i], flow_time_at(&e->step->o.flow, 0), arena_tensor(&act, F32, 1, 2));
		*bytes = act.peak > *bytes ? act.peak : *bytes;
	}
	dev_close(&dry);
	return ACE_OK;
}

enum status
evaluation_open(struct evaluation *e, struct step *s, const struct evaluation_options *o)
{
	struct dataset_list list = { 0 };
	struct data_options data = *o->data;
	struct data *d = NULL;
	enum status st;
	size_t bytes;

	*e = (struct evaluation){ .step = s, .times = o->times };
	data.list = &list;
	data.caption_dropout = 0;
	data.drop_incomplete = false;
	st = held_out(&list, o->data->list, o->dataset);
	if (st == ACE_OK)
		st = data_open(&d, &data);
	if (st == ACE_OK)
		st = read_clips(e, d, o->clips);
	data_close(d);
	free(list.entry);
	ACE_TRY(st);
	ACE_TRY(measure(e, &bytes));
	e->loss = calloc((size_t)(e->n * e->times) + 1, sizeof *e->loss);
	if (!e->loss)
		return ace_fail(ACE_ENOMEM, "no memory for the losses of %d clips", e->n);
	e->act = (struct arena){ .base = s->act.base, .size = s->act.size };
	if (bytes <= s->act.size)
		return ACE_OK;
	ACE_TRY(dev_alloc(s->dev, bytes, "an evaluation", &e->memory));
	e->act = (struct arena){ .base = e->memory, .size = bytes };
	return ACE_OK;
}

void
evaluation_close(struct evaluation *e)
{
	for (int i = 0; i < e->n; i++)
		batch_free(&e->batch[i]);
	free(e->batch);
	free(e->loss);
	if (e->step && e->memory)
		e->step->dev->m->free(e->step->dev, e->memory);
	*e = (struct evaluation){ 0 };
}

/* Number k of the clips and times. */
static double
one_loss(struct evaluation *e, int64_t k)
{
	const struct flow_options *f = &e->step->o.flow;
	struct ctx c = { .dev = e->step->dev, .act = &e->act, .half = F32 };
	int64_t at = (2 * (k % e->times) + 1) * f->n / (2 * e->times);
	struct tensor loss;
	float host[2];

	e->act.used = 0;
	loss = arena_tensor(&e->act, F32, 1, 2);
	ask(&c, e, &e->batch[k / e->times], flow_time_at(f, at), loss);
	c.dev->m->download(c.dev, host, loss.data, sizeof host);
	return (double)host[0];
}

/* Every rank takes one after the other in turn; where there are none left it takes part in what the others do. */
static enum status
run(void *me)
{
	struct evaluation *e = me;
	struct exchange *x = e->step->o.exchange;
	int64_t all = e->n * e->times, ranks = exchange_ranks(x);

	memset(e->loss, 0, (size_t)all * sizeof *e->loss);
	for (int64_t k = exchange_rank(x); k < (all + ranks - 1) / ranks * ranks; k += ranks) {
		if (k >= all) {
			ACE_TRY(exchange_idle(x, false, 0));
			continue;
		}
		ACE_TRY(exchange_begin(x, false));
		e->loss[k] = one_loss(e, k);
		ACE_TRY(exchange_end(x));
	}
	ACE_TRY(exchange_sums(x, e->loss, (int)all));
	return e->step->dev->status;
}

enum status
evaluation_loss(struct evaluation *e, double *loss)
{
	enum status st;

	exchange_looks(e->step->o.exchange, true);
	st = state_looked_at(e->step, run, e);
	exchange_looks(e->step->o.exchange, false);
	*loss = 0;
	for (int64_t k = 0; k < e->n * e->times; k++)
		*loss += e->loss[k];
	*loss /= (double)(e->n * e->times);
	return st;
}
