/* SPDX-License-Identifier: Apache-2.0 */
/* vocoder_config.h - the vocoder's config.json (audio_codec.md sections 1, 4, 7) */
#ifndef ACE_MODELS_VOCODER_CONFIG_H
#define ACE_MODELS_VOCODER_CONFIG_H

#include "audio/mel.h"

enum { VOCODER_STAGES = 8, VOCODER_UPS = 12, VOCODER_KERNELS = 8, VOCODER_DILATIONS = 8 };

struct vocoder_config {
	struct mel_options mel;
	int stages, depth[VOCODER_STAGES], width[VOCODER_STAGES];	/* of the backbone */
	int kernel;							/* of its depthwise convolutions */
	int ups, rate[VOCODER_UPS], up_kernel[VOCODER_UPS];		/* of the head */
	int kernels, res_kernel[VOCODER_KERNELS], dilations[VOCODER_KERNELS], dilation[VOCODER_KERNELS][VOCODER_DILATIONS];
	int channels;							/* behind conv_pre; each up halves them */
	int pre_kernel, post_kernel;
};

/* FOLDER/config.json, so far as the log-mel needs it. What section 1 refuses (use_template, several kernel sizes, upsample rates whose
 * product is not the hop, a window shorter than the transform) fails naming file and key. Absent keys take the real model's
 * values. */
enum status vocoder_config_read(struct mel_options *o, const char *folder) ACE_NODISCARD;

/* All of it; sizes that do not fit together fail naming file and key. */
enum status vocoder_config_read_all(struct vocoder_config *c, const char *folder) ACE_NODISCARD;
#endif
