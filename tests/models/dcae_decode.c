/* SPDX-License-Identifier: Apache-2.0 */
#include "models/codec_fixture.h"

#include "kernels/kernels.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>

/* audio_codec.md section 10: the mel, absolute */
#define MEL_TOL 5e-5

static struct tensor
decode(struct dcae *m, struct dev *d, struct tensor z)
{
	int up = 1 << (m->config.decoder.stages - 1);
	int64_t rows = z.dim[z.rank - 2], frames = z.dim[z.rank - 1];
	struct tensor mel = tensor_of(NULL, F32, 3, m->config.channels, rows * up, frames * up);

	return fixture_run(m, d, dcae_decode, mel, tensor_view(z, 3, m->config.latent, rows, frames));
}

static void
open_on(struct dcae *m, struct dev *d, enum dev_kind kind, int threads)
{
	assert_ok(dev_open(d, kind, threads));
	kernels_attach(d);
	assert_ok(dcae_decoder_open(m, golden_path("dcae-tiny", "music_dcae_f8c8"), d));
}

static void
absolute(const char *what, struct tensor got, struct tensor want)
{
	assert_int_equal(tensor_count(got), tensor_count(want));
	fixture_close(what, got.data, want.data, tensor_count(got), MEL_TOL);
}

static void
follow(enum dev_kind kind)
{
	struct st_file f;
	struct fixture_watch w = { .f = &f };
	struct tensor z, want, mel;
	struct dcae m;
	struct dev d;

	golden_open(&f, "dcae-tiny", "main.safetensors");
	open_on(&m, &d, kind, 2);
	m.tap = fixture_compare;
	m.me = &w;
	z = golden_f32(&f, "latents");
	want = golden_f32(&f, "decoded");
	mel = decode(&m, &d, z);
	absolute("decoded", mel, want);
	fixture_all_seen(&w, "decoder.");
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
		absolute(out, mel, want);
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
