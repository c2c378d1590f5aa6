/* SPDX-License-Identifier: Apache-2.0 */
#include "train/tiny.h"

#include "base/file.h"
#include "kernels/kernels.h"
#include "support/stores.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static const cJSON *
spec(const struct tiny *t, const char *part)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(t->manifest, "spec"), part);

	if (!v)
		fail_msg("manifest.json: no spec.%s", part);
	return v;
}

double
tiny_number(const struct tiny *t, const char *part, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(spec(t, part), key);

	if (!cJSON_IsNumber(v))
		fail_msg("manifest.json: spec.%s.%s is no number", part, key);
	return v->valuedouble;
}

static void *
kept(struct tiny *t, void *p)
{
	assert_true(t->n_own < (int)(sizeof t->own / sizeof *t->own));
	t->own[t->n_own++] = p;
	return p;
}

static float *
floats(struct tiny *t, const struct st_file *f, const char *name, int64_t dim[4])
{
	const struct st_entry *e = st_find(f, name);
	struct tensor x, y;

	if (e && e->value.dtype == I64) {
		x = golden_i64(f, name);
		y = x;
		y.dtype = F32;
		y.data = malloc(tensor_bytes(y) + 4);
		assert_non_null(y.data);
		for (int64_t i = 0; i < tensor_count(x); i++)
			((float *)y.data)[i] = (float)((int64_t *)x.data)[i];
		free(x.data);
	} else {
		y = golden_f32(f, name);
	}
	for (int i = 0; i < 4; i++)
		dim[i] = i < y.rank ? y.dim[i] : 1;
	return kept(t, y.data);
}

static void
read_batch(struct tiny *t)
{
	struct batch *b = &t->b;
	struct st_file f;
	struct tensor ids;
	int64_t d[4];

	golden_open(&f, TINY_SET, "batch.safetensors");
	b->latents = floats(t, &f, "latents", d);
	b->B = d[0], b->channels = d[1], b->rows = d[2], b->T = d[3];
	b->frame_mask = floats(t, &f, "attention_mask", d);
	b->text = floats(t, &f, "text_hidden_states", d);
	b->S = d[1], b->text_width = d[2];
	b->text_mask = floats(t, &f, "text_mask", d);
	b->speaker = floats(t, &f, "speaker_embeds", d);
	b->speaker_width = d[1];
	b->lyric_mask = floats(t, &f, "lyric_mask", d);
	b->Y = d[1];
	ids = golden_i64(&f, "lyric_token_ids");
	b->lyric_ids = kept(t, malloc((size_t)tensor_count(ids) * sizeof *b->lyric_ids));
	for (int64_t i = 0; i < tensor_count(ids); i++)
		b->lyric_ids[i] = (int32_t)((int64_t *)ids.data)[i];
	free(ids.data);
	st_close(&f);
	assert_true(b->B <= (int64_t)(sizeof t->id / sizeof *t->id));
	for (int64_t i = 0; i < b->B; i++) {
		static const char *const names[] = { "songs/a.wav", "songs/b.wav", "songs/c.wav" };
		t->id[i] = dataset_sample_id("tiny", names[i % 3]) + (uint64_t)i / 3;
		t->name[i] = names[i % 3];
	}
	b->sample_id = t->id;
	b->samples = t->samples;
	b->name = t->name;
	b->dataset = "tiny";
}

static void
add_adapters(struct tiny *t, const struct tiny_options *o)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(t->manifest, "lora_targets"), *v;
	const cJSON *rslora = cJSON_GetObjectItemCaseSensitive(spec(t, "lora"), "rslora");
	const char *target[32];
	struct lora_options lora = { .target = target, .rank = (int64_t)tiny_number(t, "lora", "r"),
		.alpha = (float)tiny_number(t, "lora", "alpha"), .rslora = cJSON_IsTrue(rslora), .dropout = o->lora_dropout,
		.seed = 3 };

	cJSON_ArrayForEach(v, list) {
		assert_true(lora.n_targets < 32);
		target[lora.n_targets++] = v->valuestring;
	}
	assert_ok(dit_add_lora(&t->m, &lora));
}

