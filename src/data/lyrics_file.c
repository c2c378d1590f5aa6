/* SPDX-License-Identifier: Apache-2.0 */
#include "data/lyrics_file.h"

#include "base/file.h"
#include "data/text_file.h"
#include "text/buffer.h"
#include "text/chars.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *
lyrics_reason_name(enum lyrics_reason r)
{
	switch (r) {
	case LYRICS_OK: return "ok";
	case LYRICS_NOT_UTF8: return "lyrics_not_utf8";
	case LYRICS_UNREADABLE: return "lyrics_unreadable";
	}
	return "?";
}

enum token { NAME, STEM, SUFFIX, EXTENSION, PARENT, DIRNAME };

static const struct { const char *text; enum token token;
} tokens[] = {
	{ "{filename}", STEM },       { "{stem}", STEM },     { "{name}", NAME },     { "{suffix}", SUFFIX },
	{ "{extension}", EXTENSION }, { "{ext}", EXTENSION }, { "{parent}", PARENT }, { "{dirname}", DIRNAME },
};

enum { TOKENS = sizeof tokens / sizeof *tokens };

static int
token_at(const char *text)
{
	for (int i = 0; i < TOKENS; i++)
		if (strncmp(text, tokens[i].text, strlen(tokens[i].text)) == 0)
			return i;
	return -1;
}

const char *
lyrics_bad_token(const char *format, size_t *n)
{
	for (const char *p = format; (p = strchr(p, '{')); p++) {
		const char *end = strchr(p, '}');
		if (token_at(p) >= 0)
			continue;
		*n = end ? (size_t)(end - p) + 1 : strlen(p);
		return p;
	}
	return NULL;
}

/* A song's path taken apart. */
struct parts {
	const char *name, *dot,
		*first_dot; /* dot: the last extension, first_dot: all of them; the end when there is none */
	char *folder;				/* owned, "." where path has none */
};

static bool
take_apart(struct parts *p, const char *path)
{
	const char *slash = strrchr(path, '/');

	p->name = slash ? slash + 1 : path;
	p->folder = !slash ? strdup(".") : strndup(path, slash > path ? (size_t)(slash - path) : 1);
	p->dot = strrchr(p->name, '.');
	if (!p->dot || p->dot == p->name)	/* ".hidden" has no extension */
		p->dot = p->name + strlen(p->name);
	p->first_dot = p->name[0] ? strchr(p->name + 1, '.') : NULL;
	if (!p->first_dot)
		p->first_dot = p->dot;
	return p->folder != NULL;
}

static void
add_token(struct buffer *b, const struct parts *p, enum token t)
{
	char *real;

	switch (t) {
	case NAME: buffer_str(b, p->name); return;
	case STEM: buffer_add(b, p->name, (size_t)(p->dot - p->name)); return;
	case SUFFIX: buffer_str(b, p->first_dot); return;
	case EXTENSION: buffer_str(b, *p->dot ? p->dot + 1 : p->dot); return;
	case PARENT:
	case DIRNAME:	/* whole, since what is relative is so to the song's folder, not to ours */
		real = realpath(p->folder, NULL);
		if (!real)
			buffer_str(b, p->folder);
		else if (t == PARENT)
			buffer_str(b, real);
		else
			buffer_str(b, strrchr(real, '/') + 1);
		free(real);
		return;
	}
}

static void
add_format(struct buffer *b, const struct parts *p, const char *format)
{
	while (*format) {
		int i = *format == '{' ? token_at(format) : -1;
		if (i >= 0)
			add_token(b, p, tokens[i].token);
		else
			buffer_char(b, *format);
		format += i >= 0 ? strlen(tokens[i].text) : 1;
	}
}

char *
lyrics_candidate(const struct dataset *d, const char *path, bool upstream, int i)
{
	const char *format = d->lyrics_format, *extension = d->lyrics_extension;
	struct buffer b = { 0 };
	struct parts p;
	char *whole;

	errno = ENOMEM;
	if (!take_apart(&p, path))
		return NULL;
	if (!format && !extension && !d->lyrics_suffix && d->captions == CAPTION_TEXTFILE)
		format = upstream ? "{filename}_lyrics.txt" : "{filename}.lyrics";
	if (extension && *extension == '.')
		extension++;
	if (format && i-- == 0) {
		add_format(&b, &p, format);
	} else if (d->lyrics_suffix && i-- == 0) {
		add_token(&b, &p, STEM);
		buffer_str(&b, d->lyrics_suffix);
		buffer_char(&b, '.');
		buffer_str(&b, extension ? extension : "txt");
	} else if (extension && i-- == 0) {
		add_token(&b, &p, STEM);
		buffer_char(&b, '.');
		buffer_str(&b, extension);
	} else {
		errno = 0;
		free(p.folder);
		return NULL;
	}
	whole = !buffer_done(&b) ? NULL : b.data[0] == '/' ? strdup(b.data) : file_path("%s/%s", p.folder, b.data);
	buffer_free(&b);
	free(p.folder);
	return whole;
}

/* What the file says, stripped; ACE_OK with nothing when it is absent or blank. */
static enum status
read_one(struct lyrics_text *to, const char *path)
{
	const char *from;
	char *text;
	size_t len;

	if (!text_file_there(path))
		return ACE_OK;
	to->reason = LYRICS_UNREADABLE;
	ACE_TRY(text_file_read(path, &text, &len));
	if (!text_file_good(text, len)) {
		free(text);
		to->reason = LYRICS_NOT_UTF8;
		return ace_fail(ACE_EDATA, "%s: the lyrics are not UTF-8 text", path);
	}
	to->reason = LYRICS_OK;
	from = text;
	chars_strip(&from, &len, true, true, char_is_space);
	if (len > 0) {
		to->text = strndup(from, len);
		to->path = strdup(path);
		to->len = len;
	}
	free(text);
	return len == 0 || (to->text && to->path) ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", path);
}

enum status
lyrics_find(struct lyrics_text *to, const struct dataset *d, const char *path, bool upstream)
{
	enum status st = ACE_OK;

	*to = (struct lyrics_text){ 0 };
	for (int i = 0; st == ACE_OK && !to->text; i++) {
		char *candidate = lyrics_candidate(d, path, upstream, i);
		if (!candidate && errno == ENOMEM)
			st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
		else if (candidate)
			st = read_one(to, candidate);
		else
			break;
		free(candidate);
	}
	if (st == ACE_OK && !to->text && !(to->text = strdup("")))
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	if (st != ACE_OK)
		lyrics_text_free(to);
	return st;
}

void
lyrics_text_free(struct lyrics_text *t)
{
	free(t->text);
	free(t->path);
	*t = (struct lyrics_text){ .reason = t->reason };
}
