/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of work is a stretch of time and some outputs of it. It goes through the inputs a few channels at a time, whose lines,
 * with what lies around the stretch, and whose weights stay in the first cache. */
#include "kernels/cpu/wave512.h"

#include "kernels/cpu/conv512.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/gemm512.h"

#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { TILE = 5 * CONV512_WIDE, OUTS = 64 };		/* of a piece */

static int
thread(void)
{
#ifdef _OPENMP
	return omp_get_thread_num();
#else
	return 0;
#endif
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void
wave_line(float *to, const float *x, int64_t width, int64_t from, int64_t n, bool edge)
{
	int64_t before = from < 0 ? least(-from, n) : 0, inside = least(width - (from > 0 ? from : 0), n - before);

	inside = inside < 0 ? 0 : inside;
	for (int64_t i = 0; i < before; i++)
		to[i] = edge ? x[0] : 0.f;
	if (inside > 0)
		memcpy(to + before, x + from + before, (size_t)inside * sizeof *to);
	for (int64_t i = before + inside; i < n; i++)
		to[i] = edge ? x[width - 1] : 0.f;
}

bool
wave512_takes(int64_t k)
{
	return k <= CONV512_DEPTH && gemm512_here();
}

/* Channels gone through at a time, of taps each. */
static int64_t
part_of(int64_t ins, int64_t taps)
{
	return least(CONV512_DEPTH / taps, ins);
}

void
wave512_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge)
{
	int64_t outs = y.dim[0], ins = x.dim[0], n = x.dim[1], k = w.dim[2], part = part_of(ins, k);
	int64_t reach = (k - 1) * dilation, wide = conv512_room(least(TILE, n)) + reach, groups = (outs + OUTS - 1) / OUTS;
	int32_t at[CONV512_DEPTH];
	float *lines = cpu_scratch(d, (size_t)(d->threads * part * wide) * sizeof *lines);

	if (!lines)
		return;
	for (int64_t l = 0; l < part * k; l++)
		at[l] = (int32_t)(l / k * wide + l % k * dilation);
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t piece = 0; piece < (n + TILE - 1) / TILE * groups; piece++) {
		int64_t p = piece / groups * TILE, o = piece % groups * OUTS, m = least(TILE, n - p);
		float *mine = lines + thread() * part * wide;
		struct conv512 c = { .outs = least(OUTS, outs - o), .n = m, .w_row = ins * k, .x = mine, .at = at,
			.y = (float *)y.data + o * n + p, .y_row = n, .bias = b.rank ? (const float *)b.data + o : NULL };
		for (int64_t i = 0; i < ins; i += part) {
			int64_t some = least(part, ins - i);
			for (int64_t l = 0; l < some; l++)
				wave_line(mine + l * wide, (const float *)x.data + (i + l) * n, n, p - reach / 2, conv512_room(m) + reach,
				          edge);
			c.k = some * k;
			c.w = (const float *)w.data + (o * ins + i) * k;
			c.onto = i > 0;
			conv512_run(&c);
		}
	}
}

/* Results t u + r, for one phase r, are a convolution with the taps j = first + a u, a < taps, at time t + ahead - a. */
struct phase {
	int64_t first, taps, ahead;
	const float *w;			/* [outs, ins, taps] */
	int32_t at[CONV512_DEPTH];
};

static void
set_phases(struct phase *f, int64_t u, int64_t k, int64_t part, int64_t wide, int64_t halo, int64_t pairs, float *weights)
{
	for (int64_t r = 0; r < u; r++, f++) {
		f->first = (r + (k - u) / 2) % u;
		f->ahead = (r + (k - u) / 2) / u;
		f->taps = (k - f->first + u - 1) / u;
		f->w = weights;
		weights += pairs * f->taps;
		for (int64_t l = 0; l < part * f->taps; l++)
			f->at[l] = (int32_t)(l / f->taps * wide + halo + f->ahead - l % f->taps);
	}
}

/* w [ins, outs, k] to the phases' [outs, ins, taps] */
static void
part_weights(struct dev *d, const struct phase *f, int64_t u, struct tensor w)
{
	int64_t ins = w.dim[0], outs = w.dim[1], k = w.dim[2];

#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t o = 0; o < outs; o++)
		for (int64_t i = 0; i < ins; i++)
			for (int64_t r = 0; r < u; r++)
				for (int64_t a = 0; a < f[r].taps; a++)
					((float *)f[r].w)[(o * ins + i) * f[r].taps + a] =
						((const float *)w.data)[(i * outs + o) * k + f[r].first + a * u];
}

void
wave512_up(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u)
{
	int64_t outs = y.dim[0], ins = x.dim[0], n = x.dim[1], k = w.dim[2], most = (k + u - 1) / u, part = part_of(ins, most);
	int64_t halo = most + 1, tile = least(TILE, n), wide = conv512_room(tile) + 2 * halo, groups = (outs + OUTS - 1) / OUTS;
	int64_t one = part * wide + u * OUTS * tile;		/* a thread's lines, then its results by phase */
	float *work = cpu_scratch(d, (size_t)(outs * ins * k + d->threads * one) * sizeof *work);
	struct phase f[WAVE512_STRIDE];

	if (!work)
		return;
	set_phases(f, u, k, part, wide, halo, outs * ins, work);
	part_weights(d, f, u, w);
	work += outs * ins * k;
#pragma omp parallel for schedule(static) num_threads(d->threads)
	for (int64_t piece = 0; piece < (n + TILE - 1) / TILE * groups; piece++) {
		int64_t p = piece / groups * TILE, o = piece % groups * OUTS, m = least(TILE, n - p), some = least(OUTS, outs - o);
		float *mine = work + thread() * one, *result = mine + part * wide;
		for (int64_t i = 0; i < ins; i += part) {
			for (int64_t l = 0; l < least(part, ins - i); l++)
				wave_line(mine + l * wide, (const float *)x.data + (i + l) * n, n, p - halo, conv512_room(m) + 2 * halo,
				          false);
			for (int64_t r = 0; r < u; r++) {
				int64_t taps = f[r].taps;
				struct conv512 c = { .outs = some, .n = m, .k = least(part, ins - i) * taps, .w_row = ins * taps,
					.w = f[r].w + (o * ins + i) * taps, .x = mine, .at = f[r].at, .y = result + r * OUTS * tile,
					.y_row = tile, .bias = b.rank ? (const float *)b.data + o : NULL, .onto = i > 0 };
				conv512_run(&c);
			}
		}
		for (int64_t l = 0; l < some; l++) {
			float *to = (float *)y.data + ((o + l) * n + p) * u;
			for (int64_t r = 0; r < u; r++)
				for (int64_t t = 0; t < m; t++)
					to[t * u + r] = result[(r * OUTS + l) * tile + t];
		}
	}
}
