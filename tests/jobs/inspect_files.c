/* SPDX-License-Identifier: Apache-2.0 */
/* ace-inspect on files of tensors: adapters, models and their parts, and how all reports are written. */
#include "base/file.h"
#include "jobs/inspect_things.h"
#include "kernels/kernels.h"
#include "look.h"
#include "models/adapter.h"
#include "models/dit.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char set[] = "transformer-tiny";

/* ||s B A|| by forming it; A, B F32. */
static double
norm_of(const struct tensor *a, const struct tensor *b, double s)
{
	double sum = 0;

	for (int64_t i = 0; i < b->dim[0]; i++)
		for (int64_t j = 0; j < a->dim[1]; j++) {
			double x = 0;
			for (int64_t k = 0; k < a->dim[0]; k++)
				x += (double)((float *)b->data)[i * a->dim[0] + k] *
				     ((float *)a->data)[k * a->dim[1] + j];
			sum += s * s * x * x;
		}
	return sqrt(sum);
}

static void
an_adapter_shows_rank_scale_and_the_norm_of_its_change(void **state)
{
	const char *path = golden_path(set, "lora/pytorch_lora_weights.safetensors");
	cJSON *o = look_json(ACE_OK, path), *layers = cJSON_GetObjectItem(o, "layers"), *row;
	double whole = 0, in_layers = 0, modules = 0;
	struct st_file f;

	(void)state;
	golden_open(&f, set, "lora/pytorch_lora_weights.safetensors");
	assert_string_equal(look_word(o, "kind"), "adapter");
	for (int i = 0; i < f.n; i++) {
		char name[200];
		char *end = strstr(strcpy(name, f.entry[i].name), ".lora_A.weight");
		const cJSON *m;
		if (!end)
			continue;
		*end = 0;
		m = look_row(o, "modules", "name", name);
		assert_non_null(m);
		strcpy(end, ".lora_B.weight");
		double want = norm_of(&f.entry[i].value, &st_find(&f, name)->value, look_number(m, "scale"));
		assert_true(fabs(look_number(m, "norm") - want) < 1e-5 * want);
		assert_true(look_number(m, "rank") == (double)f.entry[i].value.dim[0]);
		whole += want * want;
	}
	assert_int_equal(2 * look_rows(o, "modules"), f.n);
	assert_true(fabs(look_number(o, "norm") - sqrt(whole)) < 1e-5 * sqrt(whole));
	cJSON_ArrayForEach(row, layers) {
		in_layers += look_number(row, "norm") * look_number(row, "norm");
		modules += look_number(row, "modules");
	}
	assert_true(fabs(in_layers - whole) < 1e-5 * whole);
	assert_int_equal((int)modules, look_rows(o, "modules"));
	assert_true(cJSON_IsTrue(cJSON_GetObjectItem(o, "learnt")));
	st_close(&f);
	cJSON_Delete(o);
}

static const char *
taken_by(const cJSON *o, const char *reader)
{
	const cJSON *row = look_row(o, "readers", "reader", reader);

	assert_non_null(row);
	return look_word(row, "takes_it");
}

static void
every_spelling_is_shown_with_its_readers(void **state)
{
	static const struct {
		const char *file;
		bool diffusers, comfy, simple;
	} cases[] = {
		{ "comfyui_alpha", false, true, false },	   { "down_up_alpha", false, false, true },
		{ "folded", true, true, false },		   { "kohya_alpha", false, true, false },
		{ "mixed_down_up_no_alpha", false, true, false },  { "named_adapter_alpha", false, false, false },
		{ "peft_base_model_alpha", false, false, false },  { "plain_no_alpha", true, true, false },
		{ "transformer_prefix_alpha", false, false, true },
	};
	double norm = 0;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char name[100];
		snprintf(name, sizeof name, "lora_variants/%s.safetensors", cases[i].file);
		const char *path = golden_path(set, name);
		if (!file_exists(path))
			continue;
		cJSON *o = look_json(ACE_OK, path);
		bool one = strstr(cases[i].file, "no_alpha") != NULL;
		assert_string_equal(taken_by(o, "these programs"), "yes");
		assert_int_equal(strncmp(taken_by(o, "diffusers"), "yes", 3) == 0, cases[i].diffusers);
		assert_int_equal(strncmp(taken_by(o, "ComfyUI"), "yes", 3) == 0, cases[i].comfy);
		assert_int_equal(strcmp(taken_by(o, "SimpleTuner --init_lora"), "yes") == 0, cases[i].simple);
		if (!one) {	/* s as it was trained, wherever it is told */
			if (norm == 0)
				norm = look_number(o, "norm");
			assert_true(fabs(look_number(o, "norm") - norm) < 1e-4 * norm);
		}
		cJSON_Delete(o);
	}
	assert_true(norm > 0);
}

