/* SPDX-License-Identifier: Apache-2.0 */
#include "train/team.h"

#include "base/file.h"
#include "jobs/init_model.h"
#include "kernels/kernels.h"
#include "support/stores.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

char *
team_folder(struct comm *c)
{
	const struct stores_options o = { .clips = 47, .captions = 2, .channels = 8, .rows = 16, .frames = 20, .vary = 4,
		.text_width = 32, .text_rows = 5, .lyrics = 6, .lyric_vocab = 90, .dtype = F32, .seed = 5 };
	char name[] = "/tmp/ace-team-XXXXXX", *folder = NULL;
	size_t size = sizeof name - 1;

	if (c->rank == 0) {
		struct init_model_job job = { .preset = "tiny", .seed = 3, .dtype = F32, .threads = 1 };
		assert_non_null(mkdtemp(name));
		folder = strdup(name);
		job.dir = file_path("%s/model", folder);
		assert_ok(init_model_write(&job));
		free((char *)(uintptr_t)job.dir);
		free(stores_make(folder, &o));
	}
	assert_ok(comm_share(c, &folder, &size, 300, "the folder"));
	return folder;
}

void
team_folder_free(struct comm *c, char *folder)
{
	if (c->rank == 0)
		assert_ok(file_remove_tree(folder));
	free(folder);
}

/* Device, model, what trains. */
static void
open_model(struct team *t, enum dev_kind kind, const char *folder, const struct team_options *o)
{
	static const char *const target[] = { "to_q", "linear_k" };
	const struct lora_options lora = { .target = target, .n_targets = 2, .rank = o->adapters, .alpha = 4, .seed = 1 };
	char *model = file_path("%s/model/ace_step_transformer", folder);

	assert_ok(dev_open(&t->dev, kind, 1));
	kernels_attach(&t->dev);
	assert_ok(dit_open(&t->m, model, &(struct dit_options){ .dtype = o->loss_scale > 0 ? F16 : F32 }, &t->dev));
	assert_ok(o->adapters > 0 ? dit_add_lora(&t->m, &lora) : dit_train(&t->m, DIT_FULL));
	free(model);
}

static void
open_step(struct team *t, const struct team_options *o, struct step_shape room)
{
	const struct optim_wish wish = { .optimizer = o->rule, .beta1 = (double)NAN, .beta2 = (double)NAN, .adam_beta1 = (double)NAN,
		.adam_beta2 = (double)NAN, .adam_epsilon = (double)NAN, .adam_weight_decay = (double)NAN };
	struct step_options so = { .seed = 1, .flow = FLOW_OPTIONS_DEFAULT, .accumulation = o->accumulation, .exchange = &t->x,
		.schedule = { .rate = 1e-3, .steps = 9 }, .ema = { .decay = 0.1, .interval = o->average }, .clip = { CLIP_NORM, 1 },
		.nonfinite = o->nonfinite, .scaler = { .scale = o->loss_scale, .interval = 2000 } };
	char unknown[32];

	assert_ok(optim_settings_resolve(&so.optim, &wish, unknown, sizeof unknown));
	assert_ok(schedule_named(&so.schedule, "linear"));
	assert_ok(step_open(&t->step, &t->m, &so, room));
}

void
team_open(struct team *t, struct comm *c, const char *folder, const struct team_options *o)
{
	const struct dataset_defaults defaults = { .batch_size = 2 };
	char *list = file_path("%s/multidatabackend.json", folder);
	struct data_options d = { .list = &t->list, .seed = 1 };
	struct batch most;

	*t = (struct team){ .c = c, .x = { .comm = c, .sharding = o->sharding } };
	open_model(t, DEV_CPU, folder, o);
	assert_ok(dataset_list_read(&t->list, list, &defaults));
	d.speaker = t->m.cfg.speaker_dim;
	assert_ok(data_open(&t->data, &d));
	data_largest(t->data, &most);
	open_step(t, o, (struct step_shape){ most.B, most.T, most.S, most.Y });
	free(list);
}

void
team_plan(struct team *t, const struct exchange *x, const char *folder, const struct team_options *o)
{
	*t = (struct team){ .x = *x };
	open_model(t, DEV_DRY, folder, o);
	open_step(t, o, (struct step_shape){ 2, 20, 5, 6 });
}

void
team_batch(struct team *t, int n)
{
	assert_ok(data_batch(t->data, 0, n * t->c->size + t->c->rank, &t->b));
}

void
team_close(struct team *t)
{
	step_close(&t->step);
	batch_free(&t->b);
	data_close(t->data);
	dataset_list_free(&t->list);
	dit_close(&t->m);
	dev_close(&t->dev);
}
