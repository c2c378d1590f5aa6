/* SPDX-License-Identifier: Apache-2.0 */
#include "train/step.h"

#include "kernels/kernels.h"
#include "kernels/optim_numbers.h"
#include "ops/rows.h"
#include "train/step_parts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct tensor
row(struct arena *a, enum dtype t, int64_t rows, int64_t columns)
{
	return arena_tensor(a, t, 2, rows, columns);
}

/* The places of a batch's inputs, on the host or on the device. */
static struct step_inputs
lay(struct arena *a, const struct dit_config *cfg, struct step_shape n)
{
	struct step_inputs in;

	in.x0 = arena_tensor(a, F32, 4, n.B, DIT_CHANNELS, DIT_ROWS, n.T);
	in.frame_mask = row(a, F32, n.B, n.T);
	in.text = arena_tensor(a, F32, 3, n.B, n.S, cfg->text_dim);
	in.text_mask = row(a, F32, n.B, n.S);
	in.speaker = row(a, F32, n.B, cfg->speaker_dim);
	in.lyric_ids = row(a, I32, n.B, n.Y);
	in.lyric_mask = row(a, F32, n.B, n.Y);
	in.timestep = arena_tensor(a, F32, 1, n.B);
	in.sigma = arena_tensor(a, F32, 1, n.B);
	in.start = arena_tensor(a, F32, 1, n.B);
	in.weight = arena_tensor(a, F32, 1, n.B);
	in.stream = row(a, I64, n.B, 2);
	in.drops = arena_tensor(a, I64, 1, 2);
	return in;
}

/* The losses of micro step i: its clips', then their weighted sum. */
static struct tensor
losses_of(const struct step *s, int64_t i, int64_t B)
{
	struct tensor all = tensor_view(s->losses, 1, tensor_count(s->losses));

	return tensor_slice(all, i * (s->room.B + 1), B + 1);
}

static struct ctx
ctx_of(struct dev *d, struct arena *act, struct rng r)
{
	return (struct ctx){ .dev = d, .act = act, .rng = r, .training = true, .half = F32 };
}

/* From the inputs to gradients; the same calls on the dry device measure it. */
static void
pass(struct step *s, struct ctx *c, const struct step_inputs *in, struct tensor loss, const float *noise)
{
	struct tensor e = arena_like(c->act, in->x0), x = e, v;
	struct step_reflex reflex;
	struct dit_input input = { .frame_mask = in->frame_mask, .text = in->text, .text_mask = in->text_mask,
		.speaker = in->speaker, .lyric_ids = in->lyric_ids, .lyric_mask = in->lyric_mask, .timestep = in->timestep };

	if (noise)
		c->dev->m->upload(c->dev, e.data, noise, tensor_bytes(e));
	else
		flow_noise(c->dev, e, in->stream);
	if (s->o.form.target == FLOW_VELOCITY || s->reflex)
		x = arena_like(c->act, e);	/* the noise itself is asked for again */
	flow_mix(c->dev, x, in->x0, e, in->start, F32);
	v = arena_like(c->act, e);
	reflex = (struct step_reflex){ in->x0, e, in->sigma, v, s->reflex ? arena_like(c->act, e) : (struct tensor){ 0 } };
	input.latents = x;
	step_roll(s, c, &input, &reflex);
	dit_forward(c, s->m, v, &input);
	if (s->scaling.rank)
		c->dev->k->loss_scale(c->dev, in->weight, s->scaling);
	if (s->reflex)
		step_reflex_loss(s, in, x, &reflex, loss);
	else
		flow_loss(c->dev, v, loss, v, x, in->x0, e, in->sigma, in->frame_mask, in->weight, s->o.form, F32);
	dit_backward(c, s->m, &input, v);
}

/* The pass of s->shape over the inputs in front of the arena. */
static void
ask_pass(void *me)
{
	struct step *s = me;
	struct ctx c = ctx_of(s->dev, &s->act, (struct rng){ 0 });
	struct step_inputs in;

	s->act.used = 0;
	in = lay(&s->act, &s->m->cfg, s->shape);
	c.rng = rng_later(in.drops.data);
	pass(s, &c, &in, tensor_slice(s->loss, 0, s->shape.B + 1), NULL);
}

