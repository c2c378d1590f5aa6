/* SPDX-License-Identifier: Apache-2.0 */
/* Training on several ranks: the numbers of one rank that takes as many clips an update, the same bits each time, going on with
 * another number of ranks, and a failure of one that all end with */
#include "jobs/train.h"

#include "../comm/ranks.h"
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "formats/safetensors.h"
#include "jobs/init_model.h"
#include "models/adapter.h"
#include "models/lyrics_file.h"
#include "data/dataset_settings.h"
#include "kernels/kernels.h"
#include "support/stores.h"
#include "support/test.h"
#include "train/checkpoint.h"
#include "train/loop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An update takes so many batches, whatever the number of ranks. An epoch has two of them, its last batch a single clip. */
enum { BATCHES = 12, CLIPS = 47, STEPS = 4 };

/* What computes: ACE_TEST_DEVICE, else the cpu. Layers that lie side by side on a GPU add in another order than those whose parts are
 * sharded, so that there only the same sharding gives the same bits. */
static const char *
device(void)
{
	const char *name = getenv("ACE_TEST_DEVICE");

	return name ? name : "cpu";
}

static bool
on_gpus(void)
{
	return strcmp(device(), "cuda") == 0;
}

static char *folder;			/* of all runs; the same on all ranks */

static const char *
at(const char *name)
{
	static char text[4][300];
	static int i;
	char *to = text[i++ % 4];

	snprintf(to, sizeof text[0], "%s/%s", folder, name);
	return to;
}

static int
setup(void **state)
{
	const struct stores_options o = { .clips = CLIPS, .captions = 2, .channels = 8, .rows = 16, .frames = 20, .vary = 4,
		.text_width = 32, .text_rows = 5, .lyrics = 6, .lyric_vocab = 90, .dtype = F32, .seed = 5 };
	char name[] = "/tmp/ace-train-ranks-XXXXXX";
	size_t size = sizeof name - 1;

	if (open_world(state) != 0)
		return -1;
	msg_setup("train_ranks", MSG_QUIET, PROGRESS_NONE, 10);
	if (world->rank == 0) {
		struct init_model_job job = { .preset = "tiny", .seed = 3, .dtype = F32, .threads = 1 };
		assert_non_null(mkdtemp(name));
		folder = strdup(name);
		job.dir = at("model");
		assert_ok(init_model_write(&job));
		free(stores_make(folder, &o));
	}
	assert_ok(comm_share(world, &folder, &size, 300, "the folder"));
	return 0;
}

static int
teardown(void **state)
{
	if (world->rank == 0)
		assert_ok(file_remove_tree(folder));
	free(folder);
	return close_world(state);
}

#define PAIRS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void
settle(struct settings *s, const char *out, int ranks, const char *const *pair)
{
	char each[16];
	const char *const base[] = { "pretrained_model_name_or_path", at("model"), "data_backend_config", at("multidatabackend.json"),
		"output_dir", out, "max_train_steps", "4", "mixed_precision", "no", "optimizer", "torch-adamw", "learning_rate", "1e-3",
		"lora_rank", "4", "threads", "1", "checkpoint_step_interval", "100", "train_batch_size", "2", "seed", "8",
		"device", device(), "disable_tf32", "true", "gradient_accumulation_steps", each, NULL };

	snprintf(each, sizeof each, "%d", BATCHES / ranks);
	assert_ok(settings_init(s, program_named("ace-train")));
	for (int i = 0; base[i]; i += 2)
		assert_ok(settings_set(s, base[i], base[i + 1], "command line"));
	for (int i = 0; pair && pair[i]; i += 2)
		assert_ok(settings_set(s, pair[i], pair[i + 1], "command line"));
}

/* A run of all ranks; alone: of the first one, for which the others wait. */
static enum status
run(const char *name, bool alone, const char *const *pair)
{
	char *out = strdup(at(name));
	enum status st = ACE_OK;
	struct settings s;

	settle(&s, out, alone ? 1 : world->size, pair);
	if (!alone)
		st = train_run(&s, world);
	else if (world->rank == 0)
		st = train_run(&s, NULL);
	settings_free(&s);
	free(out);
	return alone ? comm_agree(world, st) : st;
}

