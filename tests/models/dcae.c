/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dcae.h"

#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* audio_codec.md section 10: raw latents absolute, block outputs relative to the block's largest value */
#define LATENT_TOL 2e-4
#define BLOCK_TOL 2e-5

static struct tensor
encode(struct dcae *m, struct dev *d, struct tensor mel)
{
	int shrink = 1 << (m->config.encoder.stages - 1);
	int64_t rows = mel.dim[mel.rank - 2], frames = mel.dim[mel.rank - 1];
	struct tensor z = tensor_of(NULL, F32, 3, m->config.latent, rows / shrink, frames / shrink);
	struct arena act = { 0 };
	struct ctx c = { .dev = d, .act = &act };
	struct dev dry;
	struct ctx plan = { .dev = &dry, .act = &act };
	void (*tap)(void *, const char *, struct tensor) = m->tap;

	mel = tensor_view(mel, 3, m->config.channels, rows, frames);
	assert_ok(dev_open(&dry, DEV_DRY, 1));
	kernels_attach(&dry);
	m->tap = NULL;
	dcae_encode(&plan, m, z, tensor_of(NULL, F32, 3, mel.dim[0], rows, frames));
	m->tap = tap;
	size_t planned = act.peak;
	act = (struct arena){ .base = malloc(planned), .size = planned };
	z.data = malloc(tensor_bytes(z));
	assert_non_null(act.base);
	assert_non_null(z.data);
	dcae_encode(&c, m, z, mel);
	assert_int_equal(act.peak, planned);
	assert_int_equal(act.used, 0);
	free(act.base);
	return z;
}

static void
open_in(struct dcae *m, struct dev *d, enum dev_kind kind, int threads, enum dtype dtype)
{
	assert_ok(dev_open(d, kind, threads));
	kernels_attach(d);
	assert_ok(dcae_open(m, golden_path("dcae-tiny", "music_dcae_f8c8"), dtype, d));
}

static void
open_on(struct dcae *m, struct dev *d, enum dev_kind kind, int threads)
{
	open_in(m, d, kind, threads, F32);
}

static void
absolute(const char *what, struct tensor got, struct tensor want, double tol)
{
	const float *g = got.data, *w = want.data;

	assert_int_equal(tensor_count(got), tensor_count(want));
	for (int64_t i = 0; i < tensor_count(got); i++)
		if (!(fabs((double)g[i] - (double)w[i]) <= tol))
			fail_msg("%s: entry %lld is %.9g, wanted %.9g within %g", what, (long long)i, (double)g[i], (double)w[i], tol);
}

struct watch {
	struct st_file *f;
	int seen;
	double worst;
};

/* The fixture keeps the linear layers' and the norms' outputs with channels last. */
static bool
channels_last(const char *name)
{
	static const char *const ends[] = { ".to_q", ".to_k", ".to_v", ".to_out", ".norm", ".norm_out" };
	const char *end = strrchr(name, '.');

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (end && strcmp(end, ends[i]) == 0)
			return true;
	return false;
}

static void
compare(void *me, const char *name, struct tensor x)
{
	struct watch *w = me;
	struct tensor want;

	if (!st_find(w->f, name))
		return;
	want = golden_f32(w->f, name);
	assert_int_equal(tensor_count(want), tensor_count(x));
	if (channels_last(name)) {
		int64_t n = x.dim[1] * x.dim[2], c = x.dim[0];
		float *turned = malloc(tensor_bytes(want) + 4), *p = want.data;
		assert_non_null(turned);
		assert_int_equal(want.dim[want.rank - 1], c);
		for (int64_t i = 0; i < n; i++)
			for (int64_t j = 0; j < c; j++)
				turned[j * n + i] = p[i * c + j];
		free(want.data);
		want.data = turned;
	} else {
		assert_int_equal(want.dim[want.rank - 3], x.dim[0]);
	}
	double e = golden_error(x.data, want.data, tensor_count(x));
	w->worst = e > w->worst ? e : w->worst;
	golden_close(name, x.data, want.data, tensor_count(x), BLOCK_TOL);
	w->seen++;
	free(want.data);
}

static void
follow(enum dev_kind kind)
{
	struct st_file f;
	struct watch w = { .f = &f };
	struct dcae m;
	struct dev d;
	int wanted = 0;

	golden_open(&f, "dcae-tiny", "main.safetensors");
	open_on(&m, &d, kind, 2);
	m.tap = compare;
	m.me = &w;
	struct tensor mel = golden_f32(&f, "mel"), want = golden_f32(&f, "latents");
	struct tensor z = encode(&m, &d, mel);
	absolute("latents", z, want, LATENT_TOL);
	for (int i = 0; i < f.n; i++)
		wanted += strncmp(f.entry[i].name, "encoder.", 8) == 0;
	assert_int_equal(w.seen, wanted);
	print_message("# %d intermediates, worst error %.2g of the largest entry\n", w.seen, w.worst);
	free(z.data);
	free(mel.data);
	free(want.data);
	dcae_close(&m);
	dev_close(&d);
	st_close(&f);
}

static void
every_intermediate_of_the_encoder_is_the_references_on_ref(void **state)
{
	(void)state;
	follow(DEV_REF);
}

static void
every_intermediate_of_the_encoder_is_the_references_on_cpu(void **state)
{
	(void)state;
	follow(DEV_CPU);
}

