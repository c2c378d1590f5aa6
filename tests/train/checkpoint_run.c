/* SPDX-License-Identifier: Apache-2.0 */
#include "train/checkpoint_run.h"

#include "base/file.h"
#include "kernels/kernels.h"
#include "num/rng.h"
#include "support/golden.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const run_groups[OPTIM_GROUPS] = { "main", "lyrics" };

static const char *const names[RUN_MODULES] = { "blocks.0.to_q", "blocks.1.to_q", "lyric_encoder.linear_k" };
static const int64_t sizes[RUN_MODULES][3] = { { 5, 4, 2 }, { 3, 7, 3 }, { 6, 6, 2 } };	/* out, in, r */

void
run_open(struct run *r)
{
	*r = (struct run){ 0 };
	assert_ok(dev_open(&r->dev, DEV_REF, 1));
	kernels_attach(&r->dev);
	params_init(&r->ps, NULL, &r->dev, F32);
	r->ps.module = calloc(RUN_MODULES, sizeof *r->ps.module);
	r->ps.n_modules = r->ps.modules_cap = RUN_MODULES;
	for (int i = 0; i < RUN_MODULES; i++) {
		r->layer[i].w.value = tensor_of(NULL, F32, 2, sizes[i][0], sizes[i][1]);
		r->ps.module[i] = (struct module){ names[i], &r->layer[i] };
	}
}

void
run_adapters(struct run *r)
{
	for (int i = 0; i < RUN_MODULES; i++)
		assert_ok(params_add_adapter(&r->ps, i, sizes[i][2], 0.1f + (float)i / 3.f, 0.f));
}

void
run_optim(struct run *r)
{
	r->o = (struct optim){ .dev = &r->dev, .n = r->ps.n };
	r->o.item = calloc((size_t)r->ps.n, sizeof *r->o.item);
	r->o.scalar[0].name = "t";
	r->o.scalar[1].name = "weight_sum";
	for (int i = 0; i < r->ps.n; i++) {
		struct param *p = r->ps.param[i];
		size_t n = (size_t)tensor_count(p->value);
		struct optim_item *it = &r->o.item[i];
		*it = (struct optim_item){ .p = p, .group = strncmp(p->name, "lyric_", 6) == 0, .number = i };
		for (int k = 0; k < 2; k++) {
			r->state[i][k] = calloc(n, sizeof(float));
			it->state[k] = (struct optim_state){ k ? "exp_avg_sq" : "exp_avg", p->value };
			it->state[k].value.data = r->state[i][k];
		}
		r->shift[i] = calloc(n, sizeof(uint16_t));
		it->state[2] = (struct optim_state){ "shift", p->value };
		it->state[2].value.dtype = BF16;
		it->state[2].value.data = r->shift[i];
	}
}

void
run_close(struct run *r)
{
	for (int i = 0; i < RUN_PARAMS; i++) {
		free(r->state[i][0]);
		free(r->state[i][1]);
		free(r->shift[i]);
	}
	free(r->o.item);
	params_free(&r->ps);
	dev_close(&r->dev);
}

static float
number(uint64_t seed, int i, int k, int64_t at)
{
	return rng_normal(rng_stream(seed, RNG_TEST, (uint64_t)k, (uint64_t)i), (uint64_t)at);
}

static double
scalar(uint64_t seed, int i)
{
	return i ? (double)seed / 3.0 : (double)seed;
}

void
run_fill(struct run *r, uint64_t seed)
{
	for (int i = 0; i < r->ps.n; i++)
		for (int64_t j = 0; j < tensor_count(r->ps.param[i]->value); j++) {
			((float *)r->ps.param[i]->value.data)[j] = number(seed, i, 0, j);
			r->state[i][0][j] = number(seed, i, 1, j);
			r->state[i][1][j] = number(seed, i, 2, j);
			r->shift[i][j] = f32_to_bf16(number(seed, i, 3, j));
		}
	for (int i = 0; i < 2; i++)
		r->o.scalar[i].value = scalar(seed, i);
}

