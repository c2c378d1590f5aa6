/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dcae.h"

#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* audio_codec.md section 10: the mel absolute, block outputs relative to the block's largest value */
#define MEL_TOL 5e-5
#define BLOCK_TOL 2e-5

static struct tensor
decode(struct dcae *m, struct dev *d, struct tensor z)
{
	int up = 1 << (m->config.decoder.stages - 1);
	int64_t rows = z.dim[z.rank - 2], frames = z.dim[z.rank - 1];
	struct tensor mel = tensor_of(NULL, F32, 3, m->config.channels, rows * up, frames * up);
	void (*tap)(void *, const char *, struct tensor) = m->tap;
	struct arena plan = { 0 }, act;
	struct dev dry;

	z = tensor_view(z, 3, m->config.latent, rows, frames);
	assert_ok(dev_open(&dry, DEV_DRY, 1));
	kernels_attach(&dry);
	m->tap = NULL;
	dcae_decode(&(struct ctx){ .dev = &dry, .act = &plan }, m, mel, z);
	m->tap = tap;
	act = (struct arena){ .base = malloc(plan.peak), .size = plan.peak };
	mel.data = malloc(tensor_bytes(mel));
	assert_non_null(act.base);
	assert_non_null(mel.data);
	dcae_decode(&(struct ctx){ .dev = d, .act = &act }, m, mel, z);
	assert_int_equal(d->status, ACE_OK);
	assert_int_equal(act.peak, plan.peak);
	assert_int_equal(act.used, 0);
	free(act.base);
	dev_close(&dry);
	return mel;
}

static void
open_on(struct dcae *m, struct dev *d, enum dev_kind kind, int threads)
{
	assert_ok(dev_open(d, kind, threads));
	kernels_attach(d);
	assert_ok(dcae_decoder_open(m, golden_path("dcae-tiny", "music_dcae_f8c8"), d));
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
	int64_t n = x.dim[1] * x.dim[2];
	struct tensor want;
	float *turned;
	double e;

	if (!st_find(w->f, name))
		return;
	want = golden_f32(w->f, name);
	assert_int_equal(tensor_count(want), tensor_count(x));
	turned = malloc(tensor_bytes(want) + 4);
	assert_non_null(turned);
	for (int64_t i = 0; i < tensor_count(x); i++)
		turned[i] = ((float *)want.data)[channels_last(name) ? i % n * x.dim[0] + i / n : i];
	e = golden_error(x.data, turned, tensor_count(x));
	w->worst = e > w->worst ? e : w->worst;
	golden_close(name, x.data, turned, tensor_count(x), BLOCK_TOL);
	w->seen++;
	free(turned);
	free(want.data);
}

static void
follow(enum dev_kind kind)
{
	struct st_file f;
	struct watch w = { .f = &f };
	struct tensor z, want, mel;
	struct dcae m;
	struct dev d;
	int wanted = 0;

	golden_open(&f, "dcae-tiny", "main.safetensors");
	open_on(&m, &d, kind, 2);
	m.tap = compare;
	m.me = &w;
	z = golden_f32(&f, "latents");
	want = golden_f32(&f, "decoded");
	mel = decode(&m, &d, z);
	absolute("decoded", mel, want, MEL_TOL);
	for (int i = 0; i < f.n; i++)
		wanted += strncmp(f.entry[i].name, "decoder.", 8) == 0;
	assert_int_equal(w.seen, wanted);
	print_message("# %d intermediates, worst error %.2g of the largest entry\n", w.seen, w.worst);
	free(z.data);
	free(want.data);
	free(mel.data);
	dcae_close(&m);
	dev_close(&d);
	st_close(&f);
}

static void
every_intermediate_of_the_decoder_is_the_references_on_ref(void **state)
{
	(void)state;
	follow(DEV_REF);
}

static void
every_intermediate_of_the_decoder_is_the_references_on_cpu(void **state)
{
	(void)state;
	follow(DEV_CPU);
}

static void
latents_of_every_length_give_the_references_mel(void **state)
{
	cJSON *manifest = golden_json("dcae-tiny", "manifest.json"), *one;
	struct st_file f;
	struct dcae m;
	struct dev d;
	int n = 0;

	(void)state;
	golden_open(&f, "dcae-tiny", "lengths.safetensors");
	open_on(&m, &d, DEV_CPU, 2);
	cJSON_ArrayForEach(one, cJSON_GetObjectItem(cJSON_GetObjectItem(manifest, "lengths"), "cases")) {
		int frames = cJSON_GetObjectItem(one, "latent_frames")->valueint;
		char in[64], out[64];
		struct tensor z, want, mel;
		snprintf(in, sizeof in, "w%d.decoder_in", frames);
		snprintf(out, sizeof out, "w%d.decoder_out", frames);
		if (!st_find(&f, in))
			continue;
		z = golden_f32(&f, in);
		want = golden_f32(&f, out);
		mel = decode(&m, &d, z);
		absolute(out, mel, want, MEL_TOL);
		free(z.data);
		free(want.data);
		free(mel.data);
		n++;
	}
	assert_true(n > 0);
	cJSON_Delete(manifest);
	dcae_close(&m);
	dev_close(&d);
	st_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_intermediate_of_the_decoder_is_the_references_on_ref),
		cmocka_unit_test(every_intermediate_of_the_decoder_is_the_references_on_cpu),
		cmocka_unit_test(latents_of_every_length_give_the_references_mel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
