/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/reader.h"

#include "base/file.h"

#ifndef HAVE_FFMPEG

bool
ffmpeg_load(void)
{
	return false;
}

const char *
ffmpeg_version(void)
{
	return "";
}

const char *
ffmpeg_util_version(void)
{
	return "";
}

bool
ffmpeg_has(const char *codec)
{
	(void)codec;
	return false;
}

enum status
ffmpeg_read(const char *path, struct sink *s)
{
	(void)s;
	return ace_fail(ACE_EDATA, "%s: a format that needs FFmpeg, which this build lacks (configure --with-ffmpeg)", path);
}

#else
#include <dlfcn.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Loaded when the first file asks for them: 130 libraries hang on these three, and no start of a program waits for them.
 * The version of the headers is asked for by name, so that declarations and code belong together. */
#define UTIL(F)   F(av_log_set_callback) F(av_strerror) F(av_frame_alloc) F(av_frame_free) F(av_frame_unref) \
	F(av_dict_set) F(av_dict_free) F(av_get_bytes_per_sample) F(av_sample_fmt_is_planar)
#define CODEC(F)  F(avcodec_find_decoder) F(avcodec_find_decoder_by_name) F(avcodec_alloc_context3) F(avcodec_free_context) F(avcodec_open2) \
	F(avcodec_parameters_to_context) F(avcodec_send_packet) F(avcodec_receive_frame) F(avcodec_get_name) \
	F(av_packet_alloc) F(av_packet_free) F(av_packet_unref)
#define FORMAT(F) F(avformat_open_input) F(avformat_close_input) F(avformat_find_stream_info) F(av_read_frame) \
	F(avformat_version)

static struct {
#define F(name) __typeof__(name) *name;
	UTIL(F) CODEC(F) FORMAT(F)
#undef F
	bool ready;
} av;

/* Demuxers that read one local file of sound; playlists and the like, which name other files, are not among them. */
static const char demuxers[] =
	"aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,loas,matroska,webm,mov,mp4,m4a,mp3,mpc,mpc8,mpeg,mpegts,"
	"ogg,oma,rm,shn,spdif,tak,truehd,tta,voc,w64,wav,wv,xwma";

static void
silent(void *me, int level, const char *fmt, va_list args)
{
	(void)me, (void)level, (void)fmt, (void)args;
}

static void
load(void)
{
	static const char *const names[] = {
		"libavutil.so." AV_STRINGIFY(LIBAVUTIL_VERSION_MAJOR),
		"libavcodec.so." AV_STRINGIFY(LIBAVCODEC_VERSION_MAJOR),
		"libavformat.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR),
	};
	void *lib[3];

	for (int i = 0; i < 3; i++)
		if (!(lib[i] = dlopen(names[i], RTLD_NOW | RTLD_LOCAL)))
			return;
	av.ready = true;
#define F(name) av.ready &= (*(void **)&av.name = dlsym(at, #name)) != NULL;
	void *at = lib[0];
	UTIL(F)
	at = lib[1];
	CODEC(F)
	at = lib[2];
	FORMAT(F)
#undef F
	if (av.ready)
		av.av_log_set_callback(silent);
}

bool
ffmpeg_load(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return av.ready;
}

const char *
ffmpeg_version(void)
{
	static char text[40];
	unsigned v;

	if (!ffmpeg_load())
		return "";
	v = av.avformat_version();
	snprintf(text, sizeof text, "libavformat %u.%u.%u", v >> 16, v >> 8 & 255, v & 255);
	return text;
}

const char *
ffmpeg_util_version(void)
{
	void *lib = dlopen("libavutil.so." AV_STRINGIFY(LIBAVUTIL_VERSION_MAJOR), RTLD_LAZY | RTLD_LOCAL);
	static char text[40];
	unsigned (*version)(void);

	text[0] = 0;
	if (!lib)
		return text;
	*(void **)&version = dlsym(lib, "avutil_version");
	if (version)
		snprintf(text, sizeof text, "%u.%u.%u", version() >> 16, version() >> 8 & 255, version() & 255);
	dlclose(lib);
	return text;
}

