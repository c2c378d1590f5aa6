/* SPDX-License-Identifier: Apache-2.0 */
/* A run of the program's transformer, with its branches in one batch and lyric states made before, against a run whose branches are asked
 * for one by one, from the ids on. */
#include "jobs/generate_parts.h"

#include "base/file.h"
#include "jobs/init_model.h"
#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 9, NUMBERS = 8 * 16 * FRAMES, PROMPT = 5, NEGATIVE = 7, LYRICS = 6 };

static char dir[300], model[320], transformer[360];

static int
make_model(void **state)
{
	struct init_model_job job = { .preset = "tiny", .dir = model, .seed = 42, .dtype = F32 };

	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	snprintf(model, sizeof model, "%s/model", dir);
	snprintf(transformer, sizeof transformer, "%s/ace_step_transformer", model);
	return init_model_write(&job) == ACE_OK ? 0 : -1;
}

static int
remove_model(void **state)
{
	(void)state;
	return file_remove_tree(dir) == ACE_OK ? 0 : -1;
}

struct bench {
	struct dev dev;
	struct dit m;
	struct generate_job job;
	struct generate_conditions c;
	struct generate_text negative;
};

static float *
numbers(int n, int which)
{
	float *x = malloc((size_t)n * sizeof *x);

	assert_non_null(x);
	rng_normal_fill(rng_stream(7, RNG_TEST, (uint64_t)which, 0), x, n);
	return x;
}

/* Weak copy of the prompt, lyrics, weak layers and blocks of a model that has few. */
static void
open_bench(struct bench *b)
{
	static const int32_t ids[LYRICS] = { 261, 259, 30, 2, 77, 2 };
	int modules, width;

	*b = (struct bench){ .job = { .transformer = transformer, .dit = { .dtype = F32, .attention_masks = true, .base = F32 },
		.loop = GENERATION_DEFAULT, .erg_tag = true, .erg_lyric = true, .layers = { 1, 2, 0.01f, 0 }, .blocks = { 1, 3, 0.01f, 0 } } };
	b->job.loop.steps = 4;
	b->job.loop.guidance.interval = 1;
	b->job.loop.guidance.scale = 3;
	assert_ok(dev_open(&b->dev, DEV_CPU, 2));
	kernels_attach(&b->dev);
	assert_ok(generate_open_dit(&b->m, &b->job, &b->dev, &modules));
	assert_int_equal(modules, 0);
	width = (int)b->m.cfg.text_dim;
	b->c = (struct generate_conditions){ .prompt = { numbers(PROMPT * width, 1), PROMPT }, .weak = { numbers(PROMPT * width, 2), PROMPT },
		.id = malloc(sizeof ids), .ids = LYRICS, .mask = 1 };
	memcpy(b->c.id, ids, sizeof ids);
}

static void
close_bench(struct bench *b)
{
	free(b->c.prompt.x);
	free(b->c.weak.x);
	free(b->c.id);
	free(b->negative.x);
	dit_close(&b->m);
	dev_close(&b->dev);
}

/* --- one by one --- */

struct input {
	struct dit_input in;
	struct tensor v;
};

static struct tensor
filled(struct arena *a, struct tensor x, float value)
{
	for (int64_t i = 0; a->base && i < tensor_count(x); i++)
		((float *)x.data)[i] = value;
	return x;
}

static struct input
lay_one(struct arena *a, const struct dit_config *cfg, const struct generate_text *text, int rows)
{
	struct input i = { .in = { .latents = arena_tensor(a, F32, 4, 1, 8, 16, FRAMES),
		.frame_mask = filled(a, arena_tensor(a, F32, 2, 1, FRAMES), 1.f),
		.text = filled(a, arena_tensor(a, F32, 3, 1, rows, cfg->text_dim), 0.f),
		.text_mask = filled(a, arena_tensor(a, F32, 2, 1, rows), 1.f),
		.speaker = filled(a, arena_tensor(a, F32, 2, 1, cfg->speaker_dim), 0.f),
		.lyric_ids = arena_tensor(a, I32, 2, 1, LYRICS), .lyric_mask = filled(a, arena_tensor(a, F32, 2, 1, LYRICS), 1.f),
		.timestep = arena_tensor(a, F32, 1, 1) } };

	if (a->base && text)
		memcpy(i.in.text.data, text->x, tensor_bytes(i.in.text));
	i.v = arena_like(a, i.in.latents);
	return i;
}

