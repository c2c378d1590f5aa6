/* SPDX-License-Identifier: Apache-2.0 */
/* The captions and the lyrics of a row. */
#include "data/hf_parts.h"

#include "base/file.h"
#include "text/buffer.h"
#include "text/chars.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_LIMIT = 1 << 20 };

enum status
hf_no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for a row");
}

char *
hf_text_of(struct cell c, bool *good)
{
	const char *text;
	size_t n;

	*good = true;
	if (cell_kind(c) != CELL_TEXT || !cell_text(c, &text, &n))
		return NULL;
	*good = n <= TEXT_LIMIT && !memchr(text, 0, n) && utf8_valid(text, n) == n;
	return *good ? strndup(text, n) : NULL;
}

static bool
is_blank(const char *text)
{
	size_t n = strlen(text);

	chars_strip(&text, &n, true, true, char_is_space);
	return n == 0;
}

void
hf_add_caption(struct hf_song *s, char *text)
{
	bool known = is_blank(text) || s->captions == HF_CAPTIONS;

	for (int i = 0; i < s->captions && !known; i++)
		known = strcmp(s->caption[i], text) == 0;
	if (known)
		free(text);
	else
		s->caption[s->captions++] = text;
}

static bool
is_list_column(struct cell c)
{
	return (c.schema && c.schema->format[0] == '+' && strchr("lLw", c.schema->format[1])) || cell_kind(c) == CELL_LIST;
}

/* Elements of a list that are texts, joined by ", "; owned. NULL when memory is out or one is bad. */
static char *
joined(struct cell list, bool *good)
{
	struct buffer b = { 0 };
	int64_t n = cell_count(list);

	*good = true;
	for (int64_t i = 0; i < n && *good && b.len <= TEXT_LIMIT; i++) {
		const char *text;
		size_t len;
		struct cell c = cell_element(list, i);
		if (cell_kind(c) != CELL_TEXT || !cell_text(c, &text, &len))
			continue;
		*good = !memchr(text, 0, len) && utf8_valid(text, len) == len;
		if (b.len > 0)
			buffer_str(&b, ", ");
		buffer_add(&b, text, len);
	}
	*good = *good && b.len <= TEXT_LIMIT;
	if (!buffer_done(&b) || !*good) {
		buffer_free(&b);
		return NULL;
	}
	return b.data;
}

/* Text, number or list of a cell as one text; NULL: nothing, or not good. */
static char *
rendered(struct cell c, bool *good)
{
	double x;

	*good = true;
	if (cell_kind(c) == CELL_LIST)
		return joined(c, good);
	if (cell_kind(c) == CELL_TEXT)
		return hf_text_of(c, good);
	if (cell_number(c, &x))
		return file_path("%g", x);
	return NULL;
}

/* Texts of a column: one, or one for each element of a list. */
static void
take_alternatives(struct hf_song *s, struct cell c, bool *bad)
{
	int64_t n = cell_kind(c) == CELL_LIST ? cell_count(c) : 1;

	for (int64_t i = 0; i < n && s->captions < HF_CAPTIONS; i++) {
		bool good;
		char *text = hf_text_of(cell_kind(c) == CELL_LIST ? cell_element(c, i) : c, &good);
		*bad |= !good;
		if (text)
			hf_add_caption(s, text);
	}
}

bool
hf_next_name(const char **list, char name[HF_NAME])
{
	while (**list) {
		const char *from = *list;
		size_t n = strcspn(from, ",");
		*list += n + (from[n] == ',');
		while (n > 0 && *from == ' ')
			from++, n--;
		while (n > 0 && from[n - 1] == ' ')
			n--;
		if (n > 0 && n < HF_NAME) {
			memcpy(name, from, n);
			name[n] = 0;
			return true;
		}
	}
	return false;
}

static void
take_columns(struct hf_song *s, struct cell row, const char *list, bool *bad)
{
	char name[HF_NAME];

	while (list && hf_next_name(&list, name))
		take_alternatives(s, cell_member(row, name), bad);
}

