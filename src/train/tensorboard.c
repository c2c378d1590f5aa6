/* SPDX-License-Identifier: Apache-2.0 */
#include "train/tensorboard.h"

#include "base/crc32c.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AUDIO_MAX = 1 << 30, TRIES = 1000 };

/* Fields of Event, Summary.Value and Audio, by the number and type that protobuf writes before them. */
enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum { EVENT_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SCALAR = 2, VALUE_AUDIO = 6 };
enum { AUDIO_RATE = 1, AUDIO_CHANNELS = 2, AUDIO_FRAMES = 3, AUDIO_BYTES = 4, AUDIO_TYPE = 5 };
enum { SESSION_STATUS = 1, SESSION_START = 1 };

/* Bytes being put together; nomem stays set once memory was out. */
struct bytes {
	unsigned char *at;
	size_t n, cap;
	bool nomem;
};

static void
put(struct bytes *b, const void *data, size_t n)
{
	if (!b->nomem && b->cap - b->n < n) {
		size_t cap = 2 * b->cap + n + 64;
		unsigned char *more = realloc(b->at, cap);
		b->nomem = !more;
		if (more) {
			b->at = more;
			b->cap = cap;
		}
	}
	if (b->nomem)
		return;
	memcpy(b->at + b->n, data, n);
	b->n += n;
}

static void
put_little(struct bytes *b, uint64_t v, int n)
{
	unsigned char byte[8];

	for (int i = 0; i < n; i++)
		byte[i] = (unsigned char)(v >> 8 * i);
	put(b, byte, (size_t)n);
}

static void
put_varint(struct bytes *b, uint64_t v)
{
	do {
		unsigned char byte = (unsigned char)((v & 127) | (v > 127 ? 128 : 0));
		put(b, &byte, 1);
		v >>= 7;
	} while (v);
}

static void
put_key(struct bytes *b, int field, enum wire type)
{
	put_varint(b, (uint64_t)field << 3 | (uint64_t)type);
}

static void
put_field_bytes(struct bytes *b, int field, const void *data, size_t n)
{
	put_key(b, field, BYTES);
	put_varint(b, n);
	put(b, data, n);
}

static void
put_field_int(struct bytes *b, int field, int64_t v)
{
	put_key(b, field, VARINT);
	put_varint(b, (uint64_t)v);
}

static void
put_field_float(struct bytes *b, int field, float v)
{
	uint32_t u;

	memcpy(&u, &v, sizeof u);
	put_key(b, field, FIXED32);
	put_little(b, u, 4);
}

/* An event's begin: its time, and its step where it is not 0. */
static void
put_event(struct bytes *b, double wall, int64_t step)
{
	uint64_t u;

	memcpy(&u, &wall, sizeof u);
	put_key(b, EVENT_TIME, FIXED64);
	put_little(b, u, 8);
	if (step)
		put_field_int(b, EVENT_STEP, step);
}

/* A message that is a field of another: moved into it. */
static void
put_message(struct bytes *b, int field, struct bytes *inner)
{
	put_field_bytes(b, field, inner->at, inner->n);
	b->nomem |= inner->nomem;
	free(inner->at);
	*inner = (struct bytes){ 0 };
}

static uint32_t
masked(const void *data, size_t n)
{
	uint32_t c = crc32c(0, data, n);

	return (c >> 15 | c << 17) + UINT32_C(0xa282ead8);
}

/* Append one record, whole or not at all; payload is freed. */
static enum status
append(struct tensorboard *t, struct bytes *payload)
{
	struct bytes r = { 0 };
	enum status st = ACE_OK;
	struct stat s = { .st_size = -1 };
	ssize_t w;

	put_little(&r, payload->n, 8);
	if (!r.nomem)
		put_little(&r, masked(r.at, 8), 4);
	put(&r, payload->at, payload->n);
	put_little(&r, masked(payload->at, payload->n), 4);
	if (r.nomem || payload->nomem) {
		st = ace_fail(ACE_ENOMEM, "%s: no memory for a record", t->path);
	} else {
		if (fstat(t->fd, &s) != 0)
			s.st_size = -1;
		do
			w = write(t->fd, r.at, r.n);
		while (w < 0 && errno == EINTR);
		if (w != (ssize_t)r.n) {
			int err = w < 0 ? errno : ENOSPC;
			if (w > 0 && s.st_size >= 0 && ftruncate(t->fd, s.st_size) != 0)
				err = errno;
			st = ace_fail(ACE_EIO, "%s: cannot write: %s", t->path, strerror(err));
		}
	}
	free(r.at);
	free(payload->at);
	*payload = (struct bytes){ 0 };
	return st;
}