/* Numbers of a run's updates: the value of key in each line of metrics.jsonl. */
static int
metric(const char *name, const char *key, double v[16])
{
	char path[400], *text, *line;
	size_t size;
	int n = 0;

	snprintf(path, sizeof path, "%s/logs/metrics.jsonl", at(name));
	assert_ok(file_read(path, 1 << 20, &text, &size));
	for (line = strtok(text, "\n"); line && n < 16; line = strtok(NULL, "\n")) {
		cJSON *o = cJSON_Parse(line);
		const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, key);
		assert_true(cJSON_IsNumber(x));
		v[n++] = x->valuedouble;
		cJSON_Delete(o);
	}
	free(text);
	return n;
}

/* How far apart the adapters of two runs are, as a part of how far they have come from nothing. */
static double
apart(const char *a, const char *b)
{
	double apart = 0, length = 0;
	struct st_file f, g;
	char path[400];

	snprintf(path, sizeof path, "%s/" ADAPTER_FILE, at(a));
	assert_ok(st_open(&f, path));
	snprintf(path, sizeof path, "%s/" ADAPTER_FILE, at(b));
	assert_ok(st_open(&g, path));
	assert_int_equal(f.n, g.n);
	for (int i = 0; i < f.n; i++) {
		const struct st_entry *x = &f.entry[i], *y = st_find(&g, x->name);
		assert_non_null(y);
		assert_true(tensor_same(x->value, y->value) && x->value.dtype == F32);
		if (!strstr(x->name, "lora_B"))		/* all zero at the start */
			continue;
		for (int64_t k = 0; k < tensor_count(x->value); k++) {
			double p = (double)((float *)x->value.data)[k], q = (double)((float *)y->value.data)[k];
			apart += (p - q) * (p - q);
			length += p * p;
		}
	}
	st_close(&f);
	st_close(&g);
	assert_true(length > 0);
	return sqrt(apart / length);
}

/* The sums of an update are the same but for their order: a few parts in 10^7. Of that Adam makes more, where a gradient is hardly
 * more than what its sum loses: such numbers go their whole step in either direction. */
static void
about_the_same(const char *a, const char *b, double weights)
{
	static const char *const keys[] = { "train_loss", "grad_norm", "learning_rate", "epoch", "samples", "audio_s" };
	double worst = 0, far;

	if (world->rank > 0)
		return;
	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
		double x[16], y[16];
		assert_int_equal(metric(a, keys[k], x), STEPS);
		assert_int_equal(metric(b, keys[k], y), STEPS);
		for (int i = 0; i < STEPS; i++)
			worst = fmax(worst, fabs(x[i] - y[i]) / fmax(fabs(y[i]), 1e-30));
	}
	far = apart(a, b);
	print_message("# %s and %s: numbers of updates are %.1e apart, adapters %.1e\n", a, b, worst, far);
	assert_true(worst <= 1e-6);
	assert_true(far <= weights);
}

static void
same_file(const char *a, const char *b, const char *name)
{
	char path[400], *x, *y;
	size_t n, m;

	if (world->rank > 0)
		return;
	snprintf(path, sizeof path, "%s/%s", at(a), name);
	assert_ok(file_read(path, 1 << 26, &x, &n));
	snprintf(path, sizeof path, "%s/%s", at(b), name);
	assert_ok(file_read(path, 1 << 26, &y, &m));
	if (n != m || memcmp(x, y, n) != 0)
		fail_msg("%s is another one in %s than in %s", name, a, b);
	free(x);
	free(y);
}

static void
same_metric(const char *a, const char *b, const char *key, int n)
{
	double x[16], y[16];

	if (world->rank > 0)
		return;
	assert_int_equal(metric(a, key, x), n);
	assert_int_equal(metric(b, key, y), n);
	assert_memory_equal(x, y, (size_t)n * sizeof *x);
}

static void
same_bits(const char *a, const char *b)
{
	same_file(a, b, ADAPTER_FILE);
}