void
run_is(const struct run *r, uint64_t seed)
{
	assert_int_equal(r->ps.n, RUN_PARAMS);
	for (int i = 0; i < RUN_MODULES; i++) {
		assert_int_equal(r->layer[i].rank, sizes[i][2]);
		assert_true(r->layer[i].scale == 0.1f + (float)i / 3.f);
	}
	for (int i = 0; i < r->ps.n; i++)
		for (int64_t j = 0; j < tensor_count(r->ps.param[i]->value); j++) {
			assert_true(((float *)r->ps.param[i]->value.data)[j] == number(seed, i, 0, j));
			assert_true(r->state[i][0][j] == number(seed, i, 1, j));
			assert_true(r->state[i][1][j] == number(seed, i, 2, j));
			assert_true(r->shift[i][j] == f32_to_bf16(number(seed, i, 3, j)));
		}
	for (int i = 0; i < 2; i++)
		assert_true(r->o.scalar[i].value == scalar(seed, i));
}

struct checkpoint_save *
run_save(const struct run *r, int64_t step)
{
	const struct adapter_write_options how = { .global_step = step, .title = "a run" };
	const char *const sets[] = { "songs", "more" };
	const int64_t repeats[] = { 0, 3 };
	const struct checkpoint_training t = { .global_step = step, .epoch_step = 100, .epoch = 5, .exhausted = &sets[1],
		                               .n_exhausted = 1, .dataset = sets, .repeats = repeats, .n_datasets = 2 };
	struct checkpoint_save *s;
	cJSON *state = cJSON_CreateObject();

	cJSON_AddNumberToObject(state, "k", (double)step);
	assert_ok(checkpoint_begin(&s, step, NULL));
	assert_ok(checkpoint_add_adapters(s, ADAPTER_FILE, &r->ps, NULL, &how));
	assert_ok(checkpoint_add_optim(s, run_groups, &r->o));
	assert_ok(checkpoint_add_scales(s, &r->ps));
	assert_ok(checkpoint_add_json(s, CHECKPOINT_STATE, state));
	assert_ok(checkpoint_add_training(s, &t));
	assert_ok(checkpoint_add_json(s, CHECKPOINT_RNG, state));
	assert_ok(checkpoint_add_bytes(s, CHECKPOINT_SAMPLER, "{}\n", 3));
	assert_ok(checkpoint_add_fact(s, "model_type", "lora"));
	cJSON_Delete(state);
	return s;
}

static void
list_into(FILE *out, const char *dir, const char *below)
{
	char *path = file_path("%s%s%s", dir, *below ? "/" : "", below);
	struct dirent **e;
	int n = scandir(path, &e, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char *name = file_path("%s%s%s", below, *below ? "/" : "", e[i]->d_name), *full = file_path("%s/%s", dir, name);
		if (strcmp(e[i]->d_name, ".") == 0 || strcmp(e[i]->d_name, "..") == 0)
			;
		else if (file_is_dir(full))
			list_into(out, dir, name);
		else
			fprintf(out, "%s\n", name);
		free(name);
		free(full);
		free(e[i]);
	}
	free(e);
	free(path);
}

char *
run_listing(const char *dir)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	list_into(out, dir, "");
	fclose(out);
	return text;
}

char *
run_save_now(const struct run *r, const char *dir, int64_t step, const struct checkpoint_rule *rule)
{
	struct checkpoint_writer *w;
	bool done;
	struct checkpoint_report report;

	assert_ok(checkpoint_writer_open(&w, dir, false));
	assert_ok(checkpoint_commit(w, run_save(r, step), rule));
	assert_ok(checkpoint_poll(w, &done, &report));
	assert_true(done && report.step == step && report.bytes > 0);
	assert_ok(checkpoint_poll(w, &done, &report));
	assert_false(done);
	assert_ok(checkpoint_writer_close(w));
	return file_path("%s/checkpoint-%lld", dir, (long long)step);
}

void
run_open_filled(struct run *r, uint64_t seed)
{
	run_open(r);
	run_adapters(r);
	run_optim(r);
	run_fill(r, seed);
}