static enum status
create(struct tensorboard *t, const char *folder, double wall)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	char host[256] = "";

	if (gethostname(host, sizeof host - 1) != 0 || !host[0])
		snprintf(host, sizeof host, "localhost");
	for (char *p = host; *p; p++)
		if (!strchr(safe, *p))
			*p = '-';
	for (int n = 0; n < TRIES; n++) {
		free(t->path);
		t->path = file_path("%s/events.out.tfevents.%" PRId64 ".%s.%ld.%d", folder, (int64_t)wall, host, (long)getpid(), n);
		if (!t->path)
			return ace_fail(ACE_ENOMEM, "%s: no memory", folder);
		t->fd = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
		if (t->fd >= 0)
			return ACE_OK;
		if (errno != EEXIST)
			break;
	}
	return ace_fail(ACE_ECREATE, "%s: cannot create: %s", t->path, strerror(errno));
}

enum status
tensorboard_open(struct tensorboard *t, const char *folder, double wall)
{
	static const char version[] = "brain.Event:2";
	struct bytes b = { 0 };
	enum status st;

	*t = (struct tensorboard){ .fd = -1 };
	ACE_TRY(file_mkdirs(folder));
	st = create(t, folder, wall);
	if (st == ACE_OK) {
		put_event(&b, wall, 0);
		put_field_bytes(&b, EVENT_VERSION, version, sizeof version - 1);
		st = append(t, &b);
	}
	if (st != ACE_OK)
		tensorboard_close(t);
	return st;
}

void
tensorboard_close(struct tensorboard *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t->path);
	*t = (struct tensorboard){ .fd = -1 };
}

/* value is moved. */
static enum status
append_value(struct tensorboard *t, double wall, int64_t step, struct bytes *value)
{
	struct bytes summary = { 0 }, event = { 0 };

	put_message(&summary, SUMMARY_VALUE, value);
	put_event(&event, wall, step);
	put_message(&event, EVENT_SUMMARY, &summary);
	return append(t, &event);
}

enum status
tensorboard_put(struct tensorboard *t, double wall, int64_t step, const struct metric *v, int n)
{
	for (int i = 0; i < n; i++) {
		struct bytes value = { 0 };
		put_field_bytes(&value, VALUE_TAG, v[i].name, strlen(v[i].name));
		put_field_float(&value, VALUE_SCALAR, (float)v[i].value);
		ACE_TRY(append_value(t, wall, step, &value));
	}
	return ACE_OK;
}

enum status
tensorboard_put_audio(struct tensorboard *t, double wall, int64_t step, const char *tag, float sample_rate, int64_t channels,
                      int64_t frames, const void *wav, size_t size)
{
	static const char type[] = "audio/wav";
	struct bytes audio = { 0 }, value = { 0 };

	if (size > AUDIO_MAX)
		return ace_fail(ACE_EDATA, "%s: %s: %zu bytes of audio, at most %d go into an event file", t->path, tag, size, AUDIO_MAX);
	put_field_float(&audio, AUDIO_RATE, sample_rate);
	put_field_int(&audio, AUDIO_CHANNELS, channels);
	put_field_int(&audio, AUDIO_FRAMES, frames);
	put_field_bytes(&audio, AUDIO_BYTES, wav, size);
	put_field_bytes(&audio, AUDIO_TYPE, type, sizeof type - 1);
	put_field_bytes(&value, VALUE_TAG, tag, strlen(tag));
	put_message(&value, VALUE_AUDIO, &audio);
	return append_value(t, wall, step, &value);
}

enum status
tensorboard_restart(struct tensorboard *t, double wall, int64_t step)
{
	struct bytes session = { 0 }, event = { 0 };

	put_field_int(&session, SESSION_STATUS, SESSION_START);
	put_event(&event, wall, step);
	put_message(&event, EVENT_SESSION, &session);
	return append(t, &event);
}
