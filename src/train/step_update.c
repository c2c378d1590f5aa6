/* SPDX-License-Identifier: Apache-2.0 */
/* step_update.c - an update, and what came of it; see step.h */
#include "train/step_parts.h"

#include "kernels/kernels.h"
#include "kernels/optim_numbers.h"
#include "ops/rows.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* "a.mp3, b.mp3" of micro step i; all of the update's when i < 0. */
static void
names_of(const struct step *s, const struct step_round *k, int64_t i, char *text, size_t size)
{
	int64_t from = i < 0 ? 0 : i * s->room.B, to = i < 0 ? k->micro * s->room.B : from + s->room.B;
	size_t n = 0;

	*text = 0;
	for (; from < to && n < size; from++)
		if (k->name[from])
			n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", k->name[from]);
	if (n >= size)
		memcpy(text + size - 4, "...", 4);
}

static int64_t
clips_of(const struct step *s, const struct step_round *k, int64_t i)
{
	int64_t n = 0;

	while (n < s->room.B && k->name[i * s->room.B + n])
		n++;
	return n;
}

static enum status
refuse(const struct step *s, const struct step_round *k, int64_t i, const char *what, double found)
{
	char names[700];

	names_of(s, k, i, names, sizeof names);
	if (isnan(found))
		found = fabs(found);	/* its sign is chance, and would be printed */
	return ace_fail(ACE_EDATA, "step %lld: %s is %g; the batch was %s", (long long)s->updates + !s->waiting, what, found, names);
}

/* The weighted sum of micro step i's losses. With a loss scale of its clips' own, which it cannot have carried too far. */
static double
loss_of(const struct step *s, const struct step_round *k, int64_t i)
{
	const float *loss = s->host + i * (s->room.B + 1);
	int64_t clips = clips_of(s, k, i);
	double sum = 0;

	if (!(s->scaler.scale > 0))
		return clips ? (double)loss[clips] : 0;
	for (int64_t n = 0; n < clips; n++)
		sum += (double)loss[n];
	return sum * step_weight(s);
}

/* A number of what was brought here of memory on the device. */
static const float *
brought(const struct step *s, struct tensor x)
{
	return s->host + ((char *)x.data - (char *)s->memory) / (ptrdiff_t)sizeof(float);
}

/* The scale after this update, which is to be skipped where the gradients are not finite: by the device's word, or by ours. */
static enum status
turn(struct step *s, const struct step_round *k, struct step_report *r)
{
	int64_t skipped = s->scaler.skipped;
	const float *number;

	if (s->scaling.rank) {
		number = brought(s, s->scaling);
		s->scaler = (struct scaler){ (double)number[SCALING_SCALE], (int64_t)number[SCALING_GOOD], s->scaler.interval,
			(int64_t)number[SCALING_SKIPPED] };
	} else {
		scaler_update(&s->scaler, isfinite(r->grad_norm) && isfinite(r->loss));
	}
	r->skipped = s->scaler.skipped > skipped;
	if (s->scaler.scale < SCALER_LEAST)
		return refuse(s, k, -1, "the norm of the gradients at the smallest loss scale", r->grad_norm);
	return ACE_OK;
}

/* What all ranks found not to be finite: an update to skip, or, once there were enough in a row, a failure. */
static enum status
spoil(struct step *s, const struct step_round *k, struct step_report *r, enum status st)
{
	if (st != ACE_EDATA || s->o.nonfinite == 0)
		return st;
	snprintf(s->why, sizeof s->why, "%s", ace_message());
	if (s->spoilt == s->o.nonfinite)
		return ace_fail(st, "%s; %lld update%s in a row skipped before it, as many as nonfinite_limit allows", s->why,
		                (long long)s->spoilt, s->spoilt == 1 ? "" : "s");
	s->spoilt++;
	if (s->scaler.scale > 0)
		ACE_TRY(exchange_agree(s->o.exchange, turn(s, k, r)));
	else
		s->scaler.skipped++;
	r->skipped = true;
	r->why = s->why;
	return ACE_OK;
}