enum status
step_measure(struct step *s, struct step_shape shape, struct step_needs *n)
{
	struct tensor loss = tensor_of(NULL, F32, 1, shape.B + 1);
	struct arena act = { 0 };
	struct step_inputs in;
	struct dev dry;
	struct ctx c;

	ACE_TRY(dev_open(&dry, DEV_DRY, 1));
	dry.as = dev_like(s->dev);
	kernels_attach(&dry);
	c = ctx_of(&dry, &act, rng_stream(s->o.seed, RNG_DROPOUT, 0, 0));
	in = lay(&act, &s->m->cfg, shape);
	pass(s, &c, &in, loss, NULL);
	*n = (struct step_needs){ act.peak, dry.scratch_bytes, dry.flops, dry.calls };
	dev_close(&dry);
	return ACE_OK;
}

/* The small tensors that outlive a step. */
static enum status
make_small(struct step *s)
{
	bool scaled = s->o.scaler.scale > 0 && s->later;
	struct arena a = { 0 };

	for (int real = 0; real < 2; real++) {
		a.used = 0;
		s->losses = row(&a, F32, s->o.accumulation, s->room.B + 1);
		s->loss = arena_tensor(&a, F32, 1, s->room.B + 1);
		if (s->o.exchange)
			s->checked = arena_like(&a, s->losses);
		s->measured = arena_tensor(&a, F32, 1, 2);
		s->limits = arena_tensor(&a, F32, 1, 2);
		if (scaled)
			s->scaling = arena_tensor(&a, F32, 1, SCALING_NUMBERS);
		if (real)
			break;
		s->memory_bytes = a.size = a.used;
		ACE_TRY(dev_alloc(s->dev, a.size, "the losses of an update", &s->memory));
		a.base = s->memory;
	}
	rows_fill(s->dev, tensor_of(s->memory, F32, 1, (int64_t)(s->memory_bytes / sizeof(float))), 0.f);
	step_scaler(s, s->o.scaler);
	return s->dev->status;
}

void
step_scaler(struct step *s, struct scaler to)
{
	const float number[SCALING_NUMBERS] = { (float)to.scale, (float)to.good, (float)to.interval, (float)to.skipped };

	s->scaler = to;
	if (!s->scaling.rank || dev_is_dry(s->dev))
		return;
	s->dev->m->upload(s->dev, s->scaling.data, number, sizeof number);
	s->dev->m->sync(s->dev);
}

/* Gradients that one product makes: whether the next pass's writes them. With ranks the exchange sees to it. */
static void
set_fresh(struct step *s, bool fresh)
{
	for (int i = 0; s->once && i < dit_n_params(s->m); i++) {
		struct param *p = dit_param(s->m, i);
		p->fresh = p->once && fresh;
	}
}

/* A pass over nothing, so that what must grow or be looked up once has been before the first step. */
static enum status
warm_up(struct step *s)
{
	struct dev *d = s->dev;

	s->shape = s->room;
	rows_fill(d, tensor_of(s->act.base, F32, 1, (int64_t)(s->stage_bytes / sizeof(float))), 0.f);
	ACE_TRY(exchange_begin(s->o.exchange, false));
	set_fresh(s, true);
	ask_pass(s);
	ACE_TRY(exchange_end(s->o.exchange));
	step_forget(s);
	rows_fill(d, s->loss, 0.f);
	d->m->sync(d);
	return d->status;
}

/* What a cuda device has besides. */
static enum status
make_device(struct step *s, size_t workspace)
{
	struct dev *d = s->dev;

	if (dev_like(d) != DEV_CUDA)
		return ACE_OK;
	s->rounds.off = s->o.one_by_one;
	s->passes.off = s->o.one_by_one || s->o.rollout.longest > 0;	/* how many evaluations a batch takes differs */
	if (s->m->params.half.rank && !s->later)
		return ace_fail(ACE_ECONFIG, "gradient_precision=unmodified is built for torch-adamw, torch-adam and adamw_bf16; optimizer is %s",
		                optim_rule_name(s->o.optim.rule));
	ACE_TRY(dev_alloc(d, s->stage_bytes, "a batch that arrives", &s->landing));
	if (dev_is_dry(d))
		return ACE_OK;
	ACE_TRY(dev_event_open(d, &s->done));
	dev_reserve(d, workspace);
	return d->status == ACE_OK ? warm_up(s) : d->status;
}

