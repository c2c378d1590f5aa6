/* SPDX-License-Identifier: Apache-2.0 */
/* Tar shards (WebDataset): each sample is a few members beside each other, NAME.mp3 NAME.json NAME.txt (datasets.md 4.4). */
#include "data/discover.h"
#include "data/hf_parts.h"
#include "formats/tar.h"
#include "text/chars.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MEMBER = 16 << 20 };

struct hf_samples {
	struct tar *tar;
	char *path;
	struct tar_member next;		/* read, and of the next sample */
	bool ahead, ended;
	char *key, *audio_name, *audio;
	size_t audio_size;
};

enum status
hf_samples_open(struct hf_samples **out, const char *path)
{
	struct hf_samples *s = calloc(1, sizeof *s);
	enum status st = ACE_OK;

	*out = s;
	if (!s || !(s->path = strdup(path)))
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	st = tar_open(&s->tar, path);
	return st;
}

static void
forget(struct hf_samples *s)
{
	free(s->key);
	free(s->audio_name);
	free(s->audio);
	s->key = s->audio_name = s->audio = NULL;
	s->audio_size = 0;
}

void
hf_samples_close(struct hf_samples *s)
{
	if (!s)
		return;
	forget(s);
	tar_close(s->tar);
	free(s->path);
	free(s);
}

/* Bytes of a member's name up to the first dot of its last part; *end: what is behind that dot. */
static size_t
stem(const char *name, const char **end)
{
	const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name, *dot = strchr(last, '.');

	*end = dot ? dot + 1 : "";
	return dot ? (size_t)(dot - name) : strlen(name);
}

static enum status
add_text(const struct hf_samples *s, cJSON *row, const char *key, struct hf_row *to)
{
	const struct tar_member *m = &s->next;
	const char *text = m->data;
	size_t n = m->size;

	if (n > TEXT_MEMBER || memchr(text, 0, n) || utf8_valid(text, n) < n) {
		to->code = "bad_row";
		return ace_fail(ACE_EDATA, "%s: %s: no UTF-8 text", s->path, m->name);
	}
	chars_strip(&text, &n, true, true, char_is_space);
	if (n > 0) {
		char *copy = strndup(text, n);
		cJSON_DeleteItemFromObjectCaseSensitive(row, key);
		if (!copy || !cJSON_AddStringToObject(row, key, copy)) {
			free(copy);
			return ace_fail(ACE_ENOMEM, "%s: no memory", s->path);
		}
		free(copy);
	}
	return ACE_OK;
}

/* Members of a .json that the row does not have yet: a .txt or .lyrics may have come before it. */
static enum status
add_json(const struct hf_samples *s, cJSON *row, struct hf_row *to)
{
	const struct tar_member *m = &s->next;
	cJSON *all = NULL, *v;

	if (m->size > TEXT_MEMBER || utf8_valid(m->data, m->size) < m->size ||
	    json_parse(m->data, m->size, m->name, &all) != ACE_OK || !cJSON_IsObject(all)) {
		cJSON_Delete(all);
		to->code = "bad_row";
		return ace_fail(ACE_EDATA, "%s: %s: no JSON object", s->path, m->name);
	}
	while ((v = all->child)) {
		cJSON_DetachItemViaPointer(all, v);
		if (v->string && !cJSON_GetObjectItemCaseSensitive(row, v->string))
			cJSON_AddItemToObject(row, v->string, v);
		else
			cJSON_Delete(v);
	}
	cJSON_Delete(all);
	return ACE_OK;
}

static enum status
add_audio(struct hf_samples *s)
{
	const struct tar_member *m = &s->next;

	if (s->audio)
		return ACE_OK;		/* the first one counts */
	s->audio = malloc(m->size + 1);
	s->audio_name = strdup(m->name);
	if (!s->audio || !s->audio_name)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %s", s->path, m->name);
	memcpy(s->audio, m->data, m->size);
	s->audio_size = m->size;
	return ACE_OK;
}

/* Take the member that was read. Bad ones set the row's code; failures are of memory. */
static enum status
take(struct hf_samples *s, cJSON *row, struct hf_row *to, const char *end)
{
	const char *dot = strrchr(end, '.');
	enum status st = ACE_OK;

	if (s->next.wrong) {
		to->code = "bad_member";
		(void)ace_fail(ACE_EDATA, "%s: member \"%.200s\" is refused: %s", s->path, s->next.name, s->next.wrong);
		return ACE_OK;
	}
	if (songs_is_sound(s->next.name))
		st = add_audio(s);
	else if (strcmp(end, "txt") == 0)
		st = add_text(s, row, "caption", to);
	else if (strcmp(end, "lyrics") == 0)
		st = add_text(s, row, "lyrics", to);
	else if (strcmp(dot ? dot + 1 : end, "json") == 0)
		st = add_json(s, row, to);
	return st == ACE_ENOMEM ? st : ACE_OK;
}

enum status
hf_samples_next(struct hf_samples *s, struct hf_row *row, cJSON **json, bool *more)
{
	const char *end;
	size_t n = 0;

	forget(s);
	*json = cJSON_CreateObject();
	*more = false;
	while (!s->ended) {
		if (!s->ahead) {
			bool member;
			ACE_TRY(tar_next(s->tar, &s->next, &member));
			s->ended = !member;
			if (!member)
				break;
		}
		n = stem(s->next.name, &end);
		s->ahead = s->key && (strlen(s->key) != n || strncmp(s->key, s->next.name, n) != 0);
		if (s->ahead)
			break;
		if (!s->key && !(s->key = strndup(s->next.name, n)))
			return ace_fail(ACE_ENOMEM, "%s: no memory", s->path);
		if (!row->code)
			ACE_TRY(take(s, *json, row, end));
	}
	*more = s->key != NULL;
	row->key = s->key;
	row->cell = cell_of_json(*json);
	row->audio = s->audio;
	row->audio_name = s->audio_name;
	row->audio_size = s->audio_size;
	return *json ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", s->path);
}
