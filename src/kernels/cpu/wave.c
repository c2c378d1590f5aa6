/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions of waves as products: the windows of a stretch of time are laid out as columns, which stay in the cache. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/wave512.h"

#include <math.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { TILE_MIN = 64, TILE_MAX = 2048, TILE_FLOATS = 3 << 18, PIECE = 16384 };

static int
thread(void)
{
#ifdef _OPENMP
	return omp_get_thread_num();
#else
	return 0;
#endif
}

/* Positions that one thread takes at a time, where each has so many numbers beside it. */
static int64_t
tile_of(int64_t rows, int64_t n)
{
	int64_t tile = TILE_FLOATS / (rows > 0 ? rows : 1) / 64 * 64;

	tile = tile < TILE_MIN ? TILE_MIN : tile > TILE_MAX ? TILE_MAX : tile;
	return tile < n ? tile : n;
}

void
cpu_map_double(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t width = x.dim[2], lines = x.dim[0] * x.dim[1];

#pragma omp parallel for schedule(static) num_threads(d->threads) if (tensor_count(y) > PIECE)
	for (int64_t l = 0; l < lines; l++) {
		const float *from = (const float *)x.data + l * width;
		float *to = (float *)y.data + l * 4 * width;
		for (int64_t v = 0; v < width; v++)
			to[2 * v] = to[2 * v + 1] = from[v];
		memcpy(to + 2 * width, to, (size_t)(2 * width) * sizeof *to);
	}
}

void
cpu_map_grow(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t height = x.dim[1], width = x.dim[2], times = 4 * y.dim[0] / x.dim[0], lines = y.dim[0] * 2 * height;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (tensor_count(y) > PIECE)
	for (int64_t l = 0; l < lines; l++) {
		int64_t o = l / (2 * height), h = l % (2 * height), first = 4 * o + 2 * (h % 2);
		const float *even = (const float *)x.data + (first / times * height + h / 2) * width;
		const float *odd = (const float *)x.data + ((first + 1) / times * height + h / 2) * width;
		float *to = (float *)y.data + l * 2 * width;
		for (int64_t v = 0; v < width; v++) {
			to[2 * v] += even[v];
			to[2 * v + 1] += odd[v];
		}
	}
}

CPU_CLONES static void
add_line(float *restrict y, const float *restrict x, float by, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += by * x[i];
}

void
cpu_map_repeat(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y) / y.dim[0], times = y.dim[0] / x.dim[0];

#pragma omp parallel for schedule(static) num_threads(d->threads) if (tensor_count(y) > PIECE)
	for (int64_t o = 0; o < y.dim[0]; o++)
		add_line((float *)y.data + o * n, (const float *)x.data + o / times * n, 1.f, n);
}

CPU_CLONES static void
relu_line(float *y, const float *x, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = x[i] > 0.f ? x[i] : 0.f;
}

void
cpu_map_relu(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(x);

#pragma omp parallel for schedule(static) num_threads(d->threads) if (n > PIECE)
	for (int64_t at = 0; at < n; at += PIECE)
		relu_line((float *)y.data + at, (const float *)x.data + at, n - at < PIECE ? n - at : PIECE);
}

/* --- convolutions --- */

static void
fill_bias(float *y, const float *b, int64_t outs, int64_t stride, int64_t n)
{
	for (int64_t o = 0; o < outs; o++)
		for (int64_t i = 0; i < n; i++)
			y[o * stride + i] = b[o];
}

void
cpu_wave_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge)
{
	int64_t outs = y.dim[0], ins = x.dim[0], n = x.dim[1], k = w.dim[2], rows = ins * k, tile = tile_of(rows, n);
	const float *xp = x.data, *bp = b.rank ? b.data : NULL;
	float *yp = y.data, *columns;

	if (outs <= WAVE512_OUTS && wave512_takes(k)) {
		wave512_conv(d, y, x, w, b, dilation, edge);
		return;
	}
	columns = cpu_scratch(d, (size_t)(d->threads * tile * rows) * sizeof *columns);
	if (!columns)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t p = 0; p < n; p += tile) {
		int64_t m = n - p < tile ? n - p : tile;
		float *mine = columns + thread() * tile * rows, *to = mine;
		for (int64_t i = 0; i < ins; i++)
			for (int64_t j = 0; j < k; j++, to += m)
				wave_line(to, xp + i * n, n, p + (j - k / 2) * dilation, m, edge);
		if (bp)
			fill_bias(yp + p, bp, outs, n, m);
		cpu_sgemm1(false, false, outs, m, rows, 1.f, w.data, rows, mine, m, bp ? 1.f : 0.f, yp + p, n);
	}
}

void
cpu_wave_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t n = x.dim[1], k = w.dim[2];

#pragma omp parallel for schedule(static) num_threads(d->threads) if (tensor_count(y) > PIECE)
	for (int64_t c = 0; c < x.dim[0]; c++) {
		const float *from = (const float *)x.data + c * n;
		float *to = (float *)y.data + c * n;
		for (int64_t t = 0; t < n; t++)
			to[t] = b.rank ? ((const float *)b.data)[c] : 0.f;
		for (int64_t j = 0; j < k; j++) {
			int64_t s = j - k / 2, first = s < 0 ? -s : 0, last = s > 0 ? n - s : n;
			if (last > first)
				add_line(to + first, from + first + s, ((const float *)w.data)[c * k + j], last - first);
		}
	}
}

