/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optim.h"

#include "kernels/kernels.h"
#include "train/optim_parts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* b as optimi has it: the correction of a moment inside its decay. */
static double
corrected(double b, int64_t t)
{
	double power = pow(b, (double)t);

	return (power - b) / (power - 1);
}

static void
moments(float *n, double b1, double b2)
{
	n[NUMBER_G1] = (float)(1 - b1);
	n[NUMBER_KEEP1] = (float)b1;
	n[NUMBER_KEEP2] = (float)b2;
	n[NUMBER_G2] = (float)(1 - b2);
}

/* How far an average moves when a point of this weight joins it. */
static double
joins(double *sum, double weight)
{
	*sum += weight;
	return *sum > 0 ? weight / *sum : 0;
}

static void
schedule_free_numbers(struct optim *o, int group, double rate, int64_t t, float *n)
{
	double *most = &o->scalar[SCALAR_MOST + group].value, c;

	rate *= t < o->set.warmup ? (double)t / (double)o->set.warmup : 1;
	*most = rate > *most ? rate : *most;
	c = joins(&o->scalar[SCALAR_SUM + group].value, *most * *most);
	n[NUMBER_STEP] = (float)rate;
	n[NUMBER_L2] = (float)o->set.weight_decay;
	n[NUMBER_C] = (float)c;
	n[NUMBER_Y] = (float)(rate * (o->set.beta1 * (1 - c) - 1));
}

static void
prodigy_numbers(struct optim *o, int group, double rate, int64_t t, float *n)
{
	double d = o->scalar[SCALAR_D].value, step = d * rate, c = joins(&o->scalar[SCALAR_SUM_D + group].value, step * step);

	n[NUMBER_STEP] = (float)step;
	n[NUMBER_C] = (float)c;
	n[NUMBER_Y] = (float)(step * (1 - o->set.beta1 * (1 - c)));
	n[NUMBER_SCALE] = (float)d;
	n[NUMBER_G2] = (float)(d * d * (1 - o->set.beta2));
	n[NUMBER_KEEP_S] = (float)sqrt(o->set.beta2);
	n[NUMBER_S] = (float)(d * d / sqrt(o->set.d0));
	n[NUMBER_FIRST] = t == 1 ? 1.f : 0.f;
}

/* The step size that prodigy has learnt from an update, its sums read back from the device. */
void
optim_learn(struct optim *o, const double sums[2])
{
	double *d = &o->scalar[SCALAR_D].value, *numerator = &o->scalar[SCALAR_NUMERATOR].value, hat, along = sums[0], reach = sums[1];
	int64_t t = (int64_t)o->scalar[SCALAR_T].value;

	if (o->set.prodigy_steps > 0 && t > o->set.prodigy_steps)
		return;
	*numerator = sqrt(o->set.beta2) * *numerator + (*d > o->set.d0 || along > 0 ? along : 0);
	o->scalar[SCALAR_DENOMINATOR].value = reach;
	if (!(reach > 0))
		return;
	hat = o->set.d_coef * fmin(*d * pow(2, 0.25), *numerator / reach);
	*d = hat > *d ? hat : *d;
}

void
optim_numbers(struct optim *o, int group, double rate, int64_t t, float n[OPTIM_NUMBERS])
{
	const struct optim_settings *s = &o->set;
	double b1 = s->beta1, b2 = s->beta2, correct1 = 1 - pow(b1, (double)t), correct2 = 1 - pow(b2, (double)t);

	memset(n, 0, OPTIM_NUMBERS * sizeof *n);
	moments(n, b1, b2);
	n[NUMBER_DECAY] = (float)(1 - rate * s->weight_decay);
	n[NUMBER_STEP] = (float)rate;
	n[NUMBER_EPS] = (float)s->eps;
	n[NUMBER_ROOT] = 1.f;
	n[NUMBER_CORRECT1] = (float)correct1;
	n[NUMBER_CORRECT2] = (float)correct2;
	switch (s->rule) {
	case OPTIM_ADAM:
		n[NUMBER_DECAY] = 1.f;
		n[NUMBER_L2] = (float)s->weight_decay;
		/* fallthrough */
	case OPTIM_ADAMW: case OPTIM_ADAMW_BF16:
		n[NUMBER_STEP] = (float)(rate / correct1);
		n[NUMBER_ROOT] = (float)sqrt(correct2);
		break;
	case OPTIM_OPTIMI_ADAMW: moments(n, corrected(b1, t), corrected(b2, t)); break;
	case OPTIM_STABLEADAMW:
		moments(n, corrected(b1, t), corrected(b2, t));
		n[NUMBER_L2] = (float)s->weight_decay;
		break;
	case OPTIM_LION: break;
	case OPTIM_ADAMW8BIT:
		n[NUMBER_L2] = (float)rate * (float)s->weight_decay;
		n[NUMBER_CORRECT1] = 1.f - powf((float)b1, (float)t);	/* all in float32, as the reference */
		n[NUMBER_ROOT] = sqrtf(1.f - powf((float)b2, (float)t));
		break;
	case OPTIM_SGD:
		n[NUMBER_L2] = (float)s->weight_decay;
		n[NUMBER_KEEP2] = (float)s->momentum;
		n[NUMBER_G2] = t == 1 || s->momentum == 0 ? 1.f : (float)(1 - s->dampening);
		n[NUMBER_NESTEROV] = s->nesterov ? 1.f : 0.f;
		break;
	case OPTIM_ADAFACTOR:
		n[NUMBER_G2] = (float)pow((double)t, s->beta2_decay);
		n[NUMBER_STEP] = (float)fmin(rate, 1 / sqrt((double)t));
		n[NUMBER_EPS2] = (float)s->eps2;
		n[NUMBER_D] = (float)s->d;
		break;
	case OPTIM_SCHEDULEFREE: schedule_free_numbers(o, group, rate, t, n); break;
	case OPTIM_PRODIGY: prodigy_numbers(o, group, rate, t, n); break;
	}
}

