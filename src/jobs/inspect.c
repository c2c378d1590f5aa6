/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect.h"

#include "base/file.h"
#include "base/hub.h"
#include "base/json.h"
#include "base/msg.h"
#include "data/discover.h"
#include "jobs/inspect_lyrics.h"
#include "jobs/inspect_memory.h"
#include "jobs/inspect_slurm.h"
#include "jobs/inspect_system.h"
#include "jobs/inspect_things.h"
#include "models/adapter.h"
#include "train/checkpoint.h"
#include "train/metrics.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_LIMIT = 64 << 20 };

bool
inspect_ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

bool
inspect_has(const char *folder, const char *name)
{
	char *path = file_path("%s/%s", folder, name);
	bool there = path && file_exists(path);

	free(path);
	return there;
}

int
inspect_names(const char *folder, const char *prefix, const char *suffix)
{
	DIR *d = opendir(folder);
	int n = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.' && strncmp(e->d_name, prefix, strlen(prefix)) == 0 &&
		     inspect_ends_with(e->d_name, suffix);
	closedir(d);
	return n;
}

static const char *
base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The folder that path lies in, owned by the caller. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? file_path("%.*s", slash == path ? 1 : (int)(slash - path), path) : file_path(".");
}

/* --- folders --- */

static bool
holds_checkpoints(const char *folder)
{
	DIR *d = opendir(folder);
	struct checkpoint_name c;
	bool found = false;

	for (struct dirent *e; d && !found && (e = readdir(d));)
		found = checkpoint_parse(e->d_name, &c);
	if (d)
		closedir(d);
	return found;
}

static enum status
look_at_folder(const struct look *l, const char *path)
{
	bool latents = inspect_names(path, "latents-", ".h5") + inspect_names(path, "latents-", ".damaged") > 0;
	bool texts = inspect_names(path, "text-", ".h5") + inspect_names(path, "text-", ".damaged") > 0;
	struct checkpoint_name c;

	if (checkpoint_parse(base_of(path), &c) || inspect_has(path, CHECKPOINT_MANIFEST))
		return inspect_checkpoint(l, path);
	if (latents) {
		enum status st = inspect_latents(l, path);
		return st == ACE_OK && texts ? inspect_texts(l, path) : st;
	}
	if (texts)
		return inspect_texts(l, path);
	if (inspect_has(path, "effective.json") || inspect_has(path, METRICS_FILE) ||
	    inspect_has(path, "logs/" METRICS_FILE) || holds_checkpoints(path))
		return inspect_folder_of_run(l, path);
	if (inspect_is_model(path))
		return inspect_model(l, path);
	if (inspect_is_part(path))
		return inspect_part(l, path);
	if (inspect_has(path, ADAPTER_FILE))
		return inspect_adapter(l, path);
	if (inspect_has(path, "config.json")) {
		char *config = file_path("%s/config.json", path);
		enum status st = config ? inspect_config(l, config) : ace_fail(ACE_ENOMEM, "%s: no memory", path);
		free(config);
		return st;
	}
	return inspect_songs(l, path);
}

/* --- files --- */

static enum status
look_at_tensors(const struct look *l, const char *path)
{
	struct st_file f;
	bool adapter;

	ACE_TRY(st_open(&f, path));
	adapter = inspect_is_adapter(&f);
	st_close(&f);
	return adapter ? inspect_adapter(l, path) : inspect_tensors(l, path);
}

static enum status
look_at_json(const struct look *l, const char *path)
{
	char *folder = folder_of(path);
	cJSON *root = NULL;
	enum status st = folder ? json_read(path, JSON_LIMIT, &root) : ace_fail(ACE_ENOMEM, "%s: no memory", path);
	bool part = cJSON_HasObjectItem(root, "_class_name") || cJSON_HasObjectItem(root, "architectures") ||
	            cJSON_HasObjectItem(root, "weight_map");

	if (st == ACE_OK && cJSON_IsArray(root))
		st = inspect_list(l, path);
	else if (st == ACE_OK && part)
		st = inspect_part(l, folder);
	else if (st == ACE_OK && cJSON_HasObjectItem(root, "_effective"))
		st = inspect_folder_of_run(l, folder);
	else if (st == ACE_OK && strcmp(base_of(path), CHECKPOINT_MANIFEST) == 0)
		st = inspect_checkpoint(l, folder);
	else if (st == ACE_OK && cJSON_IsObject(root))
		st = inspect_config(l, path);
	else if (st == ACE_OK)
		st = ace_fail(ACE_EDATA, "%s: neither a dataset list (an array) nor a configuration (an object)", path);
	cJSON_Delete(root);
	free(folder);
	return st;
}