static void
ranks_train_what_one_rank_does_with_as_many_clips(void **state)
{
	(void)state;
	assert_ok(run("alone", true, NULL));
	assert_ok(run("ranks", false, NULL));
	about_the_same("ranks", "alone", 1e-4);
	assert_ok(run("alone-sgd", true, PAIRS("optimizer", "torch-sgd")));
	assert_ok(run("ranks-sgd", false, PAIRS("optimizer", "torch-sgd")));
	about_the_same("ranks-sgd", "alone-sgd", 1e-6);
}

static void
the_same_number_of_ranks_gives_the_same_bits(void **state)
{
	(void)state;
	assert_ok(run("again", false, NULL));
	same_bits("again", "ranks");
}

static void
another_number_of_ranks_goes_on(void **state)
{
	(void)state;
	assert_ok(run("from-one", true, PAIRS("max_train_steps", "1")));
	assert_ok(run("from-one", false, NULL));
	about_the_same("from-one", "alone", 1e-4);
	assert_ok(run("from-ranks", false, PAIRS("max_train_steps", "3")));
	assert_ok(run("from-ranks", true, NULL));
	about_the_same("from-ranks", "alone", 1e-4);
	assert_ok(run("from-itself", false, PAIRS("max_train_steps", "2")));
	assert_ok(run("from-itself", false, NULL));
	same_bits("from-itself", "ranks");
}

/* Shardings, and what trains under them, against ranks that have all. */
static void
parts_of_a_model_train_as_the_whole(void **state)
{
	static const char *const sharding[] = { "optimizer", "full", "hybrid" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		char name[32], again[32];
		snprintf(name, sizeof name, "%s", sharding[i]);
		snprintf(again, sizeof again, "%s-again", sharding[i]);
		assert_ok(run(name, false, PAIRS("sharding", sharding[i])));
		about_the_same(name, "alone", 1e-4);
		assert_ok(run(again, false, PAIRS("sharding", sharding[i])));
		same_bits(name, again);
	}
}

/* The losses of two runs in bf16, whose sums have other orders. */
static void
much_the_same(const char *a, const char *b, const char *key, int n)
{
	double x[16], y[16];

	if (world->rank > 0)
		return;
	assert_int_equal(metric(a, key, x), n);
	assert_int_equal(metric(b, key, y), n);
	for (int i = 0; i < n; i++)
		assert_true(fabs(x[i] - y[i]) <= 2e-2 * fabs(y[i]));
}

/* A case of those below. */
struct kept {
	const char *name, *file, *key[6], *value[6];
};

static bool
has(const struct kept *k, const char *key)
{
	for (int i = 0; i < 6 && k->key[i]; i++)
		if (strcmp(k->key[i], key) == 0)
			return true;
	return false;
}

static void
same_run(const struct kept *k, const char *a, const char *b)
{
	char average[128];

	snprintf(average, sizeof average, CHECKPOINT_EMA "/%s", k->file);
	same_file(a, b, k->file);
	if (has(k, "use_ema"))
		same_file(a, b, average);
	if (has(k, "eval_dataset_id"))
		same_metric(a, b, "eval_loss", 3);
	same_file(a, b, "checkpoint-3/" CHECKPOINT_OPTIMIZER);
}

/* Where neither clipping nor micro steps change the order of a sum, parts have the very bits of the whole: values that are rounded by
 * chance, 8-bit states, averages of their own and kept ones, a base in 8 bits, rules that look at whole tensors, an embedder with an
 * optimiser of its own. The checkpoints are the same files. On GPUs (see device) parts have the bits of the same parts, and losses like the
 * whole's. */