static enum status
make_room(struct step *s)
{
	struct arena stage = { 0 };
	size_t count = (size_t)(s->o.accumulation * s->room.B);
	struct step_needs needs;
	void *act;

	lay(&stage, &s->m->cfg, s->room);
	s->stage_bytes = stage.used;
	ACE_TRY(step_measure(s, s->room, &needs));
	s->act.size = needs.arena;
	ACE_TRY(dev_alloc(s->dev, needs.arena, "the activations of a step", &act));
	s->act.base = act;
	s->now.name = calloc(count, sizeof *s->now.name);
	s->asked.name = calloc(count, sizeof *s->asked.name);
	s->host = s->dev->m->pinned(s->dev, s->memory_bytes);
	if (!dev_is_dry(s->dev))
		s->stage = s->dev->m->pinned(s->dev, s->stage_bytes);
	if (!s->now.name || !s->asked.name || !s->host || (!s->stage && !dev_is_dry(s->dev)))
		return ace_fail(ACE_ENOMEM, "no memory for a batch (%zu bytes)", s->stage_bytes);
	return make_device(s, needs.workspace);
}

static void
begin_average(void *me, int turn)
{
	if (turn > 0)
		ema_turn(me, turn);		/* ema_init has begun */
}

/* Of what this rank updates, whole or in part. */
static enum status
open_average(struct step *s)
{
	int most = dit_n_params(s->m), n = 0;
	struct param **param = calloc((size_t)most + 1, sizeof *param);
	struct ema_place *place = calloc((size_t)most + 1, sizeof *place);
	enum status st;
	struct exchange_item it;

	if (!param || !place) {
		st = ace_fail(ACE_ENOMEM, "no memory for a list of %d averages", most);
		goto out;
	}
	for (; exchange_item(s->o.exchange, s->m, n, &it); n++) {
		param[n] = it.p;
		place[n] = (struct ema_place){ it.first, it.turn };
	}
	st = ema_init(&s->ema, s->dev, &s->o.ema, param, place, n);
	if (st == ACE_OK) {
		ema_follow(&s->ema, &s->optim);
		ema_follow(&s->ema, &s->groups.optim);
	}
	if (st == ACE_OK && !dev_is_dry(s->dev))
		st = exchange_turns(s->o.exchange, false, false, begin_average, &s->ema);
out:
	free(param);
	free(place);
	return st;
}

static enum status
open_all(struct step *s)
{
	ACE_TRY(flow_options_check(&s->o.flow));
	ACE_TRY(exchange_open(s->o.exchange, s->m, &s->grads));
	s->once = !s->o.exchange && dit_mark_once(s->m);
	optim_init(&s->optim, s->dev, &s->o.optim, s->o.seed);
	ACE_TRY(groups_open(&s->groups, &s->optim, s->o.exchange, s->m, &s->o.groups));
	if (s->o.ema.interval)
		ACE_TRY(open_average(s));
	ACE_TRY(step_roll_open(s));
	s->later = dev_like(s->dev) == DEV_CUDA && exchange_tells_later(s->o.exchange) && groups_are_whole(&s->groups, &s->optim);
	ACE_TRY(make_small(s));
	return make_room(s);
}

enum status
step_open(struct step *s, struct dit *m, const struct step_options *o, struct step_shape room)
{
	enum status st;

	assert(o->accumulation >= 1 && room.B >= 1 && room.T >= 1);
	*s = (struct step){ .m = m, .dev = m->dev, .o = *o, .room = room };
	st = open_all(s);
	if (st != ACE_OK)
		step_close(s);
	return st;
}

