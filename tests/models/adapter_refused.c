/* SPDX-License-Identifier: Apache-2.0 */
/* What is no adapter, or not this model's, is refused by name; broken files are refused, whatever is broken. */
#include "models/adapter.h"

#include "base/file.h"
#include "models/dit_fixture.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS = 8 };

/* A file with tensors of ones (or of what data says). */
struct making {
	struct st_item item[ITEMS];
	void *data[ITEMS];
	int n;
	const char *meta[4];
	int n_meta;
};

static void
with(struct making *m, const char *key, enum dtype t, int64_t rows, int64_t cols)
{
	struct tensor x = rows ? tensor_of(NULL, t, 2, rows, cols) : tensor_make(NULL, t, 0, NULL);
	float one = 1.f;

	x.data = m->data[m->n] = calloc(1, tensor_bytes(x) + 8);
	for (int64_t i = 0; i < tensor_count(x); i++)
		dtype_convert((char *)x.data + i * (int64_t)dtype_size(t), t, &one, F32, 1);
	m->item[m->n++] = (struct st_item){ key, x };
}

static void
with_meta(struct making *m, const char *key, const char *value)
{
	m->meta[2 * m->n_meta] = key;
	m->meta[2 * m->n_meta++ + 1] = value;
}

static const char *
made(struct making *m, const char *dir)
{
	static char path[300];

	snprintf(path, sizeof path, "%s/made.safetensors", dir);
	assert_ok(st_write(path, m->item, m->n, m->meta, m->n_meta));
	for (int i = 0; i < m->n; i++)
		free(m->data[i]);
	*m = (struct making){ 0 };
	return path;
}

/* The file is refused, in a line that names it and this. */
static void
is_refused(const char *path, enum status code, const char *words)
{
	struct adapter_file f;
	enum status st = adapter_file_open(&f, path, NULL);

	if (st != code || !strstr(ace_message(), words) || !strstr(ace_message(), path))
		fail_msg("%d and \"%s\", wanted %d and \"%s\"", st, st ? ace_message() : "", code, words);
}

static void
other_kinds_of_adapters_are_refused_by_name(void **state)
{
	static const struct {
		const char *key, *words;
	} t[] = {
		{ "a.to_q.lora_magnitude_vector", "DoRA" },
		{ "a.to_q.lora_magnitude_vector.default.weight", "DoRA" },
		{ "lora_unet_a_to_q.dora_scale", "DoRA" },
		{ "lycoris_a_to_q.hada_w1_a", "LoHa" },
		{ "a.to_q.lokr_w1", "LoKr" },
		{ "lora_unet_a_to_q.lokr_w2_a", "LoKr" },
		{ "a.to_q.oft_blocks", "OFT" },
		{ "a.to_q.lora_mid.weight", "LyCORIS" },
		{ "a.to_q.diff_b", "LyCORIS" },
		{ "a.to_q.lora_B.bias", "bias" },
		{ "a.to_q.lora_B.default.bias", "bias" },
		{ "lora_unet_a_to_q.lora_up.bias", "bias" },
	};
	const char *dir = golden_tmp();

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct making m = { 0 };
		with(&m, "a.to_q.lora_A.weight", F32, 2, 3);
		with(&m, "a.to_q.lora_B.weight", F32, 3, 2);
		with(&m, t[i].key, F32, 1, 3);
		is_refused(made(&m, dir), ACE_EDATA, t[i].words);
		is_refused(made((with(&m, t[i].key, F32, 1, 3), &m), dir), ACE_EDATA, t[i].key);
	}
	assert_ok(file_remove_tree(dir));
}