static int64_t
ceiling(int64_t a, int64_t u)
{
	return a > 0 ? (a + u - 1) / u : -(-a / u);
}

/* Results of times from .. from+m-1 out of columns [outs k, have], whose first is time base. */
static void
gather(float *y, int64_t outs, int64_t n, const float *columns, int64_t have, int64_t base, int64_t from, int64_t m, int64_t k, int64_t u)
{
	int64_t cut = (k - u) / 2;

	for (int64_t o = 0; o < outs; o++)
		for (int64_t j = 0; j < k; j++) {
			const float *col = columns + (o * k + j) * have;
			int64_t first = ceiling(from * u + cut - j, u), last = ceiling((from + m) * u + cut - j, u);
			first = first < base ? base : first;
			last = last > base + have ? base + have : last;
			for (int64_t t = first; t < last; t++)
				y[o * n * u + t * u + j - cut] += col[t - base];
		}
}

void
cpu_wave_up(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u)
{
	int64_t outs = y.dim[0], ins = x.dim[0], n = x.dim[1], k = w.dim[2], rows = outs * k;
	int64_t tile = tile_of(rows, n), halo = (k + u - 1) / u, wide = tile + 2 * halo;
	float *columns;

	if (u <= WAVE512_STRIDE && wave512_takes(k)) {
		wave512_up(d, y, x, w, b, u);
		return;
	}
	columns = cpu_scratch(d, (size_t)(d->threads * wide * rows) * sizeof *columns);
	if (!columns)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t p = 0; p < n; p += tile) {
		int64_t m = n - p < tile ? n - p : tile, base = p > halo ? p - halo : 0, end = p + m + halo < n ? p + m + halo : n;
		float *mine = columns + thread() * wide * rows, *yp = y.data;
		cpu_sgemm1(true, false, rows, end - base, ins, 1.f, w.data, rows, (const float *)x.data + base, n, 0.f, mine, end - base);
		for (int64_t o = 0; o < outs; o++)
			for (int64_t i = p * u; i < (p + m) * u; i++)
				yp[o * n * u + i] = b.rank ? ((const float *)b.data)[o] : 0.f;
		gather(yp, outs, n, mine, end - base, base, p, m, k, u);
	}
}

/* --- the rest --- */

CPU_CLONES static void
moments(float *restrict sum, float *restrict squares, const float *restrict x, const float *restrict mean, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		sum[i] += x[i];
	if (squares)
		for (int64_t i = 0; i < n; i++)
			squares[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
}

CPU_CLONES static void
norm_line(float *y, const float *x, const float *restrict mean, const float *restrict r, float w, float b, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] = (x[i] - mean[i]) * r[i] * w + b;
}

void
cpu_wave_norm(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	enum { TIMES = 512 };
	int64_t channels = x.dim[0], n = x.dim[1];
	const float *xp = x.data, *wp = w.data, *bp = b.data;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (tensor_count(x) > PIECE)
	for (int64_t p = 0; p < n; p += TIMES) {
		int64_t m = n - p < TIMES ? n - p : TIMES;
		float mean[TIMES] = { 0 }, r[TIMES] = { 0 }, unused[TIMES] = { 0 };
		for (int64_t c = 0; c < channels; c++)
			moments(mean, NULL, xp + c * n + p, NULL, m);
		for (int64_t i = 0; i < m; i++)
			mean[i] /= (float)channels;
		for (int64_t c = 0; c < channels; c++)
			moments(unused, r, xp + c * n + p, mean, m);
		for (int64_t i = 0; i < m; i++)
			r[i] = 1.f / sqrtf(r[i] / (float)channels + eps);
		for (int64_t c = 0; c < channels; c++)
			norm_line((float *)y.data + c * n + p, xp + c * n + p, mean, r, wp[c], bp[c], m);
	}
}

void
cpu_wave_gelu(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(x);
	const float *xp = x.data;
	float *yp = y.data;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (n > PIECE)
	for (int64_t i = 0; i < n; i++)
		yp[i] = xp[i] * 0.5f * (1.f + erff(xp[i] * 0.70710678f));
}

void
cpu_wave_scale_add(struct dev *d, struct tensor y, struct tensor x, struct tensor g)
{
	int64_t n = x.dim[1];

#pragma omp parallel for schedule(static) num_threads(d->threads) if (tensor_count(x) > PIECE)
	for (int64_t c = 0; c < x.dim[0]; c++)
		add_line((float *)y.data + c * n, (const float *)x.data + c * n, ((const float *)g.data)[c], n);
}

void
cpu_wave_tanh(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(x);
	const float *xp = x.data;
	float *yp = y.data;

#pragma omp parallel for schedule(static) num_threads(d->threads) if (n > PIECE)
	for (int64_t i = 0; i < n; i++)
		yp[i] = tanhf(xp[i]);
}