void
step_close(struct step *s)
{
	if (!s || !s->dev)
		return;
	if (s->waiting || s->now.micro)
		s->dev->m->sync(s->dev);		/* what was asked for ahead */
	set_fresh(s, false);
	recorded_free(&s->passes, s->dev);
	recorded_free(&s->rounds, s->dev);
	dev_event_close(s->dev, s->done);
	step_roll_close(s);
	ema_free(&s->ema);
	groups_free(&s->groups);
	optim_free(&s->optim);
	exchange_free(s->o.exchange);
	s->dev->m->free(s->dev, s->memory);
	s->dev->m->free(s->dev, s->act.base);
	s->dev->m->free(s->dev, s->landing);
	if (s->stage)
		s->dev->m->unpin(s->dev, s->stage);
	if (s->host)
		s->dev->m->unpin(s->dev, s->host);
	free(s->now.name);
	free(s->asked.name);
	*s = (struct step){ 0 };
}

/* The place of a batch in the course of the data. */
static uint64_t
place_of(const struct batch *b)
{
	return (uint64_t)b->epoch << 32 | (uint64_t)b->number;
}

/* A clip may be in a batch more than once: each use has its own stream. */
static struct rng
stream_of(const struct step *s, enum rng_purpose purpose, const struct batch *b, int64_t i)
{
	struct rng r = rng_stream(s->o.seed, purpose, place_of(b), b->sample_id[i]);
	uint64_t before = 0;

	for (int64_t k = 0; k < i; k++)
		before += b->sample_id[k] == b->sample_id[i];
	return before ? rng_sub(r, before) : r;
}

/* Turns of a list go on from clip to clip of an epoch, and begin one further in the next one: a short epoch comes round, too. */
static struct flow_time
time_of(const struct step *s, const struct batch *b, int64_t i)
{
	if (s->o.flow.in_turn)
		return flow_turn(&s->o.flow, (uint64_t)(b->epoch + b->number * s->room.B + i));
	return flow_draw(&s->o.flow, stream_of(s, RNG_TIMESTEP, b, i));
}

static void
put(struct tensor to, const void *from)
{
	memcpy(to.data, from, tensor_bytes(to));
}

/* What each clip weighs until it is known how many there are in the update: about what it will in their mean, and a power of two,
 * so that taking it back rounds nothing. */
double
step_weight(const struct step *s)
{
	int e;

	(void)frexp((double)(s->room.B * s->o.accumulation), &e);
	return ldexp(1, -e);
}

double
step_loss_scale(const struct step *s)
{
	return s->scaler.scale > 0 ? s->scaler.scale : 1;
}

/* The host's side of a batch: what is in it, and what is drawn for it. */
static void
fill(struct step *s, const struct step_inputs *in, const struct batch *b, const struct step_given *given)
{
	const struct flow_conditions cond = { b->B, b->S, b->Y, b->text_width, b->speaker_width, in->text.data, in->speaker.data,
		in->lyric_ids.data, in->lyric_mask.data };
	struct rng drops = rng_stream(s->o.seed, RNG_DROPOUT, place_of(b), 0);
	double weight = step_weight(s) * (s->scaling.rank ? 1 : step_loss_scale(s));

	put(in->x0, b->latents);
	put(in->frame_mask, b->frame_mask);
	put(in->text, b->text);
	put(in->text_mask, b->text_mask);
	put(in->speaker, b->speaker);
	put(in->lyric_ids, b->lyric_ids);
	put(in->lyric_mask, b->lyric_mask);
	((uint64_t *)in->drops.data)[0] = drops.key;
	((uint64_t *)in->drops.data)[1] = drops.stream;
	for (int64_t i = 0; i < b->B; i++) {
		struct flow_time t = time_of(s, b, i);
		if (given && given->sigma)
			t = (struct flow_time){ -1, given->sigma[i], t.timestep };
		((float *)in->sigma.data)[i] = t.sigma;
		((float *)in->start.data)[i] = step_roll_draw(s, i, t, stream_of(s, RNG_ROLLOUT, b, i));
		((float *)in->timestep.data)[i] = given && given->timestep ? given->timestep[i] : t.timestep;
		((float *)in->weight.data)[i] = (float)weight;
		flow_stream(stream_of(s, RNG_NOISE, b, i), (int64_t *)in->stream.data + 2 * i);
		flow_drop_drawn(&cond, i, &s->o.dropout, stream_of(s, RNG_CONDITION, b, i));
	}
}