static void
tensors_that_do_not_fit_each_other_are_refused(void **state)
{
	const char *dir = golden_tmp();
	struct making m = { 0 };

	(void)state;
	with(&m, "a.lora_A.weight", F32, 2, 3);
	is_refused(made(&m, dir), ACE_EDATA, "lora_B");
	with(&m, "a.lora_up.weight", F32, 2, 3);
	is_refused(made(&m, dir), ACE_EDATA, "lora_A");
	with(&m, "a.alpha", F32, 0, 0);
	is_refused(made(&m, dir), ACE_EDATA, "a.alpha");
	with(&m, "a.lora_A.weight", F32, 2, 3);
	with(&m, "a.lora_B.weight", F32, 3, 4);
	is_refused(made(&m, dir), ACE_EDATA, "[3, 4]");
	with(&m, "a.lora_A.weight", F32, 2, 3);
	with(&m, "transformer.a.lora_down.weight", F32, 2, 3);
	with(&m, "a.lora_B.weight", F32, 3, 2);
	is_refused(made(&m, dir), ACE_EDATA, "transformer.a.lora_down.weight");
	with(&m, "a.lora_A.first.weight", F32, 2, 3);
	with(&m, "a.lora_A.second.weight", F32, 2, 3);
	is_refused(made(&m, dir), ACE_EDATA, "a.lora_A.second.weight");
	with(&m, "a.lora_A.weight", F32, 9000, 1);
	with(&m, "a.lora_B.weight", F32, 1, 9000);
	is_refused(made(&m, dir), ACE_EDATA, "rank 9000");
	with(&m, "a.lora_A.weight", F32, 0, 0);
	with(&m, "a.lora_B.weight", F32, 1, 1);
	is_refused(made(&m, dir), ACE_EDATA, "matrix");
	with(&m, "a.lora_A.weight", F32, 2, 3);
	with(&m, "a.lora_B.weight", F32, 3, 2);
	m.item[0].value.dtype = I32;
	is_refused(made(&m, dir), ACE_EDATA, "I32");
	assert_ok(file_remove_tree(dir));
}

static void
an_alpha_is_one_finite_number(void **state)
{
	static const float bad[] = { 0.f / 0.f, 1.f / 0.f };
	const char *dir = golden_tmp();
	struct making m = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		with(&m, "a.lora_A.weight", F32, 2, 3);
		with(&m, "a.lora_B.weight", F32, 3, 2);
		with(&m, "a.alpha", F32, i == 2 ? 2 : 0, 1);
		if (i < 2)
			memcpy(m.data[2], &bad[i], sizeof bad[i]);
		is_refused(made(&m, dir), ACE_EDATA, "a.alpha");
	}
	assert_ok(file_remove_tree(dir));
}

static void
metadata_must_be_a_lora_s(void **state)
{
	static const struct {
		const char *text, *words;
	} t[] = {
		{ "{", "JSON" },
		{ "[1]", "object" },
		{ "{\"use_dora\": true}", "DoRA" },
		{ "{\"transformer.use_dora\": true}", "DoRA" },
		{ "{\"peft_type\": \"LOHA\"}", "LOHA" },
		{ "{\"lora_alpha\": \"2\"}", "lora_alpha" },
		{ "{\"alpha_pattern\": [1]}", "alpha_pattern" },
		{ "{\"alpha_pattern\": {\"a\": null}}", "alpha_pattern" },
		{ "{\"alpha_pattern\": {\"a{2}\": 1}}", "pattern" },
	};
	const char *dir = golden_tmp();

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct making m = { 0 };
		with(&m, "a.lora_A.weight", F32, 2, 3);
		with(&m, "a.lora_B.weight", F32, 3, 2);
		with_meta(&m, "lora_adapter_metadata", t[i].text);
		is_refused(made(&m, dir), ACE_EDATA, t[i].words);
	}
	assert_ok(file_remove_tree(dir));
}

/* The alpha tensor, else the metadata's, else 1. */
static void
a_scale_comes_from_tensor_metadata_or_is_one(void **state)
{
	static const struct {
		const char *meta;
		bool tensor;
		double s;
		enum adapter_scale_from from;
	} t[] = {
		{ NULL, false, 1, ADAPTER_SCALE_ONE },
		{ NULL, true, 0.25, ADAPTER_SCALE_ALPHA },
		{ "{\"r\": 99, \"lora_alpha\": 8}", false, 2, ADAPTER_SCALE_METADATA },
		{ "{\"r\": 99, \"lora_alpha\": 8}", true, 0.25, ADAPTER_SCALE_ALPHA },
		{ "{\"lora_alpha\": 8, \"use_rslora\": true}", false, 4, ADAPTER_SCALE_METADATA },
		{ "{\"lora_alpha\": 8, \"alpha_pattern\": {\"to_k\": 1, \"blocks.\\\\d.to_q\": 16}}", false, 4,
		  ADAPTER_SCALE_METADATA },
		{ "{\"transformer.lora_alpha\": 8, \"transformer.use_rslora\": true}", false, 4, ADAPTER_SCALE_METADATA },
		{ "{}", false, 1, ADAPTER_SCALE_METADATA },
	};
	const char *dir = golden_tmp();

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct adapter_file f;
		struct making m = { 0 };
		with(&m, "blocks.0.to_q.lora_A.weight", F16, 4, 3);
		with(&m, "blocks.0.to_q.lora_B.weight", BF16, 3, 4);
		if (t[i].tensor)
			with(&m, "blocks.0.to_q.alpha", F64, 0, 0);
		if (t[i].meta)
			with_meta(&m, "lora_adapter_metadata", t[i].meta);
		with_meta(&m, "global_step", i % 2 ? "250" : "many");
		assert_ok(adapter_file_open(&f, made(&m, dir), NULL));
		assert_int_equal(f.n, 1);
		assert_int_equal(f.module[0].rank, 4);
		assert_int_equal(f.module[0].from, t[i].from);
		assert_true((double)f.module[0].scale == t[i].s);
		assert_int_equal(f.global_step, i % 2 ? 250 : -1);
		adapter_file_close(&f);
	}
	assert_ok(file_remove_tree(dir));
}

