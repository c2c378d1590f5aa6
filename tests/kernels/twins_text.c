/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

static void
rms(struct dev *d, struct tensor *t)
{
	d->k->text_rms(d, t[0], t[1], t[2], 1e-6f, false);
}

static void
gate(struct dev *d, struct tensor *t)
{
	d->k->text_gate(d, t[0], t[1], t[2], false);
}

static void
gate_in_place(struct dev *d, struct tensor *t)
{
	d->k->text_gate(d, t[0], t[0], t[1], false);
}

static void
attend(struct dev *d, struct tensor *t)
{
	d->k->text_attend(d, t[0], (struct tensor){ 0 }, t[1], t[2], t[3], t[4], t[5], false);
}

static void
attend_shown(struct dev *d, struct tensor *t)
{
	d->k->text_attend(d, t[0], t[6], t[1], t[2], t[3], t[4], t[5], false);
}

/* Where results are rounded to bf16 the twins may fall on neighbours, 2^-8 apart, at each of the roundings on
 * the way. */
static void
rms_half(struct dev *d, struct tensor *t)
{
	d->k->text_rms(d, t[0], t[1], t[2], 1e-6f, true);
}

static void
gate_half(struct dev *d, struct tensor *t)
{
	d->k->text_gate(d, t[0], t[1], t[2], true);
}

static void
attend_half(struct dev *d, struct tensor *t)
{
	d->k->text_attend(d, t[0], (struct tensor){ 0 }, t[1], t[2], t[3], t[4], t[5], true);
}

static void
embed(struct dev *d, struct tensor *t)
{
	d->k->text_embed(d, t[0], t[1], t[2]);
}

static void
rounded(struct dev *d, struct tensor *t)
{
	d->k->text_round(d, t[0]);
}

static void
bias(struct dev *d, struct tensor *t)
{
	d->k->text_bias(d, t[0], t[1], 128);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define H(...) { BF16, __VA_ARGS__, TWIN_NORMAL }
#define MASK(...) { F32, __VA_ARGS__, TWIN_MASK }
/* T tokens, B texts, n heads of width w, stored in bf16. */
#define HALF(B, T, n, w) \
	{ H(3, { B, T, n * w }), H(3, { B, T, n * w }), H(3, { B, T, n * w }), H(3, { B, T, n * w }), N(3, { n, T, T }), MASK(2, { B, T }) }
static const struct twin_case cases[] = {
	{ "text_rms", rms, 1e-6, 0, { N(3, { 3, 41, 133 }), N(3, { 3, 41, 133 }), N(1, { 133 }) }, NULL },
	{ "text_rms", rms, 1e-6, 0, { N(2, { 5, 768 }), N(2, { 5, 768 }), { BF16, 1, { 768 }, TWIN_NORMAL } }, NULL },
	{ "text_gate", gate, 1e-6, 0, { N(2, { 37, 333 }), N(2, { 37, 333 }), N(2, { 37, 333 }) }, NULL },
	{ "text_gate", gate_in_place, 1e-6, 0, { N(2, { 3, 5 }), N(2, { 3, 5 }) }, NULL },
	{ "text_attend", attend, 1e-5, 0,
	  { N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 3, 37, 37 }), MASK(2, { 2, 37 }) }, NULL },
	{ "text_rms", rms_half, 2. / 256, 0, { N(3, { 3, 41, 133 }), N(3, { 3, 41, 133 }), N(1, { 133 }) }, NULL },
	{ "text_gate", gate_half, 2. / 256, 0, { N(2, { 37, 333 }), N(2, { 37, 333 }), N(2, { 37, 333 }) }, NULL },
	{ "text_attend", attend_half, 4. / 256, 0,
	  { N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 3, 37, 37 }), MASK(2, { 2, 37 }) }, NULL },
	{ "text_attend", attend_shown, 1e-5, 0,
	  { N(3, { 2, 7, 20 }), N(3, { 2, 7, 20 }), N(3, { 2, 7, 20 }), N(3, { 2, 7, 20 }), N(3, { 2, 7, 7 }), MASK(2, { 2, 7 }),
	    N(4, { 2, 2, 7, 7 }) }, NULL },
	{ "text_attend", attend, 1e-5, 0,
	  { N(3, { 1, 1, 4 }), N(3, { 1, 1, 4 }), N(3, { 1, 1, 4 }), N(3, { 1, 1, 4 }), N(3, { 2, 1, 1 }), MASK(2, { 1, 1 }) }, NULL },
	{ "text_rms", rms_half, 2. / 256, 0, { H(3, { 3, 41, 133 }), H(3, { 3, 41, 133 }), H(1, { 133 }) }, NULL },
	{ "text_rms", rms_half, 2. / 256, 0, { H(2, { 21, 768 }), H(2, { 21, 768 }), H(1, { 768 }) }, NULL },
	{ "text_rms", rms, 1e-6, 0, { N(2, { 3, 1032 }), N(2, { 3, 1032 }), N(1, { 1032 }) }, NULL },
	{ "text_gate", gate_half, 2. / 256, 0, { H(2, { 37, 333 }), H(2, { 37, 333 }), H(2, { 37, 333 }) }, NULL },
	{ "text_gate", gate_half, 2. / 256, 0, { H(2, { 37, 328 }), H(2, { 37, 328 }), H(2, { 37, 328 }) }, NULL },
	{ "text_attend", attend_half, 4. / 256, 0, HALF(2, 37, 3, 8), NULL },
	{ "text_attend", attend_half, 4. / 256, 0, HALF(3, 64, 2, 64), ". ssss.." },
	{ "text_attend", attend_half, 4. / 256, 0, HALF(1, 1, 2, 64), NULL },
	{ "text_attend", attend_half, 4. / 256, 0, HALF(2, 67, 1, 64), NULL },
	{ "text_attend", attend_half, 4. / 256, 0, HALF(1, 131, 2, 64), NULL },
	{ "text_attend", attend_half, 4. / 256, 0, HALF(1, 256, 1, 64), NULL },
	{ "text_attend", attend_half, 4. / 256, 0, HALF(1, 261, 1, 64), NULL },
	{ "text_embed", embed, 1e-6, 19, { H(2, { 31, 40 }), { F16, 2, { 19, 40 }, TWIN_NORMAL }, { I32, 1, { 31 }, TWIN_INDEX } }, NULL },
	{ "text_embed", embed, 1e-6, 19, { N(2, { 31, 40 }), N(2, { 19, 40 }), { I32, 1, { 31 }, TWIN_INDEX } }, NULL },
	{ "text_embed", embed, 1e-6, 19, { N(2, { 31, 37 }), { BF16, 2, { 19, 37 }, TWIN_NORMAL }, { I32, 1, { 31 }, TWIN_INDEX } }, NULL },
	{ "text_round", rounded, 1e-6, 0, { N(2, { 31, 37 }) }, NULL },
	{ "text_bias", bias, 1e-6, 0, { N(3, { 5, 143, 143 }), N(2, { 32, 5 }) }, NULL },
	{ "text_bias", bias, 1e-6, 0, { N(3, { 5, 1, 1 }), { BF16, 2, { 32, 5 }, TWIN_NORMAL } }, NULL },
};
const struct twin_cases twins_text = { cases, sizeof cases / sizeof *cases };
