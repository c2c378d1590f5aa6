/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/cuda.cuh"

enum { THREADS = 256 };

static __global__ void
make_sinusoid(float *y, const float *t, int64_t B, int64_t W)
{
	int64_t half = W / 2, at = (int64_t)blockIdx.x * THREADS + threadIdx.x, b = at / half, k = at % half;

	if (at >= B * half)
		return;
	float f = expf(-9.2103403719761836f * (float)k / (float)half), a = t[b] * f;
	y[b * W + k] = cosf(a);
	y[b * W + half + k] = sinf(a);
}

extern "C" void
cuda_sinusoid(struct dev *d, struct tensor y, struct tensor t)
{
	int64_t B = y.dim[0], W = y.dim[1];

	make_sinusoid<<<cuda_blocks(B * W / 2, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(t), B, W);
	cuda_launched(d, "sinusoid");
}

/* Tokens [B, T, R C] and latents [B, C, R, T]: tiles of 32 frames and 32 elements turn in shared memory, so that both sides are
 * read and written along their rows. */
enum { TILE = 32, TILE_ROWS = 8 };

template <class Y, class X>
static __global__ void
turn_tokens(Y *y, const X *x, int64_t T, int64_t C, int64_t R, int64_t ld, bool rows_first, bool to_latents)
{
	__shared__ float tile[TILE][TILE + 1];
	int64_t t0 = (int64_t)blockIdx.x * TILE, e0 = (int64_t)blockIdx.y * TILE, b = blockIdx.z, n = C * R;

	for (int i = threadIdx.y; i < TILE; i += TILE_ROWS) {
		int64_t t = to_latents ? t0 + i : t0 + threadIdx.x, e = to_latents ? e0 + threadIdx.x : e0 + i;
		int64_t line = rows_first ? e % C * R + e / C : e;	/* c R + r of element e */
		if (t < T && e < n)
			tile[i][threadIdx.x] = to_float(to_latents ? x[(b * T + t) * ld + e] : x[(b * n + line) * T + t]);
	}
	__syncthreads();
	for (int i = threadIdx.y; i < TILE; i += TILE_ROWS) {
		int64_t t = to_latents ? t0 + threadIdx.x : t0 + i, e = to_latents ? e0 + i : e0 + threadIdx.x;
		int64_t line = rows_first ? e % C * R + e / C : e;
		if (t < T && e < n)
			y[to_latents ? (b * n + line) * T + t : (b * T + t) * ld + e] = from_float<Y>(tile[threadIdx.x][i]);
	}
}

static dim3
turn_grid(struct tensor latents)
{
	return dim3(cuda_blocks(latents.dim[3], TILE), cuda_blocks(latents.dim[1] * latents.dim[2], TILE), (unsigned)latents.dim[0]);
}

extern "C" void
cuda_latent_tokens(struct dev *d, struct tensor y, struct tensor x, bool rows_first)
{
	dim3 block(TILE, TILE_ROWS);

	WITH_TYPE(y.dtype, Y, (turn_tokens<<<turn_grid(x), block, 0, cuda_stream(d)>>>(
		cuda_out<Y>(y), cuda_in<float>(x), x.dim[3], x.dim[1], x.dim[2], tensor_ld(y), rows_first, false)));
	cuda_launched(d, "latent_tokens");
}

extern "C" void
cuda_latents_of_tokens(struct dev *d, struct tensor x, struct tensor y, bool rows_first)
{
	dim3 block(TILE, TILE_ROWS);

	WITH_TYPE(y.dtype, Y, (turn_tokens<<<turn_grid(x), block, 0, cuda_stream(d)>>>(
		cuda_out<float>(x), cuda_in<Y>(y), x.dim[3], x.dim[1], x.dim[2], tensor_ld(y), rows_first, true)));
	cuda_launched(d, "latents_of_tokens");
}

/* Rows b n .. of to = rows of from, whose samples begin rows apart. */
template <int N, class Y, class X>
static __global__ void
move_rows(Y *y, const X *x, int64_t pieces, int64_t n, int64_t per_row, int64_t to, int64_t from, int64_t ldy, int64_t ldx)
{
	uint32_t at = blockIdx.x * THREADS + threadIdx.x, row = at / (uint32_t)per_row;
	int64_t col = (int64_t)(at - row * (uint32_t)per_row) * N, b = row / (uint32_t)n, i = row % (uint32_t)n;
	float v[N];

	if (at >= pieces)
		return;
	load<N>(v, x + (b * from + i) * ldx + col);
	store<N>(y + (b * to + i) * ldy + col, v);
}

/* n rows of each sample, from_at and to_at before the tensors' own starts. */
static void
move(struct dev *d, struct tensor y, struct tensor x, int64_t to_at, int64_t from_at, int64_t n, const char *kernel)
{
	int64_t B = x.dim[0], D = x.dim[2];
	bool by8 = cuda_by8(y) && cuda_by8(x);
	int64_t per_row = by8 ? D / 8 : D, pieces = B * n * per_row;
	unsigned blocks = cuda_blocks(pieces, THREADS);

	if (pieces == 0)
		return;
	WITH_TYPE(y.dtype, Y, WITH_TYPE(x.dtype, X, {
		Y *yp = cuda_out<Y>(y) + to_at * tensor_ld(y);
		const X *xp = cuda_in<X>(x) + from_at * tensor_ld(x);
		if (by8)
			move_rows<8><<<blocks, THREADS, 0, cuda_stream(d)>>>(yp, xp, pieces, n, per_row, y.dim[1], x.dim[1],
			                                                     tensor_ld(y), tensor_ld(x));
		else
			move_rows<1><<<blocks, THREADS, 0, cuda_stream(d)>>>(yp, xp, pieces, n, per_row, y.dim[1], x.dim[1],
			                                                     tensor_ld(y), tensor_ld(x));
	}));
	cuda_launched(d, kernel);
}

extern "C" void
cuda_place(struct dev *d, struct tensor y, struct tensor x, int64_t at)
{
	move(d, y, x, at, 0, x.dim[1], "place");
}

extern "C" void
cuda_take(struct dev *d, struct tensor x, struct tensor y, int64_t at)
{
	move(d, x, y, 0, at, x.dim[1], "take");
}
