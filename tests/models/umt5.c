/* SPDX-License-Identifier: Apache-2.0 */
#include "models/umt5.h"

#include "base/file.h"
#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything a test needs: the reference's tensors, a device, the model in a type. */
struct bench {
	struct st_file f;
	struct dev d;
	struct umt5 m;
	const char *group;		/* of the intermediates: "batch" */
	double tol;			/* < 0: norm of the error instead */
	int told;
};

static void
start(struct bench *b, enum dev_kind kind, enum dtype dtype)
{
	*b = (struct bench){ .group = "batch", .tol = 1e-4 };
	golden_open(&b->f, "umt5-tiny", "activations.safetensors");
	assert_ok(dev_open(&b->d, kind, 2));
	kernels_attach(&b->d);
	assert_ok(umt5_open(&b->m, golden_path("umt5-tiny", "umt5"), dtype, &b->d));
}

static void
stop(struct bench *b)
{
	umt5_close(&b->m);
	dev_close(&b->d);
	st_close(&b->f);
}

static void
compare(struct bench *b, const char *name, const float *got, int64_t n)
{
	struct tensor want = golden_f32(&b->f, name);
	double worst = 0;

	assert_int_equal(tensor_count(want), n);
	if (b->tol < 0) {
		worst = golden_norm_error(got, want.data, n);
		if (!(worst <= -b->tol))
			fail_msg("%s: the error's norm is %.3g of the whole, at most %.3g is right", name,
				 worst, -b->tol);
	} else {
		for (int64_t i = 0; i < n; i++) {
			double e = fabs((double)got[i] - (double)((float *)want.data)[i]);
			worst = e <= worst ? worst : e;
		}
		if (!(worst <= b->tol))
			fail_msg("%s: error %.3g, at most %.3g is right", name, worst, b->tol);
	}
	free(want.data);
}

static void
tap(void *me, const char *name, struct tensor x)
{
	struct bench *b = me;
	char text[128];

	snprintf(text, sizeof text, "%s.%s", b->group, name);
	if (!st_find(&b->f, text))
		return;
	b->told++;
	compare(b, text, x.data, tensor_count(x));
}

/* Intermediates of the group in the file, but the one that stays inside a kernel. */
static int
intermediates(const struct bench *b)
{
	int n = 0;

	for (int i = 0; i < b->f.n; i++) {
		const char *name = b->f.entry[i].name, *last = strrchr(name, '.');
		size_t k = strlen(b->group);
		n += strncmp(name, b->group, k) == 0 && strncmp(name + k, ".block", 6) == 0 &&
		     strcmp(last, ".gelu") != 0;
	}
	return n;
}

/* Encode GROUP.input_ids and compare with TENSOR. */
static void
check_batch(struct bench *b, const char *ids_name, float tau, const char *tensor, bool taps)
{
	struct tensor ids = golden_i64(&b->f, ids_name), mask = { 0 };
	int64_t n = tensor_count(ids), B = ids.dim[0], T = ids.dim[1];
	int32_t *id = malloc((size_t)n * sizeof *id);
	float *m = malloc((size_t)n * sizeof *m), *out = malloc((size_t)(n * umt5_width(&b->m)) * sizeof *out);

	if (strncmp(ids_name, "batch.", 6) == 0)
		mask = golden_i64(&b->f, "batch.attention_mask");
	for (int64_t i = 0; i < n; i++) {
		id[i] = (int32_t)((int64_t *)ids.data)[i];
		m[i] = mask.data ? (float)((int64_t *)mask.data)[i] : 1.f;
	}
	b->m.tap = taps ? tap : NULL;
	b->m.me = b;
	assert_ok(umt5_encode_batch(&b->m, id, m, B, T, tau, out));
	compare(b, tensor, out, n * umt5_width(&b->m));
	if (taps)
		assert_int_equal(b->told, intermediates(b));
	free(ids.data);
	free(mask.data);
	free(id);
	free(m);
	free(out);
}

static void
a_padded_batch_is_the_reference_s_at_every_step(void **state)
{
	struct bench b;

	(void)state;
	for (int kind = DEV_REF; kind <= DEV_CPU; kind++) {
		start(&b, (enum dev_kind)kind, F32);
		check_batch(&b, "batch.input_ids", 1.f, "batch.last_hidden_state", true);
		stop(&b);
	}
}

static void
a_text_of_full_length_is_the_reference_s(void **state)
{
	struct bench b;

	(void)state;
	start(&b, DEV_CPU, F32);
	b.group = "long";
	check_batch(&b, "long.input_ids", 1.f, "long.last_hidden_state", true);
	stop(&b);
}

static void
the_empty_text_is_the_reference_s(void **state)
{
	const int32_t end = 1;
	struct bench b;
	float *out;

	(void)state;
	start(&b, DEV_CPU, F32);
	out = malloc((size_t)umt5_width(&b.m) * sizeof *out);
	assert_ok(umt5_encode(&b.m, &end, 1, out));
	compare(&b, "empty.last_hidden_state", out, umt5_width(&b.m));
	free(out);
	stop(&b);
}