static enum status
one_branch(struct bench *b, float *out, int branch, const float *x, float timestep)
{
	static const struct weakening nothing;
	struct weakening layers = branch == GENERATION_CONDITIONS ? nothing : b->job.layers;
	struct weakening blocks = branch == GENERATION_NONE ? b->job.blocks : nothing;
	const struct generate_text *none = b->negative.x ? &b->negative : b->c.weak.x ? &b->c.weak : NULL;
	const struct generate_text *text = branch == GENERATION_NONE ? none : &b->c.prompt;
	struct arena a = { 0 };
	struct dev dry;

	for (int real = 0; real < 2; real++) {
		struct ctx c = { .act = &a };
		struct input i = lay_one(&a, &b->m.cfg, text, text ? text->n : b->c.prompt.n);
		if (!real) {
			assert_ok(dev_open(&dry, DEV_DRY, 1));
			kernels_attach(&dry);
		} else {
			memcpy(i.in.latents.data, x, NUMBERS * sizeof *x);
			*(float *)i.in.timestep.data = timestep;
			memset(i.in.lyric_ids.data, 0, tensor_bytes(i.in.lyric_ids));
			if (branch == GENERATION_CONDITIONS || b->job.erg_lyric)
				memcpy(i.in.lyric_ids.data, b->c.id, tensor_bytes(i.in.lyric_ids));
			for (int k = 0; k < LYRICS; k++)
				((float *)i.in.lyric_mask.data)[k] = (float)b->c.mask;
		}
		c.dev = real ? &b->dev : &dry;
		assert_ok(dit_weaken(&b->m, &blocks, &layers));
		dit_forward(&c, &b->m, i.v, &i.in);
		if (!real) {
			dev_close(&dry);
			a = (struct arena){ .size = a.peak, .base = aligned_alloc(ARENA_ALIGN, (a.peak + 255) / 256 * 256) };
			assert_non_null(a.base);
		} else {
			memcpy(out, i.v.data, NUMBERS * sizeof *out);
		}
	}
	free(a.base);
	return b->dev.status;
}

static enum status
one_by_one(void *me, float *const out[GENERATION_BRANCHES], int n, const float *x, float timestep, int call, int calls)
{
	(void)call;
	(void)calls;
	for (int branch = 0; branch < n; branch++)
		assert_ok(one_branch(me, out[branch], branch, x, timestep));
	return ACE_OK;
}

/* Both ways from the same noise; *to, the program's result. */
static void
both_ways(struct bench *b, float to[NUMBERS])
{
	static const struct weakening nothing;
	const struct generation_network network = { b, one_by_one };
	const struct generation_noise fresh = { .fresh = rng_stream(1, RNG_TEST, 9, 0) };
	float want[NUMBERS];
	struct generate_model g;

	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), to, NUMBERS);
	memcpy(want, to, sizeof want);
	assert_ok(generate_model_open(&g, &b->job, &b->m));
	assert_ok(generate_sample(&g, to, FRAMES, &b->c, &b->negative, &fresh));
	generate_model_close(&g);
	assert_ok(generation_run(&b->job.loop, want, NULL, 8, 16, FRAMES, &fresh, &network));
	assert_ok(dit_weaken(&b->m, &nothing, &nothing));
	golden_close("the latent", to, want, NUMBERS, 1e-4);
}

static void
differs(const float *a, const float *b)
{
	assert_true(golden_error(a, b, NUMBERS) > 1e-3);
}

