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

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define MASK(...) { F32, __VA_ARGS__, TWIN_MASK }
static const struct twin_case cases[] = {
	{ "text_rms", rms, 1e-6, 0, { N(3, { 3, 41, 133 }), N(3, { 3, 41, 133 }), N(1, { 133 }) } },
	{ "text_rms", rms, 1e-6, 0, { N(2, { 5, 768 }), N(2, { 5, 768 }), { BF16, 1, { 768 }, TWIN_NORMAL } } },
	{ "text_gate", gate, 1e-6, 0, { N(2, { 37, 333 }), N(2, { 37, 333 }), N(2, { 37, 333 }) } },
	{ "text_gate", gate_in_place, 1e-6, 0, { N(2, { 3, 5 }), N(2, { 3, 5 }) } },
	{ "text_attend", attend, 1e-5, 0,
	  { N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 3, 37, 37 }), MASK(2, { 2, 37 }) } },
	{ "text_rms", rms_half, 2. / 256, 0, { N(3, { 3, 41, 133 }), N(3, { 3, 41, 133 }), N(1, { 133 }) } },
	{ "text_gate", gate_half, 2. / 256, 0, { N(2, { 37, 333 }), N(2, { 37, 333 }), N(2, { 37, 333 }) } },
	{ "text_attend", attend_half, 4. / 256, 0,
	  { N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 2, 37, 24 }), N(3, { 3, 37, 37 }), MASK(2, { 2, 37 }) } },
	{ "text_attend", attend_shown, 1e-5, 0,
	  { N(3, { 2, 7, 20 }), N(3, { 2, 7, 20 }), N(3, { 2, 7, 20 }), N(3, { 2, 7, 20 }), N(3, { 2, 7, 7 }), MASK(2, { 2, 7 }),
	    N(4, { 2, 2, 7, 7 }) } },
	{ "text_attend", attend, 1e-5, 0,
	  { N(3, { 1, 1, 4 }), N(3, { 1, 1, 4 }), N(3, { 1, 1, 4 }), N(3, { 1, 1, 4 }), N(3, { 2, 1, 1 }), MASK(2, { 1, 1 }) } },
};
const struct twin_cases twins_text = { cases, sizeof cases / sizeof *cases };
