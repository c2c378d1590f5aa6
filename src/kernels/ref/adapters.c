/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/kernels.h"

/* Rows of x may lie apart and be F32 or BF16. */
static float
number(struct tensor x, int64_t row, int64_t col)
{
	int64_t i = row * tensor_ld(x) + col;

	return x.dtype == BF16 ? bf16_to_f32(((const uint16_t *)x.data)[i]) : ((const float *)x.data)[i];
}

static void
put(struct tensor x, int64_t row, int64_t col, float v)
{
	int64_t i = row * tensor_ld(x) + col;

	if (x.dtype == BF16)
		((uint16_t *)x.data)[i] = f32_to_bf16(v);
	else
		((float *)x.data)[i] = v;
}

/* What module k keeps of element i: 0, or 1 / (1 - p). */
static float
kept(const struct adapters *m, int k, int64_t i)
{
	if (m->p == 0.f)
		return 1.f;
	return rng_uniform(m->stream[k], (uint64_t)i) >= m->p ? 1.f / (1.f - m->p) : 0.f;
}

void
ref_adapters_spread(struct dev *d, struct tensor table, int64_t n, int64_t most)
{
	(void)d, (void)most;
	for (const struct adapter_place *p = table.data, *end = p + n; p < end; p++) {
		for (int64_t j = 0; j < adapter_width(p->rank); j++) {
			for (int64_t k = 0; k < p->in; k++)
				p->rows[j * p->ld + k] = f32_to_bf16(j < p->rank ? p->a[j * p->in + k] : 0.f);
			for (int64_t o = 0; o < p->out; o++) {
				uint16_t v = f32_to_bf16(j < p->rank ? p->scale * p->b[o * p->rank + j] : 0.f);
				p->columns[o * p->ld_columns + j] = p->across[j * p->out + o] = v;
			}
		}
	}
}

void
ref_adapters_down(struct dev *d, struct tensor h, struct tensor x, struct tensor a, const struct adapters *m)
{
	int64_t N = tensor_rows(x), in = tensor_cols(x), at = 0;

	(void)d;
	for (int k = 0; k < m->n; at += adapter_width(m->rank[k]), k++)
		for (int64_t n = 0; n < N; n++)
			for (int64_t j = at; j < at + adapter_width(m->rank[k]); j++) {
				double sum = 0;
				for (int64_t i = 0; i < in; i++)
					sum += (double)(number(x, n, i) * kept(m, k, n * in + i)) * (double)number(a, j, i);
				put(h, n, j, (float)sum);
			}
}

void
ref_adapters_back(struct dev *d, struct tensor dh, struct tensor dy, struct tensor bt, const struct adapters *m)
{
	int64_t N = tensor_rows(dy), at = 0, from = 0, row = 0;
	struct tensor line = bt;

	(void)d;
	line.rank = 1;
	for (int k = 0; k < m->n; k++) {
		for (int64_t n = 0; n < N; n++)
			for (int64_t j = 0; j < adapter_width(m->rank[k]); j++) {
				double sum = 0;
				for (int64_t o = 0; o < m->out[k]; o++)
					sum += (double)number(dy, n, from + o) * (double)number(line, 0, row + j * m->out[k] + o);
				put(dh, n, at + j, (float)sum);
			}
		at += adapter_width(m->rank[k]);
		from += m->out[k];
		row += adapter_width(m->rank[k]) * m->out[k];
	}
}

void
ref_adapters_grads(struct dev *d, const struct tensor *da, const struct tensor *db, struct tensor dh, struct tensor h,
                   struct tensor x, struct tensor dy, const struct adapters *m)
{
	int64_t N = tensor_rows(x), in = tensor_cols(x), at = 0, from = 0;

	(void)d;
	for (int k = 0; k < m->n; k++) {
		for (int64_t j = 0; j < m->rank[k]; j++) {
			for (int64_t i = 0; i < in && da[k].rank; i++) {
				double sum = 0;
				for (int64_t n = 0; n < N; n++)
					sum += (double)number(dh, n, at + j) * (double)(number(x, n, i) * kept(m, k, n * in + i));
				((float *)da[k].data)[j * in + i] += (float)sum;
			}
			for (int64_t o = 0; o < m->out[k] && db[k].rank; o++) {
				double sum = 0;
				for (int64_t n = 0; n < N; n++)
					sum += (double)number(dy, n, from + o) * (double)number(h, n, at + j);
				((float *)db[k].data)[o * m->rank[k] + j] += m->scale[k] * (float)sum;
			}
		}
		at += adapter_width(m->rank[k]);
		from += m->out[k];
	}
}

void
ref_adapters_dx(struct dev *d, struct tensor dx, struct tensor dh, struct tensor a, const struct adapters *m)
{
	int64_t N = tensor_rows(dx), in = tensor_cols(dx);

	(void)d;
	for (int64_t n = 0; n < N; n++)
		for (int64_t i = 0; i < in; i++) {
			double all = (double)number(dx, n, i);
			int64_t at = 0;
			for (int k = 0; k < m->n; at += adapter_width(m->rank[k]), k++) {
				double sum = 0;
				for (int64_t j = at; j < at + adapter_width(m->rank[k]); j++)
					sum += (double)number(dh, n, j) * (double)number(a, j, i);
				all += sum * (double)kept(m, k, n * in + i);
			}
			put(dx, n, i, (float)all);
		}
}
