/* SPDX-License-Identifier: Apache-2.0 */
/* list_codec.h - kernels of the autoencoder (audio_codec.md section 5) */
#ifndef ACE_KERNELS_LIST_CODEC_H
#define ACE_KERNELS_LIST_CODEC_H

/* A map is F32 [C, H, W], or [C, N] where only the N = H W positions count; weights are F32. A bias of rank 0 is none.
 * Outputs are no inputs unless a line says so.
 *
 *   map_conv        y [O, H', W'] = cross-correlation of x [I, H, W] with w [O, I, k, k] (k odd, zeros around) + b [O];
 *                   H' = H / stride, W' = W / stride, rounded up
 *   map_depthwise   y [C, H, W] = each channel of x with its own w [C, 1, k, k], + b [C]
 *   map_blocks      y [C, N]: every block of D consecutive channels of x mixed within itself by w [C, D]
 *   map_bias        y [C, N] += b [C]
 *   map_rms         y = x w / sqrt(mean over channels of x^2 + eps) + b, w and b [C]; y may be x
 *   map_gate        y [C, N] = a silu(g), x [2C, N] = a above g
 *   map_shrink      y [O, H/2, W/2] += mean over groups of 4 C / O of x [C, H, W] folded 2 x 2 into channels
 *                   (index 4 c + 2 dy + dx)
 *   map_group_mean  y [O, N] += mean over groups of C / O consecutive channels of x [C, N]
 *   map_attend      y [B D, N]: attention over all positions, for B blocks of 3 D channels of x [3 B D, N]: Q = relu, K = relu, V;
 *                   the linear form when N > D, else the quadratic one */
#define KERNELS_CODEC(K)                                                                                          \
	K(map_conv, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride)) \
	K(map_depthwise, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)) \
	K(map_blocks, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w))                   \
	K(map_bias, cpu, (struct dev * d, struct tensor y, struct tensor b))                                      \
	K(map_rms, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)) \
	K(map_gate, cpu, (struct dev * d, struct tensor y, struct tensor x))                                      \
	K(map_shrink, cpu, (struct dev * d, struct tensor y, struct tensor x))                                    \
	K(map_group_mean, cpu, (struct dev * d, struct tensor y, struct tensor x))                                \
	K(map_attend, cpu, (struct dev * d, struct tensor y, struct tensor x, int64_t width))
#endif
