/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_fixture.h"

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Page transformer.md, section 12. */
static const double gradient = 1e-4, losses = 3e-6;

static void
loss_is(double got, double want)
{
	if (!(fabs(got - want) <= losses * fabs(want)))
		fail_msg("loss %.9g, wanted %.9g", got, want);
}

/* A constant added to all keys of the lyric encoder's attention moves all scores of a query alike, which softmax does not see:
 * the gradient of linear_k.bias is zero, and what files hold is rounding. It is measured by its neighbour, linear_v.bias. */
static bool
is_rounding(const struct st_file *golden, const struct param *p)
{
	static const char ending[] = "self_attn.linear_k.bias";
	size_t n = strlen(p->name), k = sizeof ending - 1;
	char neighbour[160];
	struct tensor v;
	double top = 0;

	if (n < k || strncmp(p->name, "lyric_encoder.", 14) != 0 || strcmp(p->name + n - k, ending) != 0)
		return false;
	snprintf(neighbour, sizeof neighbour, "%.*slinear_v.bias", (int)(n - strlen("linear_k.bias")), p->name);
	v = golden_f32(golden, neighbour);
	for (int64_t i = 0; i < tensor_count(v); i++)
		top = fmax(top, fabs((double)((float *)v.data)[i]));
	for (int64_t i = 0; i < tensor_count(p->grad); i++)
		assert_true(fabs((double)((float *)p->grad.data)[i]) <= gradient * top);
	free(v.data);
	return true;
}

/* Every gradient in the file is ours, and none is missing in the list of those that train. */
static void
grads_are(struct dit_fixture *f, const char *file, bool all)
{
	struct st_file golden;
	int found = 0, training = 0;

	golden_open(&golden, DIT_SET, file);
	for (int i = 0; i < golden.n; i++) {
		const struct param *p = params_find(&f->m.params, golden.entry[i].name);
		struct tensor want = golden_f32(&golden, golden.entry[i].name);
		if (!p || !p->train)
			fail_msg("%s: nothing of ours trains as %s", file, golden.entry[i].name);
		assert_int_equal(tensor_count(p->grad), tensor_count(want));
		if (!is_rounding(&golden, p))
			golden_close(p->name, p->grad.data, want.data, tensor_count(want), gradient);
		found++;
		free(want.data);
	}
	for (int i = 0; i < dit_n_params(&f->m); i++)
		training += dit_param(&f->m, i)->train;
	assert_true(found > 0);
	if (all)
		assert_int_equal(found, training);
	st_close(&golden);
}

static void
use_ragged_mask(struct dit_fixture *f)
{
	memcpy(f->in.frame_mask.data, f->ragged.data, tensor_bytes(f->ragged));
}

static void
full_gradients_are_the_references(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct dit_fixture f;
		dit_fixture_open(&f, kind ? DEV_CPU : DEV_REF, 2, NULL, false);
		assert_ok(dit_train(&f.m, DIT_FULL));
		assert_ok(dit_alloc_grads(&f.m, NULL));
		loss_is(dit_fixture_step(&f), dit_fixture_number(&f, "loss_full"));
		grads_are(&f, "grads_full.safetensors", true);
		dit_fixture_close(&f);
	}
}

static void
gradients_under_a_ragged_mask_are_the_references(void **state)
{
	struct dit_fixture f;

	(void)state;
	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	assert_ok(dit_train(&f.m, DIT_FULL));
	assert_ok(dit_alloc_grads(&f.m, NULL));
	use_ragged_mask(&f);
	loss_is(dit_fixture_step(&f), dit_fixture_number(&f, "loss_ragged"));
	grads_are(&f, "grads_ragged.safetensors", false);
	dit_fixture_close(&f);
}

static void
lyric_embedder_gradients_are_the_references(void **state)
{
	struct dit_fixture f;

	(void)state;
	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	assert_ok(dit_train(&f.m, DIT_LYRICS));
	assert_ok(dit_alloc_grads(&f.m, NULL));
	loss_is(dit_fixture_step(&f), dit_fixture_number(&f, "loss_full"));
	grads_are(&f, "grads_lyric_embedder.safetensors", true);
	dit_fixture_close(&f);
}

