/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/reader.h"

#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* MPEG came with libsndfile 1.1; an older header lacks the names, and FFmpeg reads mp3 then. */
enum { MAJOR_MPEG = 0x230000, MPEG_LAYER_1 = 0x80, MPEG_LAYER_2 = 0x81, MPEG_LAYER_3 = 0x82 };

static const struct {
	int subtype;
	const char *name;
	bool endian;		/* "le" or "be" follows */
} codecs[] = {
	{ SF_FORMAT_PCM_S8, "pcm_s8", false },        { SF_FORMAT_PCM_U8, "pcm_u8", false },
	{ SF_FORMAT_PCM_16, "pcm_s16", true },        { SF_FORMAT_PCM_24, "pcm_s24", true },
	{ SF_FORMAT_PCM_32, "pcm_s32", true },        { SF_FORMAT_FLOAT, "pcm_f32", true },
	{ SF_FORMAT_DOUBLE, "pcm_f64", true },        { SF_FORMAT_ULAW, "pcm_mulaw", false },
	{ SF_FORMAT_ALAW, "pcm_alaw", false },        { SF_FORMAT_IMA_ADPCM, "adpcm_ima_wav", false },
	{ SF_FORMAT_MS_ADPCM, "adpcm_ms", false },    { SF_FORMAT_GSM610, "gsm_ms", false },
	{ SF_FORMAT_VORBIS, "vorbis", false },        { SF_FORMAT_OPUS, "opus", false },
	{ SF_FORMAT_ALAC_16, "alac", false },         { SF_FORMAT_ALAC_20, "alac", false },
	{ SF_FORMAT_ALAC_24, "alac", false },         { SF_FORMAT_ALAC_32, "alac", false },
	{ MPEG_LAYER_1, "mp1", false },               { MPEG_LAYER_2, "mp2", false },
	{ MPEG_LAYER_3, "mp3", false },
};

static void
name_codec(char name[24], int format)
{
	int major = format & SF_FORMAT_TYPEMASK, sub = format & SF_FORMAT_SUBMASK, end = format & SF_FORMAT_ENDMASK;
	bool big = major == SF_FORMAT_AIFF || major == SF_FORMAT_AU || major == SF_FORMAT_CAF;

	if (end != SF_ENDIAN_FILE)
		big = end == SF_ENDIAN_BIG;
	snprintf(name, 24, "unknown");
	if (major == SF_FORMAT_FLAC || (major == SF_FORMAT_OGG && sub == 0)) {
		snprintf(name, 24, "flac");
		return;
	}
	for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
		if (codecs[i].subtype == sub)
			snprintf(name, 24, "%s%s", codecs[i].name, !codecs[i].endian ? "" : big ? "be" : "le");
}

const char *
sndfile_version(void)
{
	return sf_version_string();
}

bool
sndfile_has(const char *codec)
{
	static const struct { const char *codec; int major, subtype; } known[] = {
		{ "pcm_s16le", 0, SF_FORMAT_PCM_16 }, { "flac", SF_FORMAT_FLAC, 0 }, { "vorbis", 0, SF_FORMAT_VORBIS },
		{ "opus", 0, SF_FORMAT_OPUS }, { "mp3", 0, MPEG_LAYER_3 },
	};
	SF_FORMAT_INFO f;
	int n = 0;

	for (size_t c = 0; c < sizeof known / sizeof *known; c++) {
		int major = known[c].major;
		if (strcmp(known[c].codec, codec) != 0)
			continue;
		sf_command(NULL, major ? SFC_GET_FORMAT_MAJOR_COUNT : SFC_GET_FORMAT_SUBTYPE_COUNT, &n, sizeof n);
		for (f.format = 0; f.format < n; f.format++) {
			int i = f.format;
			sf_command(NULL, major ? SFC_GET_FORMAT_MAJOR : SFC_GET_FORMAT_SUBTYPE, &f, sizeof f);
			if (f.format == (major ? major : known[c].subtype))
				return true;
			f.format = i;
		}
	}
	return false;
}

enum status
sndfile_read(const char *path, struct sink *s)
{
	enum { BLOCK = 8192 };		/* samples of all channels */
	SF_INFO info = { 0 };
	SNDFILE *f = sf_open(path, SFM_READ, &info);
	enum status st;
	float *x = NULL;

	if (!f)
		return ace_fail(ACE_EDATA, "%s: %s", path, sf_strerror(NULL));
	s->head.channels = info.channels;
	s->head.rate = info.samplerate;
	s->head.n = info.frames > 0 && info.frames < INT64_MAX / 2 ? info.frames : 0;
	name_codec(s->head.codec, info.format);
	if ((st = sink_check(path, &s->head)) || s->probe)
		goto close;
	x = malloc(BLOCK * sizeof *x);
	if (!x) {
		st = ace_fail(ACE_ENOMEM, "%s: no memory for a block of samples", path);
		goto close;
	}
	for (;;) {
		sf_count_t n = sf_readf_float(f, x, BLOCK / info.channels);
		if (n <= 0 || n > BLOCK / info.channels || !sink_put(s, x, n))
			break;
	}
	st = s->status;
	if (st == ACE_OK && s->got == 0)
		st = ace_fail(ACE_EDATA, "%s: holds no samples (%s)", path, s->head.codec);
	else if (!s->head.cut && s->head.n && s->got < s->head.n)
		s->head.short_data = true;
close:
	free(x);
	sf_close(f);
	return st;
}
