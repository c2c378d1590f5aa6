/* SPDX-License-Identifier: Apache-2.0 */
/* Adapter files: every spelling is read, what is written is read by all. What is refused: adapter_refused.c. */
#include "models/adapter.h"

#include "base/file.h"
#include "base/json.h"
#include "kernels/kernels.h"
#include "models/adapter_parts.h"
#include "models/dit_fixture.h"
#include "support/test.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Page transformer.md, section 12. */
static const double output = 3e-5, gradient = 1e-4;

static const struct adapter_load_options plainly = { 0 };

static void
output_is(struct dit_fixture *f, const char *name)
{
	struct st_file golden;
	struct tensor want;

	dit_fixture_forward(f, false);
	golden_open(&golden, DIT_SET, "lora_outputs.safetensors");
	want = golden_f32(&golden, name);
	assert_int_equal(tensor_count(want), tensor_count(f->v));
	golden_close(name, f->v.data, want.data, tensor_count(want), output);
	free(want.data);
	st_close(&golden);
}

static void
load(struct dit_fixture *f, const char *path, struct adapter_loaded *loaded)
{
	struct adapter_file a;

	assert_ok(adapter_file_open(&a, path, &f->m.params));
	assert_int_equal(a.n_unknown, 0);
	assert_ok(adapter_load(&f->m.params, &a, &plainly, loaded));
	adapter_file_close(&a);
}

static int
n_modules_of(const struct dit_fixture *f)
{
	return cJSON_GetArraySize(cJSON_GetObjectItem(f->manifest, "lora_modules"));
}

static void
open_loaded(struct dit_fixture *f)
{
	dit_fixture_open(f, DEV_CPU, 2, NULL, false);
	load(f, golden_path(DIT_SET, "lora"), NULL);
}

static bool
ends(const char *s, const char *ending)
{
	size_t n = strlen(s), k = strlen(ending);

	return n >= k && strcmp(s + n - k, ending) == 0;
}

static void
every_spelling_gives_the_references_output(void **state)
{
	char *dir;
	struct dirent *e;
	int files = 0, without = 0;
	DIR *d;

	(void)state;
	dir = strdup(golden_path(DIT_SET, "lora_variants"));
	d = opendir(dir);
	assert_non_null(d);
	while ((e = readdir(d))) {
		struct adapter_loaded loaded;
		struct dit_fixture f;
		char *path;
		bool one = ends(e->d_name, "_no_alpha.safetensors");
		if (!ends(e->d_name, ".safetensors"))
			continue;
		path = file_path("%s/%s", dir, e->d_name);
		dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
		load(&f, path, &loaded);
		assert_int_equal(loaded.modules, n_modules_of(&f));
		assert_int_equal(loaded.global_step, -1);
		output_is(&f, one ? "out_lora_scale_one" : "out_lora");
		dit_fixture_close(&f);
		free(path);
		files++;
		without += one;
	}
	closedir(d);
	free(dir);
	assert_true(files > 2 && without > 0 && without < files);
}

static void
the_stock_file_gives_the_references_output_and_gradients(void **state)
{
	struct st_file golden;
	struct dit_fixture f;

	(void)state;
	open_loaded(&f);
	output_is(&f, "out_lora");
	assert_ok(dit_alloc_grads(&f.m, NULL));
	dit_fixture_step(&f);
	golden_open(&golden, DIT_SET, "grads_lora.safetensors");
	assert_int_equal(golden.n, 2 * n_modules_of(&f));
	for (int i = 0; i < golden.n; i++) {
		const struct param *p = params_find(&f.m.params, golden.entry[i].name);
		struct tensor want = golden_f32(&golden, golden.entry[i].name);
		assert_true(p && p->train);
		golden_close(p->name, p->grad.data, want.data, tensor_count(want), gradient);
		free(want.data);
	}
	st_close(&golden);
	dit_fixture_close(&f);
}