/* An adapter of one module; b: what its B is filled with. */
static void
write_adapter(const char *path, float b)
{
	float a[2 * 3], x[4 * 2];
	struct st_item item[2] = {
		{ "transformer_blocks.0.attn.to_q.lora_A.weight", tensor_of(a, F32, 2, (int64_t)2, (int64_t)3) },
		{ "transformer_blocks.0.attn.to_q.lora_B.weight", tensor_of(x, F32, 2, (int64_t)4, (int64_t)2) }
	};

	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), a, 6);
	for (int i = 0; i < 8; i++)
		x[i] = b;
	assert_ok(st_write(path, item, 2, NULL, 0));
}

static void
an_adapter_that_has_learnt_nothing_says_so(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/pytorch_lora_weights.safetensors", dir), *text;
	cJSON *o;

	(void)state;
	write_adapter(path, 0);
	assert_ok(look_text(path, &text));
	assert_non_null(strstr(text, "has learnt nothing yet"));
	free(text);
	o = look_json(ACE_OK, dir);	/* the folder is the adapter's as well */
	assert_true(cJSON_IsFalse(cJSON_GetObjectItem(o, "learnt")));
	cJSON_Delete(o);
	write_adapter(path, 1);
	assert_ok(look_text(path, &text));
	assert_null(strstr(text, "has learnt nothing yet"));
	free(text);
	write_adapter(path, NAN);
	o = look_json(ACE_EDATA, path);
	assert_non_null(strstr(ace_message(), "transformer_blocks.0.attn.to_q"));
	assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "norm")));
	cJSON_Delete(o);
	free(path);
	assert_ok(file_remove_tree(dir));
}

static void
what_nothing_reads_is_what_the_transformer_does_not_open(void **state)
{
	struct dit_options o = { .dtype = F32, .attention_masks = true, .projectors = true };
	const char *folder = golden_path(set, "ace_step_transformer");
	int64_t idle = 0;
	struct dev d;
	struct dit m;
	cJSON *json;

	(void)state;
	assert_ok(dev_open(&d, DEV_CPU, 1));
	assert_ok(dit_open(&m, folder, &o, &d));
	assert_int_equal(inspect_part_of(&m.weights), PART_TRANSFORMER);
	for (int f = 0; f < m.weights.n; f++)
		for (int i = 0; i < m.weights.file[f].n; i++) {
			const struct st_entry *e = &m.weights.file[f].entry[i];
			bool read = inspect_read_for(PART_TRANSFORMER, e->name) != NULL;
			if (read != (params_find(&m.params, e->name) != NULL))
				fail_msg("%s: shown as %s", e->name, read ? "read" : "not read");
			idle += read ? 0 : tensor_count(e->value);
		}
	json = look_json(ACE_OK, folder);
	assert_true(look_number(json, "unused_parameters") == (double)idle && idle > 0);
	cJSON_Delete(json);
	dit_close(&m);
	dev_close(&d);
}

