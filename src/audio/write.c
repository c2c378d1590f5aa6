/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/write.h"

#include "base/file.h"

#include <math.h>
#include <sndfile.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 4096 };		/* samples of all channels */

/* MP3 by its numbers: headers before libsndfile 1.1 do not name it, and such a library says no. */
static const struct {
	int format;
	bool whole;		/* 16 bit numbers */
	const char *ending;
} kinds[] = {
	[AUDIO_PCM16] = { SF_FORMAT_WAV | SF_FORMAT_PCM_16, true, "wav" },
	[AUDIO_FLOAT] = { SF_FORMAT_WAV | SF_FORMAT_FLOAT, false, "wav" },
	[AUDIO_FLAC] = { SF_FORMAT_FLAC | SF_FORMAT_PCM_16, true, "flac" },
	[AUDIO_OGG] = { SF_FORMAT_OGG | SF_FORMAT_VORBIS, false, "ogg" },
	[AUDIO_MP3] = { 0x230000 | 0x0082, false, "mp3" },
};

bool
audio_can_write(enum audio_format format)
{
	SF_INFO info = { .samplerate = 44100, .channels = 2, .format = kinds[format].format };

	return sf_format_check(&info) != 0;
}

const char *
audio_ending(enum audio_format format)
{
	return kinds[format].ending;
}

static bool
write_block(SNDFILE *f, const float *data, int channels, int64_t n, int64_t at, int64_t count, bool whole)
{
	float x[BLOCK];
	short s[BLOCK];

	for (int64_t i = 0; i < count; i++)
		for (int c = 0; c < channels; c++) {
			float v = data[c * n + at + i];
			float w = v < -1.f ? -32768.f : v >= 32767.f / 32768.f ? 32767.f : nearbyintf(v * 32768.f);
			x[i * channels + c] = v;
			s[i * channels + c] = (short)(w == w ? w : 0.f);
		}
	return (whole ? sf_writef_short(f, s, count) : sf_writef_float(f, x, count)) == count;
}

enum status
audio_write(const char *path, const float *data, int channels, int64_t n, int rate, enum audio_format format)
{
	SF_INFO info = { .samplerate = rate, .channels = channels, .format = kinds[format].format };
	char *part;
	enum status st = ACE_OK;
	SNDFILE *f;

	if (channels < 1 || channels > 64)
		return ace_fail(ACE_EDATA, "%s: %d channels, 1 to 64 can be written", path, channels);
	if (!(part = file_path("%s.part", path)))
		return ace_fail(ACE_ENOMEM, "%s: no memory for its name", path);
	if (!(f = sf_open(part, SFM_WRITE, &info))) {
		st = ace_fail(ACE_ECREATE, "%s: cannot be created: %s", path, sf_strerror(NULL));
		free(part);
		return st;
	}
	for (int64_t at = 0; at < n && st == ACE_OK; at += BLOCK / channels) {
		int64_t count = n - at < BLOCK / channels ? n - at : BLOCK / channels;
		if (!write_block(f, data, channels, n, at, count, kinds[format].whole))
			st = ace_fail(ACE_EIO, "%s: cannot be written: %s", path, sf_strerror(f));
	}
	if (sf_close(f) && st == ACE_OK)
		st = ace_fail(ACE_EIO, "%s: cannot be written", path);
	if (st == ACE_OK)
		st = file_sync(part);
	if (st == ACE_OK)
		st = file_rename(part, path);
	if (st)
		unlink(part);
	free(part);
	return st;
}
