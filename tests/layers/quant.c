/* SPDX-License-Identifier: Apache-2.0 */
/* Frozen weights in 8 bits: to the bit as the reference's (fixture quanto-int8), through a layer and back; e4m3 */
#include "layers/linear.h"

#include "kernels/kernels.h"
#include "models/params.h"
#include "ops/quant.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SET "quanto-int8"

static const struct tensor none;

static const char *
text_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsString(v))
		fail_msg("manifest.json: no text %s", key);
	return v->valuestring;
}

static const cJSON *
list_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsArray(v))
		fail_msg("manifest.json: no list %s", key);
	return v;
}

/* A tensor of the file, as it is stored there; NULL data when it is not there. */
static struct tensor
stored(const struct st_file *f, const char *part, const char *module, const char *ending)
{
	const struct st_entry *e;
	char name[160];

	snprintf(name, sizeof name, "%s.%s%s", part, module, ending);
	e = st_find(f, name);
	return e ? e->value : none;
}

static void *
room(size_t bytes)
{
	void *p = calloc(1, bytes + 64);

	assert_non_null(p);
	return p;
}

/* The weight of a module made and undone on d, compared to the bit; what was made goes to *q and *scale. */
static void
made_as_stored(struct dev *d, const struct st_file *f, const char *module, struct tensor *q, struct tensor *scale)
{
	struct tensor w = stored(f, "orig", module, ".weight"), want = stored(f, "state", module, ".weight._data");
	struct tensor scales = stored(f, "state", module, ".weight._scale"), undone = stored(f, "dequant", module, ".weight");
	struct tensor back;

	assert_true(w.data && want.data && scales.data && undone.data && want.dtype == I8 && scales.dtype == w.dtype);
	w = tensor_view(w, 2, w.dim[0], tensor_count(w) / w.dim[0]);
	*q = w, *scale = tensor_of(NULL, w.dtype, 1, w.dim[0]), back = w;
	q->dtype = I8;
	q->data = room(tensor_bytes(*q));
	scale->data = room(tensor_bytes(*scale));
	back.data = room(tensor_bytes(back));
	quant_make(d, *q, *scale, w);
	quant_undo(d, back, *q, *scale, none, none);
	assert_int_equal(tensor_count(scales), w.dim[0]);
	assert_memory_equal(q->data, want.data, tensor_bytes(*q));
	assert_memory_equal(scale->data, scales.data, tensor_bytes(*scale));
	assert_memory_equal(back.data, undone.data, tensor_bytes(back));
	free(back.data);
}

static void
bits_and_scales_are_the_references(void **state)
{
	cJSON *manifest = golden_json(SET, "manifest.json");
	const cJSON *c, *m;
	int compared = 0;

	(void)state;
	cJSON_ArrayForEach(c, list_of(manifest, "cases"))
		for (int kind = 0; kind < 2; kind++) {
			struct st_file f;
			struct dev d;
			golden_open(&f, SET, text_of(c, "file"));
			assert_ok(dev_open(&d, kind ? DEV_CPU : DEV_REF, 2));
			kernels_attach(&d);
			cJSON_ArrayForEach(m, list_of(c, "quantised_modules")) {
				struct tensor q, scale;
				made_as_stored(&d, &f, m->valuestring, &q, &scale);
				free(q.data);
				free(scale.data);
				compared++;
			}
			dev_close(&d);
			st_close(&f);
		}
	assert_true(compared > 0);
	cJSON_Delete(manifest);
}

/* A layer whose weight is in 8 bits; of F16 undone beforehand, as no layer takes it. */
static void
layer_of(struct dev *d, const struct st_file *f, const char *module, struct linear *l)
{
	struct tensor b = stored(f, "orig", module, ".bias"), q, scale;
	char name[96];

	*l = (struct linear){ 0 };
	made_as_stored(d, f, module, &q, &scale);
	l->w.value = q;
	l->w.scale = scale;
	if (scale.dtype == F16) {
		snprintf(name, sizeof name, "dequant.%s.weight", module);
		free(q.data);
		free(scale.data);
		l->w.value = golden_f32(f, name);
		l->w.value = tensor_view(l->w.value, 2, q.dim[0], q.dim[1]);
		l->w.scale = none;
	}
	if (b.data) {
		snprintf(name, sizeof name, "orig.%s.bias", module);
		l->b.value = golden_f32(f, name);
	}
}

static void
layer_free(struct linear *l)
{
	free(l->w.value.data);
	free(l->w.scale.data);
	free(l->b.value.data);
}

