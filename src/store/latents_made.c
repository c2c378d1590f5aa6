/* SPDX-License-Identifier: Apache-2.0 */
/* Clips whose latents are made when they are asked for, behind the face of a store. */
#include "store/latent_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum status
latents_made_open(struct latents **out, const struct facts *facts, latent_maker *make, void *me)
{
	struct latents *s = calloc(1, sizeof *s);

	*out = NULL;
	if (s)
		s->made = calloc(1, sizeof *s->made);
	if (!s || !s->made) {
		free(s);
		return ace_fail(ACE_ENOMEM, "no memory for a list of clips");
	}
	s->made->facts = *facts;
	s->made->make = make;
	s->made->me = me;
	*out = s;
	return ACE_OK;
}

void
latents_made_free(struct latents *s)
{
	if (!s->made)
		return;
	for (int64_t i = 0; i < s->n; i++) {
		free((char *)(uintptr_t)s->item[i].key);
		free((void *)(uintptr_t)s->item[i].caption);
		free(s->made->lyric[i]);
	}
	free(s->made->lyric);
	free(s->made->mask);
	free(s->made);
	s->made = NULL;
}

static enum status
grow(struct latents *s)
{
	struct latent_made *m = s->made;
	int64_t room = m->room ? 2 * m->room : 64;
	struct latent_item *item = realloc(s->item, (size_t)room * sizeof *item);
	int32_t **lyric = realloc(m->lyric, (size_t)room * sizeof *lyric);
	uint8_t *mask = realloc(m->mask, (size_t)room);

	if (item)
		s->item = item;
	if (lyric)
		m->lyric = lyric;
	if (mask)
		m->mask = mask;
	if (!item || !lyric || !mask)
		return ace_fail(ACE_ENOMEM, "no memory for %lld clips", (long long)room);
	m->room = room;
	return ACE_OK;
}

enum status
latents_made_add(struct latents *s, const struct latent_item *item, const int32_t *lyric_id, int mask)
{
	size_t captions = (size_t)item->captions * sizeof *item->caption, lyrics = (size_t)item->lyrics * sizeof **s->made->lyric;
	struct latent_item *a;
	char *key, (*caption)[65];
	int32_t *id;

	assert(item->captions > 0 && item->lyrics > 0 && (s->n == 0 || strcmp(s->item[s->n - 1].key, item->key) < 0));
	if (s->n == s->made->room)
		ACE_TRY(grow(s));
	key = strdup(item->key);
	caption = malloc(captions);
	id = malloc(lyrics);
	if (!key || !caption || !id) {
		free(key);
		free(caption);
		free(id);
		return ace_fail(ACE_ENOMEM, "no memory for clip %s", item->key);
	}
	memcpy(caption, item->caption, captions);
	memcpy(id, lyric_id, lyrics);
	a = &s->item[s->n];
	*a = *item;
	a->key = key;
	a->source = "";
	a->caption = (const char (*)[65])caption;
	s->made->lyric[s->n] = id;
	s->made->mask[s->n++] = (uint8_t)mask;
	return ACE_OK;
}
