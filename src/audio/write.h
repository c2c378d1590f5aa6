/* SPDX-License-Identifier: Apache-2.0 */
/* write.h - a clip into a WAV file, whole or not at all */
#ifndef ACE_AUDIO_WRITE_H
#define ACE_AUDIO_WRITE_H

#include "base/status.h"

#include <stdint.h>

enum audio_format { AUDIO_PCM16, AUDIO_FLOAT };

/* data [channels][n] planar, 1.0 is full scale; PCM16 is rounded and clamped, FLOAT written as it is. NAME.part, fsync,
 * rename. ACE_ECREATE or ACE_EIO; nothing is left behind. */
enum status audio_write(const char *path, const float *data, int channels, int64_t n, int rate,
                        enum audio_format format) ACE_NODISCARD;
#endif
