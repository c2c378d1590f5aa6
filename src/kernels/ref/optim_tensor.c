/* SPDX-License-Identifier: Apache-2.0 */
/* rules whose step depends on a whole tensor, or on blocks of it */
#include "kernels/kernels.h"
#include "kernels/optim_formula.h"

void
ref_stable_adamw(struct dev *d, struct tensor p, struct tensor g, struct tensor m, struct tensor v, struct tensor n,
                 struct tensor l)
{
	int64_t count = tensor_count(p);
	const float *gp = g.data, *lp = l.data, *np = n.data;
	float *pp = p.data, *mp = m.data, *vp = v.data, least = np[NUMBER_EPS] * np[NUMBER_EPS], step;
	double sum = 0;

	(void)d;
	for (int64_t i = 0; i < count; i++) {
		float x = limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]);
		mp[i] = between(mp[i], x, np[NUMBER_G1]);
		vp[i] = second_moment(vp[i], x, np);
		sum += (double)(x * x / (vp[i] > least ? vp[i] : least));
	}
	sum = sqrt(sum / (double)count);
	step = (float)((double)np[NUMBER_STEP] / (sum > 1 ? sum : 1));
	for (int64_t i = 0; i < count; i++)
		pp[i] = pp[i] * (1.f - step * np[NUMBER_L2]) - step * mp[i] / (sqrtf(vp[i]) + np[NUMBER_EPS]);
}

/* 256 values, or what is left of them, of m and v as codes. */
static void
codes_block(struct tensor p, int64_t from, const float *g, uint8_t *m, float *ms, uint8_t *v, float *vs, const float *table,
            const float *n, const float *l)
{
	float m32[256], v32[256], top_m = 0.f, top_v = 0.f;

	for (int64_t i = 0; i < 256; i++) {
		float x = limited(g[i], l[LIMIT_FACTOR], l[LIMIT_BOUND]);
		m32[i] = table[m[i]] * *ms;
		v32[i] = table[256 + v[i]] * *vs;
		if (p.dtype == BF16) {
			uint16_t *pp = (uint16_t *)p.data + from + i;
			*pp = f32_to_bf16(adamw_number_codes(bf16_to_f32(*pp), x, m32 + i, v32 + i, n));
		} else {
			float *pp = (float *)p.data + from + i;
			*pp = adamw_number_codes(*pp, x, m32 + i, v32 + i, n);
		}
		top_m = fabsf(m32[i]) > top_m ? fabsf(m32[i]) : top_m;
		top_v = fabsf(v32[i]) > top_v ? fabsf(v32[i]) : top_v;
	}
	*ms = top_m > 1e-12f ? top_m : 1e-12f;
	*vs = top_v > 1e-12f ? top_v : 1e-12f;
	for (int64_t i = 0; i < 256; i++) {
		m[i] = (uint8_t)nearest_code(table, m32[i] / *ms);
		v[i] = (uint8_t)nearest_code(table + 256, v32[i] / *vs);
	}
}

static float
load(struct tensor x, int64_t i)
{
	return x.dtype == BF16 ? bf16_to_f32(((const uint16_t *)x.data)[i]) : ((const float *)x.data)[i];
}

static void
store(struct tensor x, int64_t i, float value)
{
	if (x.dtype == BF16)
		((uint16_t *)x.data)[i] = f32_to_bf16(value);
	else
		((float *)x.data)[i] = value;
}

void
ref_adamw_codes(struct dev *d, struct tensor p, struct tensor g, struct tensor m, struct tensor ms, struct tensor v,
                struct tensor vs, struct tensor table, struct tensor n, struct tensor l)
{
	int64_t count = tensor_count(p);
	const float *gp = g.data, *lp = l.data;

	(void)d;
	for (int64_t i = 0; ms.rank && i < count; i += 256)
		codes_block(p, i, gp + i, (uint8_t *)m.data + i, (float *)ms.data + i / 256, (uint8_t *)v.data + i,
		            (float *)vs.data + i / 256, table.data, n.data, lp);
	for (int64_t i = 0; !ms.rank && i < count; i++) {
		float m32 = load(m, i), v32 = load(v, i), x = limited(gp[i], lp[LIMIT_FACTOR], lp[LIMIT_BOUND]);
		store(p, i, adamw_number_codes(load(p, i), x, &m32, &v32, n.data));
		store(m, i, m32);
		store(v, i, v32);
	}
}

