/* SPDX-License-Identifier: Apache-2.0 */
/* loss_scale.cu - the loss scale of fp16, which the device keeps */
#include "kernels/cuda/cuda.cuh"

extern "C" {
#include "kernels/optim_numbers.h"
}

namespace {

enum { THREADS = 256 };

__global__ void
scale_weights(float *w, const float *s, int64_t n)
{
	int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		w[i] *= s[SCALING_SCALE];
}

__global__ void
unscale(float *measured, const float *s)
{
	measured[MEASURED_SQUARES] = measured[MEASURED_SQUARES] / s[SCALING_SCALE] / s[SCALING_SCALE];
	measured[MEASURED_ABSMAX] /= s[SCALING_SCALE];
}

__global__ void
scale_limits(float *l, const float *s)
{
	l[LIMIT_FACTOR] /= s[SCALING_SCALE];
}

__global__ void
clear_skipped(float *g, const float *l, int64_t n)
{
	int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n && l[LIMIT_FACTOR] != l[LIMIT_FACTOR])
		g[i] = 0.f;
}

__global__ void
turn(float *s, const float *l)
{
	if (l[LIMIT_FACTOR] != l[LIMIT_FACTOR]) {
		s[SCALING_SCALE] /= 2.f;
		s[SCALING_GOOD] = 0.f;
		s[SCALING_SKIPPED] += 1.f;
		return;
	}
	s[SCALING_GOOD] += 1.f;
	if (s[SCALING_GOOD] == s[SCALING_INTERVAL]) {
		s[SCALING_SCALE] *= 2.f;
		s[SCALING_GOOD] = 0.f;
	}
}

} // namespace

extern "C" void
cuda_loss_scale(struct dev *d, struct tensor w, struct tensor s)
{
	int64_t count = tensor_count(w);

	scale_weights<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(w), cuda_in<float>(s), count);
	cuda_launched(d, "loss_scale");
}

extern "C" void
cuda_loss_unscale(struct dev *d, struct tensor measured, struct tensor s)
{
	unscale<<<1, 1, 0, cuda_stream(d)>>>(cuda_out<float>(measured), cuda_in<float>(s));
	cuda_launched(d, "loss_unscale");
}

extern "C" void
cuda_loss_limits(struct dev *d, struct tensor l, struct tensor s)
{
	scale_limits<<<1, 1, 0, cuda_stream(d)>>>(cuda_out<float>(l), cuda_in<float>(s));
	cuda_launched(d, "loss_limits");
}

extern "C" void
cuda_loss_turn(struct dev *d, struct tensor s, struct tensor g, struct tensor l)
{
	int64_t count = tensor_count(g);

	clear_skipped<<<cuda_blocks(count, THREADS), THREADS, 0, cuda_stream(d)>>>(cuda_out<float>(g), cuda_in<float>(l), count);
	turn<<<1, 1, 0, cuda_stream(d)>>>(cuda_out<float>(s), cuda_in<float>(l));
	cuda_launched(d, "loss_turn");
}
