/* SPDX-License-Identifier: Apache-2.0 */
/* Other adapters that are heard beside those that train: which, by validation_adapter_path or validation_adapter_config */
#include "jobs/train_validate.h"

#include "base/file.h"
#include "base/hub.h"
#include "base/json.h"
#include "base/msg.h"
#include "models/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 64, LABEL = 80 };

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for other adapters");
}

/* The file of FILE, FOLDER or, in the hub's cache, OWNER/NAME[:FILE]; option: where it stands. */
static enum status
find(const char *option, const char *name, const char *revision, char **path)
{
	const char *colon = strrchr(name, ':');
	char *repo = NULL, *folder = NULL;
	enum status st = ACE_OK;

	*path = NULL;
	if (!file_exists(name) && strchr(name, '/') && *name != '/' && *name != '.') {
		repo = colon ? strndup(name, (size_t)(colon - name)) : strdup(name);
		st = repo ? hub_model(repo, revision, &folder) : no_memory();
		if (st == ACE_OK)
			*path = file_path("%s/%s", folder, colon ? colon + 1 : ADAPTER_FILE);
	} else {
		*path = file_path(file_is_dir(name) ? "%s/" ADAPTER_FILE : "%s", name);
	}
	if (st == ACE_OK && !*path)
		st = no_memory();
	if (st == ACE_OK && !file_exists(*path))
		st = ace_fail(ACE_ENOINPUT, "%s=%s: no such file", option, name);
	free(repo);
	free(folder);
	return st;
}

static enum status
add_file(struct train_adapters *a, const char *option, const char *name, const char *revision, double strength)
{
	struct generate_lora *l = &a->lora[a->n];

	if (a->n == GENERATE_LORAS - 1)		/* one place is that of what trains */
		return ace_fail(ACE_ECONFIG, "%s names more than %d adapters for one run", option, GENERATE_LORAS - 1);
	ACE_TRY(find(option, name, revision, &l->path));
	l->strength = (float)strength;
	a->n++;
	return ACE_OK;
}

/* A part of a file's name. */
static enum status
set_label(struct train_adapters *a, const char *label)
{
	a->label = strndup(label, LABEL);
	if (!a->label)
		return no_memory();
	for (char *p = a->label; *p; p++)
		if ((unsigned char)*p < ' ' || *p == '/' || *p == '\\' || *p == 0x7f)
			*p = '_';
	return ACE_OK;
}

static struct train_adapters *
next_run(struct train_validation *v)
{
	struct train_adapters *all = realloc(v->other, (size_t)(v->others + 1) * sizeof *all);

	if (!all)
		return NULL;
	v->other = all;
	all[v->others] = (struct train_adapters){ 0 };
	return &all[v->others++];
}

/* --- one, by options --- */

static enum status
take_path(struct train_validation *v, const struct settings *s, const char *path)
{
	const char *name = settings_str(s, "validation_adapter_name");
	struct train_adapters *a = next_run(v);

	if (!a)
		return no_memory();
	ACE_TRY(set_label(a, name ? name : v->without ? "adapter" : ""));
	return add_file(a, "validation_adapter_path", path, settings_str(s, "revision"), settings_f64(s, "validation_adapter_strength"));
}

/* --- several, by validation_adapter_config --- */

static const char config[] = "validation_adapter_config";

static enum status
strength_of(const cJSON *e, double otherwise, double *strength)
{
	const cJSON *x = cJSON_GetObjectItemCaseSensitive(e, "strength");

	*strength = cJSON_IsNumber(x) ? x->valuedouble : otherwise;
	if ((x && !cJSON_IsNumber(x) && !cJSON_IsNull(x)) || !(*strength >= 0 && *strength <= 100))
		return ace_fail(ACE_ECONFIG, "%s: strength: wanted a number from 0 to 100", config);
	return ACE_OK;
}

static const char *
member(const cJSON *e, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, key));
}

/* A path, or an object with one. */
static enum status
take_file(struct train_adapters *a, const cJSON *e, const char *revision, double otherwise)
{
	const char *path = cJSON_IsString(e) ? e->valuestring : member(e, "path");
	double strength;

	if (!path)
		return ace_fail(ACE_ECONFIG, "%s: an adapter without path", config);
	ACE_TRY(strength_of(e, otherwise, &strength));
	return add_file(a, config, path, revision, strength);
}

