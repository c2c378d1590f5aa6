/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "kernels/optim_numbers.h"
#include "support/twins.h"

#include <math.h>

#define NONE ((struct tensor){ 0 })
#define FORM(target, cost, width) ((struct flow_form){ target, cost, width, 0.1f })
#define SQUARES FORM(FLOW_X0, FLOW_L2, FLOW_CONSTANT)
#define VELOCITY FORM(FLOW_VELOCITY, FLOW_L2, FLOW_CONSTANT)
#define CALL(name, ...)                                     \
	static void name(struct dev *d, struct tensor *t)   \
	{                                                   \
		d->k->name(d, __VA_ARGS__);                 \
	}
#define CALL_AS(as, name, ...)                              \
	static void as(struct dev *d, struct tensor *t)     \
	{                                                   \
		d->k->name(d, __VA_ARGS__);                 \
	}

CALL(normal, t[0], t[1])
CALL(flow_mix, t[0], t[1], t[2], t[3], F32)
CALL_AS(flow_mix_half, flow_mix, t[0], t[1], t[2], t[3], BF16)
CALL(flow_loss, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], SQUARES, F32)
CALL_AS(flow_loss_half, flow_loss, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], SQUARES, BF16)
CALL_AS(flow_velocity, flow_loss, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], VELOCITY, F32)
CALL_AS(flow_velocity_half, flow_loss, t[2], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], VELOCITY, BF16)
CALL_AS(flow_huber, flow_loss, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8], FORM(FLOW_X0, FLOW_HUBER, FLOW_SNR), F32)
CALL_AS(flow_huber_half, flow_loss, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8],
        FORM(FLOW_VELOCITY, FLOW_HUBER, FLOW_EXPONENTIAL), BF16)
CALL_AS(flow_smooth, flow_loss, t[2], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8],
        FORM(FLOW_X0, FLOW_SMOOTH_L1, FLOW_EXPONENTIAL), F32)
CALL_AS(flow_smooth_velocity, flow_loss, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8],
        FORM(FLOW_VELOCITY, FLOW_SMOOTH_L1, FLOW_CONSTANT), F32)
CALL(add_scaled, t[0], t[1], t[2])
CALL(grad_measure, t[0], t[1])
CALL(grad_limits, t[0], t[1], false, 0.5f, 2.f)
CALL_AS(grad_limits_value, grad_limits, t[0], t[1], true, 0.5f, 2.f)
CALL(grad_clip, t[0], t[1])
CALL_AS(adamw, adamw, t[0], NONE, t[1], t[2], t[3], t[4], t[5])
CALL_AS(adamw_copied, adamw, t[0], t[6], t[1], t[2], t[3], t[4], t[5])
CALL(adamw_round, t[0], t[1], t[2], t[3], t[4], t[5], t[6], 3, 0)
CALL_AS(adamw_round_shard, adamw_round, t[0], t[1], t[2], t[3], t[4], t[5], t[6], 3, 12345)
CALL(adamw_kahan, t[0], t[1], t[2], t[3], t[4], t[5], t[6])
CALL(adamw_codes, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8])
CALL_AS(adamw_codes_small, adamw_codes, t[0], t[1], t[2], NONE, t[3], NONE, t[4], t[5], t[6])
CALL_AS(lion, lion, t[0], NONE, t[1], t[2], t[3], t[4])
CALL_AS(lion_kahan, lion, t[0], t[1], t[2], t[3], t[4], t[5])
CALL(sgd, t[0], t[1], t[2], t[3], t[4])
CALL(stable_adamw, t[0], t[1], t[2], t[3], t[4], t[5])
CALL(adafactor, t[0], t[1], t[2], t[3], NONE, t[4], t[5])
CALL_AS(adafactor_vector, adafactor, t[0], t[1], NONE, NONE, t[2], t[3], t[4])
CALL(schedule_free, t[0], t[1], t[2], t[3], t[4], t[5])
CALL(prodigy, t[0], t[1], t[2], NONE, NONE, t[3], t[4], t[5], t[6], t[7], t[8])
CALL_AS(prodigy_factors, prodigy, t[0], t[1], NONE, t[2], t[3], t[4], t[5], t[6], t[7], t[8], t[9])
CALL(lerp, t[0], t[1], t[2])

