/* SPDX-License-Identifier: Apache-2.0 */
#include "audio/decode.h"

#include "audio/child.h"
#include "audio/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RATE_MIN = 1000, RATE_MAX = 768000, CHANNELS_MAX = 64 };

/* At most this many floats of one clip: six hours of 48 kHz stereo. */
#define FLOATS_MAX ((int64_t)AUDIO_MAX_SECONDS * 48000 * 2)

const char *
audio_reason_name(enum audio_reason r)
{
	switch (r) {
	case AUDIO_OK: return "ok";
	case AUDIO_MISSING: return "missing";
	case AUDIO_EMPTY_FILE: return "empty_file";
	case AUDIO_NOT_AUDIO: return "not_audio";
	case AUDIO_NOT_BUILT: return "not_built";
	case AUDIO_DECODE_FAILED: return "decode_failed";
	case AUDIO_SILENT: return "silent";
	}
	return "?";
}

void
clip_free(struct clip *c)
{
	if (c) {
		free(c->data);
		*c = (struct clip){ .reason = c->reason };
	}
}

enum status
sink_check(const char *path, const struct clip *head)
{
	if (head->channels < 1 || head->channels > CHANNELS_MAX)
		return ace_fail(ACE_EDATA, "%s: %d channels, at most %d can be read", path, head->channels, CHANNELS_MAX);
	if (head->rate < RATE_MIN || head->rate > RATE_MAX)
		return ace_fail(ACE_EDATA, "%s: a rate of %d Hz, wanted %d to %d", path, head->rate, RATE_MIN, RATE_MAX);
	return ACE_OK;
}

bool
sink_put(struct sink *s, const float *x, int64_t n)
{
	int64_t most = (int64_t)AUDIO_MAX_SECONDS * s->head.rate;

	if (most > FLOATS_MAX / s->head.channels)
		most = FLOATS_MAX / s->head.channels;
	if (n > most - s->got) {
		n = most - s->got;
		s->head.cut = true;
	}
	s->got += n;
	if (!s->probe && n > 0)
		s->status = s->put(s, x, n);
	return s->status == ACE_OK && !s->probe && !s->head.cut;
}

/* What the first bytes say. */
enum looks {
	LOOKS_UNKNOWN,
	LOOKS_SNDFILE,		/* of libsndfile's formats */
	LOOKS_FFMPEG,		/* sound that FFmpeg reads, or reads as the reference does */
	LOOKS_OTHER,		/* a picture, text, an archive ... */
};

static bool
is_text(const unsigned char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (b[i] == 0 || b[i] == 0x7f || (b[i] < 32 && !strchr("\t\n\r\f\033", b[i])))
			return false;
	return n > 0;
}

static enum looks
look(const unsigned char *b, size_t n)
{
	static const struct { const char *magic; size_t size, at; enum looks looks; } table[] = {
		{ "RIFF", 4, 0, LOOKS_SNDFILE },  { "RIFX", 4, 0, LOOKS_SNDFILE }, { "RF64", 4, 0, LOOKS_SNDFILE },
		{ "FORM", 4, 0, LOOKS_SNDFILE },  { "fLaC", 4, 0, LOOKS_SNDFILE }, { "caff", 4, 0, LOOKS_SNDFILE },
		{ ".snd", 4, 0, LOOKS_SNDFILE },  { "riff\x2e\x91", 6, 0, LOOKS_SNDFILE },
		{ "ID3", 3, 0, LOOKS_SNDFILE },   { "OggS", 4, 0, LOOKS_SNDFILE }, { "ftyp", 4, 4, LOOKS_FFMPEG },
		{ "\x1a\x45\xdf\xa3", 4, 0, LOOKS_FFMPEG }, { "\x30\x26\xb2\x75", 4, 0, LOOKS_FFMPEG },
		{ "\x89PNG", 4, 0, LOOKS_OTHER }, { "\xff\xd8\xff", 3, 0, LOOKS_OTHER }, { "GIF8", 4, 0, LOOKS_OTHER },
		{ "%PDF", 4, 0, LOOKS_OTHER },    { "PK\3\4", 4, 0, LOOKS_OTHER }, { "\x1f\x8b", 2, 0, LOOKS_OTHER },
		{ "\x7f" "ELF", 4, 0, LOOKS_OTHER }, { "II*\0", 4, 0, LOOKS_OTHER }, { "MM\0*", 4, 0, LOOKS_OTHER },
		{ "BZh", 3, 0, LOOKS_OTHER },     { "\xfd" "7zXZ", 5, 0, LOOKS_OTHER }, { "\x89HDF", 4, 0, LOOKS_OTHER },
		{ "#!AMR", 5, 0, LOOKS_FFMPEG },  { "MAC ", 4, 0, LOOKS_FFMPEG },  { "wvpk", 4, 0, LOOKS_FFMPEG },
		{ "TTA1", 4, 0, LOOKS_FFMPEG },   { "FLV\1", 4, 0, LOOKS_FFMPEG }, { ".RMF", 4, 0, LOOKS_FFMPEG },
		{ "\0\0\1\xba", 4, 0, LOOKS_FFMPEG }, { "MThd", 4, 0, LOOKS_OTHER },
	};

	if (n >= 12 && !memcmp(b, "RIFF", 4) && !memcmp(b + 8, "WEBP", 4))
		return LOOKS_OTHER;
	if (n >= 36 && !memcmp(b, "OggS", 4) && !memcmp(b + 28, "OpusHead", 8))
		return LOOKS_FFMPEG;	/* always at 48 kHz there */
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (n >= table[i].at + table[i].size && !memcmp(b + table[i].at, table[i].magic, table[i].size))
			return table[i].looks;
	if (n >= 2 && b[0] == 0xff && (b[1] & 0xe0) == 0xe0)	/* MPEG frames; layer bits 0: AAC */
		return b[1] & 6 ? LOOKS_SNDFILE : LOOKS_FFMPEG;
	return is_text(b, n) ? LOOKS_OTHER : LOOKS_UNKNOWN;
}

