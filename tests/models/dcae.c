/* SPDX-License-Identifier: Apache-2.0 */
#include "models/codec_fixture.h"

#include "kernels/kernels.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

/* audio_codec.md section 10: raw latents, absolute */
#define LATENT_TOL 2e-4

static struct tensor
encode(struct dcae *m, struct dev *d, struct tensor mel)
{
	int shrink = 1 << (m->config.encoder.stages - 1);
	int64_t rows = mel.dim[mel.rank - 2], frames = mel.dim[mel.rank - 1];
	struct tensor z = tensor_of(NULL, F32, 3, m->config.latent, rows / shrink, frames / shrink);

	return fixture_run(m, d, dcae_encode, z, tensor_view(mel, 3, m->config.channels, rows, frames));
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
absolute(const char *what, struct tensor got, struct tensor want)
{
	assert_int_equal(tensor_count(got), tensor_count(want));
	fixture_close(what, got.data, want.data, tensor_count(got), LATENT_TOL);
}

static void
follow(enum dev_kind kind)
{
	struct st_file f;
	struct fixture_watch w = { .f = &f };
	struct dcae m;
	struct dev d;

	golden_open(&f, "dcae-tiny", "main.safetensors");
	open_on(&m, &d, kind, 2);
	m.tap = fixture_compare;
	m.me = &w;
	struct tensor mel = golden_f32(&f, "mel"), want = golden_f32(&f, "latents");
	struct tensor z = encode(&m, &d, mel);
	absolute("latents", z, want);
	fixture_all_seen(&w, "encoder.");
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

/* Every clip of the fixture, in a dtype; close: compares its latents. */
static void
each_length(enum dtype dtype, void (*close)(const char *name, struct tensor z, struct tensor want))
{
	cJSON *manifest = golden_json("dcae-tiny", "manifest.json"), *one;
	struct st_file f;
	struct dcae m;
	struct dev d;
	int n = 0;

	golden_open(&f, "dcae-tiny", "lengths.safetensors");
	open_in(&m, &d, DEV_CPU, 2, dtype);
	cJSON_ArrayForEach(one, fixture_part(fixture_part(manifest, "lengths"), "cases")) {
		int frames = (int)fixture_part(one, "latent_frames")->valuedouble;
		char name[64];
		snprintf(name, sizeof name, "w%d.mel", frames);
		struct tensor mel = golden_f32(&f, name), z = encode(&m, &d, mel);
		snprintf(name, sizeof name, "w%d.latents", frames);
		struct tensor want = golden_f32(&f, name);
		close(name, z, want);
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
clips_of_every_length_give_the_references_latents(void **state)
{
	(void)state;
	each_length(F32, absolute);
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
	struct fixture_watch *w = me;
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
	struct fixture_watch w = { .f = &f };
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
half_near(const char *name, struct tensor z, struct tensor want)
{
	double e = golden_norm_error(z.data, want.data, tensor_count(z));

	print_message("# bf16, %s: %.2g of the norm\n", name, e);
	if (!(e <= HALF_TOL))
		fail_msg("%s: error %.3g of the norm", name, e);
}

static void
in_bf16_clips_of_every_length_are_near_the_references(void **state)
{
	(void)state;
	each_length(BF16, half_near);
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