static void
every_tensor_of_the_published_model_is_known(void **state)
{
	static const struct {
		const char *set, *folder;
		enum model_part part;
	} cases[] = { { "transformer-tiny", "ace_step_transformer", PART_TRANSFORMER },
		      { "umt5-tiny", "umt5", PART_TEXTS },
		      { "dcae-tiny", "music_dcae_f8c8", PART_AUTOENCODER },
		      { "vocoder-tiny", "music_vocoder", PART_VOCODER } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cJSON *o = look_json(ACE_OK, golden_path(cases[i].set, cases[i].folder));
		assert_null(look_row(o, "uses", "tensors", "others"));
		assert_int_equal(look_notes(o, "is none of this part"), 0);
		assert_true(look_rows(o, "config") > 3);
		cJSON_Delete(o);
	}
}

/* Lay the fixtures' parts into a model folder. */
static void
make_model(const char *dir)
{
	static const char *const parts[][3] = { { "transformer-tiny", "ace_step_transformer", "ace_step_transformer" },
		                                { "umt5-tiny", "umt5", "umt5-base" },
		                                { "dcae-tiny", "music_dcae_f8c8", "music_dcae_f8c8" } };

	for (int i = 0; i < 3; i++) {
		char *from = realpath(golden_path(parts[i][0], parts[i][1]), NULL),
		     *to = file_path("%s/%s", dir, parts[i][2]);
		assert_non_null(from);
		assert_int_equal(symlink(from, to), 0);
		free(from);
		free(to);
	}
}

static void
a_model_shows_its_parts_whole_missing_and_damaged(void **state)
{
	const char *dir = golden_tmp();
	char *part = file_path("%s/music_vocoder", dir), *weights = file_path("%s/model.safetensors", part);
	char *config = file_path("%s/config.json", part);
	cJSON *o;

	(void)state;
	make_model(dir);
	o = look_json(ACE_OK, dir);
	assert_string_equal(look_word(o, "kind"), "model");
	assert_string_equal(look_word(look_row(o, "parts", "folder", "ace_step_transformer"), "state"), "whole");
	assert_string_equal(look_word(look_row(o, "parts", "folder", "umt5-base"), "state"), "whole");
	assert_string_equal(look_word(look_row(o, "parts", "folder", "music_dcae_f8c8"), "state"), "whole");
	assert_string_equal(look_word(look_row(o, "parts", "folder", "music_vocoder"), "state"), "missing");
	assert_string_equal(look_word(look_row(o, "parts", "folder", "umt5-base"), "dtypes"), "F32");
	cJSON_Delete(o);
	assert_ok(file_mkdirs(part));
	assert_ok(file_write(config, "{}", 2));
	assert_ok(file_write(weights, "no safetensors file", 19));
	o = look_json(ACE_EDATA, dir);
	assert_non_null(strstr(ace_message(), weights));
	assert_string_equal(look_word(look_row(o, "parts", "folder", "music_vocoder"), "state"), "damaged");
	assert_string_equal(look_word(look_row(o, "parts", "folder", "umt5-base"), "state"), "whole");
	cJSON_Delete(o);
	free(part);
	free(weights);
	free(config);
	assert_ok(file_remove_tree(dir));
}

static void
a_file_of_tensors_shows_them_all(void **state)
{
	const char *path = golden_path(set, "batch.safetensors");
	cJSON *o = look_json(ACE_OK, path), *v;
	const cJSON *row;
	struct st_file f;

	(void)state;
	golden_open(&f, set, "batch.safetensors");
	assert_string_equal(look_word(o, "kind"), "safetensors");
	assert_int_equal(look_rows(o, "tensors"), f.n);
	for (int i = 0; i < f.n; i++) {
		char shape[96];
		row = look_row(o, "tensors", "name", f.entry[i].name);
		assert_non_null(row);
		assert_string_equal(look_word(row, "dtype"), dtype_name(f.entry[i].value.dtype));
		assert_string_equal(look_word(row, "shape"), inspect_shape(f.entry[i].value, shape));
		assert_true(look_number(row, "parameters") == (double)tensor_count(f.entry[i].value));
	}
	v = cJSON_GetObjectItem(o, "bytes");
	assert_true(v->valuedouble == (double)file_size(path));
	st_close(&f);
	cJSON_Delete(o);
}