/* The regular file's size and first bytes. */
static enum status
peek(const char *path, enum looks *looks, enum audio_reason *why)
{
	unsigned char b[512];
	struct stat info;
	enum status st = ACE_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*why = AUDIO_MISSING;
	if (fd < 0)
		return ace_fail(ACE_ENOINPUT, "%s: %s", path, strerror(errno));
	if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
		st = ace_fail(ACE_ENOINPUT, "%s: not a file", path);
	} else if (info.st_size == 0) {
		*why = AUDIO_EMPTY_FILE;
		st = ace_fail(ACE_EDATA, "%s: the file is empty", path);
	} else {
		ssize_t n = pread(fd, b, sizeof b, 0);
		if (n > 0)
			*looks = look(b, (size_t)n);
		else
			st = ace_fail(ACE_ENOINPUT, "%s: cannot be read: %s", path, n < 0 ? strerror(errno) : "no data");
	}
	close(fd);
	return st;
}

static uint32_t
word(const unsigned char *b, bool big)
{
	return big ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]
	           : (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0];
}

/* A wav or aiff whose data chunk says it is longer than the file: the library quietly takes what is there. */
static bool
header_promises_more(const char *path)
{
	enum { CHUNKS = 256, STREAMED = 0x7ffff000 };
	unsigned char b[12];
	struct stat info;
	bool more = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return false;
	if (!fstat(fd, &info) && pread(fd, b, 12, 0) == 12 &&
	    (!memcmp(b, "RIFF", 4) || !memcmp(b, "RIFX", 4) || !memcmp(b, "FORM", 4))) {
		bool aiff = b[0] == 'F', big = aiff || b[3] == 'X';
		int64_t at = 12;
		for (int i = 0; i < CHUNKS && pread(fd, b, 8, at) == 8; i++) {
			int64_t size = word(b + 4, big);
			if (!memcmp(b, aiff ? "SSND" : "data", 4)) {
				/* a writer to a pipe cannot know: such sizes promise nothing */
				more = size < STREAMED && at + 8 + size > info.st_size;
				break;
			}
			at += 8 + size + (size & 1);
		}
	}
	close(fd);
	return more;
}