bool
ffmpeg_has(const char *codec)
{
	return ffmpeg_load() && av.avcodec_find_decoder_by_name(codec) != NULL;
}

struct reading {
	const char *path;
	AVFormatContext *format;
	AVCodecContext *codec;
	AVPacket *packet;
	AVFrame *frame;
	float *x;			/* one frame interleaved; owned */
	int64_t room;			/* floats in x */
};

static enum status
say(const struct reading *r, const char *what, int err)
{
	char text[128] = "";

	av.av_strerror(err, text, sizeof text);
	return ace_fail(ACE_EDATA, "%s: %s: %s", r->path, what, text);
}

static int
channels_of(const AVFrame *f)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 28, 100)
	return f->ch_layout.nb_channels;
#else
	return f->channels;
#endif
}

static int
stream_channels(const AVCodecParameters *p)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(59, 37, 100)
	return p->ch_layout.nb_channels;
#else
	return p->channels;
#endif
}

/* Sample i of a plane; integers are divided by 2^(bits-1). */
static float
sample(const uint8_t *p, enum AVSampleFormat f, int64_t i)
{
	switch ((int)f) {
	case AV_SAMPLE_FMT_U8: case AV_SAMPLE_FMT_U8P: return (float)(p[i] - 128) / 128.f;
	case AV_SAMPLE_FMT_S16: case AV_SAMPLE_FMT_S16P: return (float)((const int16_t *)p)[i] / 32768.f;
	case AV_SAMPLE_FMT_S32: case AV_SAMPLE_FMT_S32P: return (float)((const int32_t *)p)[i] / 2147483648.f;
	case AV_SAMPLE_FMT_S64: case AV_SAMPLE_FMT_S64P: return (float)ldexp((double)((const int64_t *)p)[i], -63);
	case AV_SAMPLE_FMT_FLT: case AV_SAMPLE_FMT_FLTP: return ((const float *)p)[i];
	case AV_SAMPLE_FMT_DBL: case AV_SAMPLE_FMT_DBLP: return (float)((const double *)p)[i];
	}
	return 0.f;
}

/* Hand the frame on. False: stop. */
static bool
take_frame(struct reading *r, struct sink *s)
{
	AVFrame *f = r->frame;
	int channels = channels_of(f);
	bool planar = av.av_sample_fmt_is_planar((enum AVSampleFormat)f->format);

	if (s->got == 0) {
		s->head.channels = channels;
		s->head.rate = f->sample_rate;
		if ((s->status = sink_check(r->path, &s->head)))
			return false;
	}
	if (channels != s->head.channels || f->sample_rate != s->head.rate || f->nb_samples <= 0) {
		s->head.short_data |= f->nb_samples > 0;	/* what is behind a change of format is left */
		return f->nb_samples <= 0;
	}
	if (r->room < (int64_t)f->nb_samples * channels) {
		free(r->x);
		r->room = (int64_t)f->nb_samples * channels;
		r->x = malloc((size_t)r->room * sizeof *r->x);
		if (!r->x) {
			r->room = 0;
			s->status = ace_fail(ACE_ENOMEM, "%s: no memory for a block of samples", r->path);
			return false;
		}
	}
	for (int c = 0; c < channels; c++) {
		const uint8_t *p = f->extended_data[planar ? c : 0];
		for (int64_t i = 0; i < f->nb_samples; i++)
			r->x[i * channels + c] = sample(p, (enum AVSampleFormat)f->format, planar ? i : i * channels + c);
	}
	return sink_put(s, r->x, f->nb_samples);
}

/* All frames that the decoder has by now. False: stop. */
static bool
drain(struct reading *r, struct sink *s)
{
	while (av.avcodec_receive_frame(r->codec, r->frame) >= 0) {
		bool go = take_frame(r, s);
		av.av_frame_unref(r->frame);
		if (!go)
			return false;
	}
	return true;
}

