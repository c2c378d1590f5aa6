/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h - what decode.c asks of the two libraries; private to the room */
#ifndef ACE_AUDIO_READER_H
#define ACE_AUDIO_READER_H

#include "audio/decode.h"

/* Where decoded samples go. A reader fills head (channels, rate, codec, n as declared or 0) before its first put. */
struct sink {
	struct clip head;
	bool probe;				/* only head is wanted */
	int64_t got;				/* samples per channel so far */
	enum status status;			/* failure of the receiving side */
	enum status (*put)(struct sink *s, const float *x, int64_t n);
	void *me;
};

/* n samples of each channel, interleaved. False: stop reading (enough, or the receiver failed). */
bool sink_put(struct sink *s, const float *x, int64_t n);

/* Channels and rate that a clip may have; says what is wrong. */
enum status sink_check(const char *path, const struct clip *head) ACE_NODISCARD;

/* Read a file into the sink. Failures say why; s->head.reason is AUDIO_NOT_AUDIO when the file is understood and holds
 * no sound, else left alone. */
enum status sndfile_read(const char *path, struct sink *s) ACE_NODISCARD;
enum status ffmpeg_read(const char *path, struct sink *s) ACE_NODISCARD;

/* Bring FFmpeg's libraries into the process, once; only files that need them pay for it (35 ms of start-up). False: this
 * build or this machine has none. */
bool ffmpeg_load(void);

/* Versions; static. */
const char *ffmpeg_version(void);	/* "" when there is none */

/* That of its smallest library, "57.28.100", which loads in a tenth of the time; "" when there is none. */
const char *ffmpeg_util_version(void);
const char *sndfile_version(void);

/* Whether they decode a codec, by FFmpeg's name. */
bool ffmpeg_has(const char *codec);
bool sndfile_has(const char *codec);
#endif