CALL(measures_join, t[0], t[1])
CALL(update_guard, t[0], t[1], t[2])
CALL(loss_scale, t[0], t[1])
CALL(loss_unscale, t[0], t[1])
CALL(loss_limits, t[0], t[1])
CALL(loss_turn, t[0], t[1], t[2])

/* The same behind a guard that has found something. */
static void
loss_turn_skipped(struct dev *d, struct tensor *t)
{
	const float bad[2] = { NAN, 1.f };

	d->m->upload(d, t[2].data, bad, sizeof bad);
	d->k->loss_turn(d, t[0], t[1], t[2]);
}

/* A tensor of floats with a copy and one of halves, in pieces; t: p, m, v, w, g, p, m, v, g, numbers, numbers, limits, stream. */
static void
adamw_pieces(struct dev *d, struct tensor *t)
{
	struct update_piece q[8];
	struct tensor table;
	int n = 0;

	for (int64_t at = 0, count = tensor_count(t[0]); at < count; at += UPDATE_PIECE)
		q[n++] = (struct update_piece){ (float *)t[0].data + at, (float *)t[1].data + at, (float *)t[2].data + at,
			(uint16_t *)t[3].data + at, (float *)t[4].data + at, at, 3,
			(int32_t)(count - at < UPDATE_PIECE ? count - at : UPDATE_PIECE), 0, false, false, at == UPDATE_PIECE };
	for (int64_t at = 0, count = tensor_count(t[5]); at < count; at += UPDATE_PIECE)
		q[n++] = (struct update_piece){ (uint16_t *)t[5].data + at, (uint16_t *)t[6].data + at, (uint16_t *)t[7].data + at,
			NULL, (char *)t[8].data + at * (int64_t)dtype_size(t[8].dtype), at, 4,
			(int32_t)(count - at < UPDATE_PIECE ? count - at : UPDATE_PIECE), 1, true, t[8].dtype == BF16, at > 0 };
	table = tensor_of(d->m->alloc(d, (size_t)n * sizeof *q), I64, 1, n);
	d->m->upload(d, table.data, q, (size_t)n * sizeof *q);
	d->k->adamw_pieces(d, table, n, t[9], t[10], t[11], t[12]);
	d->m->sync(d);
	d->m->free(d, table.data);
}