static void
parts_have_the_bits_of_the_whole(void **state)
{
	static const char model[] = CHECKPOINT_MODEL "/diffusion_pytorch_model.safetensors";
	static const struct kept what[] = {
		{ "chance", model, { "model_type", "optimizer", "mixed_precision" }, { "full", "adamw_bf16", "bf16" } },
		{ "factors", model, { "model_type", "optimizer", "mixed_precision", "use_ema" },
		  { "full", "torch-adafactor", "bf16", "true" } },
		{ "lyrics", LYRICS_FILE, { "lyrics_embedder_train", "lyrics_embedder_optimizer", "lyrics_embedder_lr" },
		  { "true", "adamw_schedulefree", "1e-2" } },
		{ "codes", model, { "model_type", "optimizer", "mixed_precision" }, { "full", "ao-adamw8bit", "bf16" } },
		{ "average", model, { "model_type", "optimizer", "use_ema", "eval_steps_interval", "eval_dataset_id" },
		  { "full", "adamw_schedulefree", "true", "1", "random" } },
		{ "masters", model, { "model_type", "mixed_precision" }, { "full", "bf16" } },
		{ "int8", ADAPTER_FILE, { "base_model_precision", "mixed_precision" }, { "int8-quanto", "bf16" } },
		{ "int4", ADAPTER_FILE, { "base_model_precision", "quantize_feed_forward", "mixed_precision" }, { "int4-quanto", "true", "bf16" } },
		{ "stable", ADAPTER_FILE, { "optimizer", "use_ema", "ema_update_interval" }, { "optimi-stableadamw", "true", "2" } },
		{ "mixed-rules", LYRICS_FILE, { "lyrics_embedder_train", "lyrics_embedder_optimizer", "lyrics_embedder_lr" },
		  { "true", "torch-adafactor", "1e-2" } },
	};
	static const char *const sharding[] = { "none", "optimizer", "full", "hybrid" };

	(void)state;
	for (int k = 0; k < (world->size == 3 || on_gpus() ? (int)(sizeof what / sizeof *what) : 3); k++)
		for (int i = 0; i < (on_gpus() ? 3 : 4); i++) {	/* hybrid on one node is full */
			const char *pair[24] = { "sharding", sharding[i], "gradient_accumulation_steps", "1", "max_grad_norm", "0",
				"max_train_steps", "3" };
			char name[64], again[80], first[64];
			for (int m = 0, n = 8; m < 6 && what[k].key[m]; m++) {
				pair[n++] = what[k].key[m];
				pair[n++] = what[k].value[m];
			}
			snprintf(first, sizeof first, "%s-none", what[k].name);
			snprintf(name, sizeof name, "%s-%s", what[k].name, sharding[i]);
			snprintf(again, sizeof again, "%s-again", name);
			assert_ok(run(name, false, pair));
			if (i == 0)
				continue;
			if (on_gpus())
				assert_ok(run(again, false, pair));
			same_run(&what[k], name, on_gpus() ? again : first);
			much_the_same(name, first, "train_loss", 3);
			if (has(&what[k], "eval_dataset_id"))
				much_the_same(name, first, "eval_loss", 3);
		}
}

/* Moments and masters in the host's memory, of all or of parts: the bits of those that stay, and each goes on from the other's. */
static void
states_beyond_the_bus_have_the_same_bits(void **state)
{
	static const char *const sharding[] = { "none", "optimizer", "full" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		const char *pair[] = { "sharding", sharding[i], "gradient_accumulation_steps", "1", "model_type", "full", "mixed_precision", "bf16",
			"max_train_steps", "3", "optimizer_cpu_offload_method", "none", NULL };
		static const struct kept model = { "model", CHECKPOINT_MODEL "/diffusion_pytorch_model.safetensors", { NULL }, { NULL } };
		char near[32], far[32], turns[32];
		snprintf(near, sizeof near, "near-%s", sharding[i]);
		snprintf(far, sizeof far, "far-%s", sharding[i]);
		snprintf(turns, sizeof turns, "turns-%s", sharding[i]);
		assert_ok(run(near, false, pair));
		pair[11] = "torchao";
		assert_ok(run(far, false, pair));
		same_run(&model, far, near);
		pair[9] = "1";
		assert_ok(run(turns, false, pair));
		pair[11] = "none";
		pair[9] = "2";
		assert_ok(run(turns, false, pair));
		pair[11] = "torchao";
		pair[9] = "3";
		assert_ok(run(turns, false, pair));
		same_run(&model, turns, near);
	}
}

/* The way that GPUs without NCCL go, on memory that has a shorter one. */
static void
exchange_through_host_memory_has_the_same_bits(void **state)
{
	static const char *const sharding[] = { "none", "optimizer", "full", "hybrid" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		char name[32];
		snprintf(name, sizeof name, "host-%s", sharding[i]);
		assert_ok(run(name, false, PAIRS("sharding", sharding[i], "rank_exchange", "host")));
		same_bits(name, i ? sharding[i] : "ranks");
	}
	if (on_gpus())
		return;
	assert_int_equal(run("host-nccl", false, PAIRS("rank_exchange", "nccl")), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "NCCL joins GPUs"));
}

