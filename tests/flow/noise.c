/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/noise.h"

#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/jvp.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const masks[] = { "ones", "lengths" };

static void
open_device(struct dev *d, int which)
{
	assert_ok(dev_open(d, which ? DEV_CPU : DEV_REF, 2));
	kernels_attach(d);
}

/* Numbers of a bf16 case are exact to the last place; those of an f32 case to 1e-5 of the largest. */
static void
close_to(const char *what, struct tensor got, struct tensor want, bool half)
{
	const float *g = got.data, *w = want.data;

	assert_int_equal(tensor_count(got), tensor_count(want));
	if (!half)
		golden_close(what, g, w, tensor_count(want), 1e-5);
	for (int64_t i = 0; half && i < tensor_count(want); i++)
		if (fabsf(g[i] - w[i]) > 0.0078125f * fabsf(w[i]))
			fail_msg("%s, entry %lld: %.9g, wanted %.9g", what, (long long)i, (double)g[i], (double)w[i]);
}

static struct tensor
named(const struct st_file *f, const char *mask, const char *name)
{
	char text[120];

	snprintf(text, sizeof text, "%s.%s", mask, name);
	return golden_f32(f, text);
}

struct loss_case {
	struct dev d;
	struct tensor x0, e, sigma, v, x, dv, loss, weight;
	bool half;
};

/* One mask and target: loss per sample (of x0 only in the file), weighted sum, gradient. */
static void
check_loss(struct loss_case *c, const struct st_file *f, const char *mask, enum flow_target target)
{
	bool x0 = target == FLOW_X0;
	struct tensor m = named(f, mask, "mask"), per = named(f, mask, "x0_loss_per_sample");
	struct tensor plain = named(f, mask, "x0_mse_per_sample"), total = named(f, mask, x0 ? "x0_loss" : "velocity_loss");
	struct tensor grad = named(f, mask, x0 ? "x0_loss_grad_model_output" : "velocity_loss_grad_model_output");
	int64_t batch = c->v.dim[0], frames = tensor_cols(c->v);
	float *got = c->loss.data;

	flow_loss(&c->d, c->dv, c->loss, c->v, c->x, c->x0, c->e, c->sigma, m, c->weight, (struct flow_form){ .target = target },
	          c->half ? BF16 : F32);
	assert_int_equal(c->d.status, ACE_OK);
	for (int64_t b = 0; x0 && b < batch; b++) {
		double share = 0, want = (double)((float *)per.data)[b];
		for (int64_t t = 0; t < frames; t++)
			share += (double)((float *)m.data)[b * frames + t] / (double)frames;
		assert_true(fabs((double)got[b] - want) <= 1e-5 * want);
		assert_true(fabs((double)got[b] / share - (double)((float *)plain.data)[b]) <= 1e-5 * want / share);
	}
	assert_true(fabsf(got[batch] - *(float *)total.data) <= 1e-5f * fabsf(*(float *)total.data));
	close_to(mask, c->dv, grad, c->half);
	free(m.data);
	free(per.data);
	free(plain.data);
	free(total.data);
	free(grad.data);
}