/* The vocabulary that is named, or that lies in the model's folder. */
static enum status
look_at_lyrics(const struct look *l, const char *path)
{
	const struct settings *s = l->settings;
	const char *named = settings_str(s, "lyric_vocab"), *tables = settings_str(s, "text_data_dir");
	const char *unidic = settings_str(s, "unidic_dir");
	struct inspect_lyrics how = {
		.from = { named, tables && *tables ? tables : NULL, unidic && *unidic ? unidic : NULL },
		.per_song = strcmp(settings_str(s, "lyrics_language"), "per-song") == 0,
		.max_tokens = (int)settings_i64(s, "lyrics_max_tokens"),
		.json = l->json,
	};
	char *model = NULL, *vocab = NULL;
	enum status st;

	if (named)
		return inspect_lyrics(l->out, path, &how);
	st = hub_model(settings_str(s, "pretrained_model_name_or_path"), settings_str(s, "revision"), &model);
	if (st == ACE_OK)
		vocab = hub_lyric_vocab(model);
	how.from.vocab = vocab;
	if (st == ACE_OK)
		st = vocab ? inspect_lyrics(l->out, path, &how)
		           : ace_fail(ACE_ENOMEM, "%s: no memory", path);
	else if (st == ACE_ENOINPUT)
		st = ace_fail(ACE_ENOINPUT,
		              "%s: lyrics are shown as a model reads them: give lyric_vocab=FILE, or model=FOLDER "
		              "with lyric_vocab.json in it",
		              path);
	free(vocab);
	free(model);
	return st;
}

static enum status
look_at_file(const struct look *l, const char *path)
{
	const char *name = base_of(path);

	if (inspect_ends_with(name, ".safetensors"))
		return look_at_tensors(l, path);
	if (inspect_ends_with(name, ".h5"))
		return strncmp(name, "text-", 5) == 0 ? inspect_texts(l, path) : inspect_latents(l, path);
	if (inspect_ends_with(name, ".jsonl"))
		return inspect_metrics(l, path);
	if (inspect_ends_with(name, ".json"))
		return look_at_json(l, path);
	if (inspect_ends_with(name, ".toml") || inspect_ends_with(name, ".env"))
		return inspect_config(l, path);
	if (inspect_ends_with(name, ".lyrics") || inspect_ends_with(name, ".lrc") || inspect_ends_with(name, ".txt"))
		return look_at_lyrics(l, path);
	if (songs_is_sound(name))
		return ace_fail(ACE_EDATA, "%s: a sound file; its folder can be shown, and ace-preprocess reads it",
		                path);
	return ace_fail(ACE_EDATA, "%s: not a kind of file that can be shown (.safetensors .h5 .json .toml .env .jsonl "
	                "or lyrics: .lyrics .lrc .txt)", path);
}

/* --- all things --- */

static enum status
look_at(const struct look *l, const char *word)
{
	char *path = file_path("%s", word);
	size_t n = path ? strlen(path) : 0;
	enum status st;

	if (!path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", word);
	while (n > 1 && path[n - 1] == '/')
		path[--n] = 0;
	if (!file_exists(path))
		st = ace_fail(ACE_ENOINPUT, "%s: no such file or folder", path);
	else
		st = file_is_dir(path) ? look_at_folder(l, path) : look_at_file(l, path);
	free(path);
	return st;
}

static enum status
look_at_all(const struct look *l, const struct settings *s)
{
	enum status first = ACE_OK;
	char *said = NULL;

	for (int i = 0; i < s->n_words; i++) {
		enum status st;
		if (i > 0 && !l->json)
			fputc('\n', l->out);
		st = look_at(l, s->word[i]);
		if (st == ACE_OK)
			continue;
		if (said)	/* the last message is told by the caller */
			msg_error("%s", said);
		free(said);
		said = strdup(ace_message());
		first = first == ACE_OK ? st : first;
	}
	if (first != ACE_OK)
		first = ace_fail(first, "%s", said ? said : "no memory");
	free(said);
	return first;
}

enum status
inspect_run(struct settings *s, FILE *out)
{
	struct look l = {
		.out = out, .json = settings_bool(s, "json"), .verify = settings_bool(s, "verify"), .settings = s
	};

	if (settings_has(s, "slurm_template"))
		return inspect_slurm(out, s);
	if (settings_bool(s, "memory"))
		return inspect_memory(out, s);
	if (settings_bool(s, "system")) {
		if (s->n_words > 1)
			return ace_fail(ACE_EUSAGE, "--system looks at one folder for outputs; %d are given",
			                s->n_words);
		return inspect_system(out, s->n_words ? s->word[0] : settings_str(s, "output_dir"), l.json);
	}
	if (settings_has(s, "lyrics") && *settings_str(s, "lyrics")) {
		ACE_TRY(look_at_lyrics(&l, settings_str(s, "lyrics")));
		if (s->n_words == 0)
			return ACE_OK;
	}
	if (s->n_words == 0)
		return ace_fail(ACE_EUSAGE, "nothing to look at; give a file or a folder, or --system");
	return look_at_all(&l, s);
}
