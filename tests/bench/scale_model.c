/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/scale.h"

#include "base/file.h"
#include "bench/sparse.h"
#include "jobs/device.h"
#include "jobs/init_model.h"
#include "jobs/ranks.h"
#include "support/stores.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By the first rank. */
static enum status
make_folder(struct scale *b)
{
	const struct stores_options s = { .clips = 4, .captions = 1, .channels = DIT_CHANNELS, .rows = DIT_ROWS, .frames = 20, .text_width = 8,
		.text_rows = 1, .lyrics = 2, .lyric_vocab = 9, .dtype = F32, .seed = 1 };
	const char *tmp = getenv("TMPDIR");
	struct init_model_job job = { .preset = b->o.preset, .seed = 1, .dtype = F32, .threads = 1 };
	enum status st = ACE_OK;
	char *model;

	b->folder = file_path("%s/ace-scale-XXXXXX", tmp ? tmp : "/tmp");
	if (!b->folder || !mkdtemp(b->folder))
		return ace_fail(ACE_ECREATE, "%s: no folder for the model", b->folder ? b->folder : "");
	free(stores_make(b->folder, &s));
	model = file_path("%s/model/ace_step_transformer", b->folder);
	if (b->o.device == DEV_CUDA) {
		st = file_mkdirs(model);
		if (st == ACE_OK)
			sparse_model(model, b->o.preset, b->o.layers);
	} else {
		job.dir = file_path("%s/model", b->folder);
		st = init_model_write(&job);
		free((char *)(uintptr_t)job.dir);
	}
	free(model);
	return st;
}

enum status
scale_folder(struct scale *b)
{
	enum status st = comm_agree(b->comm, b->comm->rank == 0 ? make_folder(b) : ACE_OK);
	size_t size = b->folder ? strlen(b->folder) : 0;

	return st == ACE_OK ? comm_share(b->comm, &b->folder, &size, 4096, "the folder") : st;
}

static float *
numbers(int64_t n, float fill)
{
	float *x = malloc((size_t)(n + 1) * sizeof *x);

	for (int64_t i = 0; x && i < n; i++)
		x[i] = fill;
	return x;
}

/* Of full length: nothing is padded. */
static enum status
make_batch(struct batch *b, struct step_shape n, const struct dit_config *cfg)
{
	static uint64_t id[SCALE_CLIPS];
	static int64_t samples[SCALE_CLIPS];
	static const char *name[SCALE_CLIPS];
	int64_t latents = n.B * DIT_CHANNELS * DIT_ROWS * n.T, text = n.B * n.S * cfg->text_dim;

	*b = (struct batch){ .B = n.B, .T = n.T, .S = n.S, .Y = n.Y, .channels = DIT_CHANNELS, .rows = DIT_ROWS, .text_width = cfg->text_dim,
		.speaker_width = cfg->speaker_dim, .sample_id = id, .samples = samples, .name = name };
	b->latents = numbers(latents, 0.f);
	b->text = numbers(text, 0.f);
	b->frame_mask = numbers(n.B * n.T, 1.f);
	b->text_mask = numbers(n.B * n.S, 1.f);
	b->lyric_mask = numbers(n.B * n.Y, 1.f);
	b->speaker = numbers(n.B * cfg->speaker_dim, 0.f);
	b->lyric_ids = malloc((size_t)(n.B * n.Y + 1) * sizeof *b->lyric_ids);
	if (!b->latents || !b->text || !b->frame_mask || !b->text_mask || !b->lyric_mask || !b->speaker || !b->lyric_ids)
		return ace_fail(ACE_ENOMEM, "no memory for a batch");
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), b->latents, latents);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 1), b->text, text);
	for (int64_t i = 0; i < n.B * n.Y; i++)
		b->lyric_ids[i] = (int32_t)(1 + i * 7919 % (cfg->lyric_vocab - 1));
	for (int64_t i = 0; i < n.B; i++) {
		id[i] = (uint64_t)i;
		name[i] = "random";
	}
	return ACE_OK;
}

static void
free_batch(struct batch *b)
{
	void *const all[] = { b->latents, b->text, b->frame_mask, b->text_mask, b->lyric_mask, b->speaker, b->lyric_ids };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
}

static enum status
open_model(struct scale *b)
{
	static const char *const targets[] = { "linear_q", "linear_k", "linear_v", "to_q", "to_k", "to_v", "to_out.0" };
	const struct dit_options how = { .dtype = b->o.fp32 ? F32 : BF16, .attention_masks = true, .checkpoint_interval = b->o.interval };
	const struct lora_options lora = { .target = targets, .n_targets = 7, .rank = b->o.rank, .alpha = (float)b->o.rank, .seed = 1 };
	char *model = file_path("%s/model/ace_step_transformer", b->folder);
	enum status st = dit_open(&b->m, model, &how, &b->dev);
	struct tensor block;

	free(model);
	ACE_TRY(st);
	ACE_TRY(b->o.full ? dit_train(&b->m, DIT_FULL) : dit_add_lora(&b->m, &lora));
	if (b->o.device != DEV_CUDA)
		return ACE_OK;
	block = sparse_normal(&b->dev);
	sparse_fill(&b->m, block);
	b->dev.m->sync(&b->dev);
	b->dev.m->free(&b->dev, block.data);
	b->dev.peak = b->dev.bytes;
	return b->dev.status;
}

enum status
scale_open(struct scale *b)
{
	const struct optim_wish wish = { .optimizer = b->o.optimizer, .beta1 = (double)NAN, .beta2 = (double)NAN, .adam_beta1 = (double)NAN,
		.adam_beta2 = (double)NAN, .adam_epsilon = (double)NAN, .adam_weight_decay = (double)NAN };
	struct step_options o = { .seed = 42, .flow = FLOW_OPTIONS_DEFAULT, .accumulation = b->o.accumulation, .clip = { CLIP_NORM, 1 },
		.schedule = { .kind = SCHEDULE_CONSTANT, .rate = 1e-5 } };
	const struct dataset_defaults defaults = { .batch_size = 1 };
	struct data_options d = { .list = &b->list, .seed = 1, .speaker = 1 };
	char unknown[32], *list = file_path("%s/multidatabackend.json", b->folder);
	enum status st = dataset_list_read(&b->list, list, &defaults);

	free(list);
	ACE_TRY(st);
	ACE_TRY(data_open(&b->data, &d));
	ACE_TRY(optim_settings_resolve(&o.optim, &wish, unknown, sizeof unknown));
	ACE_TRY(device_open(&b->dev, b->o.device, ranks_threads(b->comm, 0), ranks_device(b->comm)));
	ACE_TRY(open_model(b));
	if (b->comm->size > 1) {
		b->exchange = (struct exchange){ .comm = b->comm, .sharding = b->o.sharding, .way = b->o.way };
		o.exchange = &b->exchange;
	}
	ACE_TRY(step_open(&b->step, &b->m, &o, b->o.shape));
	return make_batch(&b->batch, b->o.shape, &b->m.cfg);
}

void
scale_close(struct scale *b)
{
	if (checkpoint_writer_close(b->writer) != ACE_OK)
		fprintf(stderr, "scale: %s\n", ace_message());
	step_close(&b->step);
	if (b->m.dev)
		dit_close(&b->m);
	if (b->dev.m)
		dev_close(&b->dev);
	data_close(b->data);
	dataset_list_free(&b->list);
	free_batch(&b->batch);
	if (b->comm && b->comm->rank == 0 && b->folder && file_remove_tree(b->folder) != ACE_OK)
		fprintf(stderr, "scale: %s\n", ace_message());
	free(b->folder);
}
