/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions of the autoencoder: tiles of positions are unfolded into columns and multiplied, so that the columns of one
 * tile, and never of the whole map, are in memory. */
#include "kernels/cpu/cpu.h"

#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { TILE_MIN = 256, TILE_MAX = 2048, TILE_FLOATS = 3 << 19 };

static int
thread(void)
{
#ifdef _OPENMP
	return omp_get_thread_num();
#else
	return 0;
#endif
}

/* to[i] = x[from + i stride] for i < n, zeros where that is outside [0, width). */
static void
line(float *to, const float *x, int64_t width, int64_t from, int64_t n, int stride)
{
	int64_t i = 0;

	for (; i < n && from + i * stride < 0; i++)
		to[i] = 0.f;
	if (stride == 1) {
		int64_t m = width - from < n ? width - from : n;
		if (m > i) {
			memcpy(to + i, x + from + i, (size_t)(m - i) * sizeof *to);
			i = m;
		}
	} else {
		for (; i < n && from + i * stride < width; i++)
			to[i] = x[from + i * stride];
	}
	for (; i < n; i++)
		to[i] = 0.f;
}

/* Columns of the output positions p .. p+n-1: row (channel, ky, kx), n wide. */
static void
unfold(float *to, struct tensor x, int64_t k, int64_t out_width, int64_t p, int64_t n, int stride)
{
	int64_t height = x.dim[1], width = x.dim[2];

	for (int64_t c = 0; c < x.dim[0]; c++)
		for (int64_t i = 0; i < k; i++)
			for (int64_t j = 0; j < k; j++, to += n)
				for (int64_t at = 0; at < n;) {
					int64_t h = (p + at) / out_width, v = (p + at) % out_width;
					int64_t m = out_width - v < n - at ? out_width - v : n - at, row = h * stride + i - k / 2;
					if (row < 0 || row >= height)
						memset(to + at, 0, (size_t)m * sizeof *to);
					else
						line(to + at, (const float *)x.data + (c * height + row) * width, width, v * stride + j - k / 2,
						     m, stride);
					at += m;
				}
}

void
cpu_map_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride)
{
	int64_t outs = w.dim[0], k = w.dim[2], rows = w.dim[1] * k * k, n = y.dim[1] * y.dim[2];
	int64_t tile = TILE_FLOATS / rows / 64 * 64;
	const float *bp = b.rank ? b.data : NULL;
	float *yp = y.data, *columns;

	tile = tile < TILE_MIN ? TILE_MIN : tile > TILE_MAX ? TILE_MAX : tile;
	tile = tile < n ? tile : n;
	columns = cpu_scratch(d, (size_t)(d->threads * tile * rows) * sizeof *columns);
	if (!columns)
		return;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t p = 0; p < n; p += tile) {
		int64_t m = n - p < tile ? n - p : tile;
		float *mine = columns + thread() * tile * rows;
		unfold(mine, x, k, y.dim[2], p, m, stride);
		for (int64_t o = 0; bp && o < outs; o++)
			for (int64_t i = 0; i < m; i++)
				yp[o * n + p + i] = bp[o];
		cpu_sgemm1(false, false, outs, m, rows, 1.f, w.data, rows, mine, m, bp ? 1.f : 0.f, yp + p, n);
	}
}

CPU_CLONES static void
add_scaled(float *restrict y, const float *restrict x, float w, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		y[i] += w * x[i];
}

void
cpu_map_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	int64_t k = w.dim[2], height = x.dim[1], width = x.dim[2];
	const float *bp = b.rank ? b.data : NULL;

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t c = 0; c < x.dim[0]; c++)
		for (int64_t h = 0; h < height; h++) {
			float *yp = (float *)y.data + (c * height + h) * width;
			for (int64_t v = 0; v < width; v++)
				yp[v] = bp ? bp[c] : 0.f;
			for (int64_t i = 0; i < k; i++) {
				int64_t row = h + i - k / 2;
				if (row < 0 || row >= height)
					continue;
				for (int64_t j = 0; j < k; j++) {
					int64_t s = j - k / 2, from = s < 0 ? -s : 0, to = s > 0 ? width - s : width;
					if (to > from)
						add_scaled(yp + from, (const float *)x.data + (c * height + row) * width + from + s,
						           ((const float *)w.data)[(c * k + i) * k + j], to - from);
				}
			}
		}
}

void
cpu_map_blocks(struct dev *d, struct tensor y, struct tensor x, struct tensor w)
{
	int64_t n = x.dim[0] ? tensor_count(x) / x.dim[0] : 0, wide = w.dim[1];

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t c = 0; c < x.dim[0]; c += wide)
		cpu_sgemm1(false, false, wide, n, wide, 1.f, (const float *)w.data + c * wide, wide, (const float *)x.data + c * n, n,
		           0.f, (float *)y.data + c * n, n);
}