struct trial {
	struct dev d;
	struct arena act;
	struct ctx c;
	struct st_file f;
	double rounding;		/* of the stored results, of the largest entry */
};

static void
trial_open(struct trial *t, const cJSON *c)
{
	const char *type = text_of(c, "dtype");

	*t = (struct trial){ .act = { .base = aligned_alloc(256, 1 << 20), .size = 1 << 20 } };
	assert_non_null(t->act.base);
	golden_open(&t->f, SET, text_of(c, "file"));
	assert_ok(dev_open(&t->d, DEV_CPU, 1));
	kernels_attach(&t->d);
	t->c = (struct ctx){ .dev = &t->d, .act = &t->act, .training = true, .half = F32 };
	t->rounding = strcmp(type, "float32") == 0 ? 2e-6 : strcmp(type, "bfloat16") == 0 ? 0x1p-7 : 0x1p-10;
}

static void
trial_close(struct trial *t)
{
	free(t->act.base);
	dev_close(&t->d);
	st_close(&t->f);
}

static void
is_close(struct trial *t, const char *name, struct tensor got, double tol)
{
	struct tensor want = golden_f32(&t->f, name);

	assert_int_equal(tensor_count(want), tensor_count(got));
	golden_close(name, got.data, want.data, tensor_count(got), tol);
	free(want.data);
}

/* y = x (scale q)^T + b and the gradient of x; with an adapter on top. */
static void
a_layer_multiplies_by_the_undone_matrix(void **state)
{
	cJSON *manifest = golden_json(SET, "manifest.json");
	const cJSON *c;

	(void)state;
	cJSON_ArrayForEach(c, list_of(manifest, "cases")) {
		struct tensor x, gy, y, gx;
		struct linear l;
		struct trial t;
		trial_open(&t, c);
		layer_of(&t.d, &t.f, "to_q", &l);
		x = golden_f32(&t.f, "lin.x");
		gy = golden_f32(&t.f, "lin.gy");
		y = gy, gx = x;
		y.data = room(tensor_bytes(y));
		gx.data = room(tensor_bytes(gx));
		linear_forward(&t.c, &l, NULL, y, x);
		assert_int_equal(t.act.used, 0);
		is_close(&t, "lin.y", y, t.rounding);
		if (l.w.scale.dtype == F32)		/* else it is of scale q not rounded */
			is_close(&t, "lin.y_float64", y, 1e-5);
		linear_backward(&t.c, &l, NULL, gx, gy, x, LINEAR_DX);
		assert_int_equal(t.act.used, 0);
		is_close(&t, "lin.gx", gx, t.rounding);
		l.lora_a.value = golden_f32(&t.f, "lora.A");
		l.lora_b.value = golden_f32(&t.f, "lora.B");
		l.rank = l.lora_a.value.dim[0];
		l.scale = (float)(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(c, "lora"), "alpha")->valuedouble /
		                  (double)l.rank);
		linear_forward(&t.c, &l, NULL, y, x);
		is_close(&t, "lora.y", y, t.rounding);
		free(l.lora_a.value.data);
		free(l.lora_b.value.data);
		free(x.data);
		free(gy.data);
		free(y.data);
		free(gx.data);
		layer_free(&l);
		trial_close(&t);
	}
	cJSON_Delete(manifest);
}

