/* SPDX-License-Identifier: Apache-2.0 */
/* Are the stores this model's? Hashing an autoencoder and a prompt encoder of the real size takes a second or two, so a thread does
 * it while the transformer is read; the first update waits for it. */
#include "base/hub.h"
#include "base/sha256.h"
#include "base/file.h"
#include "base/msg.h"
#include "formats/weights.h"
#include "jobs/train_parts.h"
#include "models/codec.h"
#include "store/facts.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct train_models {
	pthread_t thread;
	const struct facts *latents, *texts;	/* of the run's first stores; the data lives until it is closed */
	const char *latents_at, *texts_at;
	long long clips;
	char *model, *codec;			/* folders; owned */
	enum status st;
	char message[1024];
	bool override;
};

/* Is there something to compare: the store says what it was made with, and the model folder has that part? */
static bool
comparable(const struct facts *have, const char *name, const char *path)
{
	return have && facts_get(have, name) && path && file_exists(path);
}

static enum status
compare(const struct train_models *m, const struct facts *have, const char *name, const char *what, const char *store,
        const char *hash)
{
	const char *there = facts_get(have, name);
	char what_to_do[128];

	if (strcmp(there, hash) == 0)
		return ACE_OK;
	if (m->latents_at == store)
		snprintf(what_to_do, sizeof what_to_do, "ace-preprocess with this model encodes its %lld clips again", m->clips);
	else
		snprintf(what_to_do, sizeof what_to_do, "ace-preprocess with this model encodes its captions again");
	return ace_fail(ACE_ECONFIG, "%s: made with another %s (%.12s here, %.12s there)\n%s; override_dataset_config=true "
	                "trains on it as it is", store, what, hash, there, what_to_do);
}

static enum status
check_latents(const struct train_models *m)
{
	char *folder = file_path("%s/music_dcae_f8c8", m->codec), hash[65];
	enum status st = folder ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for file names");

	if (comparable(m->latents, "autoencoder", folder)) {
		st = codec_hash_of(m->codec, hash);
		if (st == ACE_OK)
			st = compare(m, m->latents, "autoencoder", "autoencoder", m->latents_at, hash);
	}
	free(folder);
	return st;
}

static enum status
check_texts(const struct train_models *m)
{
	char *folder = file_path("%s/umt5-base", m->model), *tokenizer = file_path("%s/umt5-base/tokenizer.json", m->model);
	enum status st = folder && tokenizer ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for file names");
	struct weights w = { 0 };
	char hash[65];

	if (comparable(m->texts, "tokenizer", tokenizer)) {
		st = sha256_file(tokenizer, hash);
		if (st == ACE_OK)
			st = compare(m, m->texts, "tokenizer", "tokenizer", m->texts_at, hash);
	}
	if (st == ACE_OK && comparable(m->texts, "encoder", folder)) {
		st = weights_open(&w, folder);
		if (st == ACE_OK)
			st = weights_hash(&w, hash);
		weights_close(&w);
		if (st == ACE_OK)
			st = compare(m, m->texts, "encoder", "text encoder", m->texts_at, hash);
	}
	free(folder);
	free(tokenizer);
	return st;
}

static void *
check(void *arg)
{
	struct train_models *m = arg;

	m->st = check_latents(m);
	if (m->st == ACE_OK)
		m->st = check_texts(m);
	if (m->st != ACE_OK)
		snprintf(m->message, sizeof m->message, "%s", ace_message());
	return NULL;
}

/* The folders of the codec and of the prompt encoder; none, and nothing to compare, when only a transformer was given. */
static enum status
find(struct train_models *m, const struct settings *s)
{
	const char *codec = settings_str(s, "pretrained_vae_model_name_or_path"), *revision = settings_str(s, "revision"),
		   *model = settings_str(s, "pretrained_model_name_or_path");

	ACE_TRY(hub_model(model, revision, &m->model));
	if (codec)
		return hub_model(codec, revision, &m->codec);
	m->codec = file_path("%s", m->model);
	return m->codec ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for file names");
}

enum status
train_models_begin(struct train *t)
{
	struct train_models *m = calloc(1, sizeof *m);
	enum status st;

	if (!m)
		return ace_fail(ACE_ENOMEM, "no memory");
	m->latents = data_latent_facts(t->data, &m->latents_at);
	m->texts = data_text_facts(t->data, &m->texts_at);
	m->clips = data_clips(t->data);
	m->override = t->j.data.override;
	st = find(m, t->settings);
	if (st == ACE_OK && pthread_create(&m->thread, NULL, check, m) != 0)
		st = ace_fail(ACE_ENOMEM, "no thread to compare the stores with the model");
	if (st == ACE_OK) {
		t->models = m;
		return ACE_OK;
	}
	free(m->model);
	free(m->codec);
	free(m);
	return st;
}

enum status
train_models_end(struct train *t)
{
	struct train_models *m = t->models;
	enum status st = ACE_OK;

	if (!m)
		return ACE_OK;
	t->models = NULL;
	pthread_join(m->thread, NULL);
	if (m->st == ACE_ECONFIG && m->override)
		msg_warn("%.*s; used all the same (override_dataset_config)", (int)strcspn(m->message, "\n"), m->message);
	else if (m->st != ACE_OK)
		st = ace_fail(m->st, "%s", m->message);
	free(m->model);
	free(m->codec);
	free(m);
	return st;
}
