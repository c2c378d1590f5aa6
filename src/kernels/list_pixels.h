/* SPDX-License-Identifier: Apache-2.0 */
/* list_pixels.h - kernels of the autoencoder in bf16 (audio_codec.md section 5), for tensor cores: channels come last
 *
 * A map of pixels is BF16 [H, W, C]; weights are BF16 and turned as the lines say. Computed in F32 or better, rounded once when
 * stored. Where "apart" stands the pixels may lie apart (tensor_ld). A bias of rank 0 is none. Outputs are no inputs unless a
 * line says so. */
#ifndef ACE_KERNELS_LIST_PIXELS_H
#define ACE_KERNELS_LIST_PIXELS_H

/*   pix_from_map    y [H, W, C'] = x F32 [C, H, W]; channels from C on are zeros
 *   pix_to_map      y F32 [C, H, W] = x F32 [H, W, C]
 *   pix_conv        y [H', W', O], BF16 or F32, = cross-correlation of x [H, W, I] with w [O, k, k, I] (k odd, zeros around)
 *                   + b [O]; silu: x / (1 + exp(-x)) of that. H' = H / stride, W' = W / stride, rounded up. I a multiple of 8,
 *                   O even. k 1, stride 1, no silu: x and y apart
 *   pix_mix         y [H, W, C] = each channel of x with its own w [k, k, C], k 3 or 5, then every block of D consecutive channels
 *                   mixed within itself by m [C, D], D 8, 16, 32 or 64; x and y apart, and may be columns of the same rows
 *   pix_glu         y [H, W, C] = a silu(g), a before g: each channel of silu(x), x [H, W, 2C], with its own w [3, 3, 2C], + b [2C];
 *                   C even
 *   pix_attend      y [H, W, B D]: attention over all pixels, for B blocks of 3 D channels of x [H, W, 3 B D]: Q = relu, K = relu, V;
 *                   D 8, 16, 32 or 64, in its linear form
 *   pix_norm_add    x [..., C] += y w / sqrt(mean over channels of y^2 + eps) + b, y [..., C], w and b [C]; C a multiple of 4
 *   pix_shrink      y [H/2, W/2, O] += mean over groups of 4 C / O of x [H, W, C] folded 2 x 2 into channels
 *                   (index 4 c + 2 dy + dx)
 *   pix_group_mean  y F32 [..., O] += mean over groups of C / O consecutive channels of x [..., C] */
#define KERNELS_PIXELS(K)                                                                                                        \
	K(pix_from_map, ref, (struct dev * d, struct tensor y, struct tensor x))                                                 \
	K(pix_to_map, ref, (struct dev * d, struct tensor y, struct tensor x))                                                   \
	K(pix_conv, ref, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b, int stride, bool silu)) \
	K(pix_mix, ref, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor m))                    \
	K(pix_glu, ref, (struct dev * d, struct tensor y, struct tensor x, struct tensor w, struct tensor b))                    \
	K(pix_attend, ref, (struct dev * d, struct tensor y, struct tensor x, int64_t width))                                    \
	K(pix_norm_add, ref, (struct dev * d, struct tensor x, struct tensor y, struct tensor w, struct tensor b, float eps))    \
	K(pix_shrink, ref, (struct dev * d, struct tensor y, struct tensor x))                                                   \
	K(pix_group_mean, ref, (struct dev * d, struct tensor y, struct tensor x))
#endif