static void
check_case(const char *group, int which)
{
	struct loss_case c = { 0 };
	struct st_file f;
	struct tensor noisy, proj, with;
	char file[80];
	float ones;

	snprintf(file, sizeof file, "%s.safetensors", group);
	golden_open(&f, "timesteps", file);
	open_device(&c.d, which);
	c.half = st_find(&f, "x0") && st_find(&f, "x0")->value.dtype == BF16;
	c.x0 = golden_f32(&f, "x0");
	c.e = golden_f32(&f, "noise");
	c.sigma = golden_f32(&f, "sigma");
	c.v = golden_f32(&f, "model_output");
	noisy = golden_f32(&f, "noisy");
	c.x = jvp_zeros(c.x0.rank, c.x0.dim);
	c.dv = jvp_zeros(c.x0.rank, c.x0.dim);
	c.loss = JVP_ZEROS(1, c.x0.dim[0] + 1);
	c.weight = JVP_ZEROS(1, c.x0.dim[0]);
	for (int64_t b = 0; b < c.x0.dim[0]; b++)
		((float *)c.weight.data)[b] = 1.f / (float)c.x0.dim[0];
	flow_mix(&c.d, c.x, c.x0, c.e, c.sigma, c.half ? BF16 : F32);
	close_to("noisy", c.x, noisy, c.half);
	for (int i = 0; i < 2; i++)
		for (int t = FLOW_X0; t <= FLOW_VELOCITY; t++)
			check_loss(&c, &f, masks[i], (enum flow_target)t);
	proj = golden_f32(&f, "proj_losses");
	with = named(&f, "ones", "x0_loss");
	ones = *(float *)with.data;
	free(with.data);
	with = golden_f32(&f, "total_coeff1");
	assert_true(fabsf(flow_total(ones, proj.data, (int)tensor_count(proj), 1.f) - *(float *)with.data) < 1e-5f * ones);
	free(with.data);
	with = golden_f32(&f, "total_coeff0.1");
	assert_true(fabsf(flow_total(ones, proj.data, (int)tensor_count(proj), 0.1f) - *(float *)with.data) < 1e-5f * ones);
	assert_true(flow_total(ones, NULL, 0, 1.f) == ones);
	struct tensor all[] = { c.x0, c.e, c.sigma, c.v, c.x, c.dv, c.loss, c.weight, noisy, proj, with };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i].data);
	dev_close(&c.d);
	st_close(&f);
}

static void
noisy_latents_losses_and_gradients_are_the_reference_s(void **state)
{
	cJSON *root = golden_json("timesteps", "manifest.json"), *g;
	int n = 0;

	(void)state;
	cJSON_ArrayForEach(g, cJSON_GetObjectItemCaseSensitive(root, "groups")) {
		if (strncmp(g->string, "loss_", 5) != 0)
			continue;
		for (int which = 0; which < 2; which++)
			check_case(g->string, which);
		n++;
	}
	assert_true(n > 0);
	cJSON_Delete(root);
}

enum { B = 3, C = 2, H = 3, T = 7 };

struct slope {
	struct dev d;
	struct tensor v, dv, x, x0, e, sigma, mask, weight, loss, out, dout;
	struct flow_form form;
};

/* Both targets with every cost and width. */
enum { FORMS = 14 };

static struct flow_form
form_at(int i)
{
	int k = i / 2 - 1;

	return (struct flow_form){ i % 2 ? FLOW_VELOCITY : FLOW_X0, k < 0 ? FLOW_L2 : k < 3 ? FLOW_HUBER : FLOW_SMOOTH_L1,
		k < 0 ? FLOW_CONSTANT : (enum flow_width)(k % 3), 0.3f };
}

static void
slope_forward(void *me)
{
	struct slope *s = me;

	flow_loss(&s->d, (struct tensor){ 0 }, s->loss, s->v, s->x, s->x0, s->e, s->sigma, s->mask, s->weight, s->form, F32);
	*(float *)s->out.data = ((float *)s->loss.data)[B];
}

static void
slope_backward(void *me)
{
	struct slope *s = me;
	float u = *(float *)s->dout.data;

	flow_loss(&s->d, s->dv, s->loss, s->v, s->x, s->x0, s->e, s->sigma, s->mask, s->weight, s->form, F32);
	for (int64_t i = 0; i < tensor_count(s->dv); i++)
		((float *)s->dv.data)[i] *= u;
}

static void
init_slope(struct slope *s, struct flow_form form)
{
	static const float sigma[B] = { 1.f, 0.4f, 0.01f };

	*s = (struct slope){ .form = form, .v = JVP_NORMAL(1, 1.f, 4, B, C, H, T), .dv = JVP_ZEROS(4, B, C, H, T),
		.x = JVP_NORMAL(2, 1.f, 4, B, C, H, T), .x0 = JVP_NORMAL(3, 1.f, 4, B, C, H, T),
		.e = JVP_NORMAL(4, 1.f, 4, B, C, H, T), .sigma = JVP_ZEROS(1, B), .mask = JVP_ZEROS(2, B, T),
		.weight = JVP_ZEROS(1, B), .loss = JVP_ZEROS(1, B + 1), .out = JVP_ZEROS(1, 1), .dout = JVP_ZEROS(1, 1) };
	open_device(&s->d, 1);
	for (int b = 0; b < B; b++) {
		((float *)s->sigma.data)[b] = sigma[b];
		((float *)s->weight.data)[b] = 0.3f + 0.2f * (float)b;
		for (int t = 0; t < T - b; t++)
			((float *)s->mask.data)[b * T + t] = 1.f;
	}
}