static void
the_weakened_copy_is_the_reference_s(void **state)
{
	struct bench b;

	(void)state;
	start(&b, DEV_CPU, F32);
	check_batch(&b, "batch.input_ids", UMT5_ERG_TAU, "batch.erg_last_hidden_state", false);
	stop(&b);
}

static void
bf16_is_within_3_percent_in_norm(void **state)
{
	struct bench b;

	(void)state;
	for (int kind = DEV_REF; kind <= DEV_CPU; kind++) {
		start(&b, (enum dev_kind)kind, BF16);
		b.group = "bf16";
		b.tol = -0.03;
		check_batch(&b, "batch.input_ids", 1.f, "bf16.last_hidden_state", true);
		stop(&b);
	}
}

static void
one_text_alone_equals_its_row_of_a_batch(void **state)
{
	const int32_t ids[] = { 7, 5, 9, 1, 6, 1, 0, 0 };
	const float mask[] = { 1, 1, 1, 1, 1, 1, 0, 0 };
	struct bench b;
	float *both, *one;
	int64_t w;

	(void)state;
	start(&b, DEV_CPU, F32);
	w = umt5_width(&b.m);
	both = malloc((size_t)(8 * w) * sizeof *both);
	one = malloc((size_t)(2 * w) * sizeof *one);
	assert_ok(umt5_encode_batch(&b.m, ids, mask, 2, 4, 1.f, both));
	assert_ok(umt5_encode(&b.m, ids + 4, 2, one));
	for (int64_t i = 0; i < 2 * w; i++)
		assert_true(fabsf(one[i] - both[4 * w + i]) <= 2e-6f * (1.f + fabsf(one[i])));
	free(both);
	free(one);
	stop(&b);
}

static void
buckets_are_the_reference_s(void **state)
{
	struct tensor r, want;
	struct bench b;

	(void)state;
	start(&b, DEV_REF, F32);
	r = golden_i64(&b.f, "bucket.relative_position");
	want = golden_i64(&b.f, "bucket.index");
	for (int64_t i = 0; i < tensor_count(r); i++)
		assert_int_equal(text_bucket(((int64_t *)r.data)[i], b.m.config.buckets, b.m.config.distance),
				 ((int64_t *)want.data)[i]);
	free(r.data);
	free(want.data);
	stop(&b);
}

static void
the_table_is_read_where_the_file_is_mapped(void **state)
{
	struct bench b;
	const char *p;

	(void)state;
	for (int k = 0; k < 2; k++) {
		start(&b, DEV_CPU, k ? BF16 : F32);
		p = b.m.table.data;
		assert_true(p >= (char *)b.m.weights.file[0].map &&
			    p < (char *)b.m.weights.file[0].map + b.m.weights.file[0].size);
		stop(&b);
	}
}

static void
an_id_outside_the_table_is_refused(void **state)
{
	struct bench b;
	int32_t ids[] = { 5, 0 };
	float *out;

	(void)state;
	start(&b, DEV_CPU, F32);
	out = malloc((size_t)(2 * umt5_width(&b.m)) * sizeof *out);
	ids[1] = (int32_t)b.m.config.rows;
	assert_int_equal(umt5_encode(&b.m, ids, 2, out), ACE_EDATA);
	ids[1] = -1;
	assert_int_equal(umt5_encode(&b.m, ids, 2, out), ACE_EDATA);
	free(out);
	stop(&b);
}

static void
encoding_uses_exactly_the_measured_memory(void **state)
{
	struct bench b;
	struct arena a = { 0 };
	struct ctx c;
	int32_t ids[12] = { 3, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 1 };
	float mask[12], *out;

	(void)state;
	start(&b, DEV_CPU, F32);
	c = (struct ctx){ .dev = &b.d, .act = &a };
	for (int i = 0; i < 12; i++)
		mask[i] = 1.f;
	out = malloc((size_t)(12 * umt5_width(&b.m)) * sizeof *out);
	a.size = umt5_memory(&b.m, 2, 6);
	a.base = aligned_alloc(ARENA_ALIGN, a.size);
	umt5_forward(&c, &b.m, tensor_of(out, F32, 3, 2, 6, umt5_width(&b.m)), tensor_of(ids, I32, 2, 2, 6),
	             tensor_of(mask, F32, 2, 2, 6), 1.f);
	assert_int_equal(a.peak, a.size);
	assert_int_equal(a.used, 0);
	free(a.base);
	free(out);
	stop(&b);
}

/* A copy of the fixture's folder whose config.json has text in place of a part, and whose tensors are those
 * that keep says. */
