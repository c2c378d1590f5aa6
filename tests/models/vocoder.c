/* SPDX-License-Identifier: Apache-2.0 */
#include "models/vocoder.h"

#include "base/file.h"
#include "base/json.h"
#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* audio_codec.md section 10: the wave absolute; block outputs relative to the largest value */
#define WAVE_TOL 5e-5
#define BLOCK_TOL 2e-5

struct watch {
	struct st_file *f;
	int64_t channel;		/* of the batch of two */
	int seen;
	double worst;
};

/* Inside a block the fixture keeps what follows the depthwise convolution with channels last. */
static bool
channels_last(const char *name)
{
	static const char *const ends[] = { ".norm", ".pwconv1", ".act", ".pwconv2" };
	const char *end = strrchr(name, '.');

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (strncmp(name, "backbone.stages.", 16) == 0 && strcmp(end, ends[i]) == 0)
			return true;
	return false;
}

static void
compare(void *me, const char *name, struct tensor x)
{
	struct watch *w = me;
	int64_t n = tensor_count(x);
	struct tensor want;
	float *p, *turned;
	double e;

	if (!st_find(w->f, name))
		return;
	want = golden_f32(w->f, name);
	assert_int_equal(tensor_count(want), want.dim[0] * n);
	p = (float *)want.data + w->channel * n;
	turned = malloc(tensor_bytes(x) + 4);
	assert_non_null(turned);
	for (int64_t i = 0; i < n; i++)
		turned[i] = channels_last(name) ? p[i % x.dim[1] * x.dim[0] + i / x.dim[1]] : p[i];
	e = golden_error(x.data, turned, n);
	w->worst = e > w->worst ? e : w->worst;
	golden_close(name, x.data, turned, n, BLOCK_TOL);
	w->seen++;
	free(turned);
	free(want.data);
}

static void
run(struct vocoder *m, struct dev *d, struct tensor wave, struct tensor mel)
{
	void (*tap)(void *, const char *, struct tensor) = m->tap;
	struct arena plan = { 0 }, act;
	struct dev dry;

	assert_ok(dev_open(&dry, DEV_DRY, 1));
	kernels_attach(&dry);
	m->tap = NULL;
	vocoder_run(&(struct ctx){ .dev = &dry, .act = &plan }, m, wave, mel);
	m->tap = tap;
	act = (struct arena){ .base = malloc(plan.peak), .size = plan.peak };
	assert_non_null(act.base);
	vocoder_run(&(struct ctx){ .dev = d, .act = &act }, m, wave, mel);
	assert_int_equal(d->status, ACE_OK);
	assert_int_equal(act.peak, plan.peak);
	assert_int_equal(act.used, 0);
	free(act.base);
	dev_close(&dry);
}

static void
follow(enum dev_kind kind)
{
	struct st_file f;
	struct vocoder m;
	struct dev d;
	struct tensor mel, want, wave;
	int wanted = 0;

	golden_open(&f, "vocoder-tiny", "main.safetensors");
	assert_ok(dev_open(&d, kind, 2));
	kernels_attach(&d);
	assert_ok(vocoder_open(&m, golden_path("vocoder-tiny", "music_vocoder"), &d));
	mel = golden_f32(&f, "mel");
	want = golden_f32(&f, "wave");
	wave = tensor_of(NULL, F32, 2, 1, want.dim[want.rank - 1]);
	wave.data = malloc(tensor_bytes(wave));
	for (int i = 0; i < f.n; i++)
		wanted += strncmp(f.entry[i].name, "backbone.", 9) == 0 || strncmp(f.entry[i].name, "head.", 5) == 0;
	for (int64_t b = 0; b < mel.dim[0]; b++) {
		struct watch w = { .f = &f, .channel = b };
		m.tap = compare;
		m.me = &w;
		run(&m, &d, wave, tensor_at(mel, b));
		for (int64_t i = 0; i < tensor_count(wave); i++) {
			float got = ((float *)wave.data)[i], right = ((float *)want.data)[b * tensor_count(wave) + i];
			if (!(fabsf(got - right) <= (float)WAVE_TOL))
				fail_msg("sample %lld is %.9g, wanted %.9g", (long long)i, (double)got, (double)right);
		}
		assert_int_equal(w.seen, wanted);
		print_message("# %d intermediates, worst error %.2g of the largest entry\n", w.seen, w.worst);
	}
	free(mel.data);
	free(want.data);
	free(wave.data);
	vocoder_close(&m);
	dev_close(&d);
	st_close(&f);
}

