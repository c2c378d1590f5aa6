/* SPDX-License-Identifier: Apache-2.0 */
/* list_wave.h - kernels of what turns latents into sound: the autoencoder's decoder and the vocoder (audio_codec.md sections 5 to 7) */
#ifndef ACE_KERNELS_LIST_WAVE_H
#define ACE_KERNELS_LIST_WAVE_H

/* Maps are F32 [C, H, W], waves F32 [C, T], or [C, N] where only positions count; weights are F32. A bias of rank 0 is none. Outputs
 * are no inputs unless a line says so.
 *
 *   map_double      y [C, 2 H, 2 W] = each position of x [C, H, W] four times
 *   map_grow        y [O, 2 H, 2 W] += x [C, H, W], channels repeated 4 O / C times each and unfolded 2 x 2:
 *                   y[o, 2 h + dy, 2 v + dx] += x[(4 o + 2 dy + dx) C / (4 O), h, v]
 *   map_repeat      y [O, N] += x [C, N], each channel O / C times one after another
 *   map_relu        y = x where x > 0, else 0; y may be x
 *   wave_conv       y [O, T] = sum over i, j of w [O, I, k] x[i, t + (j - k / 2) dilation] + b [O], k odd; beyond the ends are zeros, or
 *                   (edge) the first and last value
 *   wave_depthwise  y [C, T] = each channel of x with its own w [C, 1, k], zeros around, + b [C]
 *   wave_up         y [O, u T] = transposed convolution of x [I, T] with w [I, O, k], stride u, (k - u) / 2 cut from both ends (k >= u,
 *                   k - u even), + b [O]
 *   wave_norm       y [C, T] = (x - mean) / sqrt(variance + eps) w + b over the channels at each time; y may be x
 *   wave_gelu       y = x (1 + erf(x / sqrt 2)) / 2; y may be x
 *   wave_scale_add  y [C, T] += g [C] x [C, T]
 *   wave_tanh       y = tanh x; y may be x */
#define KERNELS_WAVE(K)                                                                                            \
	K(map_double, cpu, (struct dev * d, struct tensor y, struct tensor x))                                     \
	K(map_grow, cpu, (struct dev * d, struct tensor y, struct tensor x))                                       \
	K(map_repeat, cpu, (struct dev * d, struct tensor y, struct tensor x))                                     \
	K(map_relu, cpu, (struct dev * d, struct tensor y, struct tensor x))                                       \
	K(wave_conv, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int dilation, bool edge)) \
	K(wave_depthwise, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b)) \
	K(wave_up, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int u)) \
	K(wave_norm, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, float eps)) \
	K(wave_gelu, cpu, (struct dev * d, struct tensor y, struct tensor x))                                      \
	K(wave_scale_add, cpu, (struct dev * d, struct tensor y, struct tensor x, struct tensor g))                \
	K(wave_tanh, cpu, (struct dev * d, struct tensor y, struct tensor x))
#endif