static void
keys_without_a_module_are_listed(void **state)
{
	struct adapter_load_options o = { 0 };
	const char *dir = golden_tmp(), *path;
	struct making m = { 0 };
	struct adapter_file f;
	struct dit_fixture d;
	const struct linear *l;
	char text[80];

	(void)state;
	dit_fixture_open(&d, DEV_CPU, 1, NULL, false);
	l = &d.m.speaker;
	with(&m, "lora_te_text_model.lora_A.weight", F32, 2, 3);
	with(&m, "lora_te_text_model.lora_B.weight", F32, 3, 2);
	with(&m, "speaker_embedder.strange", F32, 3, 2);
	path = made(&m, dir);
	assert_ok(adapter_file_open(&f, path, &d.m.params));
	assert_int_equal(f.n, 0);
	assert_int_equal(f.n_unknown, 3);
	o.ignore_unknown = true;
	assert_int_equal(adapter_load(&d.m.params, &f, &o, NULL), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "lora_te_text_model.lora_A.weight"));
	assert_string_equal(adapter_unknown_text(&f, text, sizeof text), "lora_te_text_model.lora_A.weight and 2 more");
	adapter_file_close(&f);
	with(&m, "speaker_embedder.lora_A.weight", F32, 2, linear_in(l));
	with(&m, "speaker_embedder.lora_B.weight", F32, linear_out(l), 2);
	with(&m, "clip.lora_B.weight", F32, 3, 2);
	path = made(&m, dir);
	assert_ok(adapter_file_open(&f, path, &d.m.params));
	o.ignore_unknown = false;
	assert_int_equal(adapter_load(&d.m.params, &f, &o, NULL), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "clip.lora_B.weight"));
	o.ignore_unknown = true;
	assert_ok(adapter_load(&d.m.params, &f, &o, NULL));
	assert_int_equal(l->rank, 2);
	adapter_file_close(&f);
	dit_fixture_close(&d);
	assert_ok(file_remove_tree(dir));
}

static void
sizes_and_values_must_suit_the_model(void **state)
{
	const struct adapter_load_options o = { 0 };
	const float inf = 1.f / 0.f;
	const char *dir = golden_tmp();

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct making m = { 0 };
		struct adapter_file f;
		struct dit_fixture d;
		const struct linear *l;
		dit_fixture_open(&d, DEV_CPU, 1, NULL, false);
		l = &d.m.speaker;
		with(&m, "speaker_embedder.lora_A.weight", F32, 2, linear_in(l) + (i == 0));
		with(&m, "speaker_embedder.lora_B.weight", F32, linear_out(l) + (i == 1), 2);
		memcpy((float *)m.data[1] + 3, &inf, sizeof inf);
		assert_ok(adapter_file_open(&f, made(&m, dir), &d.m.params));
		assert_int_equal(adapter_load(&d.m.params, &f, &o, NULL), ACE_EDATA);
		assert_non_null(strstr(ace_message(), "speaker_embedder"));
		assert_non_null(strstr(ace_message(), i == 2 ? "finite" : "outputs"));
		adapter_file_close(&f);
		dit_fixture_close(&d);
	}
	assert_ok(file_remove_tree(dir));
}

static void
a_file_that_is_not_there_is_named(void **state)
{
	const char *dir = golden_tmp();
	struct adapter_file f;

	(void)state;
	is_refused("/nonexistent/lora.safetensors", ACE_ENOINPUT, "no such file");
	assert_int_equal(adapter_file_open(&f, dir, NULL), ACE_ENOINPUT);
	assert_non_null(strstr(ace_message(), ADAPTER_FILE));
	assert_ok(file_remove_tree(dir));
}

/* One of the ways in which a file may be broken, by number: bytes of the header, of its length, of the data, missing or
 * additional ones, and keys or numbers of the header replaced by others that are as long. */
