/* SPDX-License-Identifier: Apache-2.0 */
/* write.h - a clip into an audio file, whole or not at all */
#ifndef ACE_AUDIO_WRITE_H
#define ACE_AUDIO_WRITE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum audio_format { AUDIO_PCM16, AUDIO_FLOAT, AUDIO_FLAC, AUDIO_OGG, AUDIO_MP3 };

/* Whether libsndfile was built with it, and how such a file's name ends ("wav", "flac", "ogg", "mp3"). */
bool audio_can_write(enum audio_format format);
const char *audio_ending(enum audio_format format);

/* data [channels][n] planar, 1.0 is full scale; PCM16 and FLAC (16 bit) are rounded and clamped, FLOAT (both are WAV) is
 * written as it is, OGG (Vorbis) and MP3 lose what they must. NAME.part, fsync, rename. ACE_ECREATE or ACE_EIO; nothing is
 * left behind. */
enum status audio_write(const char *path, const float *data, int channels, int64_t n, int rate,
                        enum audio_format format) ACE_NODISCARD;
#endif