/* Members of the struct recaption: other wordings of the whole caption. */
static void
take_recaptions(struct hf_song *s, struct cell row, bool *bad)
{
	struct cell r = cell_member(row, "recaption");
	int64_t n = cell_kind(r) == CELL_STRUCT ? cell_count(r) : 0;

	for (int64_t i = 0; i < n && i < HF_CAPTIONS; i++) {
		const char *name;
		bool good;
		char *text = hf_text_of(cell_member_at(r, i, &name), &good);
		*bad |= !good;
		if (text)
			hf_add_caption(s, text);
	}
}

/* A list of tags as upstream's trainer reads it: no tags are "music". */
static enum status
take_tags(struct hf_song *s, struct cell row, struct cell tags, bool *bad)
{
	bool good;
	char *text = joined(tags, &good);

	*bad |= !good;
	if (!text)
		return good ? hf_no_memory() : ACE_OK;
	if (is_blank(text)) {
		free(text);
		text = strdup("music");
		if (!text)
			return hf_no_memory();
	}
	s->tags = true;
	hf_add_caption(s, text);
	take_recaptions(s, row, bad);
	return ACE_OK;
}

static enum status
take_fields(struct hf_song *s, struct cell row, const char *fields, bool *bad)
{
	struct buffer b = { 0 };
	char name[HF_NAME];
	int parts = 0;

	while (hf_next_name(&fields, name)) {
		struct cell c = cell_member(row, name);
		bool good;
		char *text;
		if (strcmp(name, "tags") == 0 && is_list_column(c) && parts == 0 && !strchr(fields, ',') && !*fields)
			return take_tags(s, row, c, bad);	/* tags alone */
		text = rendered(c, &good);
		*bad |= !good;
		if (text && !is_blank(text)) {
			if (parts++ > 0)
				buffer_char(&b, ' ');
			buffer_str(&b, text);
		}
		free(text);
	}
	if (parts > 0 && buffer_done(&b))
		hf_add_caption(s, b.data);
	else
		buffer_free(&b);
	return parts > 0 && b.bad ? hf_no_memory() : ACE_OK;
}

enum status
hf_take_captions(struct hf_song *s, struct cell row, const struct hf_columns *c, bool *bad)
{
	struct cell tags = cell_member(row, "tags");
	enum status st = ACE_OK;

	take_columns(s, row, c->caption ? c->caption : "caption", bad);
	if (s->captions == 0)
		take_columns(s, row, c->fallback, bad);
	if (s->captions == 0 && c->fields)
		st = take_fields(s, row, c->fields, bad);
	if (s->captions == 0 && !c->fields && st == ACE_OK) {
		take_alternatives(s, cell_member(row, "prompt"), bad);
		if (s->captions == 0 && is_list_column(tags))
			st = take_tags(s, row, tags, bad);
		else if (s->captions == 0)
			take_alternatives(s, tags, bad);
	}
	if (s->captions == 0 && st == ACE_OK)
		take_columns(s, row, c->description, bad);
	return st;
}

/* "write a ... song that genre is" on one line: a leftover of how lyrics were made, not lyrics. */
static bool
is_leftover(const char *text)
{
	for (const char *from; (from = strstr(text, "write a ")); text = from + 1) {
		const char *to = strstr(from + 7, " song that genre is"), *eol = strchr(from, '\n');
		if (to && (!eol || to < eol))
			return true;
	}
	return false;
}

enum status
hf_take_lyrics(struct hf_song *s, struct cell row, const struct hf_columns *c, bool *bad)
{
	const char *names[3] = { c->lyrics ? c->lyrics : "lyrics", "norm_lyrics", NULL };

	for (int i = 0; names[i] && !s->lyrics; i++) {
		struct cell v = cell_member(row, names[i]);
		bool good;
		if (cell_kind(v) != CELL_TEXT)
			continue;
		s->lyrics = hf_text_of(v, &good);
		*bad |= !good;
		if (good && !s->lyrics)
			return hf_no_memory();
	}
	if (s->lyrics && is_leftover(s->lyrics))
		*s->lyrics = 0;
	return ACE_OK;
}
