/* SPDX-License-Identifier: Apache-2.0 */
/* What rollouts teach besides, against the reference's numbers and against differences of the loss */
#include "flow/reflex.h"

#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 3, ROWS = 4, T = 7, N = ROWS * T };

static void
near(const char *what, double got, double want)
{
	if (!(fabs(got - want) <= 1e-6 * fabs(want)))
		fail_msg("%s is %.9g, wanted %.9g", what, got, want);
}

static void
weights_and_directions_are_the_reference_s(void **state)
{
	cJSON *root = golden_json("scheduled-sampling", "manifest.json");
	const cJSON *c = cJSON_GetObjectItemCaseSensitive(root, "reflex");
	struct reflex_options o = { true, golden_number(c, "alpha"), 0, golden_number(c, "beta2") };
	struct tensor clean, rolled, squares, weighted, drift, whole, x, x0;
	struct st_file f;

	(void)state;
	golden_open(&f, "scheduled-sampling", "rollout.safetensors");
	clean = golden_f32(&f, "reflex.clean_velocity");
	rolled = golden_f32(&f, "reflex.biased_velocity");
	squares = golden_f32(&f, "reflex.squared_error");
	weighted = golden_f32(&f, "reflex.weighted_per_sample");
	drift = golden_f32(&f, "reflex.adr_per_sample");
	whole = golden_f32(&f, "reflex.loss");
	x = golden_f32(&f, "uniform.8.euler.rolled");
	x0 = golden_f32(&f, "x0");
	int64_t samples = x.dim[0], n = tensor_count(x) / samples, frames = x.dim[x.rank - 1];
	float *root_of = calloc((size_t)(samples * n), 4), *bias = calloc((size_t)(samples * n), 4), *none = calloc((size_t)(samples * n), 4);
	float *dv = calloc((size_t)(samples * n), 4), *mask = calloc((size_t)(samples * frames), 4), one[16], loss[17], all[17];
	struct reflex_batch b = { samples, n / frames, frames, none, root_of, none, bias, mask, one, one };

	assert_true(samples <= 16 && root_of && bias && none && dv && mask);
	for (int i = 0; i < 16; i++)
		one[i] = 1 / (float)samples;
	for (int64_t i = 0; i < samples * frames; i++)
		mask[i] = 1;
	for (int64_t i = 0; i < samples * n; i++) {
		root_of[i] = sqrtf(((float *)squares.data)[i]);
		bias[i] = ((float *)clean.data)[i] - ((float *)rolled.data)[i];
	}
	reflex_loss(&o, &b, dv, loss);
	memcpy(all, loss, sizeof all);
	o = (struct reflex_options){ true, o.alpha, golden_number(c, "beta1"), 0 };
	b.v = clean.data;
	b.x = x.data;
	b.x0 = x0.data;
	reflex_loss(&o, &b, dv, loss);
	for (int64_t k = 0; k < samples; k++) {
		near("a weighted error", (double)all[k], (double)((float *)weighted.data)[k]);
		near("a direction", (double)loss[k], o.beta1 * (double)((float *)drift.data)[k]);
	}
	near("the loss", (double)all[samples] + (double)loss[samples], (double)((float *)whole.data)[0]);
	st_close(&f);
	cJSON_Delete(root);
	struct tensor *read[] = { &clean, &rolled, &squares, &weighted, &drift, &whole, &x, &x0 };
	for (size_t i = 0; i < sizeof read / sizeof *read; i++)
		free(read[i]->data);
	free(root_of);
	free(bias);
	free(none);
	free(dv);
	free(mask);
}

struct random {
	float v[B * N], x[B * N], x0[B * N], bias[B * N], mask[B * T], sigma[B], weight[B];
	struct reflex_batch b;
};

/* The second sample is padded behind its fourth frame. */
static void
fill(struct random *r)
{
	*r = (struct random){ .sigma = { 0.9f, 0.3f, 0.6f }, .weight = { 0.5f, 0.25f, 2 },
		.b = { B, ROWS, T, r->v, r->x, r->x0, r->bias, r->mask, r->sigma, r->weight } };
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), r->v, B * N);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 1), r->x, B * N);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 2), r->x0, B * N);
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 3), r->bias, B * N);
	for (int i = 0; i < B * T; i++)
		r->mask[i] = i / T != 1 || i % T < 4;
}

