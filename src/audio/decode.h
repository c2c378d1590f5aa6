/* SPDX-License-Identifier: Apache-2.0 */
/* decode.h - a sound file of any format into F32 samples
 *
 * libsndfile reads wav, flac, aiff, ogg (vorbis, opus), mp3 and its kin; FFmpeg, where the build has it, reads the
 * rest (m4a, aac, alac, wma, webm ...) and what the first one fails on: the first audio stream, from the local file
 * alone. Encoder delay that a file declares is dropped, as both libraries do (audio_codec.md section 2, datasets.md
 * section 5). Foreign bytes are decoded in a child process with limits, so a decoder that crashes or runs wild costs
 * one clip and no more. */
#ifndef ACE_AUDIO_DECODE_H
#define ACE_AUDIO_DECODE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Why a clip is not used; the names are what reports say. */
enum audio_reason {
	AUDIO_OK,
	AUDIO_MISSING,		/* no such file, or it cannot be read */
	AUDIO_EMPTY_FILE,	/* 0 bytes */
	AUDIO_NOT_AUDIO,	/* text, a picture, a film without sound ... */
	AUDIO_NOT_BUILT,	/* needs FFmpeg, which this build lacks */
	AUDIO_DECODE_FAILED,	/* looks like sound but gives none */
	AUDIO_SILENT,		/* more than 95 % zero frames after padding (prepare.h) */
};

/* "ok", "missing", "empty_file", "not_audio", "not_built", "decode_failed", "silent". */
const char *audio_reason_name(enum audio_reason r);

/* Longest clip that is decoded, in seconds; what is behind is left (cut is set). */
enum { AUDIO_MAX_SECONDS = 6 * 3600 };

struct clip {
	float *data;			/* [channels][n], planar; owned (clip_free) */
	int channels, rate;		/* 1 .. 64; Hz, 1000 .. 768000 */
	int64_t n;			/* samples per channel, > 0 */
	char codec[24];			/* as FFmpeg names it: "pcm_s16le", "flac", "mp3" ... */
	bool cut;			/* longer than AUDIO_MAX_SECONDS */
	bool short_data;		/* the header promises more than there is: warn data_shorter_than_header */
	enum audio_reason reason;	/* set on failure too */
};

/* The whole file at its own rate with all its channels; integers are divided by 2^(bits-1). A file that ends early gives
 * what is there. On failure out holds only the reason; ACE_ENOINPUT when missing, ACE_ENOMEM, else ACE_EDATA, with a line
 * that names the file. May be called from several threads at once. */
enum status audio_decode(const char *path, struct clip *out) ACE_NODISCARD;
void clip_free(struct clip *c);

/* The same without the child process. */
enum status audio_decode_here(const char *path, struct clip *out) ACE_NODISCARD;

/* What a file says of itself, without decoding it: rate, channels, codec, n (declared or estimated, 0 when unknown); data
 * stays NULL. Failures as audio_decode. Never a reason to trust n. */
enum status audio_probe(const char *path, struct clip *out) ACE_NODISCARD;

/* The decoders at hand, for people: "libsndfile-1.2.0, FFmpeg (libavformat 59.27.100)" or "libsndfile-1.2.0, no FFmpeg".
 * Static. *ffmpeg, when not NULL: whether FFmpeg's formats can be decoded. */
const char *audio_decoders(bool *ffmpeg);

/* The version of FFmpeg's libavutil, "57.28.100", "" when there is none: quickly, without loading the decoders. Static. */
const char *audio_ffmpeg_version(void);

/* Who decodes a codec, by FFmpeg's name ("mp3", "flac", "vorbis", "opus", "aac", "alac", "wmav2" ...): "libsndfile",
 * "FFmpeg", or NULL when nobody does here. */
const char *audio_decoder_of(const char *codec);
#endif