static char *
in(const char *dir, const char *name)
{
	char *p = file_path("%s/%s", dir, name);

	assert_non_null(p);
	return p;
}

static void
write_as(struct dit_fixture *f, const char *path, const struct adapter_write_options *o)
{
	struct adapter_set s;

	assert_ok(adapter_snapshot(&s, &f->m.params, NULL));
	assert_ok(adapter_write(path, &s, o));
	adapter_set_free(&s);
}

static void
reads_as(const char *path, const char *want, struct adapter_loaded *loaded)
{
	struct dit_fixture f;

	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	load(&f, path, loaded);
	output_is(&f, want);
	dit_fixture_close(&f);
}

/* Folded: the same output for a reader that knows of no alpha, which is tried by taking every alpha away. */
static void
what_is_written_gives_the_same_output(void **state)
{
	const char *dir = golden_tmp();
	char *path = in(dir, ADAPTER_FILE);
	struct dit_fixture f;

	(void)state;
	open_loaded(&f);
	for (int format = 0; format < 2; format++)
		for (int unfolded = 0; unfolded < 2; unfolded++) {
			struct adapter_write_options o = { .format = format ? ADAPTER_COMFYUI : ADAPTER_DIFFUSERS,
				                           .unfolded = unfolded, .global_step = 1234 };
			struct adapter_loaded loaded;
			struct adapter_file a;
			struct dit_fixture g;
			write_as(&f, path, &o);
			reads_as(dir, "out_lora", &loaded);
			assert_int_equal(loaded.global_step, 1234);
			dit_fixture_open(&g, DEV_CPU, 2, NULL, false);
			assert_ok(adapter_file_open(&a, path, &g.m.params));
			for (int i = 0; i < a.n; i++) {
				assert_int_equal(a.module[i].from, format ? ADAPTER_SCALE_ALPHA : ADAPTER_SCALE_METADATA);
				a.module[i].scale = 1.f;
			}
			assert_ok(adapter_load(&g.m.params, &a, &plainly, NULL));
			output_is(&g, unfolded ? "out_lora_scale_one" : "out_lora");
			adapter_file_close(&a);
			dit_fixture_close(&g);
		}
	dit_fixture_close(&f);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
strength_multiplies_the_scale(void **state)
{
	struct dit_fixture f;

	(void)state;
	open_loaded(&f);
	adapter_strength(&f.m.params, 0.f);
	output_is(&f, "out_base");
	dit_fixture_close(&f);
	open_loaded(&f);
	adapter_strength(&f.m.params, (float)(1.0 / dit_fixture_number(&f, "lora_scale")));
	output_is(&f, "out_lora_scale_one");
	dit_fixture_close(&f);
}

/* The names and fields that page transformer.md, section 10.3, gives for the file that all readers take. */
static void
the_file_is_what_every_reader_takes(void **state)
{
	static const char *const fields[] = { "alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "fan_in_fan_out",
		"inference_mode", "init_lora_weights", "layer_replication", "layers_pattern", "layers_to_transform", "loftq_config",
		"lora_alpha", "lora_bias", "lora_dropout", "megatron_config", "megatron_core", "modules_to_save", "peft_type", "r",
		"rank_pattern", "revision", "target_modules", "task_type", "use_dora", "use_rslora" };
	const int n_fields = sizeof fields / sizeof *fields;
	struct adapter_write_options o = { .global_step = 7, .title = "t \"quoted\"", .trigger_words = "rap", .comment = "c" };
	const char *dir = golden_tmp();
	char *path = in(dir, ADAPTER_FILE);
	const cJSON *targets, *v;
	struct dit_fixture f;
	struct st_file st;
	cJSON *config;

	(void)state;
	open_loaded(&f);
	write_as(&f, path, &o);
	assert_ok(st_open(&st, path));
	assert_int_equal(st.n, 2 * n_modules_of(&f));
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(f.manifest, "lora_modules"))
		for (int b = 0; b < 2; b++) {
			char key[200];
			snprintf(key, sizeof key, "%s.lora_%c.weight", v->valuestring, "AB"[b]);
			assert_non_null(st_find(&st, key));
			assert_int_equal(st_find(&st, key)->value.dtype, F32);
		}
	assert_string_equal(st_meta(&st, "format"), "pt");
	assert_string_equal(st_meta(&st, "global_step"), "7");
	assert_string_equal(st_meta(&st, "modelspec.sai_model_spec"), "1.0.1");
	assert_string_equal(st_meta(&st, "modelspec.architecture"), "ace_step-base/lora");
	assert_string_equal(st_meta(&st, "modelspec.implementation"), "diffusers");
	assert_string_equal(st_meta(&st, "modelspec.title"), "t \"quoted\"");
	assert_null(st_meta(&st, "modelspec.description"));
	assert_string_equal(st_meta(&st, "trained_words"), "rap");
	assert_ok(json_parse(st_meta(&st, "lora_adapter_metadata"), strlen(st_meta(&st, "lora_adapter_metadata")), "metadata",
	                     &config));
	assert_int_equal(cJSON_GetArraySize(config), n_fields);
	for (int i = 0; i < n_fields; i++)	/* all there, and in order */
		assert_string_equal(cJSON_GetArrayItem(config, i)->string, fields[i]);
	assert_true(cJSON_GetObjectItem(config, "r")->valuedouble == cJSON_GetObjectItem(config, "lora_alpha")->valuedouble);
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(config, "use_rslora")));
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(config, "rank_pattern")), 0);
	targets = cJSON_GetObjectItem(config, "target_modules");
	assert_int_equal(cJSON_GetArraySize(targets), cJSON_GetArraySize(cJSON_GetObjectItem(f.manifest, "lora_targets")));
	cJSON_ArrayForEach(v, targets) {
		const cJSON *t;
		int same = 0;
		cJSON_ArrayForEach(t, cJSON_GetObjectItem(f.manifest, "lora_targets"))
			same += strcmp(t->valuestring, v->valuestring) == 0;
		assert_int_equal(same, 1);
	}
	cJSON_Delete(config);
	st_close(&st);
	dit_fixture_close(&f);
	assert_ok(file_remove_tree(dir));
	free(path);
}