/* What the device found on this rank, now in s->host, summed over the ranks. scale: how much too large the gradients are. */
static enum status
look(struct step *s, const struct step_round *k, struct step_report *r, double *scale)
{
	enum { LOSS, LAST_LOSS, CLIPS, LAST_CLIPS, AUDIO, SUMS };
	double sum[SUMS] = { [CLIPS] = (double)k->samples, [AUDIO] = k->audio };
	const float *measured = brought(s, s->measured);
	enum status st = ACE_OK;

	for (int64_t i = 0; i < k->micro; i++) {
		double loss = loss_of(s, k, i);
		if (!isfinite(loss) && st == ACE_OK)
			st = refuse(s, k, i, "the loss", loss);
		sum[LOSS] += loss;
		sum[LAST_LOSS] = loss;
		sum[LAST_CLIPS] = (double)clips_of(s, k, i);
	}
	ACE_TRY(exchange_sums(s->o.exchange, sum, SUMS));
	*scale = sum[CLIPS] * step_weight(s);
	*r = (struct step_report){ .rate = k->rate, .lyrics_rate = k->lyrics_rate, .samples = (int64_t)sum[CLIPS],
		.audio = sum[AUDIO], .loss_scale = s->scaler.scale };
	r->loss = sum[LOSS] / *scale;
	r->last_loss = sum[LAST_CLIPS] > 0 ? sum[LAST_LOSS] / (sum[LAST_CLIPS] * step_weight(s)) : r->loss;
	*scale *= s->scaling.rank ? 1 : step_loss_scale(s);	/* the device has taken its scale back */
	r->grad_norm = sqrt((double)measured[CLIP_SQUARES]) / *scale;
	r->grad_absmax = (double)measured[CLIP_ABSMAX] / *scale;
	if (isfinite(r->loss) && s->scaler.scale > 0)
		ACE_TRY(exchange_agree(s->o.exchange, turn(s, k, r)));
	else if (isfinite(r->loss) && !isfinite(r->grad_norm))
		st = refuse(s, k, -1, "the norm of the gradients", r->grad_norm);
	if (st != ACE_OK || !isfinite(r->loss))
		return spoil(s, k, r, exchange_agree(s->o.exchange, st));
	s->spoilt = r->skipped ? s->spoilt : 0;
	return ACE_OK;
}

double
step_rate(const struct step *s)
{
	return groups_rate(&s->o.optim, &s->o.schedule, s->updates - s->scaler.skipped);
}

double
step_lyrics_rate(const struct step *s)
{
	return s->o.groups.lyrics ? groups_rate(&s->o.groups.optim, &s->o.groups.schedule, s->updates - s->scaler.skipped) : step_rate(s);
}

/* The average of what has just been updated. */
static void
average(void *me, int turn)
{
	struct step *s = me;

	if (turn > 0)
		ema_turn(&s->ema, turn);
	else
		s->report.ema_decay = ema_update(&s->ema, s->updates + 1);
}

/* From gradients that are scale times too large to values and their average. */
static enum status
move(struct step *s, double scale)
{
	ACE_TRY(groups_step(&s->groups, &s->optim, s->o.exchange, s->now.rate, s->now.lyrics_rate, s->limits, s->measured, &s->o.clip,
	                    (float)scale, s->updates + 1));
	ACE_TRY(exchange_values(s->o.exchange));
	if (s->o.ema.interval && (s->updates + 1) % s->o.ema.interval == 0)
		ACE_TRY(exchange_turns(s->o.exchange, false, false, average, s));
	return s->dev->status;
}

void
step_forget(struct step *s)
{
	if (exchange_forget(s->o.exchange))
		return;
	rows_fill(s->dev, s->grads, 0.f);
	if (s->m->params.half.rank)
		rows_fill(s->dev, s->m->params.half, 0.f);
}