/* 47 clips by ten are five batches: in the last turn of an epoch some ranks have none. */
static void
a_rank_without_a_batch_takes_part(void **state)
{
	static const char *const sharding[] = { "none", "optimizer", "full" };
	int turns = (5 + world->size - 1) / world->size;
	char steps[16];

	(void)state;
	snprintf(steps, sizeof steps, "%d", 2 * turns + 1);
	for (int i = 0; i < 3; i++) {
		char name[32];
		double samples[16], sum = 0, epoch[16];
		snprintf(name, sizeof name, "odd-%s", sharding[i]);
		assert_ok(run(name, false, PAIRS("sharding", sharding[i], "train_batch_size", "10", "max_grad_norm", "0",
		                                 "gradient_accumulation_steps", "1", "max_train_steps", steps)));
		same_bits(name, "odd-none");
		if (world->rank > 0)
			continue;
		assert_int_equal(metric(name, "samples", samples), 2 * turns + 1);
		assert_int_equal(metric(name, "epoch", epoch), 2 * turns + 1);
		for (int k = 0; k < 2 * turns; k++)
			sum += samples[k];
		assert_true(sum == 2 * CLIPS && epoch[turns - 1] == 1 && epoch[2 * turns - 1] == 2);
	}
}

/* How often the network is run for a batch that it makes itself depends on the batch; and some ranks have none in a turn. */
static void
clips_that_the_network_made_train_with_every_sharding(void **state)
{
	static const char *const sharding[] = { "none", "optimizer", "full" };
	int turns = (5 + world->size - 1) / world->size;
	char steps[16];

	(void)state;
	snprintf(steps, sizeof steps, "%d", turns);
	for (int i = 0; i < 3; i++) {
		char name[32];
		snprintf(name, sizeof name, "rolled-%s", sharding[i]);
		assert_ok(run(name, false, PAIRS("sharding", sharding[i], "train_batch_size", "10", "max_grad_norm", "0",
		                                 "gradient_accumulation_steps", "1", "max_train_steps", steps,
		                                 "scheduled_sampling_max_step_offset", "3", "scheduled_sampling_probability", "0.7",
		                                 "scheduled_sampling_sampler", "heun")));
		same_bits(name, "rolled-none");
		snprintf(name, sizeof name, "reflex-%s", sharding[i]);
		assert_ok(run(name, false, PAIRS("sharding", sharding[i], "train_batch_size", "10", "max_grad_norm", "0",
		                                 "gradient_accumulation_steps", "1", "max_train_steps", steps,
		                                 "scheduled_sampling_max_step_offset", "3", "scheduled_sampling_probability", "0.7",
		                                 "scheduled_sampling_reflexflow", "true")));
		same_bits(name, "reflex-none");
	}
}

static void
other_costs_train_with_every_sharding(void **state)
{
	static const char *const sharding[] = { "none", "optimizer", "full" };

	(void)state;
	for (int i = 0; i < 3; i++) {
		char name[32];
		snprintf(name, sizeof name, "costs-%s", sharding[i]);
		assert_ok(run(name, false, PAIRS("sharding", sharding[i], "max_grad_norm", "0", "max_train_steps", "2",
		                                 "gradient_accumulation_steps", "1", "loss_type",
		                                 "smooth_l1", "huber_schedule", "exponential")));
		same_bits(name, "costs-none");
	}
}

/* Ranks share 15 clips and times, in which some are through before others. */
static void
a_loss_on_held_out_clips_is_that_of_one_rank(void **state)
{
	static const char *const sharding[] = { "none", "optimizer", "full" };

	(void)state;
	for (int i = -1; i < 3; i++) {
		char name[32];
		snprintf(name, sizeof name, "held-%s", i < 0 ? "alone" : sharding[i]);
		assert_ok(run(name, i < 0, PAIRS("sharding", i < 0 ? "none" : sharding[i], "max_train_steps", "1", "learning_rate", "0",
		                                 "eval_steps_interval", "1", "eval_dataset_id", "random", "num_eval_images", "5",
		                                 "eval_timesteps", "3")));
		same_metric(name, "held-alone", "eval_loss", 1);
	}
}