static void
free_slope(struct slope *s)
{
	struct tensor all[] = { s->v, s->dv, s->x, s->x0, s->e, s->sigma, s->mask, s->weight, s->loss, s->out, s->dout };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i].data);
	dev_close(&s->d);
}

static void
the_gradient_is_that_of_the_weighted_sum(void **state)
{
	(void)state;
	for (int t = 0; t < FORMS; t++) {
		struct slope s;
		struct jvp_pair in, out;
		struct jvp j = { .me = &s, .forward = slope_forward, .backward = slope_backward, .in = &in, .out = &out,
			.n_in = 1, .n_out = 1, .steer = true };

		init_slope(&s, form_at(t));
		in = (struct jvp_pair){ s.v, s.dv };
		out = (struct jvp_pair){ s.out, s.dout };
		jvp_check("flow_loss", &j, 1e-4);
		free_slope(&s);
	}
}

static void
a_number_that_is_not_finite_shows_in_the_loss_even_where_it_is_masked(void **state)
{
	static const float bad[] = { NAN, INFINITY, -INFINITY };

	(void)state;
	for (int t = 0; t < FORMS; t++)
		for (int i = 0; i < 3; i++) {
			struct slope s;

			init_slope(&s, form_at(t));
			((float *)s.v.data)[2 * C * H * T - 1] = bad[i];		/* sample 1, last frame: masked */
			slope_forward(&s);
			assert_true(isfinite(((float *)s.loss.data)[0]) && isfinite(((float *)s.loss.data)[2]));
			assert_false(isfinite(((float *)s.loss.data)[1]) || isfinite(((float *)s.loss.data)[B]));
			free_slope(&s);
		}
}

/* Ranks with 1 and 2 of 3 samples, each weighting by 2 / 3, averaged, give the gradient of one rank with all three. */
static void
weights_by_sample_count_make_ranks_equal_to_one(void **state)
{
	struct slope s;
	float *one;

	(void)state;
	init_slope(&s, form_at(0));
	for (int b = 0; b < B; b++)
		((float *)s.weight.data)[b] = 1.f / B;
	slope_backward((*(float *)s.dout.data = 1.f, &s));
	one = malloc(tensor_bytes(s.dv));
	assert_non_null(one);
	memcpy(one, s.dv.data, tensor_bytes(s.dv));
	for (int rank = 0; rank < 2; rank++) {
		int64_t from = rank ? 1 : 0, n = rank ? 2 : 1, each = C * H * T;
		struct tensor dv = tensor_slice(s.dv, from, n), loss = tensor_of(s.loss.data, F32, 1, n + 1);
		for (int b = 0; b < B; b++)
			((float *)s.weight.data)[b] = 2.f / 3;
		flow_loss(&s.d, dv, loss, tensor_slice(s.v, from, n), tensor_slice(s.x, from, n), tensor_slice(s.x0, from, n),
		          tensor_slice(s.e, from, n), tensor_slice(s.sigma, from, n), tensor_slice(s.mask, from, n),
		          tensor_slice(s.weight, from, n), form_at(0), F32);
		for (int64_t i = 0; i < n * each; i++)
			((float *)dv.data)[i] /= 2.f;
	}
	golden_close("gradient", s.dv.data, one, tensor_count(s.dv), 1e-6);
	free(one);
	free_slope(&s);
}

