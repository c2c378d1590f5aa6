/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/runs.h"

#include "base/file.h"
#include "base/msg.h"
#include "jobs/train.h"
#include "models/adapter.h"
#include "models/dit.h"
#include "support/golden.h"
#include "support/stores.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder, *data;

const char *
runs_at(const char *name)
{
	static char text[4][600];
	static int i;
	char *to = text[i++ % 4];

	snprintf(to, sizeof text[0], "%s/%s", folder, name);
	return to;
}

void
runs_settle(struct settings *s, const char *out, const char *const *pair)
{
	static const char *const base[] = { "max_train_steps", "6", "mixed_precision", "no", "optimizer", "torch-adamw", "learning_rate",
		"1e-2", "lora_rank", "4", "device", "cpu", "threads", "2", "checkpoint_step_interval", "2", "train_batch_size", "2",
		"gradient_accumulation_steps", "2", NULL };

	assert_ok(settings_init(s, program_named("ace-train")));
	assert_ok(settings_set(s, "pretrained_model_name_or_path", golden_set("transformer-tiny"), "command line"));
	assert_ok(settings_set(s, "data_backend_config", data, "command line"));
	assert_ok(settings_set(s, "output_dir", out, "command line"));
	for (int i = 0; base[i]; i += 2)
		assert_ok(settings_set(s, base[i], base[i + 1], "command line"));
	for (int i = 0; pair && pair[i]; i += 2)
		assert_ok(settings_set(s, pair[i], pair[i + 1], "command line"));
}

enum status
runs_run(const char *out, const char *const *pair)
{
	struct settings s;
	enum status st;

	runs_settle(&s, out, pair);
	st = train_run(&s, NULL);
	settings_free(&s);
	return st;
}

void
runs_must(const char *out, const char *const *pair)
{
	if (runs_run(out, pair) != ACE_OK)
		fail_msg("%s: %s", out, ace_message());
}

void
runs_fails(enum status want, const char *text, const char *out, const char *const *pair)
{
	enum status st = runs_run(out, pair);

	if (st != want || !strstr(ace_message(), text))
		fail_msg("status %d, \"%s\"; wanted %d, \"...%s...\"", st, st ? ace_message() : "", want, text);
	if (strchr(ace_message(), '\n'))
		assert_null(strchr(strchr(ace_message(), '\n') + 1, '\n'));
}

bool
runs_there(const char *out, const char *name)
{
	char path[700];

	snprintf(path, sizeof path, "%s/%s", out, name);
	return file_exists(path);
}

int
runs_metric(const char *out, const char *key, double v[64])
{
	char path[700], *text, *line;
	size_t size;
	int n = 0;

	snprintf(path, sizeof path, "%s/logs/metrics.jsonl", out);
	assert_ok(file_read(path, 1 << 20, &text, &size));
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		cJSON *o = cJSON_Parse(line);
		const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, key), *step = cJSON_GetObjectItemCaseSensitive(o, "step");
		assert_true(cJSON_IsNumber(x) && cJSON_IsNumber(step) && n < 63);
		assert_int_equal(step->valueint, ++n);
		v[n] = x->valuedouble;
		cJSON_Delete(o);
	}
	free(text);
	return n;
}

void
runs_same_file(const char *a, const char *b, const char *name)
{
	char path[700], *x, *y;
	size_t n, m;

	snprintf(path, sizeof path, "%s/%s", a, name);
	assert_ok(file_read(path, 1 << 28, &x, &n));
	snprintf(path, sizeof path, "%s/%s", b, name);
	assert_ok(file_read(path, 1 << 28, &y, &m));
	assert_int_equal(n, m);
	assert_memory_equal(x, y, n);
	free(x);
	free(y);
}

void
runs_same_numbers(const char *a, const char *b, int steps)
{
	static const char *const keys[] = { "train_loss", "optimization_loss", "grad_norm", "learning_rate", "epoch" };
	double x[64], y[64];

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_int_equal(runs_metric(a, keys[i], x), steps);
		assert_int_equal(runs_metric(b, keys[i], y), steps);
		assert_memory_equal(x + 1, y + 1, (size_t)steps * sizeof *x);
	}
}

void
runs_same_run(const char *a, const char *b, int steps)
{
	runs_same_numbers(a, b, steps);
	runs_same_file(a, b, ADAPTER_FILE);
}

int
runs_prepare(void **state)
{
	struct stores_options o = { .clips = 9, .captions = 2, .channels = DIT_CHANNELS, .rows = DIT_ROWS, .frames = 40, .vary = 36,
		.text_rows = 5, .lyrics = 6, .dtype = F32, .seed = 11 };
	struct dit_config cfg;

	(void)state;
	assert_ok(dit_config_read(&cfg, golden_path("transformer-tiny", "ace_step_transformer")));
	o.text_width = cfg.text_dim;
	o.lyric_vocab = (int32_t)cfg.lyric_vocab;
	msg_setup("train", MSG_QUIET, PROGRESS_NONE, 10);
	folder = strdup(golden_tmp());
	data = stores_make(folder, &o);
	return 0;
}

int
runs_tidy(void **state)
{
	int bad = file_remove_tree(folder) != ACE_OK;

	(void)state;
	free(data);
	free(folder);
	return bad;
}
