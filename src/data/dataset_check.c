/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold between the entries of a list (datasets.md section 1). */
#include "data/dataset_parts.h"

#include "base/msg.h"

#include <string.h>

static enum status
check_ids(const struct dataset_list *l)
{
	for (int i = 0; i < l->n; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(l->entry[i].id, l->entry[j].id) == 0)
				return ace_fail(ACE_ECONFIG, "%s: two entries have the id \"%s\"", l->path, l->entry[i].id);
	return ACE_OK;
}

/* Clips are kept by their path below the data set's folder: two data sets in one store would mix them up. */
static enum status
check_stores(const struct dataset_list *l)
{
	for (int i = 0; i < l->n; i++)
		for (int j = 0; j < i; j++)
			if (l->entry[i].kind != DATASET_TEXTS && l->entry[j].kind != DATASET_TEXTS &&
			    strcmp(l->entry[i].store, l->entry[j].store) == 0)
				return ace_fail(
					ACE_ECONFIG,
					"%s: entries \"%s\" and \"%s\" both keep their latents in %s; put {id} "
					"into cache_dir_vae",
					l->path, l->entry[j].id, l->entry[i].id, l->entry[i].store);
	return ACE_OK;
}

/* Exactly one default text store. The only one is it, a missing one is added. */
static enum status
check_texts(struct dataset_list *l, const struct dataset_defaults *d)
{
	struct dataset *first = NULL, *chosen = NULL;
	int texts = 0;

	for (int i = 0; i < l->n; i++) {
		struct dataset *e = &l->entry[i];
		if (e->kind != DATASET_TEXTS)
			continue;
		texts++;
		first = first ? first : e;
		if (e->is_default && chosen)
			return ace_fail(ACE_ECONFIG,
					"%s: text_embeds entries \"%s\" and \"%s\" are both the default; wanted one",
					l->path, chosen->id, e->id);
		if (e->is_default)
			chosen = e;
	}
	if (texts > 1 && !chosen)
		return ace_fail(ACE_ECONFIG,
				"%s: none of %d text_embeds entries is the default; put \"default\": true into one",
				l->path, texts);
	if (texts == 1 && !chosen) {
		first->is_default = true;
		msg_info("%s: entry \"%s\" is the only one of text_embeds: taken as the default", l->path, first->id);
	}
	if (texts > 0)
		return ACE_OK;
	first = &l->entry[l->n++];
	first->kind = DATASET_TEXTS;
	dataset_start(first, d);
	first->is_default = true;
	first->id = strdup("text-embeds");
	first->store = dataset_texts_at(d, false);
	if (!first->id || !first->store)
		return ace_fail(ACE_ENOMEM, "%s: no memory", l->path);
	msg_info("%s: no text_embeds entry: captions are kept in %s", l->path, first->store);
	return ACE_OK;
}

static enum status
check_references(const struct dataset_list *l)
{
	for (int i = 0; i < l->n; i++) {
		struct dataset *e = &l->entry[i];
		int j = 0;
		if (e->kind == DATASET_TEXTS)
			continue;
		if (!e->texts_id) {
			e->filter = dataset_texts(l, e)->filter;
			continue;
		}
		while (j < l->n && (l->entry[j].kind != DATASET_TEXTS || strcmp(l->entry[j].id, e->texts_id) != 0))
			j++;
		if (j == l->n)
			return ace_fail(
				ACE_ECONFIG,
				"%s: entry \"%s\": text_embeds is \"%s\", and no text_embeds entry has that id",
				l->path, e->id, e->texts_id);
		e->filter = l->entry[j].filter;
	}
	return ACE_OK;
}

enum status
dataset_check_list(struct dataset_list *l, const struct dataset_defaults *d)
{
	bool audio = false, active = false;

	for (int i = 0; i < l->n; i++) {
		audio |= l->entry[i].kind == DATASET_AUDIO;
		active |= l->entry[i].kind == DATASET_AUDIO && l->entry[i].start_epoch <= 1;
	}
	if (!audio)
		return ace_fail(ACE_ECONFIG, "%s: no entry with dataset_type audio that is not disabled", l->path);
	if (!active)
		return ace_fail(ACE_ECONFIG, "%s: no audio entry is active at the start; give one start_epoch 1", l->path);
	ACE_TRY(check_texts(l, d));
	ACE_TRY(check_ids(l));
	ACE_TRY(check_stores(l));
	return check_references(l);
}