static void
copy_model(const char *dir, const char *from, const char *to, bool (*keep)(const char *name), const char *table)
{
	char *config = file_path("%s/config.json", golden_path("umt5-tiny", "umt5")), *text, *at, *path;
	struct st_item item[4096];
	struct st_file f;
	size_t size;
	int n = 0;

	assert_ok(file_read(config, 1 << 20, &text, &size));
	at = from ? strstr(text, from) : text;
	assert_non_null(at);
	free(config);
	config = from ? file_path("%.*s%s%s", (int)(at - text), text, to, at + strlen(from)) : file_path("%s", text);
	text_file(dir, "config.json", config);
	golden_open(&f, "umt5-tiny", "umt5/model.safetensors");
	for (int i = 0; i < f.n && n < 4095; i++)
		if (keep(f.entry[i].name))
			item[n++] = (struct st_item){ f.entry[i].name, f.entry[i].value };
	if (table)
		item[n++] = (struct st_item){ table, st_find(&f, "shared.weight")->value };
	path = file_path("%s/model.safetensors", dir);
	assert_ok(st_write(path, item, n, NULL, 0));
	st_close(&f);
	free(config);
	free(text);
	free(path);
}

static bool
all(const char *name)
{
	(void)name;
	return true;
}

static bool
no_table(const char *name)
{
	return strcmp(name, "shared.weight") != 0 && strcmp(name, "encoder.embed_tokens.weight") != 0;
}

static bool
no_bias_in_block_1(const char *name)
{
	return !strstr(name, "block.1.layer.0.SelfAttention.relative_attention_bias");
}

static void
the_table_may_have_either_name(void **state)
{
	const char *dir = golden_tmp();
	struct umt5 m;
	struct dev d;

	(void)state;
	assert_ok(dev_open(&d, DEV_CPU, 1));
	kernels_attach(&d);
	copy_model(dir, NULL, NULL, no_table, "encoder.embed_tokens.weight");
	assert_ok(umt5_open(&m, dir, F32, &d));
	umt5_close(&m);
	copy_model(dir, NULL, NULL, no_table, NULL);
	assert_int_equal(umt5_open(&m, dir, F32, &d), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "shared.weight"));
	assert_ok(file_remove_tree(dir));
}

static void
bad_models_are_refused_by_name(void **state)
{
	static const struct {
		const char *from, *to, *word;
		bool (*keep)(const char *);
	} bad[] = {
		{ "gated-gelu", "relu", "feed_forward_proj", all },
		{ "\"d_model\"", "\"d_modell\"", "d_model", all },
		{ "\"num_layers\": ", "\"num_layers\": 9", "encoder.block.", all },
		{ "\"vocab_size\": ", "\"vocab_size\": 1", "shape", all },
		{ "\"d_kv\": ", "\"d_kv\": 1", "SelfAttention.q", all },
		{ NULL, NULL, "relative_attention_bias", no_bias_in_block_1 },
	};
	const char *dir = golden_tmp();
	struct umt5 m;
	struct dev d;

	(void)state;
	assert_ok(dev_open(&d, DEV_CPU, 1));
	kernels_attach(&d);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		copy_model(dir, bad[i].from, bad[i].to, bad[i].keep, NULL);
		if (umt5_open(&m, dir, F32, &d) == ACE_OK)
			fail_msg("was opened: %s -> %s", bad[i].from, bad[i].to);
		if (!strstr(ace_message(), bad[i].word) || !strstr(ace_message(), dir))
			fail_msg("says \"%s\", wanted \"%s\"", ace_message(), bad[i].word);
	}
	assert_int_equal(umt5_open(&m, golden_path("umt5-tiny", "umt5"), F16, &d), ACE_ECONFIG);
	assert_int_equal(umt5_open(&m, "/nonexistent", F32, &d), ACE_ENOINPUT);
	assert_ok(file_remove_tree(dir));
}

static void
the_hash_is_of_the_weights(void **state)
{
	struct bench b, other;

	(void)state;
	start(&b, DEV_CPU, F32);
	start(&other, DEV_CPU, BF16);
	assert_non_null(umt5_hash(&b.m));
	assert_int_equal(strlen(umt5_hash(&b.m)), 64);
	assert_string_equal(umt5_hash(&b.m), umt5_hash(&other.m));
	stop(&b);
	stop(&other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_padded_batch_is_the_reference_s_at_every_step),
		cmocka_unit_test(a_text_of_full_length_is_the_reference_s),
		cmocka_unit_test(the_empty_text_is_the_reference_s),
		cmocka_unit_test(the_weakened_copy_is_the_reference_s),
		cmocka_unit_test(bf16_is_within_3_percent_in_norm),
		cmocka_unit_test(one_text_alone_equals_its_row_of_a_batch),
		cmocka_unit_test(buckets_are_the_reference_s),
		cmocka_unit_test(the_table_is_read_where_the_file_is_mapped),
		cmocka_unit_test(an_id_outside_the_table_is_refused),
		cmocka_unit_test(encoding_uses_exactly_the_measured_memory),
		cmocka_unit_test(the_table_may_have_either_name),
		cmocka_unit_test(bad_models_are_refused_by_name),
		cmocka_unit_test(the_hash_is_of_the_weights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
