/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cpu/cpu.h"
#include "kernels/optim_formula.h"

/* One update of one tensor, cut into pieces of this many numbers. */
enum { PIECE = 16384 };

struct job {
	void *p, *c, *m, *v;		/* c: what a rule keeps besides: a bf16 copy, a compensation; NULL: nothing */
	const float *g;
	float n[OPTIM_NUMBERS], factor, bound;
	struct rng r;
	int64_t first;
};

static struct job
job_of(struct tensor p, struct tensor c, struct tensor g, struct tensor m, struct tensor v, struct tensor n, struct tensor l)
{
	const float *lp = l.data;
	struct job j = { .p = p.data, .c = c.rank ? c.data : NULL, .g = g.data, .m = m.data, .v = v.data,
		         .factor = lp[LIMIT_FACTOR], .bound = lp[LIMIT_BOUND] };

	memcpy(j.n, n.data, sizeof j.n);
	return j;
}

static void
over_pieces(struct dev *d, const struct job *j, int64_t count, void (*f)(const struct job *j, int64_t from, int64_t n))
{
#pragma omp parallel for schedule(static) num_threads(d->threads) if (count > PIECE)
	for (int64_t i = 0; i < count; i += PIECE)
		f(j, i, count - i < PIECE ? count - i : PIECE);
}

CPU_CLONES static void
adamw_piece(const struct job *j, int64_t from, int64_t count)
{
	float *restrict p = (float *)j->p + from, *restrict m = (float *)j->m + from, *restrict v = (float *)j->v + from;
	const float *restrict g = j->g + from;
	float n[OPTIM_NUMBERS], factor = j->factor, bound = j->bound;

	memcpy(n, j->n, sizeof n);
	for (int64_t i = 0; i < count; i++) {
		float m32 = m[i], v32 = v[i];
		p[i] = adamw_number(p[i], limited(g[i], factor, bound), &m32, &v32, n);
		m[i] = m32;
		v[i] = v32;
	}
}

CPU_CLONES static void
to_half(uint16_t *restrict y, const float *restrict x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = f32_to_bf16(x[i]);
}

static void
adamw_piece_and_copy(const struct job *j, int64_t from, int64_t count)
{
	adamw_piece(j, from, count);
	to_half((uint16_t *)j->c + from, (const float *)j->p + from, count);
}

void
cpu_adamw(struct dev *d, struct tensor p, struct tensor w, struct tensor g, struct tensor m, struct tensor v, struct tensor n,
          struct tensor l)
{
	struct job j = job_of(p, w, g, m, v, n, l);

	over_pieces(d, &j, tensor_count(p), w.rank ? adamw_piece_and_copy : adamw_piece);
}

/* Rounding words of a window: what CPU_BLOCKS blocks give, eight a block. */
enum { WINDOW = 8 * CPU_BLOCKS };

CPU_CLONES static void
spread(uint16_t *restrict word, const uint32_t (*restrict w)[CPU_BLOCKS])
{
	for (int k = 0; k < CPU_BLOCKS; k++)
		for (int i = 0; i < 4; i++) {
			word[8 * k + 2 * i] = (uint16_t)w[i][k];
			word[8 * k + 2 * i + 1] = (uint16_t)(w[i][k] >> 16);
		}
}

CPU_CLONES static void
adamw_round_window(const struct job *j, int64_t from, int64_t count, const uint16_t *restrict word)
{
	uint16_t *restrict p = (uint16_t *)j->p + from, *restrict m = (uint16_t *)j->m + from;
	uint16_t *restrict v = (uint16_t *)j->v + from;
	const float *restrict g = j->g + from;
	float n[OPTIM_NUMBERS], factor = j->factor, bound = j->bound;

	memcpy(n, j->n, sizeof n);
	for (int64_t i = 0; i < count; i++) {
		uint16_t m16 = m[i], v16 = v[i];
		p[i] = adamw_number_by_chance(p[i], limited(g[i], factor, bound), &m16, &v16, word[i], n);
		m[i] = m16;
		v[i] = v16;
	}
}

