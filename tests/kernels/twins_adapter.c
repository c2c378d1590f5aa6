/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"
#include "support/twins.h"

/* Three modules of ranks 16, 5 and 8 (wide 16, 8, 8) with 48, 40 and 64 outputs; one of rank 70, one of rank 16; three of rank 16 with
 * unlike outputs. */
static struct adapters
three(float p)
{
	struct adapters m = { 3, { 16, 5, 8 }, { 48, 40, 64 }, { 1.f, 0.5f, -2.f }, p, { { .key = 0 } } };

	for (int k = 0; k < 3; k++)
		m.stream[k] = rng_stream(5, RNG_TEST, 0, (uint64_t)k);
	return m;
}

static struct adapters
one(void)
{
	return (struct adapters){ 1, { 70 }, { 64 }, { 0.5f }, 0.f, { rng_stream(5, RNG_TEST, 0, 9) } };
}

static struct adapters
one_thin(void)
{
	return (struct adapters){ 1, { 16 }, { 64 }, { 1.f }, 0.f, { rng_stream(5, RNG_TEST, 0, 9) } };
}

static struct adapters
three_alike(void)
{
	struct adapters m = three(0.f);

	for (int k = 0; k < 3; k++)
		m.rank[k] = 16;
	m.out[0] = 1096, m.out[1] = 640, m.out[2] = 72;
	return m;
}

#define CALL(name, what, m, ...)                              \
	static void name(struct dev *d, struct tensor *t)     \
	{                                                     \
		struct adapters k = m;                        \
		d->k->what(d, __VA_ARGS__, &k);               \
	}
CALL(down, adapters_down, three(0.f), t[0], t[1], t[2])
CALL(down_dropped, adapters_down, three(0.3f), t[0], t[1], t[2])
CALL(down_one, adapters_down, one(), t[0], t[1], t[2])
CALL(down_thin, adapters_down, one_thin(), t[0], t[1], t[2])
CALL(down_alike, adapters_down, three_alike(), t[0], t[1], t[2])
CALL(back_alike, adapters_back, three_alike(), t[0], t[1], t[2])
CALL(back, adapters_back, three(0.f), t[0], t[1], t[2])
CALL(back_one, adapters_back, one(), t[0], t[1], t[2])
CALL(grads, adapters_grads, three(0.f), t, t + 3, t[6], t[7], t[8], t[9])
CALL(grads_dropped, adapters_grads, three(0.3f), t, t + 3, t[6], t[7], t[8], t[9])
CALL(grads_one, adapters_grads, one(), t, t + 1, t[2], t[3], t[4], t[5])
CALL(dx, adapters_dx, three(0.3f), t[0], t[1], t[2])

/* Weights [out, in] with room for one module of rank r: w [out + width, in + width], across [width, out], a, b. */
static void
spread(struct dev *d, struct tensor *t)
{
	int64_t in = t[2].dim[1], out = t[3].dim[0], r = t[2].dim[0], ld = in + adapter_width(r);
	uint16_t *w = t[0].data;
	struct adapter_place place = { t[2].data, t[3].data, w + out * ld, w + in, t[1].data, in, out, r, ld, ld, -0.5f };
	struct tensor table = tensor_of(d->m->alloc(d, sizeof place), I32, 1, 1);

	d->m->upload(d, table.data, &place, sizeof place);
	d->k->adapters_spread(d, table, 1, in > out ? in : out);
	d->m->sync(d);
	d->m->free(d, table.data);
}

#define N(...) { F32, __VA_ARGS__, TWIN_NORMAL }
#define GRADS(T)                                                                                                                     \
	{ N(2, { 16, 72 }), N(2, { 5, 72 }), N(2, { 8, 72 }), N(2, { 48, 16 }), N(2, { 40, 5 }), N(2, { 64, 8 }), N(2, { T, 32 }),   \
	  N(2, { T, 32 }), N(2, { T, 72 }), N(2, { T, 152 }) }
/* The cuda twins take BF16 alone ("!"): without it linear layers have another way. */
static const struct twin_case cases[] = {
	{ "adapters_spread", spread, 1e-6, 0,
	  { { BF16, 2, { 32, 40 }, TWIN_NORMAL }, { BF16, 2, { 8, 24 }, TWIN_NORMAL }, N(2, { 5, 32 }), N(2, { 24, 5 }) }, NULL },
	{ "adapters_spread", spread, 1e-6, 0,
	  { { BF16, 2, { 192, 144 }, TWIN_NORMAL }, { BF16, 2, { 40, 152 }, TWIN_NORMAL }, N(2, { 36, 104 }), N(2, { 152, 36 }) }, NULL },
	{ "adapters_down", down, 1e-5, 0, { N(2, { 71, 32 }), N(2, { 71, 72 }), N(2, { 32, 72 }) }, "!hhh HHH" },
	{ "adapters_down", down_dropped, 1e-5, 0, { N(2, { 71, 32 }), N(2, { 71, 1032 }), N(2, { 32, 1032 }) }, "!hhh HHH" },
	{ "adapters_down", down_one, 1e-5, 0, { N(2, { 1, 72 }), N(2, { 1, 2560 }), N(2, { 72, 2560 }) }, "!hhh HHH" },
	{ "adapters_down", down_thin, 1e-5, 0, { N(2, { 201, 16 }), N(2, { 201, 2568 }), N(2, { 16, 2568 }) }, "!hhh HHH" },
	{ "adapters_down", down_thin, 1e-5, 0, { N(2, { 1, 16 }), N(2, { 1, 328 }), N(2, { 16, 328 }) }, "!hhh HHH" },
	{ "adapters_down", down_alike, 1e-5, 0, { N(2, { 641, 48 }), N(2, { 641, 1096 }), N(2, { 48, 1096 }) }, "!hhh HHH" },
	{ "adapters_back", back_alike, 1e-5, 0, { N(2, { 201, 48 }), N(2, { 201, 1808 }), N(1, { 16 * 1808 }) }, "!hhh HHh" },
	{ "adapters_back", back, 1e-5, 0, { N(2, { 71, 32 }), N(2, { 71, 152 }), N(1, { 16 * 48 + 8 * 40 + 8 * 64 }) }, "!hhh HHh" },
	{ "adapters_back", back_one, 1e-5, 0, { N(2, { 33, 72 }), N(2, { 33, 64 }), N(1, { 72 * 64 }) }, "!hhh HHh" },
	{ "adapters_grads", grads, 1e-5, 0, GRADS(71), "!......hhhh ......HHHH" },
	{ "adapters_grads", grads_dropped, 1e-5, 0, GRADS(301), "!......hhhh ......HHHH" },
	{ "adapters_grads", grads_one, 1e-5, 0,
	  { N(2, { 70, 72 }), N(2, { 64, 70 }), N(2, { 5, 72 }), N(2, { 5, 72 }), N(2, { 5, 72 }), N(2, { 5, 64 }) }, "!..hhhh" },
	{ "adapters_dx", dx, 1e-5, 0, { N(2, { 71, 72 }), N(2, { 71, 32 }), N(2, { 32, 72 }) }, "!hhh HHH .HH" },
};
const struct twin_cases twins_adapter = { cases, sizeof cases / sizeof *cases };
