/* SPDX-License-Identifier: Apache-2.0 */
/* vocoder_config.h - the vocoder's config.json, so far as the log-mel needs it (audio_codec.md sections 1, 4) */
#ifndef ACE_MODELS_VOCODER_CONFIG_H
#define ACE_MODELS_VOCODER_CONFIG_H

#include "audio/mel.h"

/* FOLDER/config.json. What section 1 refuses (use_template, several kernel sizes, upsample rates whose product is not the
 * hop, a window shorter than the transform) fails naming file and key. Absent keys take the real model's values. */
enum status vocoder_config_read(struct mel_options *o, const char *folder) ACE_NODISCARD;
#endif