enum status
decode_into(const char *path, struct sink *s)
{
	typedef enum status reader(const char *path, struct sink *s);
	enum looks looks = LOOKS_UNKNOWN;
	enum audio_reason why = AUDIO_DECODE_FAILED;
	char first[400] = "";
	reader *order[2];
	enum status st = peek(path, &looks, &why);

	if (st) {
		s->head.reason = why;
		return st;
	}
	if (looks == LOOKS_OTHER) {
		s->head.reason = AUDIO_NOT_AUDIO;
		return ace_fail(ACE_EDATA, "%s: not a sound file", path);
	}
	bool mine = looks == LOOKS_SNDFILE || (looks == LOOKS_UNKNOWN && !ffmpeg_load());
	order[0] = mine ? sndfile_read : ffmpeg_read;
	order[1] = mine ? ffmpeg_read : sndfile_read;
	for (int i = 0; i < 2; i++) {
		if (i == 1 && order[i] == ffmpeg_read && !ffmpeg_load())
			break;
		s->head = (struct clip){ 0 };
		st = order[i](path, s);
		if (st == ACE_OK)
			s->head.short_data |= header_promises_more(path);
		if (st == ACE_OK || st == ACE_ENOMEM || s->got || s->head.reason)
			return st;
		if (i == 0)
			snprintf(first, sizeof first, "%s", ace_message());
	}
	s->head.reason = looks == LOOKS_FFMPEG && !ffmpeg_load() ? AUDIO_NOT_BUILT : AUDIO_DECODE_FAILED;
	return ace_fail(ACE_EDATA, "%s", first);
}

/* Floats that grow as they come. */
struct pile {
	float *x;
	size_t n, room;
};

static enum status
pile_put(struct sink *s, const float *x, int64_t n)
{
	struct pile *p = s->me;
	size_t more = (size_t)n * (size_t)s->head.channels;

	if (more > p->room - p->n) {
		size_t room = p->room + p->room / 2 > p->n + more ? p->room + p->room / 2 : p->n + more + (1 << 18);
		float *grown = realloc(p->x, room * sizeof *grown);
		if (!grown)
			return ace_fail(ACE_ENOMEM, "no memory for %zu samples of sound", room);
		p->x = grown;
		p->room = room;
	}
	memcpy(p->x + p->n, x, more * sizeof *x);
	p->n += more;
	return ACE_OK;
}

static enum status
planar(struct pile *p, struct clip *out)
{
	int channels = out->channels;
	float *x = malloc(p->n * sizeof *x);

	if (!x)
		return ace_fail(ACE_ENOMEM, "no memory for %zu samples of sound", p->n);
	for (int c = 0; c < channels; c++)
		for (int64_t i = 0; i < out->n; i++)
			x[c * out->n + i] = p->x[i * channels + c];
	out->data = x;
	return ACE_OK;
}

static enum status
decode(const char *path, struct clip *out, bool probe, enum status (*into)(const char *, struct sink *))
{
	struct pile pile = { 0 };
	struct sink s = { .probe = probe, .put = pile_put, .me = &pile };
	enum status st = into(path, &s);

	*out = (struct clip){ .reason = s.head.reason };
	if (st == ACE_OK) {
		*out = s.head;
		if (!probe) {
			out->n = s.got;
			st = planar(&pile, out);
		}
	}
	free(pile.x);
	if (st)
		*out = (struct clip){ .reason = s.head.reason ? s.head.reason : AUDIO_DECODE_FAILED };
	return st;
}

/* Decode in a child; FFmpeg is loaded before, once for all children, when the file will want it. */
static enum status
guarded(const char *path, struct sink *s)
{
	enum looks looks = LOOKS_UNKNOWN;
	enum audio_reason why = AUDIO_OK;
	enum status st = peek(path, &looks, &why);

	if (st) {
		s->head.reason = why;
		return st;
	}
	if (looks == LOOKS_FFMPEG || looks == LOOKS_UNKNOWN)
		(void)ffmpeg_load();
	return child_decode(path, s);
}

enum status
audio_decode(const char *path, struct clip *out)
{
	return decode(path, out, false, guarded);
}

enum status
audio_decode_here(const char *path, struct clip *out)
{
	return decode(path, out, false, decode_into);
}

enum status
audio_probe(const char *path, struct clip *out)
{
	return decode(path, out, true, guarded);
}

const char *
audio_decoders(bool *ffmpeg)
{
	static char text[120];
	bool have = ffmpeg_load();

	if (ffmpeg)
		*ffmpeg = have;
	if (have)
		snprintf(text, sizeof text, "%s, FFmpeg (%s)", sndfile_version(), ffmpeg_version());
	else
		snprintf(text, sizeof text, "%s, no FFmpeg", sndfile_version());
	return text;
}

const char *
audio_ffmpeg_version(void)
{
	return ffmpeg_util_version();
}

const char *
audio_decoder_of(const char *codec)
{
	if (sndfile_has(codec))
		return "libsndfile";
	return ffmpeg_has(codec) ? "FFmpeg" : NULL;
}