static void
clips_of_every_length_give_the_references_latents(void **state)
{
	cJSON *manifest = golden_json("dcae-tiny", "manifest.json"), *group, *one;
	struct st_file f;
	struct dcae m;
	struct dev d;
	int n = 0;

	(void)state;
	golden_open(&f, "dcae-tiny", "lengths.safetensors");
	open_on(&m, &d, DEV_CPU, 2);
	group = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(manifest, "lengths"), "cases");
	cJSON_ArrayForEach(one, group) {
		int frames = (int)cJSON_GetObjectItemCaseSensitive(one, "latent_frames")->valuedouble;
		char name[64];
		snprintf(name, sizeof name, "w%d.mel", frames);
		struct tensor mel = golden_f32(&f, name), z = encode(&m, &d, mel);
		snprintf(name, sizeof name, "w%d.latents", frames);
		struct tensor want = golden_f32(&f, name);
		absolute(name, z, want, LATENT_TOL);
		free(mel.data);
		free(want.data);
		free(z.data);
		n++;
	}
	assert_true(n > 0);
	cJSON_Delete(manifest);
	dcae_close(&m);
	dev_close(&d);
	st_close(&f);
}

static void
latents_do_not_depend_on_the_number_of_threads(void **state)
{
	struct st_file f;
	struct tensor z[3];

	(void)state;
	golden_open(&f, "dcae-tiny", "main.safetensors");
	struct tensor mel = golden_f32(&f, "mel");
	for (int i = 0; i < 3; i++) {
		struct dcae m;
		struct dev d;
		open_on(&m, &d, DEV_CPU, i + 1);
		z[i] = encode(&m, &d, mel);
		dcae_close(&m);
		dev_close(&d);
	}
	for (int i = 1; i < 3; i++)
		assert_memory_equal(z[i].data, z[0].data, tensor_bytes(z[0]));
	for (int i = 0; i < 3; i++)
		free(z[i].data);
	free(mel.data);
	st_close(&f);
}

/* --- in bf16 --- */

/* In norm. Weights, activations and the residual stream are rounded to 8 bits, some 60 roundings of at most 2^-9 one behind the other:
 * as if at random, that is 60^0.5 2^-9 = 1.5 %. */
#define HALF_TOL 0.02

static void
compare_half(void *me, const char *name, struct tensor x)
{
	struct watch *w = me;
	struct tensor want;
	int64_t c = x.dim[2], n = x.dim[0] * x.dim[1];
	float *turned;
	double e;

	if (!st_find(w->f, name))
		return;
	want = golden_f32(w->f, name);
	assert_int_equal(tensor_count(want), tensor_count(x));
	assert_int_equal(want.dim[want.rank - 3], c);
	turned = malloc(tensor_bytes(want) + 4);
	assert_non_null(turned);
	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j < c; j++)
			turned[j * n + i] = bf16_to_f32(((const uint16_t *)x.data)[i * c + j]);
	e = golden_norm_error(turned, want.data, tensor_count(want));
	w->worst = e > w->worst ? e : w->worst;
	if (!(e <= HALF_TOL))
		fail_msg("%s: error %.3g of the norm", name, e);
	w->seen++;
	free(turned);
	free(want.data);
}

static void
in_bf16_every_block_is_near_the_references(void **state)
{
	struct st_file f;
	struct watch w = { .f = &f };
	struct dcae m;
	struct dev d;

	(void)state;
	golden_open(&f, "dcae-tiny", "main.safetensors");
	open_in(&m, &d, DEV_REF, 1, BF16);
	m.tap = compare_half;
	m.me = &w;
	struct tensor mel = golden_f32(&f, "mel"), want = golden_f32(&f, "latents"), z = encode(&m, &d, mel);
	double e = golden_norm_error(z.data, want.data, tensor_count(z));
	print_message("# bf16: %d blocks, worst error %.2g of the norm, of the latents %.2g\n", w.seen, w.worst, e);
	assert_true(w.seen > 0 && e <= HALF_TOL);
	free(z.data);
	free(mel.data);
	free(want.data);
	dcae_close(&m);
	dev_close(&d);
	st_close(&f);
}

static void
in_bf16_clips_of_every_length_are_near_the_references(void **state)
{
	cJSON *manifest = golden_json("dcae-tiny", "manifest.json"), *group, *one;
	struct st_file f;
	struct dcae m;
	struct dev d;

	(void)state;
	golden_open(&f, "dcae-tiny", "lengths.safetensors");
	open_in(&m, &d, DEV_CPU, 2, BF16);
	group = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(manifest, "lengths"), "cases");
	cJSON_ArrayForEach(one, group) {
		int frames = (int)cJSON_GetObjectItemCaseSensitive(one, "latent_frames")->valuedouble;
		char name[64];
		snprintf(name, sizeof name, "w%d.mel", frames);
		struct tensor mel = golden_f32(&f, name), z = encode(&m, &d, mel);
		snprintf(name, sizeof name, "w%d.latents", frames);
		struct tensor want = golden_f32(&f, name);
		double e = golden_norm_error(z.data, want.data, tensor_count(z));
		print_message("# bf16, %d frames: %.2g of the norm\n", frames, e);
		if (!(e <= HALF_TOL))
			fail_msg("%s: error %.3g of the norm", name, e);
		free(mel.data);
		free(want.data);
		free(z.data);
	}
	cJSON_Delete(manifest);
	dcae_close(&m);
	dev_close(&d);
	st_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_intermediate_of_the_encoder_is_the_references_on_ref),
		cmocka_unit_test(every_intermediate_of_the_encoder_is_the_references_on_cpu),
		cmocka_unit_test(clips_of_every_length_give_the_references_latents),
		cmocka_unit_test(latents_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(in_bf16_every_block_is_near_the_references),
		cmocka_unit_test(in_bf16_clips_of_every_length_are_near_the_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