/* Adapters on some modules only, of ranks 1, 2, 3 ... and scales of their own. */
static void
open_uneven(struct dit_fixture *f)
{
	dit_fixture_open(f, DEV_CPU, 2, NULL, false);
	for (int i = 0, k = 0; i < f->m.params.n_modules; i += 5, k++) {
		const struct linear *l = f->m.params.module[i].l;
		assert_ok(params_add_adapter(&f->m.params, i, 1 + k % 3, 0.3f + 0.1f * (float)(k % 4), 0.25f));
		rng_normal_fill(rng_stream(1, RNG_TEST, 0, (uint64_t)i), l->lora_a.value.data, tensor_count(l->lora_a.value));
		rng_normal_fill(rng_stream(2, RNG_TEST, 0, (uint64_t)i), l->lora_b.value.data, tensor_count(l->lora_b.value));
	}
}

static void
modules_may_have_ranks_and_scales_of_their_own(void **state)
{
	const char *dir = golden_tmp();
	char *path = in(dir, "uneven.safetensors");
	struct dit_fixture f, g;
	int modules = 0;

	(void)state;
	open_uneven(&f);
	dit_fixture_forward(&f, false);
	for (int unfolded = 0; unfolded < 2; unfolded++) {
		struct adapter_write_options o = { .unfolded = unfolded, .global_step = -1 };
		write_as(&f, path, &o);
		dit_fixture_open(&g, DEV_CPU, 2, NULL, false);
		load(&g, path, NULL);
		modules = 0;
		for (int i = 0; i < f.m.params.n_modules; i++) {
			const struct linear *l = f.m.params.module[i].l, *h = g.m.params.module[i].l;
			assert_int_equal(l->rank, h->rank);
			modules += l->rank > 0;
			if (l->rank && unfolded)
				assert_true(fabsf(l->scale - h->scale) < 1e-6f);
			else if (l->rank)
				assert_true(h->scale == 1.f);
		}
		dit_fixture_forward(&g, false);
		golden_close("output", g.v.data, f.v.data, tensor_count(f.v), output);
		dit_fixture_close(&g);
	}
	assert_true(modules > 3);
	dit_fixture_close(&f);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
halves_are_rounded_once(void **state)
{
	const char *dir = golden_tmp();
	char *path = in(dir, "half.safetensors");
	struct dit_fixture f;

	(void)state;
	open_uneven(&f);
	for (int t = 0; t < 2; t++) {
		struct adapter_write_options o = { .dtype = t ? F16 : BF16, .global_step = -1 };
		struct adapter_file a;
		write_as(&f, path, &o);
		assert_ok(adapter_file_open(&a, path, &f.m.params));
		for (int i = 0; i < a.n; i++) {
			const struct params *ps = &f.m.params;
			const struct linear *l = NULL;
			for (int k = 0; k < ps->n_modules; k++)
				if (strcmp(ps->module[k].name, a.module[i].name) == 0)
					l = ps->module[k].l;
			assert_int_equal(a.module[i].b.dtype, o.dtype);
			for (int64_t k = 0; k < tensor_count(l->lora_b.value); k++) {
				float v = ((float *)l->lora_b.value.data)[k] * l->scale;
				assert_int_equal(((uint16_t *)a.module[i].b.data)[k], t ? f32_to_f16(v) : f32_to_bf16(v));
			}
		}
		adapter_file_close(&a);
	}
	dit_fixture_close(&f);
	assert_ok(file_remove_tree(dir));
	free(path);
}

/* An average's values stand for the params' own where they are given. */
static void
other_values_may_be_written(void **state)
{
	const char *dir = golden_tmp();
	char *path = in(dir, "ema.safetensors");
	struct adapter_write_options o = { .global_step = -1 };
	struct tensor *value, minus;
	struct adapter_set s;
	struct dit_fixture f;

	(void)state;
	open_loaded(&f);
	value = calloc((size_t)f.m.params.n, sizeof *value);
	for (int i = 0; i < f.m.params.n; i++) {
		const struct param *p = f.m.params.param[i];
		if (!ends(p->name, ".lora_B.weight"))
			continue;
		minus = p->value;
		minus.data = calloc(1, tensor_bytes(minus));
		value[i] = minus;
	}
	assert_ok(adapter_snapshot(&s, &f.m.params, value));
	assert_ok(adapter_write(path, &s, &o));
	adapter_set_free(&s);
	reads_as(path, "out_base", NULL);
	for (int i = 0; i < f.m.params.n; i++)
		free(value[i].data);
	free(value);
	dit_fixture_close(&f);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
targets_beyond_the_file_start_anew_with_its_rank(void **state)
{
	const struct lora_options lora = { .target = (const char *const[]){ "lyric_proj", "to_q" }, .n_targets = 2, .rank = 9,
		                           .alpha = 27, .seed = 3 };
	const struct adapter_load_options o = { .dropout = 0.5f, .lora = &lora };
	struct adapter_loaded loaded;
	struct adapter_file a;
	struct dit_fixture f;

	(void)state;
	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	assert_ok(adapter_file_open(&a, golden_path(DIT_SET, "lora"), &f.m.params));
	assert_ok(adapter_load(&f.m.params, &a, &o, &loaded));
	assert_int_equal(loaded.modules, n_modules_of(&f));
	assert_int_equal(loaded.fresh, 1);
	assert_int_equal(loaded.rank, a.module[0].rank);
	assert_int_equal(f.m.lyric_proj.rank, loaded.rank);
	assert_true(f.m.lyric_proj.scale == loaded.scale && f.m.lyric_proj.dropout == 0.5f);
	assert_true(fabs((double)loaded.scale - dit_fixture_number(&f, "lora_scale")) < 1e-6);
	output_is(&f, "out_lora");		/* a fresh adapter changes nothing */
	adapter_file_close(&a);
	dit_fixture_close(&f);
}

static void
adapters_that_are_there_are_filled(void **state)
{
	struct adapter_file a;
	struct dit_fixture f;

	(void)state;
	open_loaded(&f);
	for (int i = 0; i < f.m.params.n_modules; i++) {
		struct linear *l = f.m.params.module[i].l;
		if (l->rank)
			memset(l->lora_b.value.data, 0, tensor_bytes(l->lora_b.value));
		l->scale = 9.f;
	}
	output_is(&f, "out_base");
	load(&f, golden_path(DIT_SET, "lora"), NULL);
	output_is(&f, "out_lora");
	dit_fixture_close(&f);
	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	assert_ok(adapter_file_open(&a, golden_path(DIT_SET, "lora"), &f.m.params));
	assert_ok(params_add_adapter(&f.m.params, 0, a.module[0].rank + 1, 1.f, 0.f));
	for (int i = 1; i < f.m.params.n_modules; i++)
		assert_ok(params_add_adapter(&f.m.params, i, a.module[0].rank + 1, 1.f, 0.f));
	assert_int_equal(adapter_load(&f.m.params, &a, &plainly, NULL), ACE_ECONFIG);
	adapter_file_close(&a);
	dit_fixture_close(&f);
}

/* |s B A| against the product formed. */
static void
the_norm_is_that_of_the_product(void **state)
{
	struct adapter_file a;

	(void)state;
	assert_ok(adapter_file_open(&a, golden_path(DIT_SET, "lora"), NULL));
	assert_true(a.n > 0);
	for (int i = 0; i < a.n; i++) {
		const struct adapter *m = &a.module[i];
		const float *A = m->a.data, *B = m->b.data;
		double sum = 0, norm;
		for (int64_t o = 0; o < m->b.dim[0]; o++)
			for (int64_t k = 0; k < m->a.dim[1]; k++) {
				double v = 0;
				for (int64_t r = 0; r < m->rank; r++)
					v += (double)B[o * m->rank + r] * (double)A[r * m->a.dim[1] + k];
				sum += v * v;
			}
		assert_ok(adapter_norm(m, &norm));
		assert_true(norm > 0 && fabs(norm / ((double)m->scale * sqrt(sum)) - 1) < 1e-9);
	}
	adapter_file_close(&a);
}

static void
a_module_is_found_by_name_ending_or_expression(void **state)
{
	static const struct {
		const char *pattern, *module;
		bool matches;
	} t[] = {
		{ "to_q", "transformer_blocks.0.attn.to_q", true },
		{ "to_q", "transformer_blocks.0.attn.add_to_q", false },
		{ "attn.to_q", "transformer_blocks.0.cross_attn.to_q", false },
		{ "transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_q", true },
		{ "^transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_q", true },
		{ "^attn.to_q$", "transformer_blocks.0.attn.to_q", false },
		{ "to_q$", "a.to_q", true },
		{ "transformer_blocks\\.[0-2]\\..*", "transformer_blocks.2.attn.to_v", true },
		{ "transformer_blocks\\.[0-2]\\..*", "transformer_blocks.3.attn.to_v", false },
		{ "transformer_blocks\\.\\d+\\.attn\\.(?:to_q|to_k)", "transformer_blocks.13.attn.to_k", true },
		{ "transformer_blocks\\.\\d+\\.attn\\.(?:to_q|to_k)", "transformer_blocks.13.attn.to_v", false },
		{ ".*", "anything", true },
	};
	static const char *const refused[] = { "a{1000}{1000}", "(a)\\1", "((((((((((a))))))))))", "(?=a)", "[", "(a", "a\\" };
	bool matches;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		assert_ok(adapter_pattern(t[i].pattern, t[i].module, &matches));
		if (matches != t[i].matches)
			fail_msg("%s on %s: %d", t[i].pattern, t[i].module, matches);
	}
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		if (adapter_pattern(refused[i], "a", &matches) != ACE_EDATA)
			fail_msg("%s was taken", refused[i]);
}

static void
the_dry_device_takes_adapters_too(void **state)
{
	const struct dit_options o = { .dtype = F32, .attention_masks = true };
	struct adapter_set s;
	struct adapter_file a;
	struct dev d;
	struct dit m;

	(void)state;
	golden_path(DIT_SET, "lora");
	assert_ok(dev_open(&d, DEV_DRY, 1));
	kernels_attach(&d);
	assert_ok(dit_open(&m, golden_path(DIT_SET, "ace_step_transformer"), &o, &d));
	assert_int_equal(adapter_snapshot(&s, &m.params, NULL), ACE_ECONFIG);
	assert_ok(adapter_file_open(&a, golden_path(DIT_SET, "lora"), &m.params));
	assert_ok(adapter_load(&m.params, &a, &plainly, NULL));
	assert_ok(adapter_snapshot(&s, &m.params, NULL));
	assert_int_equal(s.n, a.n);
	adapter_set_free(&s);
	adapter_file_close(&a);
	dit_close(&m);
	dev_close(&d);
}

static void
a_full_disk_leaves_the_old_file(void **state)
{
	struct rlimit old, little;
	struct adapter_write_options o = { .global_step = -1 };
	const char *dir = golden_tmp();
	char *path = in(dir, ADAPTER_FILE), *part = in(dir, ADAPTER_FILE ".part"), *data[2];
	size_t size[2];
	struct adapter_set s;
	struct dit_fixture f;
	enum status st;

	(void)state;
	open_loaded(&f);
	assert_ok(adapter_snapshot(&s, &f.m.params, NULL));
	assert_ok(adapter_write(path, &s, &o));
	assert_ok(file_read(path, 1 << 28, &data[0], &size[0]));
	o.global_step = 5;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	little = old;
	little.rlim_cur = size[0] / 2;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	st = adapter_write(path, &s, &o);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(st, ACE_EIO);
	assert_non_null(strstr(ace_message(), ADAPTER_FILE));
	assert_false(file_exists(part));
	assert_ok(file_read(path, 1 << 28, &data[1], &size[1]));
	assert_int_equal(size[0], size[1]);
	assert_memory_equal(data[0], data[1], size[0]);
	adapter_set_free(&s);
	dit_fixture_close(&f);
	assert_ok(file_remove_tree(dir));
	free(data[0]);
	free(data[1]);
	free(path);
	free(part);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spelling_gives_the_references_output),
		cmocka_unit_test(the_stock_file_gives_the_references_output_and_gradients),
		cmocka_unit_test(what_is_written_gives_the_same_output),
		cmocka_unit_test(strength_multiplies_the_scale),
		cmocka_unit_test(the_file_is_what_every_reader_takes),
		cmocka_unit_test(modules_may_have_ranks_and_scales_of_their_own),
		cmocka_unit_test(halves_are_rounded_once),
		cmocka_unit_test(other_values_may_be_written),
		cmocka_unit_test(targets_beyond_the_file_start_anew_with_its_rank),
		cmocka_unit_test(adapters_that_are_there_are_filled),
		cmocka_unit_test(the_norm_is_that_of_the_product),
		cmocka_unit_test(a_module_is_found_by_name_ending_or_expression),
		cmocka_unit_test(the_dry_device_takes_adapters_too),
		cmocka_unit_test(a_full_disk_leaves_the_old_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