static void
mutate(char *data, size_t *size, struct rng r, uint64_t i)
{
	static const char *const words[][2] = { { "lora_A", "lora_B" }, { "lora_B", "lora_A" }, { "F32", "F64" }, { "F32", "I32" },
		{ "weight", "alpha\"" }, { "lora_A", "\\u0000" }, { "offset", "offsat" }, { "[4", "[9" }, { ",4]", ",0]" }, { "30", "-1" },
		{ "to_q", "to_k" }, { "transformer_blocks", "transformer.blocks" }, { "shape", "shope" }, { "{", "[" },
		{ "attn", "atxn" }, { "speaker", "spooker" }, { "lyric", "lyrik" }, { ".alpha", ".omega" } };
	const int n_words = sizeof words / sizeof *words;
	size_t header = (unsigned char)data[0] + 256u * (unsigned char)data[1] + 65536u * (unsigned char)data[2];
	int kind = (int)rng_below(r, 8 * i, 7 + n_words), times = 1 + (int)rng_below(r, 8 * i + 1, 70);
	char *at, *end = data + 8 + header;

	if (kind == 0)
		*size = (size_t)rng_below(r, 8 * i + 2, *size);
	if (kind == 1)
		data[rng_below(r, 8 * i + 2, 8)] ^= (char)(1 << rng_below(r, 8 * i + 3, 8));
	for (int k = 0; kind >= 2 && kind < 4 && k < times % 4 + 1; k++)
		data[8 + rng_below(r, 8 * i + 2 + (uint64_t)k, header)] = (char)rng_below(r, 8 * i + 3 + (uint64_t)k, kind == 2 ? 256 : 128);
	for (int k = 0; kind >= 4 && kind < 7 && k < times; k++)
		data[8 + header + rng_below(r, 8 * i + 2 + (uint64_t)k, *size - 8 - header)] ^= (char)(1 << k % 8);
	if (kind < 7)
		return;
	at = data + 8 + rng_below(r, 8 * i + 2, header);
	for (const char *word = words[kind - 7][0]; at + strlen(word) < end && times > 0; at++)
		if (memcmp(at, word, strlen(word)) == 0) {
			memcpy(at, words[kind - 7][1], strlen(word));
			times--;
		}
}

/* Each is refused in a line that names the file, or read; what is read can be loaded or is refused. */
static void
broken_files_never_do_harm(void **state)
{
	static const char *const from[] = { "lora/pytorch_lora_weights.safetensors", "lora_variants/kohya_alpha.safetensors",
		"lora_variants/mixed_down_up_no_alpha.safetensors" };
	const struct adapter_load_options o = { .ignore_unknown = true };
	const char *dir = golden_tmp();
	char *path = file_path("%s/broken.safetensors", dir);
	int refused = 0, read = 0, loaded = 0;
	struct dit_fixture d;

	(void)state;
	dit_fixture_open(&d, DEV_CPU, 1, NULL, false);
	for (uint64_t i = 0; i < 450; i++) {
		struct adapter_file f;
		enum status st;
		size_t size;
		char *data;
		FILE *out;
		double norm;
		assert_ok(file_read(golden_path(DIT_SET, from[i % 3]), 1 << 28, &data, &size));
		mutate(data, &size, rng_stream(11, RNG_TEST, 0, 0), i);
		out = fopen(path, "wb");
		assert_true(out && fwrite(data, 1, size, out) == size && fclose(out) == 0);
		free(data);
		if (adapter_file_open(&f, path, NULL) == ACE_OK) {
			for (int k = 0; k < f.n && k < 2; k++)
				assert_ok(adapter_norm(&f.module[k], &norm));
			adapter_file_close(&f);
		}
		if ((st = adapter_file_open(&f, path, &d.m.params)) != ACE_OK) {
			if (st != ACE_EDATA || !strstr(ace_message(), "broken.safetensors"))
				fail_msg("mutation %d: %d, %s", (int)i, st, ace_message());
			refused++;
			continue;
		}
		read++;
		loaded += adapter_load(&d.m.params, &f, &o, NULL) == ACE_OK;
		adapter_file_close(&f);
	}
	assert_true(refused > 100 && read > 50 && loaded > 20);
	dit_fixture_close(&d);
	assert_ok(file_remove_tree(dir));
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_kinds_of_adapters_are_refused_by_name),
		cmocka_unit_test(tensors_that_do_not_fit_each_other_are_refused),
		cmocka_unit_test(an_alpha_is_one_finite_number),
		cmocka_unit_test(metadata_must_be_a_lora_s),
		cmocka_unit_test(a_scale_comes_from_tensor_metadata_or_is_one),
		cmocka_unit_test(keys_without_a_module_are_listed),
		cmocka_unit_test(sizes_and_values_must_suit_the_model),
		cmocka_unit_test(a_file_that_is_not_there_is_named),
		cmocka_unit_test(broken_files_never_do_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