static enum status
take_run(struct train_validation *v, const cJSON *e, const char *revision)
{
	static const char *const lists[] = { "adapters", "paths" }, *const names[] = { "label", "adapter_name" };
	struct train_adapters *a = v->others < RUNS ? next_run(v) : NULL;
	char number[24];
	const char *label = NULL;
	const cJSON *x;
	double strength;

	if (v->others == RUNS || !a)
		return v->others == RUNS ? ace_fail(ACE_ECONFIG, "%s has more than %d runs", config, RUNS - 1) : no_memory();
	snprintf(number, sizeof number, "%d", v->others);
	for (int i = 0; i < 2 && !label; i++)
		label = member(e, names[i]);
	ACE_TRY(set_label(a, label ? label : number));
	ACE_TRY(strength_of(e, 1, &strength));
	if (cJSON_IsString(e) || member(e, "path"))
		ACE_TRY(take_file(a, e, revision, 1));
	for (int i = 0; i < 2; i++)
		cJSON_ArrayForEach(x, cJSON_GetObjectItemCaseSensitive(e, lists[i]))
			ACE_TRY(take_file(a, x, revision, strength));
	return a->n > 0 ? ACE_OK : ace_fail(ACE_ECONFIG, "%s: \"%s\" names no adapter; wanted path, adapters or paths", config, a->label);
}

static enum status
take_config(struct train_validation *v, const struct settings *s)
{
	const cJSON *runs, *e;
	cJSON *root;
	enum status st = ACE_OK;

	ACE_TRY(settings_json(s, "validation_adapter_config", &root));
	runs = cJSON_IsObject(root) ? cJSON_GetObjectItemCaseSensitive(root, "runs") : root;
	if (!cJSON_IsArray(runs) || cJSON_GetArraySize(runs) == 0)
		st = ace_fail(ACE_ECONFIG, "%s: wanted a list of runs, or an object with such a list as runs", config);
	if (st == ACE_OK)
		cJSON_ArrayForEach(e, runs)
			if (st == ACE_OK)
				st = take_run(v, e, settings_str(s, "revision"));
	cJSON_Delete(root);
	for (int i = 0; i < v->others && st == ACE_OK; i++)
		for (int k = 0; k < i && st == ACE_OK; k++)
			if (strcmp(v->other[i].label, v->other[k].label) == 0)
				st = ace_fail(ACE_ECONFIG, "%s: two runs are called \"%s\"", config, v->other[i].label);
	return st;
}

enum status
train_adapters_open(struct train_validation *v)
{
	const struct train *t = v->train;
	const struct settings *s = t->settings;
	const char *path = settings_str(s, "validation_adapter_path"), *mode = settings_str(s, "validation_adapter_mode");
	bool several = settings_has(s, "validation_adapter_config");

	v->without = true;
	if ((!path && !several) || strcmp(mode, "none") == 0)
		return ACE_OK;
	if (path && several)
		return ace_fail(ACE_ECONFIG, "validation_adapter_path and %s exclude each other; give one", config);
	if (t->j.full)
		return ace_fail(ACE_ECONFIG, "%s needs model_type=lora: it is put beside the adapters that train",
		                path ? "validation_adapter_path" : config);
	v->without = strcmp(mode, "comparison") == 0;
	ACE_TRY(path ? take_path(v, s, path) : take_config(v, s));
	v->own = file_path("%s/validation_adapter.part", t->j.out);
	v->job.dit = t->j.dit;
	v->job.transformer = strdup(t->j.model);
	return v->own && v->job.transformer ? ACE_OK : no_memory();
}

enum status
train_adapters_check(const struct train_validation *v)
{
	char text[600];

	for (int i = 0; i < v->others; i++)
		for (int k = 0; k < v->other[i].n; k++) {
			const char *path = v->other[i].lora[k].path;
			struct adapter_file f;
			enum status st = ACE_OK;

			ACE_TRY(adapter_file_open(&f, path, &v->train->m.params));
			if (f.n == 0 || f.n_unknown)
				st = ace_fail(ACE_EDATA, "%s: keys that match no module of the model, or none: %s", path,
				              adapter_unknown_text(&f, text, sizeof text));
			adapter_file_close(&f);
			ACE_TRY(st);
		}
	return ACE_OK;
}

void
train_adapters_use(struct train_validation *v, const struct train_adapters *a)
{
	v->with = a;
	v->job.loras = 0;
	if (!a)
		return;
	v->job.lora[v->job.loras++] = (struct generate_lora){ v->own, 1.f };
	for (int k = 0; k < a->n; k++)
		v->job.lora[v->job.loras++] = a->lora[k];
}

void
train_adapters_close(struct train_validation *v)
{
	train_adapters_use(v, NULL);
	for (int i = 0; i < v->others; i++) {
		for (int k = 0; k < GENERATE_LORAS; k++)
			free(v->other[i].lora[k].path);
		free(v->other[i].label);
	}
	free(v->other);
	free(v->own);
	v->other = NULL;
	v->own = NULL;
	v->others = 0;
}
