/* SPDX-License-Identifier: Apache-2.0 */
/* dcae_config.h - the autoencoder's config.json (audio_codec.md section 1) */
#ifndef ACE_MODELS_DCAE_CONFIG_H
#define ACE_MODELS_DCAE_CONFIG_H

#include "base/status.h"

#include <stdbool.h>

enum { DCAE_STAGES = 8, DCAE_SCALES = 4 };

enum dcae_kind { DCAE_RES, DCAE_VIT };

struct dcae_stage {
	enum dcae_kind kind;
	int width, layers;			/* channels; blocks, >= 1 */
	int scales, scale[DCAE_SCALES];		/* depthwise kernel sizes of the attention */
};

struct dcae_half {
	int stages;
	struct dcae_stage stage[DCAE_STAGES];
	bool shortcut;				/* of conv_out (encoder), conv_in (decoder) */
};

struct dcae_config {
	int channels, latent, head;		/* 2; latent channels; attention head width */
	struct dcae_half encoder, decoder;
	bool decoder_silu;			/* the decoder's last activation: silu, else relu */
};

/* FOLDER/config.json. Sizes out of range, and what section 1 refuses (another block type, norm, activation, down- or
 * upsampling), fail with ACE_EDATA or ACE_ECONFIG, naming file and key. */
enum status dcae_config_read(struct dcae_config *c, const char *folder) ACE_NODISCARD;
#endif