/* row += w (mean of g^2 over columns - row), col likewise over rows, for one matrix. */
static void
factors(const float *g, const float *l, float *row, float *col, int64_t rows, int64_t cols, float w)
{
	for (int64_t r = 0; r < rows; r++) {
		double sum = 0;
		for (int64_t c = 0; c < cols; c++) {
			double x = (double)limited(g[r * cols + c], l[LIMIT_FACTOR], l[LIMIT_BOUND]);
			sum += x * x;
		}
		row[r] = between(row[r], (float)(sum / (double)cols), w);
	}
	for (int64_t c = 0; c < cols; c++) {
		double sum = 0;
		for (int64_t r = 0; r < rows; r++) {
			double x = (double)limited(g[r * cols + c], l[LIMIT_FACTOR], l[LIMIT_BOUND]);
			sum += x * x;
		}
		col[c] = between(col[c], (float)(sum / (double)rows), w);
	}
}

static double
root_mean_square(const float *x, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)x[i] * (double)x[i];
	return n ? sqrt(sum / (double)n) : 0;
}

static double
mean(const float *x, int64_t n)
{
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)x[i];
	return sum / (double)n;
}

/* The update g / sqrt(v) at element i, v from its factors or whole. */
struct adafactor {
	const float *g, *l, *row, *col, *full;	/* full NULL: row and col */
	float bottom, eps;			/* the matrix's mean row, not below eps */
};

static float
direction(const struct adafactor *a, int64_t i, int64_t r, int64_t c)
{
	float v = a->full ? a->full[i] : a->row[r] * a->col[c] / a->bottom, least = a->eps * a->eps;

	return limited(a->g[i], a->l[LIMIT_FACTOR], a->l[LIMIT_BOUND]) * (1.f / sqrtf(v > least ? v : least));
}

/* Adds the squares of the update of one matrix to sum (step NULL), or takes the step. */
static void
move_matrix(const struct adafactor *a, float *p, int64_t rows, int64_t cols, double *sum, const float *step, float decay)
{
	for (int64_t r = 0; r < rows; r++)
		for (int64_t c = 0; c < cols; c++) {
			int64_t i = r * cols + c;
			float u = direction(a, i, r, c);
			if (step)
				p[i] = p[i] * decay + *step * u;
			else
				*sum += (double)u * (double)u;
		}
}

void
ref_adafactor(struct dev *d, struct tensor p, struct tensor g, struct tensor row, struct tensor col, struct tensor full,
              struct tensor n, struct tensor l)
{
	bool whole = full.rank > 0;
	int64_t count = tensor_count(p), cols = tensor_cols(p), rows = whole ? 1 : p.dim[p.rank - 2];
	int64_t size = rows * cols, matrices = size ? count / size : 0;
	const float *np = n.data;
	float *pp = p.data, *fp = full.data, *rp = row.data, *cp = col.data, step = 0;
	double rms = root_mean_square(pp, count), sum = 0, alpha;

	(void)d;
	for (int pass = 0; pass < 3; pass++) {		/* the second moments; the size of the update; the step */
		for (int64_t k = 0; k < matrices; k++) {
			struct adafactor a = { .g = (const float *)g.data + k * size, .l = l.data, .eps = np[NUMBER_EPS] };
			if (whole) {
				a.full = fp + k * size;
				for (int64_t i = 0; pass == 0 && i < size; i++) {
					float x = limited(a.g[i], a.l[LIMIT_FACTOR], a.l[LIMIT_BOUND]);
					fp[k * size + i] = between(fp[k * size + i], x * x, np[NUMBER_G2]);
				}
			} else {
				a.row = rp + k * rows;
				a.col = cp + k * cols;
				if (pass == 0)
					factors(a.g, a.l, rp + k * rows, cp + k * cols, rows, cols, np[NUMBER_G2]);
				a.bottom = (float)mean(a.row, rows);
				a.bottom = a.bottom > a.eps ? a.bottom : a.eps;
			}
			if (pass > 0)
				move_matrix(&a, pp + k * size, rows, cols, &sum, pass == 2 ? &step : NULL, np[NUMBER_DECAY]);
		}
		if (pass == 1) {
			alpha = (rms > (double)np[NUMBER_EPS2] ? rms : (double)np[NUMBER_EPS2]) * (double)np[NUMBER_STEP];
			sum = sqrt(sum / (double)count) / (double)np[NUMBER_D];
			step = (float)(-alpha / (sum > 1 ? sum : 1));
		}
	}
}
