/* SPDX-License-Identifier: Apache-2.0 */
/* list_codec.h - kernels of the autoencoder (audio_codec.md) */
#ifndef ACE_KERNELS_LIST_CODEC_H
#define ACE_KERNELS_LIST_CODEC_H

#define KERNELS_CODEC(K)
#endif