/* bf16 or 8-bit, where a rule has a form of its own for it; the plain form else. */
static void
update(struct optim *o, const struct optim_item *it, struct tensor l)
{
	struct tensor value = it->p->value, p = optim_weights(it), g = it->p->grad, n = o->numbers[it->group], none = { 0 };
	struct tensor m = optim_item_state(it, "exp_avg"), v = optim_item_state(it, "exp_avg_sq");
	bool half = value.dtype == BF16, copied = false;
	struct dev *d = o->dev;

	switch (o->set.rule) {
	case OPTIM_ADAMW_BF16:
		if (half)
			d->k->adamw_round(d, p, g, m, v, n, l, o->stream, it->number, it->first);
		else
			d->k->adamw(d, p, none, g, m, v, n, l);
		return;
	case OPTIM_OPTIMI_ADAMW:
		if (half)
			d->k->adamw_kahan(d, p, optim_item_state(it, "kahan_comp"), g, m, v, n, l);
		else
			d->k->adamw(d, p, none, g, m, v, n, l);
		return;
	case OPTIM_LION: d->k->lion(d, p, optim_item_state(it, "kahan_comp"), g, m, n, l); return;
	case OPTIM_ADAMW8BIT:
		if (m.rank)
			d->k->adamw_codes(d, p, g, m, none, v, none, o->scratch, n, l);
		else
			d->k->adamw_codes(d, p, g, it->state[0].value, it->state[1].value, it->state[2].value,
			                  it->state[3].value, o->scratch, n, l);
		return;
	case OPTIM_ADAMW: case OPTIM_ADAM:
		d->k->adamw(d, p, half ? value : none, g, m, v, n, l);
		copied = true;
		break;
	case OPTIM_STABLEADAMW: d->k->stable_adamw(d, p, g, m, v, n, l); break;
	case OPTIM_SGD: d->k->sgd(d, p, g, optim_item_state(it, "momentum_buffer"), n, l); break;
	case OPTIM_ADAFACTOR:
		d->k->adafactor(d, p, g, optim_item_state(it, "row_var"), optim_item_state(it, "col_var"),
		                optim_item_state(it, "variance"), n, l);
		break;
	case OPTIM_SCHEDULEFREE: d->k->schedule_free(d, p, optim_item_state(it, "z"), g, v, n, l); break;
	case OPTIM_PRODIGY:
		d->k->prodigy(d, p, optim_item_state(it, "z"), v, optim_item_state(it, "exp_avg_sq.row"),
		              optim_item_state(it, "exp_avg_sq.col"), optim_item_state(it, "s"), optim_item_state(it, "p0"), g,
		              o->scratch, n, l);
		break;
	}
	if (half && !copied)
		d->k->copy(d, value, p);
}

bool
optim_is_whole(const struct optim *o)
{
	return o->pieces > 0;
}

void
optim_prepare(struct optim *o, const double rate[OPTIM_GROUPS], int64_t step)
{
	struct optim_pinned *host = o->pinned;
	struct rng r = rng_stream(o->seed, RNG_ROUND, (uint64_t)step, 0);
	int64_t t = (int64_t)o->scalar[SCALAR_T].value + 1;

	assert(host && !o->averaged);
	for (int i = 0; i < OPTIM_GROUPS; i++)
		optim_numbers(o, i, rate[i], t, host->numbers[i]);
	host->stream[0] = (int64_t)r.key;
	host->stream[1] = (int64_t)r.stream;
	o->scalar[SCALAR_T].value = (double)t;
}

