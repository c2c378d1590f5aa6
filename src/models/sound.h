/* SPDX-License-Identifier: Apache-2.0 */
/* sound.h - scaled latents -> stereo sound: the autoencoder's decoder, the vocoder, resampling (audio_codec.md section 8) */
#ifndef ACE_MODELS_SOUND_H
#define ACE_MODELS_SOUND_H

#include "models/dcae.h"
#include "models/vocoder.h"

struct sound {
	struct dcae dcae;
	struct vocoder vocoder;
	struct dev *dev;
	void *memory;			/* of the last decode, the device's; owned, grows */
	size_t size;
};

/* model_folder holds music_dcae_f8c8/ and music_vocoder/; the encoder's tensors are not read. */
enum status sound_open(struct sound *m, const char *model_folder, struct dev *d) ACE_NODISCARD;
void sound_close(struct sound *m);

/* Channels and rows of a latent that it takes. */
int sound_channels(const struct sound *m);
int sound_rows(const struct sound *m);

/* Log-mel [2][bands][8 frames] on its natural scale of one clip, host memory.
 *   latent   [channels, rows, frames] as stores and samplers have it: (z - shift) scale
 *   chunked  windows of 512 latent frames by themselves, joined without their margins; else all at once */
enum status sound_mel(struct sound *m, const float *latent, int64_t frames, bool chunked, float *mel) ACE_NODISCARD;

/* The whole way. *left_right [2][*n] at rate (Hz, 44100 as it comes or what is resampled to), owned by the caller (free); not clamped.
 * chunked: as above, and the vocoder takes 512 frames of the mel at a time, cross-faded; memory then does not grow with the
 * clip. ACE_ENOMEM says what was needed. */
enum status sound_decode(struct sound *m, const float *latent, int64_t frames, bool chunked, int rate, float **left_right, int64_t *n)
	ACE_NODISCARD;

/* Bytes of the device's working memory that a clip takes, by dry runs. */
size_t sound_memory(const struct sound *m, int64_t frames, bool chunked);
#endif
