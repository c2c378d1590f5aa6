/* SPDX-License-Identifier: Apache-2.0 */
/* Prodigy with schedule-free averaging, as the reference trains with it (training.md section 4) */
#include "kernels/kernels.h"
#include "kernels/optim_formula.h"

struct prodigy {
	float *v, *row, *col;		/* v; or row and col of a matrix */
	const float *g, *n, *l;
	int64_t rows, cols;
	float mean;			/* of row */
};

static float
gradient(const struct prodigy *p, int64_t i)
{
	return limited(p->g[i], p->l[LIMIT_FACTOR], p->l[LIMIT_BOUND]);
}

/* Sum of the squares of count gradients, the first at from, the next ones each stride further. */
static double
squares(const struct prodigy *p, int64_t from, int64_t stride, int64_t count)
{
	double sum = 0;

	for (int64_t i = 0; i < count; i++) {
		double x = (double)gradient(p, from + i * stride);
		sum += x * x;
	}
	return sum;
}

/* The second moments, of gradients times d: NUMBER_G2 has d^2 in it. */
static void
take_in(struct prodigy *p, int64_t count)
{
	const float *n = p->n;
	double sum = 0;

	if (p->v) {
		for (int64_t i = 0; i < count; i++)
			p->v[i] = second_moment(p->v[i], gradient(p, i), n);
		return;
	}
	for (int64_t r = 0; r < p->rows; r++) {
		float mean = (float)(squares(p, r * p->cols, 1, p->cols) / (double)p->cols);
		p->row[r] = p->row[r] * n[NUMBER_KEEP2] + n[NUMBER_G2] * mean;
		sum += (double)p->row[r];
	}
	for (int64_t c = 0; c < p->cols; c++) {
		float mean = (float)(squares(p, c, p->cols, p->rows) / (double)p->rows);
		p->col[c] = p->col[c] * n[NUMBER_KEEP2] + n[NUMBER_G2] * mean;
	}
	p->mean = (float)(sum / (double)p->rows);
}

static float
update(const struct prodigy *p, int64_t i)
{
	float root = p->v ? sqrtf(p->v[i])
	                  : prodigy_factored(p->row[i / p->cols], p->col[i % p->cols], p->mean, p->rows > p->cols);

	return prodigy_direction(gradient(p, i), root, p->n);
}

void
ref_prodigy(struct dev *d, struct tensor y, struct tensor z, struct tensor v, struct tensor row, struct tensor col,
            struct tensor s, struct tensor start, struct tensor g, struct tensor sums, struct tensor n, struct tensor l)
{
	struct prodigy p = { .v = v.rank ? v.data : NULL, .row = row.data, .col = col.data, .g = g.data, .n = n.data,
		             .l = l.data, .rows = y.dim[0], .cols = tensor_cols(y) };
	int64_t count = tensor_count(y);
	float *yp = y.data, *zp = z.data, shrink;
	double size = 0, along = 0, reach = 0;

	(void)d;
	take_in(&p, count);
	for (int64_t i = 0; i < count; i++)
		size += (double)update(&p, i) * (double)update(&p, i);
	shrink = prodigy_shrink(size, count);
	for (int64_t i = 0; i < count; i += PRODIGY_EVERY) {
		uint16_t *sp = (uint16_t *)s.data + i / PRODIGY_EVERY, *x0 = (uint16_t *)start.data + i / PRODIGY_EVERY;
		along += prodigy_along(gradient(&p, i), yp[i], zp[i], sp, x0, p.n);
		reach += fabs((double)bf16_to_f32(*sp));
	}
	((float *)sums.data)[0] += (float)along;
	((float *)sums.data)[1] += bf16_round((float)reach);
	for (int64_t i = 0; i < count; i++)
		yp[i] = prodigy_number(yp[i], zp + i, update(&p, i) * shrink, p.n);
}