static void
its_gradient_is_that_of_the_loss(void **state)
{
	static const struct reflex_options how[] = { { true, 1, 0, 1 }, { true, 3, 10, 0 }, { true, 2, 4, 0.5 } };
	const float h = 1.f / 256;

	(void)state;
	for (int k = 0; k < 6; k++) {
		struct random r;
		float dv[B * N], none[B * N], u[B * N], at[B * N], up[B + 1], down[B + 1];
		double want = 0, got, size = 0;

		fill(&r);
		if (k >= 3)
			r.b.bias = NULL;
		rng_normal_fill(rng_stream(2, RNG_TEST, (uint64_t)k, 0), u, B * N);
		reflex_loss(&how[k % 3], &r.b, dv, up);
		memcpy(at, r.v, sizeof at);
		for (int i = 0; i < B * N; i++) {
			want += (double)dv[i] * (double)u[i];
			size += fabs((double)dv[i] * (double)u[i]);
			r.v[i] = at[i] + h * u[i];
		}
		reflex_loss(&how[k % 3], &r.b, none, up);
		for (int i = 0; i < B * N; i++)
			r.v[i] = at[i] - h * u[i];
		reflex_loss(&how[k % 3], &r.b, none, down);
		got = ((double)up[B] - (double)down[B]) / (2 * (double)h);
		if (!(size > 0.1 && fabs(got - want) <= 2e-3 * size))
			fail_msg("case %d: the loss grows by %.6g, its gradient says %.6g", k, got, want);
	}
}

/* Padding changes nothing but the share of a sample that it takes; a velocity that points the right way has no drift, however long. */
static void
padding_and_right_ways_cost_nothing(void **state)
{
	const struct reflex_options both = { true, 1, 10, 1 }, drift = { true, 1, 10, 0 };
	float a[B + 1], b[B + 1], dv[B * N];
	struct random r;

	(void)state;
	fill(&r);
	reflex_loss(&both, &r.b, dv, a);
	for (int i = N; i < 2 * N; i++)
		if (i % T >= 4) {
			assert_true(dv[i] == 0);
			r.v[i] = r.x[i] = r.bias[i] = 5;
		}
	reflex_loss(&both, &r.b, dv, b);
	assert_memory_equal(a, b, sizeof a);
	for (int i = 0; i < B * N; i++)
		r.v[i] = 3 * (r.x[i] - r.x0[i]);
	reflex_loss(&drift, &r.b, dv, a);
	for (int k = 0; k < B; k++)
		assert_true(a[k] < 1e-10f);
	for (int i = 0; i < B * N; i++)
		r.v[i] = -r.v[i];
	reflex_loss(&drift, &r.b, dv, a);
	for (int k = 0; k < B; k++)		/* |-1 - 1|^2 */
		assert_true(fabsf(a[k] - 40) < 1e-3f);
}

static void
what_is_not_finite_shows(void **state)
{
	const struct reflex_options o = { true, 1, 10, 1 };
	float loss[B + 1], dv[B * N];
	struct random r;

	(void)state;
	fill(&r);
	r.v[N + 1] = NAN;
	reflex_loss(&o, &r.b, dv, loss);
	assert_true(isfinite(loss[0]) && !isfinite(loss[1]) && isfinite(loss[2]) && !isfinite(loss[B]));
	fill(&r);
	memset(r.v, 0, sizeof r.v);		/* no direction at all */
	memset(r.bias, 0, sizeof r.bias);
	reflex_loss(&o, &r.b, dv, loss);
	assert_true(isfinite(loss[B]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weights_and_directions_are_the_reference_s),
		cmocka_unit_test(its_gradient_is_that_of_the_loss),
		cmocka_unit_test(padding_and_right_ways_cost_nothing),
		cmocka_unit_test(what_is_not_finite_shows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