/* The widths and costs in plain double arithmetic, of a velocity whose error is the same everywhere. */
static void
costs_and_their_widths_are_the_formula_s(void **state)
{
	static const float errors[] = { 0.f, 1e-6f, 0.25f, -3.f, 1e4f };

	(void)state;
	for (int t = 3; t < FORMS; t += 2)
		for (size_t k = 0; k < sizeof errors / sizeof *errors; k++) {
			struct slope s;
			double c = 0.3f, e = (double)errors[k];

			init_slope(&s, form_at(t));
			for (int64_t i = 0; i < tensor_count(s.v); i++) {
				((float *)s.v.data)[i] = errors[k];
				((float *)s.e.data)[i] = ((float *)s.x0.data)[i] = 0.f;
			}
			slope_forward(&s);
			for (int b = 0; b < B; b++) {
				double sigma = (double)((float *)s.sigma.data)[b], share = (double)(T - b) / T;
				double w = s.form.width == FLOW_CONSTANT      ? c
				           : s.form.width == FLOW_EXPONENTIAL ? pow(c, sigma)
				                                              : (1 - c) * (1 - sigma) * (1 - sigma) + c;
				double want = 2 * (s.form.cost == FLOW_HUBER ? w : 1) * e * e / (sqrt(e * e + w * w) + w) * share * share;
				assert_true(fabs((double)((float *)s.loss.data)[b] - want) <= 1e-6 * want);
			}
			free_slope(&s);
		}
}

static void
a_wide_huber_is_the_square_and_a_narrow_smooth_l1_twice_the_size(void **state)
{
	const struct flow_form square = { 0 }, huber = { .cost = FLOW_HUBER, .c = 1e4f }, smooth = { .cost = FLOW_SMOOTH_L1, .c = 1e-6f };
	struct slope s[3];
	double size = 0, n = C * H * T;

	(void)state;
	init_slope(&s[0], square);
	init_slope(&s[1], huber);
	init_slope(&s[2], smooth);
	for (int i = 0; i < 3; i++)
		slope_forward(&s[i]);
	for (int b = 0; b <= B; b++)
		assert_true(fabs((double)(((float *)s[1].loss.data)[b] / ((float *)s[0].loss.data)[b]) - 1) < 1e-5);
	for (int i = 0; i < C * H * T; i++) {
		const float *v = s[2].v.data, *x = s[2].x.data, *x0 = s[2].x0.data;
		size += 2 * fabs((double)(x[i] - v[i] - x0[i])) / n;	/* sigma 0 is 1, and nothing of it is masked */
	}
	assert_true(fabs((double)*(float *)s[2].loss.data - size) < 1e-5 * size);
	for (int i = 0; i < 3; i++)
		free_slope(&s[i]);
}

static void
noise_belongs_to_the_sample_and_not_to_its_place_or_the_threads(void **state)
{
	struct tensor a = JVP_ZEROS(4, 2, 8, 16, 101), b = JVP_ZEROS(4, 2, 8, 16, 101);
	int64_t row[2][2], each = 8 * 16 * 101;
	struct dev d;

	(void)state;
	flow_stream(rng_stream(9, RNG_NOISE, 4, 100), row[0]);
	flow_stream(rng_stream(9, RNG_NOISE, 4, 200), row[1]);
	open_device(&d, 1);
	flow_noise(&d, a, tensor_of(row, I64, 2, 2, 2));
	d.threads = 1;
	flow_noise(&d, tensor_slice(b, 0, 1), tensor_of(row[1], I64, 2, 1, 2));
	flow_noise(&d, tensor_slice(b, 1, 1), tensor_of(row[0], I64, 2, 1, 2));
	assert_memory_equal(a.data, (float *)b.data + each, (size_t)each * sizeof(float));
	assert_memory_equal((float *)a.data + each, b.data, (size_t)each * sizeof(float));
	assert_true(((float *)a.data)[5] == rng_normal(rng_stream(9, RNG_NOISE, 4, 100), 5));
	dev_close(&d);
	free(a.data);
	free(b.data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noisy_latents_losses_and_gradients_are_the_reference_s),
		cmocka_unit_test(the_gradient_is_that_of_the_weighted_sum),
		cmocka_unit_test(a_number_that_is_not_finite_shows_in_the_loss_even_where_it_is_masked),
		cmocka_unit_test(weights_by_sample_count_make_ranks_equal_to_one),
		cmocka_unit_test(costs_and_their_widths_are_the_formula_s),
		cmocka_unit_test(a_wide_huber_is_the_square_and_a_narrow_smooth_l1_twice_the_size),
		cmocka_unit_test(noise_belongs_to_the_sample_and_not_to_its_place_or_the_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