static enum status
check(const struct step *s, const struct batch *b)
{
	const struct dit_config *cfg = &s->m->cfg;

	if (b->B < 1 || b->B > s->room.B || b->T > s->room.T || b->S > s->room.S || b->Y > s->room.Y)
		return ace_fail(ACE_EBUG, "a batch of %lld clips, %lld frames, %lld text rows, %lld lyric tokens; room is for %lld, "
		                "%lld, %lld, %lld", (long long)b->B, (long long)b->T, (long long)b->S, (long long)b->Y,
		                (long long)s->room.B, (long long)s->room.T, (long long)s->room.S, (long long)s->room.Y);
	if (b->channels != DIT_CHANNELS || b->rows != DIT_ROWS || b->text_width != cfg->text_dim || b->speaker_width != cfg->speaker_dim)
		return ace_fail(ACE_EDATA, "the stores' latents are %lld x %lld, texts %lld wide, speakers %lld; the model takes %d x %d, "
		                "%lld, %lld", (long long)b->channels, (long long)b->rows, (long long)b->text_width,
		                (long long)b->speaker_width, DIT_CHANNELS, DIT_ROWS, (long long)cfg->text_dim,
		                (long long)cfg->speaker_dim);
	return ACE_OK;
}

/* Inputs to the device beside what it does, then the pass. */
static void
run_later(struct step *s, size_t bytes)
{
	const int64_t count = (int64_t)(bytes / sizeof(float)), key[RECORDED_KEY] = { s->shape.B, s->shape.T, s->shape.S, s->shape.Y,
		exchange_is_fresh(s->o.exchange) || (s->once && s->now.micro == 0) };
	struct dev *d = s->dev;

	dev_ahead(d, s->landing, s->stage, bytes);
	dev_ahead_join(d);
	rows_copy(d, tensor_of(s->act.base, F32, 1, count), tensor_of(s->landing, F32, 1, count));
	dev_ahead_used(d);
	if (exchange_in_pass(s->o.exchange, s->now.micro == s->o.accumulation - 1))
		ask_pass(s);
	else
		recorded_run(&s->passes, d, key, ask_pass, s);
	rows_copy(d, losses_of(s, s->now.micro, s->shape.B), tensor_slice(s->loss, 0, s->shape.B + 1));
}

static void
run_now(struct step *s, const struct batch *b, const float *noise, size_t bytes)
{
	struct ctx c = ctx_of(s->dev, &s->act, rng_stream(s->o.seed, RNG_DROPOUT, place_of(b), 0));
	struct step_inputs in;

	s->act.used = 0;
	in = lay(&s->act, &s->m->cfg, s->shape);
	s->dev->m->upload(s->dev, s->act.base, s->stage, bytes);
	pass(s, &c, &in, losses_of(s, s->now.micro, b->B), noise);
}

enum status
step_run(struct step *s, const struct batch *b, const struct step_given *given)
{
	struct arena stage = { .base = s->stage, .size = s->stage_bytes };
	struct step_inputs host;

	assert(s->now.micro < s->o.accumulation && !dev_is_dry(s->dev));
	if (b->B == 0) {
		ACE_TRY(step_roll_calls(s, 0));
		return exchange_idle(s->o.exchange, s->now.micro++ == s->o.accumulation - 1, s->calls);
	}
	ACE_TRY(check(s, b));
	s->shape = (struct step_shape){ b->B, b->T, b->S, b->Y };
	host = lay(&stage, &s->m->cfg, s->shape);
	dev_ahead_wait(s->dev);
	fill(s, &host, b, given);
	ACE_TRY(step_roll_calls(s, b->B));
	ACE_TRY(exchange_begin(s->o.exchange, s->now.micro == s->o.accumulation - 1));
	set_fresh(s, s->now.micro == 0);
	if (s->dev->kind == DEV_CUDA && !s->way && !(given && given->noise))
		run_later(s, stage.used);
	else
		run_now(s, b, given ? given->noise : NULL, stage.used);
	ACE_TRY(exchange_end(s->o.exchange));
	for (int64_t i = 0; i < b->B; i++) {
		s->now.name[s->now.micro * s->room.B + i] = b->name[i];
		s->now.audio += (double)b->samples[i] / 48000;
	}
	s->now.micro++;
	s->now.samples += b->B;
	return s->dev->status;
}