static void
verify_counts_values_that_are_not_finite(void **state)
{
	const char *dir = golden_tmp();
	float x[10000] = { 0 };
	uint16_t half[3] = { 0x7f80, 0x3f80, 0xffc0 };	/* bf16: infinity, 1, NaN */
	char *path = file_path("%s/x.safetensors", dir), *line = file_path("--verify %s", path);
	struct st_item item[2] = { { "x", tensor_of(x, F32, 1, (int64_t)10000) },
		                   { "half", tensor_of(half, BF16, 1, (int64_t)3) } };
	cJSON *o;

	(void)state;
	x[0] = x[4096] = INFINITY;
	x[9999] = NAN;
	assert_ok(st_write(path, item, 2, NULL, 0));
	o = look_json(ACE_OK, path);
	cJSON_Delete(o);
	o = look_json(ACE_EDATA, line);
	assert_true(look_number(look_row(o, "tensors", "name", "x"), "nonfinite") == 3);
	assert_true(look_number(look_row(o, "tensors", "name", "half"), "nonfinite") == 2);
	cJSON_Delete(o);
	free(line);
	free(path);
	assert_ok(file_remove_tree(dir));
}

static void
texts_of_files_do_no_harm(void **state)
{
	const char *dir = golden_tmp();
	const char *meta[] = { "title", "\033[31mred\n\x9b" "31m \xc2\x9b \xff\xfe end \xc3\xa9" };
	float x = 0;
	struct st_item item = { "a\tb\033]0;title\007", tensor_of(&x, F32, 1, (int64_t)1) };
	char *path = file_path("%s/x.safetensors", dir), *text;
	cJSON *o;

	(void)state;
	assert_ok(st_write(path, &item, 1, meta, 1));
	if (look_text(path, &text) == ACE_OK) {	/* a reader may refuse what is not UTF-8 */
		for (const char *p = text; *p; p++)
			assert_true((unsigned char)*p >= 0x20 || *p == '\n');
		assert_null(strstr(text, "\xc2\x9b"));
		assert_non_null(strstr(text, "\\x1b[31mred\\x0a"));
		free(text);
		o = look_json(ACE_OK, path);
		assert_non_null(strstr(look_word(look_row(o, "metadata", "key", "title"), "value"), "end \xc3\xa9"));
		cJSON_Delete(o);
	} else {
		assert_non_null(strstr(ace_message(), path));
		free(text);
	}
	free(path);
	assert_ok(file_remove_tree(dir));
}

static void
figures_are_written_for_people(void **state)
{
	char text[REPORT_SHORT];

	(void)state;
	assert_string_equal(report_bytes(0, text), "0 bytes");
	assert_string_equal(report_bytes(999, text), "999 bytes");
	assert_string_equal(report_bytes(1500, text), "1.5 kB");
	assert_string_equal(report_bytes(705123456, text), "705 MB");
	assert_string_equal(report_bytes(999999999, text), "1.0 GB");
	assert_string_equal(report_count(0, text), "0");
	assert_string_equal(report_count(999, text), "999");
	assert_string_equal(report_count(3305659264, text), "3,305,659,264");
	assert_string_equal(report_count(-1234, text), "-1,234");
	assert_string_equal(report_length(38, text), "0:38");
	assert_string_equal(report_length(173400, text), "48.2 h");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_adapter_shows_rank_scale_and_the_norm_of_its_change),
		cmocka_unit_test(every_spelling_is_shown_with_its_readers),
		cmocka_unit_test(an_adapter_that_has_learnt_nothing_says_so),
		cmocka_unit_test(what_nothing_reads_is_what_the_transformer_does_not_open),
		cmocka_unit_test(every_tensor_of_the_published_model_is_known),
		cmocka_unit_test(a_model_shows_its_parts_whole_missing_and_damaged),
		cmocka_unit_test(a_file_of_tensors_shows_them_all),
		cmocka_unit_test(verify_counts_values_that_are_not_finite),
		cmocka_unit_test(texts_of_files_do_no_harm),
		cmocka_unit_test(figures_are_written_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