static enum status
update_now(struct step *s)
{
	double scale;

	ACE_TRY(exchange_gradients(s->o.exchange));
	ACE_TRY(exchange_measure(s->o.exchange, s->dev, s->measured, s->grads));
	s->dev->m->download(s->dev, s->host, s->memory, s->memory_bytes);
	if (s->dev->status != ACE_OK)
		return s->dev->status;
	ACE_TRY(look(s, &s->now, &s->report, &scale));
	s->report.ema_decay = -1;
	if (!s->report.skipped)
		ACE_TRY(move(s, scale));
	step_forget(s);
	return s->dev->status;
}

/* The device's part of an update that it tells of later. */
static void
ask_update(void *me)
{
	struct step *s = me;
	struct dev *d = s->dev;

	if (!exchange_parted(s->o.exchange))
		clip_measure(d, s->measured, s->grads);
	if (s->m->params.half.rank)
		clip_measure(d, s->measured, s->m->params.half);
	if (s->scaling.rank)
		d->k->loss_unscale(d, s->measured, s->scaling);
	groups_ask(&s->groups, &s->optim, s->limits, s->measured, s->o.exchange ? s->checked : s->losses, s->scaling, &s->o.clip,
	           (float)((double)s->now.together * step_weight(s)));
	if (s->scaling.rank)
		d->k->loss_turn(d, s->scaling, s->grads, s->limits);
	d->m->download_later(d, s->host, s->memory, s->memory_bytes);
}

/* What an update that is told of later wants of the other ranks: their clips, gradients, and whether their losses are finite. */
static enum status
join_ranks(struct step *s)
{
	double clips = (double)s->now.samples;

	ACE_TRY(exchange_sums(s->o.exchange, &clips, 1));
	s->now.together = (int64_t)clips;
	ACE_TRY(exchange_gradients(s->o.exchange));
	if (s->o.exchange)
		rows_copy(s->dev, s->checked, s->losses);
	ACE_TRY(exchange_add(s->o.exchange, s->checked));
	return exchange_parted(s->o.exchange) ? exchange_measure(s->o.exchange, s->dev, s->measured, s->grads) : ACE_OK;
}

static void
next_round(struct step *s)
{
	struct step_round other = s->asked;

	s->asked = s->now;
	s->now = (struct step_round){ .name = other.name };
	memset(s->now.name, 0, (size_t)(s->o.accumulation * s->room.B) * sizeof *s->now.name);
	s->updates++;
}

enum status
step_ask(struct step *s)
{
	int64_t key[RECORDED_KEY] = { 0 };

	assert(s->now.micro > 0 && !s->waiting);
	s->now.rate = step_rate(s);
	s->now.lyrics_rate = step_lyrics_rate(s);
	if (!s->later) {
		ACE_TRY(update_now(s));
		next_round(s);
		return ACE_OK;
	}
	ACE_TRY(join_ranks(s));
	key[0] = s->now.together;
	groups_prepare(&s->groups, &s->optim, s->now.rate, s->now.lyrics_rate, s->updates + 1);
	recorded_run(&s->rounds, s->dev, key, ask_update, s);
	dev_event_record(s->dev, s->done);
	ACE_TRY(exchange_values(s->o.exchange));
	(void)exchange_forget(s->o.exchange);
	next_round(s);
	s->waiting = true;
	return s->dev->status;
}

enum status
step_result(struct step *s, struct step_report *r)
{
	enum status st;
	double scale;

	if (s->waiting) {
		dev_event_wait(s->dev, s->done);
		if (s->dev->status != ACE_OK)
			return s->dev->status;
		st = look(s, &s->asked, &s->report, &scale);
		s->waiting = false;
		s->updates -= st != ACE_OK;
		ACE_TRY(st);
		if (s->report.skipped)
			groups_take_back(&s->groups, &s->optim);
		s->report.ema_decay = s->o.ema.interval && !s->report.skipped ? ema_update(&s->ema, s->updates) : -1;
	}
	*r = s->report;
	return ACE_OK;
}

enum status
step_update(struct step *s, struct step_report *r)
{
	ACE_TRY(step_ask(s));
	return step_result(s, r);
}
