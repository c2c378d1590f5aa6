/* SPDX-License-Identifier: Apache-2.0 */
/* AdamW with moments kept as 8-bit codes, in blocks of 256 values */
#include "kernels/cpu/cpu.h"
#include "kernels/optim_formula.h"

enum { BLOCK = 256, BLOCKS_A_PIECE = 64 };

struct codes {
	const float *g, *table;		/* table [2, 256] */
	uint8_t *m, *v;
	float *ms, *vs, n[OPTIM_NUMBERS], factor, bound;
};

CPU_CLONES static void
update_block(const struct codes *c, int64_t b, float *restrict p, float *restrict m, float *restrict v)
{
	const uint8_t *mc = c->m + b * BLOCK, *vc = c->v + b * BLOCK;
	const float *g = c->g + b * BLOCK, *table = c->table;
	float n[OPTIM_NUMBERS], factor = c->factor, bound = c->bound, ms = c->ms[b], vs = c->vs[b];

	memcpy(n, c->n, sizeof n);
	for (int i = 0; i < BLOCK; i++) {
		float m32 = table[mc[i]] * ms, v32 = table[256 + vc[i]] * vs;
		p[i] = adamw_number_codes(p[i], limited(g[i], factor, bound), &m32, &v32, n);
		m[i] = m32;
		v[i] = v32;
	}
}

/* nearest_code of a block, step by step for all its values, whose searches do not wait for each other. */
CPU_CLONES static void
encode(uint8_t *restrict code, float *scale, const float *restrict x, const float *restrict table)
{
	float top = 0.f, y[BLOCK];
	int32_t c[BLOCK] = { 0 };

	for (int i = 0; i < BLOCK; i++)
		top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
	top = top > 1e-12f ? top : 1e-12f;
	*scale = top;
	for (int i = 0; i < BLOCK; i++)
		y[i] = x[i] / top;
	for (int step = 128; step > 0; step /= 2)
		for (int i = 0; i < BLOCK; i++)
			c[i] += step * (table[c[i] + step] <= y[i]);
	for (int i = 0; i < BLOCK; i++) {
		int32_t above = c[i] < 255 ? c[i] + 1 : 255;
		code[i] = (uint8_t)(c[i] < 255 && y[i] - table[c[i]] >= (table[above] - table[c[i]]) * 0.5f ? above : c[i]);
	}
}

CPU_CLONES static void
widen(float *restrict y, const uint16_t *restrict x)
{
	for (int i = 0; i < BLOCK; i++)
		y[i] = bf16_to_f32(x[i]);
}

CPU_CLONES static void
narrow(uint16_t *restrict y, const float *restrict x)
{
	for (int i = 0; i < BLOCK; i++)
		y[i] = f32_to_bf16(x[i]);
}

static void
block(const struct codes *c, struct tensor p, int64_t b)
{
	float m[BLOCK], v[BLOCK], wide[BLOCK];

	if (p.dtype == BF16) {
		widen(wide, (const uint16_t *)p.data + b * BLOCK);
		update_block(c, b, wide, m, v);
		narrow((uint16_t *)p.data + b * BLOCK, wide);
	} else {
		update_block(c, b, (float *)p.data + b * BLOCK, m, v);
	}
	encode(c->m + b * BLOCK, c->ms + b, m, c->table);
	encode(c->v + b * BLOCK, c->vs + b, v, c->table + 256);
}

void
cpu_adamw_codes(struct dev *d, struct tensor p, struct tensor g, struct tensor m, struct tensor ms, struct tensor v,
                struct tensor vs, struct tensor table, struct tensor n, struct tensor l)
{
	int64_t blocks = tensor_count(p) / BLOCK;
	const float *lp = l.data;
	struct codes c = { .g = g.data, .table = table.data, .m = m.data, .v = v.data, .ms = ms.data, .vs = vs.data,
		           .factor = lp[LIMIT_FACTOR], .bound = lp[LIMIT_BOUND] };

	memcpy(c.n, n.data, sizeof c.n);
	if (!ms.rank) {				/* small: in floating point */
		ref_adamw_codes(d, p, g, m, ms, v, vs, table, n, l);
		return;
	}
#pragma omp parallel for schedule(static, BLOCKS_A_PIECE) num_threads(d->threads) if (blocks > BLOCKS_A_PIECE)
	for (int64_t b = 0; b < blocks; b++)
		block(&c, p, b);
}
