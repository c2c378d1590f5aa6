/* SPDX-License-Identifier: Apache-2.0 */
#include "text/lyric.h"

#include "base/file.h"
#include "base/msg.h"
#include "text/bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status
special(const struct lyric *l, const char *path, const char *text, int32_t *id)
{
	*id = trie_find(&lines_bpe(l->lines)->special, text, strlen(text));
	return *id >= 0 ? ACE_OK : ace_fail(ACE_EDATA, "%s: added_tokens lacks %s", path, text);
}

static enum status
open_langid(struct lyric *l, const char *tables)
{
	char *path = tables ? file_path("%s/langid.safetensors", tables) : NULL;
	enum status st;

	if (tables && !path)
		return ace_fail(ACE_ENOMEM, "no memory for file names");
	st = langid_open(&l->langid, path);
	free(path);
	return st;
}

enum status
lyric_open(struct lyric *l, const struct lines_from *from)
{
	enum status st;
	int32_t en;

	*l = (struct lyric){ .max_tokens = LYRIC_MAX };
	ACE_TRY(lines_open(&l->lines, from));
	l->unknown = lines_bpe(l->lines)->unknown;
	if ((st = special(l, from->vocab, "[START]", &l->start)) != ACE_OK ||
	    (st = special(l, from->vocab, "[SPACE]", &l->blank)) != ACE_OK ||
	    (st = special(l, from->vocab, "[en]", &en)) != ACE_OK || (st = open_langid(l, from->tables)) != ACE_OK)
		lyric_close(l);
	return st;
}

void
lyric_close(struct lyric *l)
{
	if (!l)
		return;
	lines_close(l->lines);
	l->lines = NULL;
	langid_close(&l->langid);
}

const char *
lyric_token(const struct lyric *l, int32_t id)
{
	const struct bpe *b = lines_bpe(l->lines);

	return id >= 0 && id < b->size && b->token[id] ? b->token[id] : "?";
}

int
lyric_size(const struct lyric *l)
{
	return lines_bpe(l->lines)->size;
}

const char *
lyric_hash(const struct lyric *l)
{
	return lines_vocab_hash(l->lines);
}

void
lyric_ids_free(struct lyric_ids *out)
{
	if (!out)
		return;
	free(out->id);
	free(out->skipped_line);
	*out = (struct lyric_ids){ 0 };
}

double
lyric_unknown_share(const struct lyric_ids *ids)
{
	return ids->n > 0 ? (double)ids->unknown / ids->n : 0;
}

void
lyric_warn(const struct lyric_ids *ids, const char *path)
{
	enum { NAMED = 8 };
	struct buffer b = { 0 };

	for (int i = 0; i < ids->skipped && i < NAMED; i++) {
		char text[16];
		snprintf(text, sizeof text, "%s%d", i ? ", " : "", ids->skipped_line[i]);
		buffer_str(&b, text);
	}
	if (ids->skipped > NAMED)
		buffer_str(&b, ", ...");
	if (ids->skipped > 0)
		msg_warn("%s: line%s %s skipped: %s", path, ids->skipped > 1 ? "s" : "", b.data ? b.data : "", ids->why);
	buffer_free(&b);
}