void
tiny_open(struct tiny *t, const struct tiny_options *o)
{
	const struct dit_options dit = { .dtype = o->dtype, .attention_masks = true, .checkpoint_interval = o->checkpoint_interval,
		.lyric_dropout = o->lyric_dropout };

	*t = (struct tiny){ 0 };
	t->manifest = golden_json(TINY_SET, "manifest.json");
	assert_ok(dev_open(&t->dev, o->kind, o->threads));
	kernels_attach(&t->dev);
	assert_ok(dit_open(&t->m, golden_path(TINY_SET, "ace_step_transformer"), &dit, &t->dev));
	read_batch(t);
	if (o->full)
		assert_ok(dit_train(&t->m, DIT_FULL));
	else
		add_adapters(t, o);
}

struct step_options
tiny_step_options(const struct tiny *t)
{
	const cJSON *betas = cJSON_GetObjectItemCaseSensitive(spec(t, "train"), "betas");
	struct step_options o = { .seed = 42, .flow = FLOW_OPTIONS_DEFAULT, .accumulation = 1 };

	o.clip = (struct clip_options){ CLIP_NORM, tiny_number(t, "train", "clip") };
	o.optim = (struct optim_settings){ .rule = OPTIM_ADAMW, .beta1 = cJSON_GetArrayItem(betas, 0)->valuedouble,
		.beta2 = cJSON_GetArrayItem(betas, 1)->valuedouble, .eps = tiny_number(t, "train", "eps"),
		.weight_decay = tiny_number(t, "train", "wd") };
	o.schedule = (struct schedule){ .kind = SCHEDULE_LINEAR, .rate = tiny_number(t, "train", "lr"),
		.warmup = (int64_t)tiny_number(t, "train", "warmup"), .steps = (int64_t)tiny_number(t, "train", "max_steps") };
	return o;
}

void
tiny_start(struct tiny *t, const struct step_options *o)
{
	assert_ok(step_open(&t->step, &t->m, o, (struct step_shape){ t->b.B, t->b.T, t->b.S, t->b.Y }));
}

void
tiny_close(struct tiny *t)
{
	step_close(&t->step);
	dit_close(&t->m);
	dev_close(&t->dev);
	for (int i = 0; i < t->n_own; i++)
		free(t->own[i]);
	cJSON_Delete(t->manifest);
}

void
tiny_data_open(struct tiny_data *d, const struct tiny *t, const char *folder, int64_t batch_size)
{
	const struct stores_options o = { .clips = 7, .captions = 2, .channels = DIT_CHANNELS, .rows = DIT_ROWS, .frames = 40,
		.vary = 36, .text_width = t->m.cfg.text_dim, .text_rows = 5, .lyrics = 6, .lyric_vocab = (int32_t)t->m.cfg.lyric_vocab,
		.dtype = F32, .seed = 11 };
	const struct dataset_defaults defaults = { .batch_size = batch_size };
	char *path = file_path("%s/multidatabackend.json", folder);

	*d = (struct tiny_data){ 0 };
	if (!file_exists(path)) {
		free(path);
		path = stores_make(folder, &o);
	}
	assert_ok(dataset_list_read(&d->list, path, &defaults));
	d->o = (struct data_options){ .list = &d->list, .seed = 5, .speaker = t->m.cfg.speaker_dim,
		.lyric_vocab = t->m.cfg.lyric_vocab, .text_width = t->m.cfg.text_dim };
	assert_ok(data_open(&d->d, &d->o));
	free(path);
}

void
tiny_data_close(struct tiny_data *d)
{
	data_close(d->d);
	dataset_list_free(&d->list);
}