static void
branches_in_a_batch_are_branches_by_themselves(void **state)
{
	float erg[NUMBERS], tag[NUMBERS], lyric[NUMBERS], blocks[NUMBERS];
	struct bench b;

	(void)state;
	open_bench(&b);
	both_ways(&b, erg);
	b.job.blocks = (struct weakening){ 0 };
	both_ways(&b, blocks);
	differs(erg, blocks);
	b.job.erg_lyric = false;
	b.job.layers = b.job.blocks;
	both_ways(&b, lyric);
	differs(blocks, lyric);
	free(b.c.weak.x);
	b.c.weak.x = NULL;
	both_ways(&b, tag);
	differs(lyric, tag);
	close_bench(&b);
}

static void
so_are_three_of_them(void **state)
{
	float two[NUMBERS], three[NUMBERS], without[NUMBERS];
	struct bench b;

	(void)state;
	open_bench(&b);
	both_ways(&b, two);
	b.job.loop.guidance.text = 4;
	b.job.loop.guidance.lyric = 1.5;
	both_ways(&b, three);
	differs(two, three);
	b.job.erg_lyric = false;
	b.job.layers = (struct weakening){ 0 };
	both_ways(&b, without);
	differs(three, without);
	close_bench(&b);
}

static void
so_is_a_negative_prompt_of_another_length(void **state)
{
	float plain[NUMBERS], negative[NUMBERS];
	struct bench b;

	(void)state;
	open_bench(&b);
	both_ways(&b, plain);
	b.negative = (struct generate_text){ numbers(NEGATIVE * (int)b.m.cfg.text_dim, 3), NEGATIVE };
	both_ways(&b, negative);
	differs(plain, negative);
	close_bench(&b);
}

static void
so_is_a_run_without_guidance_and_one_without_lyrics(void **state)
{
	float guided[NUMBERS], plain[NUMBERS], instrumental[NUMBERS];
	struct bench b;

	(void)state;
	open_bench(&b);
	both_ways(&b, guided);
	b.job.loop.guidance.scale = 1;
	both_ways(&b, plain);
	differs(guided, plain);
	b.c.mask = 0;
	both_ways(&b, instrumental);
	close_bench(&b);
}

static void
schedulers_run_as_well(void **state)
{
	float x[3][NUMBERS];
	struct bench b;

	(void)state;
	open_bench(&b);
	for (int k = 0; k < 3; k++) {
		b.job.loop.kind = (enum sampler_kind)k;
		both_ways(&b, x[k]);
	}
	differs(x[0], x[1]);
	differs(x[0], x[2]);
	close_bench(&b);
}

static void
an_id_outside_the_table_and_too_few_layers_are_named(void **state)
{
	float x[NUMBERS] = { 0 };
	struct generate_model g;
	struct bench b;

	(void)state;
	open_bench(&b);
	assert_ok(generate_model_open(&g, &b.job, &b.m));
	b.c.id[2] = (int32_t)b.m.cfg.lyric_vocab;
	assert_int_equal(generate_sample(&g, x, FRAMES, &b.c, &b.negative, &(struct generation_noise){ 0 }), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "vocabulary"));
	generate_model_close(&g);
	b.job.layers.to = b.job.layers.from + 9;
	assert_int_equal(generate_model_open(&g, &b.job, &b.m), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "erg_lyric"));
	b.job.layers.to = 2;
	b.job.blocks.to = 30;
	assert_int_equal(generate_model_open(&g, &b.job, &b.m), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "erg_diffusion"));
	b.job.loop.guidance.scale = 1;		/* nothing is weakened then */
	assert_ok(generate_model_open(&g, &b.job, &b.m));
	generate_model_close(&g);
	close_bench(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(branches_in_a_batch_are_branches_by_themselves),
		cmocka_unit_test(so_are_three_of_them),
		cmocka_unit_test(so_is_a_negative_prompt_of_another_length),
		cmocka_unit_test(so_is_a_run_without_guidance_and_one_without_lyrics),
		cmocka_unit_test(schedulers_run_as_well),
		cmocka_unit_test(an_id_outside_the_table_and_too_few_layers_are_named),
	};

	return cmocka_run_group_tests(tests, make_model, remove_model);
}