/* Windows begin at multiples of WINDOW of the whole tensor, so that a shard draws what the whole would. */
static void
adamw_round_piece(const struct job *j, int64_t from, int64_t count)
{
	uint32_t w[4][CPU_BLOCKS];
	uint16_t word[WINDOW];

	for (int64_t end = from + count; from < end;) {
		int64_t at = j->first + from, skip = at % WINDOW, left = WINDOW - skip;
		int64_t n = end - from < left ? end - from : left;
		cpu_draw(j->r, (uint64_t)(at - skip) / 8, w);
		spread(word, (const uint32_t (*)[CPU_BLOCKS])w);
		adamw_round_window(j, from, n, word + skip);
		from += n;
	}
}

void
cpu_adamw_round(struct dev *d, struct tensor p, struct tensor g, struct tensor m, struct tensor v, struct tensor n,
                struct tensor l, struct tensor stream, int64_t number, int64_t first)
{
	struct job j = job_of(p, (struct tensor){ 0 }, g, m, v, n, l);
	const uint64_t *s = stream.data;

	j.r = rng_sub((struct rng){ .key = s[0], .stream = s[1] }, (uint64_t)number);
	j.first = first;
	over_pieces(d, &j, tensor_count(p), adamw_round_piece);
}

CPU_CLONES static void
adamw_kahan_piece(const struct job *j, int64_t from, int64_t count)
{
	uint16_t *restrict p = (uint16_t *)j->p + from, *restrict c = (uint16_t *)j->c + from;
	uint16_t *restrict m = (uint16_t *)j->m + from, *restrict v = (uint16_t *)j->v + from;
	const float *restrict g = j->g + from;
	float n[OPTIM_NUMBERS], factor = j->factor, bound = j->bound;

	memcpy(n, j->n, sizeof n);
	for (int64_t i = 0; i < count; i++) {
		float c32 = bf16_to_f32(c[i]), m32 = bf16_to_f32(m[i]), v32 = bf16_to_f32(v[i]);
		p[i] = f32_to_bf16(adamw_number_kahan(bf16_to_f32(p[i]), &c32, limited(g[i], factor, bound), &m32, &v32, n));
		c[i] = f32_to_bf16(c32);
		m[i] = f32_to_bf16(m32);
		v[i] = f32_to_bf16(v32);
	}
}

void
cpu_adamw_kahan(struct dev *d, struct tensor p, struct tensor c, struct tensor g, struct tensor m, struct tensor v,
                struct tensor n, struct tensor l)
{
	struct job j = job_of(p, c, g, m, v, n, l);

	over_pieces(d, &j, tensor_count(p), adamw_kahan_piece);
}

CPU_CLONES static void
lion_piece(const struct job *j, int64_t from, int64_t count)
{
	float *restrict p = (float *)j->p + from, *restrict m = (float *)j->m + from;
	const float *restrict g = j->g + from;
	float n[OPTIM_NUMBERS], factor = j->factor, bound = j->bound;

	memcpy(n, j->n, sizeof n);
	for (int64_t i = 0; i < count; i++) {
		float m32 = m[i];
		p[i] = lion_number(p[i], limited(g[i], factor, bound), &m32, n);
		m[i] = m32;
	}
}

CPU_CLONES static void
lion_kahan_piece(const struct job *j, int64_t from, int64_t count)
{
	uint16_t *restrict p = (uint16_t *)j->p + from, *restrict c = (uint16_t *)j->c + from;
	uint16_t *restrict m = (uint16_t *)j->m + from;
	const float *restrict g = j->g + from;
	float n[OPTIM_NUMBERS], factor = j->factor, bound = j->bound;

	memcpy(n, j->n, sizeof n);
	for (int64_t i = 0; i < count; i++) {
		float c32 = bf16_to_f32(c[i]), m32 = bf16_to_f32(m[i]);
		p[i] = f32_to_bf16(lion_number_kahan(bf16_to_f32(p[i]), &c32, limited(g[i], factor, bound), &m32, n));
		c[i] = f32_to_bf16(c32);
		m[i] = f32_to_bf16(m32);
	}
}

void
cpu_lion(struct dev *d, struct tensor p, struct tensor c, struct tensor g, struct tensor m, struct tensor n, struct tensor l)
{
	struct job j = job_of(p, c, g, m, m, n, l);

	over_pieces(d, &j, tensor_count(p), c.rank ? lion_kahan_piece : lion_piece);
}