/* Each goes on with what another sharding saved, and has the bits (on GPUs: losses like those) of the run that was not stopped. */
static void
whole_tensors_go_on_under_another_sharding(void **state)
{
	static const char *const sharding[] = { "full", "hybrid", "optimizer" }, *const steps[] = { "1", "2", "3" };

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_ok(run("whole", false, PAIRS("sharding", sharding[i], "gradient_accumulation_steps", "1", "max_grad_norm", "0",
		                                    "max_train_steps", steps[i], "model_type", "full", "optimizer", "torch-adafactor",
		                                    "mixed_precision", "bf16", "use_ema", "true")));
	if (on_gpus())
		much_the_same("whole", "factors-none", "train_loss", 3);
	else
		same_file("whole", "factors-none", "checkpoint-3/" CHECKPOINT_OPTIMIZER);
}

/* Prodigy learns its step size from sums over all tensors, whose order is another one where ranks have some of them each. */
static void
a_step_size_is_learnt_from_all_parts(void **state)
{
	static const char *const sharding[] = { "optimizer", "full", "hybrid" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		const char *const pair[] = { "sharding", i ? sharding[i - 1] : "none", "optimizer", "prodigy", "learning_rate", "1",
			"optimizer_config", "d0=1e-3", "use_ema", "true", NULL };
		char name[32], average[40];
		snprintf(name, sizeof name, "prodigy-%s", i ? sharding[i - 1] : "none");
		assert_ok(run(name, i == 0, pair));
		if (i > 0)
			about_the_same(name, "prodigy-none", 1e-4);
		snprintf(average, sizeof average, "%s/" CHECKPOINT_EMA, name);
		if (i > 0 && world->rank == 0)
			assert_true(apart(average, "prodigy-none/" CHECKPOINT_EMA) <= 1e-4);
	}
}

static void
another_sharding_goes_on(void **state)
{
	(void)state;
	assert_ok(run("mixed", false, PAIRS("sharding", "full", "max_train_steps", "1")));
	assert_ok(run("mixed", true, PAIRS("max_train_steps", "2")));
	assert_ok(run("mixed", false, PAIRS("sharding", "optimizer", "max_train_steps", "3")));
	assert_ok(run("mixed", false, PAIRS("sharding", "hybrid")));
	about_the_same("mixed", "alone", 1e-4);
	assert_ok(run("parted", false, PAIRS("sharding", "full", "max_train_steps", "2")));
	assert_ok(run("parted", false, PAIRS("sharding", "full")));
	same_bits("parted", "full");
}

static void
what_all_ranks_find_wrong_is_said_once(void **state)
{
	(void)state;
	assert_int_equal(run("wrong", false, PAIRS("pretrained_model_name_or_path", at("nothing"))), ACE_ENOINPUT);
	assert_null(strstr(ace_message(), "rank "));
	assert_int_equal(run("alone", false, PAIRS("optimizer", "torch-sgd")), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "its moments do not fit"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_train_what_one_rank_does_with_as_many_clips),
		cmocka_unit_test(the_same_number_of_ranks_gives_the_same_bits),
		cmocka_unit_test(another_number_of_ranks_goes_on),
		cmocka_unit_test(parts_of_a_model_train_as_the_whole),
		cmocka_unit_test(exchange_through_host_memory_has_the_same_bits),
		cmocka_unit_test(parts_have_the_bits_of_the_whole),
		cmocka_unit_test(states_beyond_the_bus_have_the_same_bits),
		cmocka_unit_test(a_rank_without_a_batch_takes_part),
		cmocka_unit_test(clips_that_the_network_made_train_with_every_sharding),
		cmocka_unit_test(other_costs_train_with_every_sharding),
		cmocka_unit_test(a_loss_on_held_out_clips_is_that_of_one_rank),
		cmocka_unit_test(whole_tensors_go_on_under_another_sharding),
		cmocka_unit_test(a_step_size_is_learnt_from_all_parts),
		cmocka_unit_test(another_sharding_goes_on),
		cmocka_unit_test(what_all_ranks_find_wrong_is_said_once),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