void
optim_take_back(struct optim *o)
{
	assert(optim_is_whole(o));			/* whose only course is t */
	o->scalar[SCALAR_T].value -= 1;
}

void
optim_ask(struct optim *o, struct tensor limits)
{
	struct optim_pinned *host = o->pinned;
	struct dev *d = o->dev;

	assert(limits.dtype == F32 && tensor_count(limits) == 2);
	for (int i = 0; i < OPTIM_GROUPS; i++)
		d->m->upload_later(d, o->numbers[i].data, host->numbers[i], sizeof host->numbers[i]);
	d->m->upload_later(d, o->stream.data, host->stream, sizeof host->stream);
	if (o->pieces) {
		d->k->adamw_pieces(d, o->table, o->pieces, o->numbers[0], o->numbers[1], limits, o->stream);
		return;
	}
	if (o->set.rule == OPTIM_PRODIGY)
		d->k->fill(d, o->scratch, 0.f);
	optim_turn(o, limits, 0);
}

void
optim_turn(struct optim *o, struct tensor limits, int turn)
{
	for (int i = 0; i < o->n; i++)
		if (o->item[i].turn == turn)
			update(o, &o->item[i], limits);
}

bool
optim_learns(const struct optim *o)
{
	return o->set.rule == OPTIM_PRODIGY && !dev_is_dry(o->dev);
}

void
optim_sums(struct optim *o, double sums[2])
{
	struct optim_pinned *host = o->pinned;

	o->dev->m->download(o->dev, host->sums, o->scratch.data, sizeof host->sums);
	for (int i = 0; i < 2; i++)
		sums[i] = (double)host->sums[i];
}

void
optim_step(struct optim *o, const double rate[OPTIM_GROUPS], struct tensor limits, int64_t step)
{
	double sums[2];

	optim_prepare(o, rate, step);
	optim_ask(o, limits);
	if (optim_learns(o)) {
		optim_sums(o, sums);
		optim_learn(o, sums);
	}
}

void
optim_average(struct optim *o, bool averaged)
{
	struct optim_pinned *host = o->pinned;
	struct dev *d = o->dev;

	if (!optim_averages(o->set.rule) || averaged == o->averaged)
		return;
	host->weight = (float)(averaged ? 1 - 1 / o->set.beta1 : 1 - o->set.beta1);
	d->m->upload_later(d, o->scratch.data, &host->weight, sizeof host->weight);
	optim_average_turn(o, 0);
	o->averaged = averaged;
}

void
optim_average_turn(struct optim *o, int turn)
{
	struct dev *d = o->dev;

	for (int i = 0; i < o->n && optim_averages(o->set.rule); i++) {
		struct tensor p = optim_weights(&o->item[i]);
		if (o->item[i].turn != turn)
			continue;
		d->k->lerp(d, p, optim_item_state(&o->item[i], "z"), tensor_of(o->scratch.data, F32, 1, 1));
		if (p.data != o->item[i].p->value.data)
			d->k->copy(d, o->item[i].p->value, p);
	}
}

/* The middles of `parts` equal pieces of [0.1, 1], times 10^exponent, as the reference computes them in float32: the lower
 * half of the borders is counted from below, the upper from above. */
static int
add_middles(float *table, int at, int parts, int exponent, float sign)
{
	float step = (1.f - 0.1f) / (float)parts, scale = (float)pow(10, exponent), border[129];

	for (int i = 0; i <= parts; i++)
		border[i] = i < (parts + 1) / 2 ? fmaf(step, (float)i, 0.1f) : fmaf(-step, (float)(parts - i), 1.f);
	for (int i = 0; i < parts; i++)
		table[at++] = sign * (scale * ((border[i] + border[i + 1]) / 2.f));
	return at;
}

static int
by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

void
optim_code_tables(float table[2][256])
{
	for (int k = 0; k < 2; k++) {
		int at = 0;
		for (int i = 0; i < 7; i++) {
			at = add_middles(table[k], at, k ? 2 << i : 1 << i, i - 6, 1.f);
			if (!k)
				at = add_middles(table[k], at, 1 << i, i - 6, -1.f);
		}
		table[k][at++] = 0.f;
		table[k][at++] = 1.f;
		assert(at == 256);
		qsort(table[k], 256, sizeof(float), by_size);
	}
}
