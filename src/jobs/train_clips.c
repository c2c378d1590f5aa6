/* SPDX-License-Identifier: Apache-2.0 */
/* Files of rendered clips: sound, how it came about, and its event in the run's records */
#include "jobs/train_validate.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "models/sound.h"

#include <stdio.h>
#include <stdlib.h>

static void
note_adapters(cJSON *root, const struct train_adapters *a)
{
	cJSON *list = cJSON_AddArrayToObject(root, "validation_adapters");

	for (int k = 0; k < a->n; k++) {
		cJSON *e = cJSON_CreateObject();
		cJSON_AddStringToObject(e, "path", a->lora[k].path);
		cJSON_AddNumberToObject(e, "strength", (double)a->lora[k].strength);
		cJSON_AddItemToArray(list, e);
	}
}

static enum status
write_notes(const struct train_validation *v, const struct generate_clip *c, const char *path)
{
	cJSON *root = cJSON_CreateObject();
	enum status st;

	if (!v->bare)
		cJSON_AddNumberToObject(root, "step", (double)v->train->step.updates);
	cJSON_AddStringToObject(root, "prompt", c->prompt);
	if (c->lyrics)
		cJSON_AddStringToObject(root, "lyrics", c->lyrics);
	cJSON_AddNumberToObject(root, "seed", (double)v->seed);
	cJSON_AddNumberToObject(root, "steps", v->job.loop.steps);
	cJSON_AddNumberToObject(root, "guidance", v->job.loop.guidance.scale);
	if (c->strength < 1 || c->strength > 1)
		cJSON_AddNumberToObject(root, "adapter_strength", (double)c->strength);
	if (v->with && v->with->n == 1) {
		cJSON_AddStringToObject(root, "validation_adapter", v->with->lora[0].path);
		cJSON_AddNumberToObject(root, "validation_adapter_strength", (double)v->with->lora[0].strength);
	} else if (v->with) {
		note_adapters(root, v->with);
	}
	cJSON_AddNumberToObject(root, "duration", v->job.seconds);
	st = root ? json_write(path, root) : ace_fail(ACE_ENOMEM, "no memory for a clip's settings");
	cJSON_Delete(root);
	return st;
}

/* Into the events of TensorBoard, where they are written. */
static enum status
put_event(const struct train_validation *v, const struct generate_clip *c, const char *ending, const char *wave, int64_t n)
{
	struct train *t = v->train;
	char tag[200], *data;
	size_t size;
	enum status st;

	if (!t->j.tensorboard)
		return ACE_OK;
	snprintf(tag, sizeof tag, "validation/%s%s", c->name, ending);
	ACE_TRY(file_read(wave, (size_t)1 << 30, &data, &size));
	st = tensorboard_put_audio(&t->tensorboard, clock_wall(), t->step.updates, tag, TRAIN_VALIDATION_RATE, 2, n, data, size);
	free(data);
	return st;
}

static enum status
decode_one(const struct train_validation *v, struct sound *sound, int k, const char *ending)
{
	const struct generate_clip *c = &v->clips.clip[k];
	const char *out = v->train->j.out;
	char *base = v->bare ? file_path("%s/" TRAIN_BENCHMARK ".part/%s", out, c->name) :
	                       file_path("%s/validation_audio/step_%lld_%s%s", out, (long long)v->train->step.updates, c->name, ending);
	enum status st = base ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a path");
	float *x = NULL;
	int64_t n = 0;

	if (st == ACE_OK)
		st = sound_decode(sound, v->latent + k * DIT_CHANNELS * DIT_ROWS * v->frames, v->frames, false, TRAIN_VALIDATION_RATE, &x, &n);
	for (int64_t i = 0; i < v->copies && st == ACE_OK; i++) {
		char *wave = file_path("%s_%lld.wav", base, (long long)i), *notes = file_path("%s_%lld.json", base, (long long)i);
		st = wave && notes ? audio_write(wave, x, 2, n, TRAIN_VALIDATION_RATE, AUDIO_PCM16) : ace_fail(ACE_ENOMEM, "no memory for a path");
		if (st == ACE_OK)
			st = write_notes(v, c, notes);
		if (st == ACE_OK && i == 0)
			st = put_event(v, c, ending, wave, n);
		free(wave);
		free(notes);
	}
	free(x);
	free(base);
	return st;
}

enum status
train_validation_write(const struct train_validation *v, const char *ending)
{
	char *folder = file_path(v->bare ? "%s/" TRAIN_BENCHMARK ".part" : "%s/validation_audio", v->train->j.out);
	struct sound sound;
	enum status st = folder ? file_mkdirs(folder) : ace_fail(ACE_ENOMEM, "no memory for a path");

	free(folder);
	ACE_TRY(st);
	ACE_TRY(sound_open(&sound, v->job.codec ? v->job.codec : v->job.model, v->model.dev));
	for (int k = 0; k < v->done && st == ACE_OK; k++)
		st = decode_one(v, &sound, k, ending);
	sound_close(&sound);
	return st;
}
