/* SPDX-License-Identifier: Apache-2.0 */
/* Where clips go, and the small files beside them. */
#include "jobs/generate_parts.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "jobs/versions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *
generate_path(const struct generate_job *j, const struct generate_clip *c, const char *ending)
{
	const char *dot = strrchr(j->output, '.');

	if (j->folder)
		return file_path("%s/%s.%s", j->output, c->name, ending);
	return file_path("%.*s.%s", (int)(dot - j->output), j->output, ending);
}

enum status
generate_check_output(const struct generate_job *j)
{
	const char *slash = strrchr(j->output, '/');
	char *folder;
	enum status st = ACE_OK;

	if (j->folder)
		return file_mkdirs(j->output);
	if (file_is_dir(j->output))
		return ace_fail(ACE_ECREATE, "output=%s: a folder of that name is there", j->output);
	if (!slash || slash == j->output)
		return ACE_OK;
	folder = strndup(j->output, (size_t)(slash - j->output));
	st = folder ? file_mkdirs(folder) : ace_fail(ACE_ENOMEM, "no memory for a path");
	free(folder);
	return st;
}

enum status
generate_write_latent(const struct generate_job *j, const struct generate_clip *c, const float *latent, int64_t frames)
{
	const struct st_item item = { "latents", tensor_of((void *)(uintptr_t)latent, F32, 3, DIT_CHANNELS, DIT_ROWS, frames) };
	char *path = generate_path(j, c, "safetensors");
	enum status st = path ? st_write(path, &item, 1, NULL, 0) : ace_fail(ACE_ENOMEM, "no memory for a path");

	free(path);
	return st;
}

/* What an option is, in the type that it has. */
static void
note(cJSON *o, const struct settings *s, const struct option *option)
{
	const char *name = option->name;

	if (!settings_has(s, name))
		return;
	switch (option->type) {
	case OPT_BOOL: cJSON_AddBoolToObject(o, name, settings_bool(s, name)); return;
	case OPT_INT: cJSON_AddNumberToObject(o, name, (double)settings_i64(s, name)); return;
	case OPT_FLOAT: cJSON_AddNumberToObject(o, name, settings_f64(s, name)); return;
	case OPT_ENUM: case OPT_STRING: case OPT_PATH: case OPT_JSON: case OPT_BOOL_OR_STRING:
		cJSON_AddStringToObject(o, name, settings_str(s, name));
	}
}

/* Options of the model, the texts and the run; not those that change nothing in the result. */
static bool
matters(const struct option *o)
{
	static const char others[] = "output write_latents write_settings prompt prompts lyrics seed grace env example config_path "
		"config_backend";

	return (o->programs & OPT_GENERATE) && strcmp(o->category, "program") != 0 && option_state(o) == OPT_BUILT &&
	       !option_has_word(others, o->name);
}

enum status
generate_write_notes(const struct generate_job *j, const struct generate_clip *c, int k, int64_t frames)
{
	char *path = generate_path(j, c, "json"), now[32];
	cJSON *root = cJSON_CreateObject(), *options = cJSON_AddObjectToObject(root, "options");
	enum status st;

	clock_utc(now, sizeof now);
	cJSON_AddStringToObject(root, "prompt", c->prompt);
	if (c->lyrics)
		cJSON_AddStringToObject(root, "lyrics", c->lyrics);
	cJSON_AddNumberToObject(root, "seed", (double)(j->seed + (uint64_t)k));
	cJSON_AddNumberToObject(root, "latent_frames", (double)frames);
	cJSON_AddStringToObject(root, "program", PACKAGE_STRING);
	cJSON_AddStringToObject(root, "commit", versions_commit());
	cJSON_AddStringToObject(root, "made", now);
	for (int i = 0; i < options_count(); i++)
		if (matters(option_at(i)))
			note(options, j->settings, option_at(i));
	st = path && options ? json_write(path, root) : ace_fail(ACE_ENOMEM, "no memory for a clip's settings");
	cJSON_Delete(root);
	free(path);
	return st;
}