static void
adapter_gradients_are_the_references(void **state)
{
	struct dit_fixture f;

	(void)state;
	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	dit_fixture_lora(&f, 0);
	assert_ok(dit_alloc_grads(&f.m, NULL));
	loss_is(dit_fixture_step(&f), dit_fixture_number(&f, "loss_lora"));
	grads_are(&f, "grads_lora.safetensors", true);
	dit_fixture_close(&f);
}

static void
lyric_embedder_gradients_beside_an_adapter_are_the_references(void **state)
{
	struct dit_fixture f;

	(void)state;
	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	dit_fixture_lora(&f, 0);
	assert_ok(dit_train(&f.m, DIT_LYRICS));
	assert_ok(dit_alloc_grads(&f.m, NULL));
	loss_is(dit_fixture_step(&f), dit_fixture_number(&f, "loss_lora"));
	grads_are(&f, "grads_lora_plus_lyric.safetensors", false);
	dit_fixture_close(&f);
}

/* Features ssl_NAME.b of the batch; the file writes a name without its hyphen. */
static void
read_features(struct dit_fixture *f, struct tensor *feature, const char *name, int64_t B)
{
	char plain[32] = { 0 }, key[64];

	for (size_t i = 0, n = 0; name[i] && n + 1 < sizeof plain; i++)
		if (name[i] != '-')
			plain[n++] = name[i];
	for (int64_t b = 0; b < B; b++) {
		snprintf(key, sizeof key, "ssl_%s.%lld", plain, (long long)b);
		feature[b] = golden_f32(&f->batch, key);
		dit_fixture_share(f, &feature[b]);
	}
}

static void
projection_losses_and_gradients_are_the_references(void **state)
{
	const struct dit_options o = { .dtype = F32, .attention_masks = true, .projectors = true };
	struct dit_fixture f;
	struct tensor feature[DIT_TAPS * 64];
	float *loss;
	struct dit_projections p = { .feature = feature, .weight = 1.f };
	const cJSON *names, *e, *want;
	double mean = 0, denoise;

	(void)state;
	dit_fixture_open(&f, DEV_CPU, 2, &o, false);
	names = cJSON_GetObjectItem(cJSON_GetObjectItem(cJSON_GetObjectItem(f.manifest, "spec"), "cfg"), "ssl_names");
	assert_in_range(cJSON_GetArraySize(names), 1, DIT_TAPS);
	assert_in_range(f.v.dim[0], 1, 64);
	cJSON_ArrayForEach(e, names)
		read_features(&f, feature + f.v.dim[0] * p.n++, e->valuestring, f.v.dim[0]);
	p.loss = tensor_of(malloc(sizeof *loss * DIT_TAPS), F32, 1, p.n);
	assert_non_null(p.loss.data);
	dit_fixture_share(&f, &p.loss);
	loss = p.loss.data;
	f.in.projections = &p;
	assert_ok(dit_train(&f.m, DIT_FULL));
	assert_ok(dit_alloc_grads(&f.m, NULL));
	denoise = dit_fixture_step(&f);
	for (int k = 0; k < p.n; k++) {
		want = cJSON_GetObjectItem(cJSON_GetObjectItem(f.manifest, "ssl_losses"), cJSON_GetArrayItem(names, k)->valuestring);
		loss_is((double)loss[k], want->valuedouble);
		mean += (double)loss[k] / p.n;
	}
	loss_is(denoise + mean, dit_fixture_number(&f, "loss_with_ssl"));
	grads_are(&f, "grads_ssl.safetensors", false);
	for (int i = 0; i < p.n * f.v.dim[0]; i++)
		dit_fixture_unshare(&f, feature[i].data);
	dit_fixture_unshare(&f, loss);
	dit_fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(full_gradients_are_the_references),
		cmocka_unit_test(gradients_under_a_ragged_mask_are_the_references),
		cmocka_unit_test(lyric_embedder_gradients_are_the_references),
		cmocka_unit_test(adapter_gradients_are_the_references),
		cmocka_unit_test(lyric_embedder_gradients_beside_an_adapter_are_the_references),
		cmocka_unit_test(projection_losses_and_gradients_are_the_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
