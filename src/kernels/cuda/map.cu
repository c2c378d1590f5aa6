/* SPDX-License-Identifier: Apache-2.0 */
/* map.cu - element-wise kernels, norms and means of the autoencoder's maps [C, H, W], F32 */
#include "kernels/cuda/cuda.cuh"

enum { THREADS = 256 };

static int64_t
positions(struct tensor x)
{
	return x.dim[0] ? tensor_count(x) / x.dim[0] : 0;
}

static __global__ void
depthwise(float *y, const float *x, const float *w, const float *bias, int C, int H, int W, int k)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, n = (int64_t)H * W;
	int c = (int)(at / n), h = (int)(at % n / W), v = (int)(at % W);

	if (at >= C * n)
		return;
	float sum = bias ? bias[c] : 0.f;
	for (int i = 0; i < k; i++)
		for (int j = 0; j < k; j++) {
			int a = h + i - k / 2, b = v + j - k / 2;
			if (a >= 0 && a < H && b >= 0 && b < W)
				sum += w[(c * k + i) * k + j] * x[c * n + (int64_t)a * W + b];
		}
	y[at] = sum;
}

extern "C" void
cuda_map_depthwise(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)
{
	depthwise<<<cuda_blocks(tensor_count(y), THREADS), THREADS, 0, cuda_stream(d)>>>(
		cuda_out<float>(y), cuda_in<float>(x), cuda_in<float>(w), b.rank ? cuda_in<float>(b) : NULL, (int)x.dim[0],
		(int)x.dim[1], (int)x.dim[2], (int)w.dim[2]);
	cuda_launched(d, "map_depthwise");
}

static __global__ void
mix_blocks(float *y, const float *x, const float *w, int64_t C, int64_t n, int64_t wide)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, c = at / n, p = at % n;
	float sum = 0.f;

	if (at >= C * n)
		return;
	x += c / wide * wide * n + p;
	for (int64_t i = 0; i < wide; i++)
		sum += w[c * wide + i] * x[i * n];
	y[at] = sum;
}

extern "C" void
cuda_map_blocks(struct dev *d, struct tensor y, struct tensor x, struct tensor w)
{
	mix_blocks<<<cuda_blocks(tensor_count(y), THREADS), THREADS, 0, cuda_stream(d)>>>(
		cuda_out<float>(y), cuda_in<float>(x), cuda_in<float>(w), x.dim[0], positions(x), w.dim[1]);
	cuda_launched(d, "map_blocks");
}

static __global__ void
add_channel_bias(float *y, const float *b, int64_t count, int64_t n)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < count)
		y[at] += b[at / n];
}

extern "C" void
cuda_map_bias(struct dev *d, struct tensor y, struct tensor b)
{
	int64_t count = tensor_count(y);

	if (count)
		add_channel_bias<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(b), count,
		                                                                            positions(y));
	cuda_launched(d, "map_bias");
}

/* A block takes 32 positions, LANES threads share the channels of each. */
enum { LANES = 8 };

static __global__ void
rms_channels(float *y, const float *x, const float *w, const float *b, int64_t C, int64_t n, float eps)
{
	__shared__ float part[LANES][32];
	int64_t p = (int64_t)blockIdx.x * 32 + threadIdx.x;
	float sum = 0.f, r;

	if (p < n)
		for (int64_t c = threadIdx.y; c < C; c += LANES)
			sum += x[c * n + p] * x[c * n + p];
	part[threadIdx.y][threadIdx.x] = sum;
	__syncthreads();
	sum = 0.f;
	for (int i = 0; i < LANES; i++)
		sum += part[i][threadIdx.x];
	r = 1.f / sqrtf(sum / (float)C + eps);
	if (p < n)
		for (int64_t c = threadIdx.y; c < C; c += LANES)
			y[c * n + p] = x[c * n + p] * r * w[c] + b[c];
}

extern "C" void
cuda_map_rms(struct dev *d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)
{
	dim3 block(32, LANES);

	rms_channels<<<cuda_blocks(positions(x), 32), block, 0, cuda_stream(d)>>>(
		cuda_out<float>(y), cuda_in<float>(x), cuda_in<float>(w), cuda_in<float>(b), x.dim[0], positions(x), eps);
	cuda_launched(d, "map_rms");
}

static __global__ void
gate_maps(float *y, const float *x, int64_t n)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (at < n)
		y[at] = x[at] * silu_of(x[n + at]);
}

extern "C" void
cuda_map_gate(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);

	gate_maps<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), n);
	cuda_launched(d, "map_gate");
}

static __global__ void
shrink(float *y, const float *x, int64_t count, int64_t H, int64_t W, int64_t group)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, o = at / (H * W), h = at / W % H, v = at % W;
	float sum = 0.f;

	if (at >= count)
		return;
	for (int64_t i = o * group; i < (o + 1) * group; i++)
		sum += x[(i / 4 * 2 * H + 2 * h + i % 4 / 2) * 2 * W + 2 * v + i % 2];
	y[at] += sum / (float)group;
}

extern "C" void
cuda_map_shrink(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);

	shrink<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), n, y.dim[1], y.dim[2],
	                                                               4 * x.dim[0] / y.dim[0]);
	cuda_launched(d, "map_shrink");
}

static __global__ void
group_mean(float *y, const float *x, int64_t count, int64_t n, int64_t group)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x, o = at / n, p = at % n;
	float sum = 0.f;

	if (at >= count)
		return;
	for (int64_t i = o * group; i < (o + 1) * group; i++)
		sum += x[i * n + p];
	y[at] += sum / (float)group;
}

extern "C" void
cuda_map_group_mean(struct dev *d, struct tensor y, struct tensor x)
{
	int64_t n = tensor_count(y);

	if (n)
		group_mean<<<cuda_blocks(n, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(y), cuda_in<float>(x), n, positions(y),
		                                                                  x.dim[0] / y.dim[0]);
	cuda_launched(d, "map_group_mean");
}
