/* SPDX-License-Identifier: Apache-2.0 */
/* cudnn.h - convolutions by cuDNN, which is loaded when the first is asked for; only where $ACE_CUDNN is 1
 *
 * One algorithm for each set of sizes, chosen once by cuDNN's own heuristics among those that give the same bits every time. */
#ifndef ACE_KERNELS_CUDA_CUDNN_H
#define ACE_KERNELS_CUDA_CUDNN_H

#include "dev/cuda.h"

/* y [H', W', O] = cross-correlation of x [H, W, I] with w [O, k, k, I], all BF16 without gaps, zeros around (list_pixels.h). false: not
 * asked for, not built in, not here, or no way for these sizes (nothing has been done), or the device failed. */
bool pixels_cudnn_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, int stride);
#endif