/* One output row has one scale; a convolution is a product of patches: its stride is its size. */
static void
one_row_and_patches_are_layers_too(void **state)
{
	cJSON *manifest = golden_json(SET, "manifest.json");
	const cJSON *c;

	(void)state;
	cJSON_ArrayForEach(c, list_of(manifest, "cases")) {
		struct tensor x, y, w, all, patch, out;
		struct linear l;
		struct trial t;
		int64_t B, C, H, W, kh, O;
		trial_open(&t, c);
		layer_of(&t.d, &t.f, "one_row", &l);
		x = golden_f32(&t.f, "lin.x");
		y = golden_f32(&t.f, "one_row.y");
		linear_forward(&t.c, &l, NULL, y, x);
		is_close(&t, "one_row.y", y, t.rounding);
		layer_free(&l);
		free(x.data);
		free(y.data);
		layer_of(&t.d, &t.f, "patch", &l);
		w = stored(&t.f, "orig", "patch", ".weight");
		x = golden_f32(&t.f, "conv.x");
		all = golden_f32(&t.f, "conv.y");
		B = x.dim[0], C = x.dim[1], H = x.dim[2], W = x.dim[3], kh = w.dim[2], O = w.dim[0];
		assert_true(w.dim[1] == C && w.dim[3] == 1 && all.dim[2] * kh == H && all.dim[3] == W);
		patch = tensor_of(room((size_t)(B * H * W * C) * 4), F32, 2, B * (H / kh) * W, C * kh);
		out = tensor_of(room((size_t)(B * (H / kh) * W * O) * 4), F32, 2, B * (H / kh) * W, O);
		for (int64_t i = 0; i < tensor_count(x); i++) {
			int64_t col = i % W, h = i / W % H, ch = i / W / H % C, b = i / W / H / C;
			((float *)patch.data)[((b * (H / kh) + h / kh) * W + col) * C * kh + ch * kh + h % kh] = ((float *)x.data)[i];
		}
		linear_forward(&t.c, &l, NULL, out, patch);
		for (int64_t i = 0; i < tensor_count(all); i++) {
			int64_t col = i % W, h = i / W % (H / kh), o = i / W / (H / kh) % O, b = i / W / (H / kh) / O;
			((float *)all.data)[i] = ((float *)out.data)[((b * (H / kh) + h) * W + col) * O + o];
		}
		is_close(&t, "conv.y", all, t.rounding);
		layer_free(&l);
		free(x.data);
		free(all.data);
		free(patch.data);
		free(out.data);
		trial_close(&t);
	}
	cJSON_Delete(manifest);
}

static int
dimensions(const char *type)
{
	return strcmp(type, "Linear") == 0 ? 2 : strcmp(type, "Conv1d") == 0 ? 3 : strcmp(type, "Conv2d") == 0 ? 4 : 0;
}

static void
the_modules_covered_are_the_references(void **state)
{
	cJSON *manifest = golden_json(SET, "manifest.json");
	const cJSON *network = cJSON_GetObjectItemCaseSensitive(manifest, "network"), *m;
	struct params ps;
	int n = 0;

	(void)state;
	params_init(&ps, NULL, NULL, BF16);
	ps.base = I8;
	cJSON_ArrayForEach(m, list_of(network, "quantised")) {
		const char *name = text_of(m, "name");
		int rank = dimensions(text_of(m, "type"));
		n++;
		if (rank == 0 || !params_quantizes(&ps, name, rank))
			fail_msg("%s is left as it is", name);
		ps.left = "lyric_";
		assert_int_equal(params_quantizes(&ps, name, rank), strncmp(name, "lyric_", 6) != 0);
		ps.left = NULL;
	}
	cJSON_ArrayForEach(m, list_of(network, "left")) {
		int rank = dimensions(text_of(m, "type"));
		n++;
		assert_false(rank && params_quantizes(&ps, text_of(m, "name"), rank));
		ps.quantize_conv1d = true;
		assert_true(!rank || params_quantizes(&ps, text_of(m, "name"), rank));
		ps.quantize_conv1d = false;
	}
	assert_true(n > 0);
	ps.base = BF16;
	assert_false(params_quantizes(&ps, "lyric_proj", 2));
	cJSON_Delete(manifest);
}

/* All 256 e4m3 numbers come back from themselves, and what lies between goes to the nearer one, halves to the even one. */
static void
e4m3_rounds_to_the_nearest(void **state)
{
	(void)state;
	for (int i = 0; i < 0x7e; i++) {
		float a = f8_to_f32((uint8_t)i), b = f8_to_f32((uint8_t)(i + 1)), half = (a + b) / 2;
		assert_true(b > a && f32_to_f8(a) == i && f32_to_f8(-a) == (i | 0x80));
		assert_int_equal(f32_to_f8(half), i % 2 ? i + 1 : i);
		assert_int_equal(f32_to_f8(nextafterf(half, a)), i);
		assert_int_equal(f32_to_f8(nextafterf(half, b)), i + 1);
	}
	assert_true(f8_to_f32(0x7e) == 448.f && f8_to_f32(1) == 0x1p-9f && f32_to_f8(1e9f) == 0x7e && f32_to_f8(-INFINITY) == 0xfe);
	assert_true(isnan(f8_to_f32(0x7f)) && isnan(f8_to_f32(0xff)) && f32_to_f8(NAN) == 0x7f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_and_scales_are_the_references),
		cmocka_unit_test(a_layer_multiplies_by_the_undone_matrix),
		cmocka_unit_test(one_row_and_patches_are_layers_too),
		cmocka_unit_test(the_modules_covered_are_the_references),
		cmocka_unit_test(e4m3_rounds_to_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