static void
every_intermediate_is_the_references_on_ref(void **state)
{
	(void)state;
	follow(DEV_REF);
}

static void
every_intermediate_is_the_references_on_cpu(void **state)
{
	(void)state;
	follow(DEV_CPU);
}

static void
folded_weights_are_the_references(void **state)
{
	struct st_file f;
	struct vocoder m;
	struct dev d;
	int seen = 0;

	(void)state;
	golden_open(&f, "vocoder-tiny", "main.safetensors");
	assert_ok(dev_open(&d, DEV_CPU, 1));
	kernels_attach(&d);
	assert_ok(vocoder_open(&m, golden_path("vocoder-tiny", "music_vocoder"), &d));
	for (int i = 0; i < f.n; i++) {
		const char *name = f.entry[i].name, *layer = strstr(name, "effective_weight.head.");
		struct tensor want, got = { 0 };
		int a, b;
		if (layer != name)
			continue;
		layer += strlen("effective_weight.head.");
		if (strcmp(layer, "conv_pre") == 0)
			got = m.pre.w;
		else if (strcmp(layer, "conv_post") == 0)
			got = m.post.w;
		else if (sscanf(layer, "ups.%d", &a) == 1)
			got = m.up[a].w;
		else if (sscanf(layer, "resblocks.%d.convs1.%d", &a, &b) == 2)
			got = m.one[a * VOCODER_DILATIONS + b].w;
		else if (sscanf(layer, "resblocks.%d.convs2.%d", &a, &b) == 2)
			got = m.two[a * VOCODER_DILATIONS + b].w;
		else
			continue;
		want = golden_f32(&f, name);
		assert_int_equal(tensor_count(got), tensor_count(want));
		golden_close(name, got.data, want.data, tensor_count(want), 1e-6);
		free(want.data);
		seen++;
	}
	assert_true(seen > 0);
	vocoder_close(&m);
	dev_close(&d);
	st_close(&f);
}

static void
a_config_that_does_not_fit_is_named(void **state)
{
	static const struct { const char *text, *word; enum status code; } bad[] = {
		{ "{\"depths\": [1, 2]}", "depths", ACE_EDATA },
		{ "{\"dims\": [16, 24, 32, 0]}", "dims", ACE_EDATA },
		{ "{\"dims\": [16, 24, 32, 40], \"num_mels\": 41}", "num_mels", ACE_EDATA },
		{ "{\"upsample_kernel_sizes\": [8, 8, 4, 4, 4, 4, 3]}", "upsample_kernel_sizes", ACE_EDATA },
		{ "{\"upsample_initial_channel\": 100}", "upsample_initial_channel", ACE_EDATA },
		{ "{\"resblock_kernel_sizes\": [3, 8, 11, 13]}", "resblock_kernel_sizes", ACE_EDATA },
		{ "{\"resblock_dilation_sizes\": [[1]]}", "resblock_dilation_sizes", ACE_EDATA },
		{ "{\"use_template\": true}", "use_template", ACE_ECONFIG },
	};
	const char *dir = golden_tmp();
	char path[600];

	(void)state;
	snprintf(path, sizeof path, "%s/config.json", dir);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct vocoder_config c;
		FILE *f = fopen(path, "w");
		assert_non_null(f);
		fputs(bad[i].text, f);
		fclose(f);
		if (vocoder_config_read_all(&c, dir) != bad[i].code || !strstr(ace_message(), bad[i].word))
			fail_msg("%s: %s", bad[i].text, ace_message());
	}
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_intermediate_is_the_references_on_ref),
		cmocka_unit_test(every_intermediate_is_the_references_on_cpu),
		cmocka_unit_test(folded_weights_are_the_references),
		cmocka_unit_test(a_config_that_does_not_fit_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