static void
adamw_pieces_skipped(struct dev *d, struct tensor *t)
{
	const float bad[2] = { NAN, 1.f };

	d->m->upload(d, t[11].data, bad, sizeof bad);
	adamw_pieces(d, t);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define LATENT N(4, { 2, 3, 5, 700 })
#define FRACTION { F32, 1, { 2 }, TWIN_POSITIVE }
#define LOSS { LATENT, N(1, { 3 }), LATENT, LATENT, LATENT, LATENT, FRACTION, { F32, 2, { 2, 700 }, TWIN_MASK }, FRACTION }

/* more than two pieces, and not whole ones, nor whole vectors */
#define LONG 41003
#define W N(1, { LONG })
#define P { F32, 1, { LONG }, TWIN_POSITIVE }
#define HALF { BF16, 1, { LONG }, TWIN_NORMAL }
#define HALF_P { BF16, 1, { LONG }, TWIN_POSITIVE }
#define SOME(n) { BF16, 1, { n }, TWIN_NORMAL }
#define CODES { U8, 2, { 130, 512 }, TWIN_INDEX }
#define SCALES { F32, 1, { 260 }, TWIN_POSITIVE }
#define TABLE { F32, 2, { 2, 256 }, TWIN_RISING }
#define NUMBERS { F32, 1, { OPTIM_NUMBERS }, TWIN_FRACTION }
#define LIMITS { F32, 1, { 2 }, TWIN_POSITIVE }
#define STREAM { I64, 1, { 2 }, TWIN_NORMAL }

static const struct twin_case cases[] = {
	/* one sample's numbers do not fill whole blocks of four, nor whole pieces */
	{ "normal", normal, 0, 0, { N(4, { 3, 2, 3, 1001 }), { I64, 2, { 3, 2 }, TWIN_NORMAL } }, NULL },
	{ "flow_mix", flow_mix, 0, 0, { LATENT, LATENT, LATENT, FRACTION }, NULL },
	{ "flow_mix", flow_mix_half, 0, 0, { LATENT, LATENT, LATENT, FRACTION }, NULL },
	{ "flow_loss", flow_loss, 1e-6, 0, LOSS, NULL },
	{ "flow_loss", flow_loss_half, 1e-6, 0, LOSS, NULL },
	{ "flow_loss", flow_velocity, 1e-6, 0, LOSS, NULL },
	{ "flow_loss", flow_velocity_half, 1e-6, 0, LOSS, NULL },
	{ "flow_loss", flow_huber, 1e-6, 0, LOSS, NULL },
	{ "flow_loss", flow_huber_half, 1e-6, 0, LOSS, NULL },
	{ "flow_loss", flow_smooth, 1e-6, 0, LOSS, NULL },
	{ "flow_loss", flow_smooth_velocity, 1e-6, 0, LOSS, NULL },
	{ "add_scaled", add_scaled, 0, 0, { LATENT, LATENT, FRACTION }, NULL },
	{ "grad_measure", grad_measure, 1e-6, 0, { N(1, { 2 }), W }, NULL },
	{ "grad_measure", grad_measure, 1e-6, 0, { N(1, { 2 }), N(1, { 5 }) }, NULL },
	{ "grad_measure", grad_measure, 1e-6, 0, { LIMITS, HALF }, NULL },
	{ "grad_limits", grad_limits, 1e-6, 0, { N(1, { 2 }), LIMITS }, NULL },
	{ "grad_limits", grad_limits_value, 1e-6, 0, { N(1, { 2 }), LIMITS }, NULL },
	{ "grad_clip", grad_clip, 0, 0, { W, LIMITS }, NULL },
	{ "adamw", adamw, 0, 0, { W, W, W, P, NUMBERS, LIMITS }, NULL },
	{ "adamw", adamw_copied, 0, 0, { W, W, W, P, NUMBERS, LIMITS, HALF }, NULL },
	{ "adamw_round", adamw_round, 0, 0, { HALF, W, HALF, HALF_P, NUMBERS, LIMITS, STREAM }, NULL },
	{ "adamw_round", adamw_round_shard, 0, 0, { HALF, W, HALF, HALF_P, NUMBERS, LIMITS, STREAM }, NULL },
	{ "adamw_kahan", adamw_kahan, 0, 0, { HALF, HALF, W, HALF, HALF_P, NUMBERS, LIMITS }, NULL },
	{ "adamw_codes", adamw_codes, 0, 256,
	  { N(2, { 130, 512 }), N(2, { 130, 512 }), CODES, SCALES, CODES, SCALES, TABLE, NUMBERS, LIMITS }, NULL },
	{ "adamw_codes", adamw_codes, 0, 256,
	  { { BF16, 2, { 130, 512 }, TWIN_NORMAL }, N(2, { 130, 512 }), CODES, SCALES, CODES, SCALES, TABLE, NUMBERS, LIMITS },
	  NULL },
	{ "adamw_codes", adamw_codes_small, 0, 0, { HALF, W, HALF, HALF_P, TABLE, NUMBERS, LIMITS }, NULL },
	{ "lion", lion, 0, 0, { W, W, W, NUMBERS, LIMITS }, NULL },
	{ "lion", lion_kahan, 0, 0, { HALF, HALF, W, HALF, NUMBERS, LIMITS }, NULL },
	{ "sgd", sgd, 0, 0, { W, W, W, NUMBERS, LIMITS }, NULL },
	{ "stable_adamw", stable_adamw, 1e-6, 0, { W, W, W, P, NUMBERS, LIMITS }, NULL },
	{ "adafactor", adafactor, 1e-6, 0,
	  { N(3, { 2, 37, 53 }), N(3, { 2, 37, 53 }), { F32, 3, { 2, 37, 1 }, TWIN_POSITIVE },
	    { F32, 3, { 2, 1, 53 }, TWIN_POSITIVE }, NUMBERS, LIMITS }, NULL },
	{ "adafactor", adafactor_vector, 1e-6, 0, { W, W, P, NUMBERS, LIMITS }, NULL },
	{ "schedule_free", schedule_free, 0, 0, { W, W, W, P, NUMBERS, LIMITS }, NULL },
	{ "prodigy", prodigy, 1e-6, 0,
	  { W, W, P, SOME((LONG + 10) / 11), SOME((LONG + 10) / 11), W, N(1, { 2 }), NUMBERS, LIMITS }, NULL },
	{ "prodigy", prodigy_factors, 1e-6, 0,
	  { N(2, { 37, 53 }), N(2, { 37, 53 }), { F32, 1, { 37 }, TWIN_POSITIVE }, { F32, 1, { 53 }, TWIN_POSITIVE },
	    SOME(179), SOME(179), N(2, { 37, 53 }), N(1, { 2 }), NUMBERS, LIMITS }, NULL },
	{ "prodigy", prodigy_factors, 1e-6, 0,
	  { N(2, { 53, 37 }), N(2, { 53, 37 }), { F32, 1, { 53 }, TWIN_POSITIVE }, { F32, 1, { 37 }, TWIN_POSITIVE },
	    SOME(179), SOME(179), N(2, { 53, 37 }), N(1, { 2 }), NUMBERS, LIMITS }, NULL },
	{ "measures_join", measures_join, 0, 0, { LIMITS, { F32, 3, { 3, 5, 2 }, TWIN_POSITIVE } }, NULL },
	{ "update_guard", update_guard, 0, 0, { LIMITS, LIMITS, W }, NULL },
	{ "loss_scale", loss_scale, 0, 0, { W, { F32, 1, { 4 }, TWIN_POSITIVE } }, NULL },
	{ "loss_unscale", loss_unscale, 1e-6, 0, { LIMITS, { F32, 1, { 4 }, TWIN_POSITIVE } }, NULL },
	{ "loss_limits", loss_limits, 1e-6, 0, { LIMITS, { F32, 1, { 4 }, TWIN_POSITIVE } }, NULL },
	{ "loss_turn", loss_turn, 0, 0, { { F32, 1, { 4 }, TWIN_POSITIVE }, W, LIMITS }, NULL },
	{ "loss_turn", loss_turn_skipped, 0, 0, { { F32, 1, { 4 }, TWIN_POSITIVE }, W, N(1, { 2 }) }, NULL },
	{ "adamw_pieces", adamw_pieces, 0, 0, { W, W, P, HALF, W, HALF, HALF, HALF_P, W, NUMBERS, NUMBERS, LIMITS, STREAM }, NULL },
	{ "adamw_pieces", adamw_pieces, 0, 0, { W, W, P, HALF, W, HALF, HALF, HALF_P, HALF, NUMBERS, NUMBERS, LIMITS, STREAM },
	  NULL },
	{ "adamw_pieces", adamw_pieces_skipped, 0, 0, { W, W, P, HALF, W, HALF, HALF, HALF_P, HALF, NUMBERS, NUMBERS, LIMITS, STREAM }, NULL },
	{ "lerp", lerp, 0, 0, { W, HALF, LIMITS }, NULL },
	{ "lerp", lerp, 0, 0, { W, W, LIMITS }, NULL },
};

const struct twin_cases twins_train = { cases, (int)(sizeof cases / sizeof *cases) };