static enum status
open_stream(struct reading *r, struct sink *s, int *index)
{
	AVDictionary *options = NULL;
	const AVCodec *decoder;
	const AVStream *stream;
	char *url = file_path("file:%s", r->path);	/* a colon in a name must not choose a protocol */
	int err;

	if (!url)
		return ace_fail(ACE_ENOMEM, "%s: no memory for its name", r->path);
	av.av_dict_set(&options, "protocol_whitelist", "file", 0);
	av.av_dict_set(&options, "format_whitelist", demuxers, 0);
	err = av.avformat_open_input(&r->format, url, NULL, &options);
	free(url);
	av.av_dict_free(&options);
	if (err < 0)
		return say(r, "not a sound file that FFmpeg knows", err);
	if ((err = av.avformat_find_stream_info(r->format, NULL)) < 0)
		return say(r, "no stream can be read", err);
	*index = -1;
	for (unsigned i = 0; i < r->format->nb_streams; i++)
		if (*index < 0 && r->format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO)
			*index = (int)i;
		else
			r->format->streams[i]->discard = AVDISCARD_ALL;
	if (*index < 0) {
		s->head.reason = AUDIO_NOT_AUDIO;
		return ace_fail(ACE_EDATA, "%s: holds no sound", r->path);
	}
	stream = r->format->streams[*index];
	snprintf(s->head.codec, sizeof s->head.codec, "%s", av.avcodec_get_name(stream->codecpar->codec_id));
	s->head.channels = stream_channels(stream->codecpar);
	s->head.rate = stream->codecpar->sample_rate;
	if (stream->duration > 0)
		s->head.n = (int64_t)llrint((double)stream->duration * stream->time_base.num / stream->time_base.den *
		                            s->head.rate);
	else if (r->format->duration > 0)
		s->head.n = (int64_t)llrint((double)r->format->duration / AV_TIME_BASE * s->head.rate);
	if (s->head.n < 0 || s->head.n > (int64_t)1 << 40)
		s->head.n = 0;
	if (!(decoder = av.avcodec_find_decoder(stream->codecpar->codec_id)))
		return ace_fail(ACE_EDATA, "%s: this FFmpeg has no decoder for %s", r->path, s->head.codec);
	if (!(r->codec = av.avcodec_alloc_context3(decoder)))
		return ace_fail(ACE_ENOMEM, "%s: no memory for the decoder", r->path);
	if ((err = av.avcodec_parameters_to_context(r->codec, stream->codecpar)) < 0)
		return say(r, "stream parameters", err);
	r->codec->pkt_timebase = stream->time_base;	/* encoder delay is cut by it */
	r->codec->thread_count = 1;
	if ((err = av.avcodec_open2(r->codec, decoder, NULL)) < 0)
		return say(r, s->head.codec, err);
	return ACE_OK;
}

enum status
ffmpeg_read(const char *path, struct sink *s)
{
	struct reading r = { .path = path };
	enum status st;
	int index = -1, err = 0;

	if (!ffmpeg_load())
		return ace_fail(ACE_EDATA, "%s: a format that needs FFmpeg, but libavformat.so." AV_STRINGIFY(
		                LIBAVFORMAT_VERSION_MAJOR) " and its kin are not on this machine", path);
	if ((st = open_stream(&r, s, &index)) || (s->probe && s->head.rate > 0 && s->head.channels > 0))
		goto close;
	r.packet = av.av_packet_alloc();
	r.frame = av.av_frame_alloc();
	if (!r.packet || !r.frame) {
		st = ace_fail(ACE_ENOMEM, "%s: no memory for the decoder", path);
		goto close;
	}
	bool go = true;
	while (go && (err = av.av_read_frame(r.format, r.packet)) >= 0) {
		if (r.packet->stream_index == index) {
			(void)av.avcodec_send_packet(r.codec, r.packet);	/* a bad packet is left out */
			go = drain(&r, s);
		}
		av.av_packet_unref(r.packet);
	}
	if (go) {
		(void)av.avcodec_send_packet(r.codec, NULL);
		drain(&r, s);
	}
	st = s->status;
	if (st == ACE_OK && s->got == 0)
		st = say(&r, "nothing could be decoded", err);
close:
	if (r.frame)
		av.av_frame_free(&r.frame);
	if (r.packet)
		av.av_packet_free(&r.packet);
	if (r.codec)
		av.avcodec_free_context(&r.codec);
	if (r.format)
		av.avformat_close_input(&r.format);
	free(r.x);
	return st;
}
#endif
