/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/rollout.h"

#include "flow/noise.h"
#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/jvp.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double
number(const cJSON *c, const char *key, double missing)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(c, key);

	return cJSON_IsNumber(v) ? v->valuedouble : missing;
}

static const char *
text(const cJSON *c, const char *key)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(c, key));

	assert_non_null(s);
	return s;
}

static void
chances_along_ramps_are_the_reference_s(void **state)
{
	cJSON *root = golden_json("scheduled-sampling", "manifest.json"), *ramp;
	const cJSON *row;
	int n = 0;

	(void)state;
	cJSON_ArrayForEach(ramp, cJSON_GetObjectItemCaseSensitive(root, "ramps")) {
		struct rollout_options o = { .longest = 1, .chance = 0.77, .ramp_steps = (int64_t)number(ramp, "ramp_steps", 0),
			.start_step = (int64_t)number(ramp, "start_step", 0), .prob_start = number(ramp, "prob_start", NAN),
			.prob_end = number(ramp, "prob_end", NAN), .cosine = strcmp(text(ramp, "ramp_shape"), "cosine") == 0 };
		cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(ramp, "rows")) {
			double want = cJSON_GetArrayItem(row, 1)->valuedouble;
			assert_true(fabs(rollout_chance(&o, (int64_t)cJSON_GetArrayItem(row, 0)->valuedouble) - want) <= 1e-12);
			n++;
		}
	}
	assert_true(n > 0);
	cJSON_Delete(root);
}

static void
without_a_ramp_or_its_ends_the_plain_chance_holds(void **state)
{
	struct rollout_options o = { .longest = 1, .chance = 0.25, .prob_start = NAN, .prob_end = 1 };

	(void)state;
	assert_true(rollout_chance(&o, 0) == 0.25 && rollout_chance(&o, 1000) == 0.25);
	o.ramp_steps = 10;
	assert_true(rollout_chance(&o, 0) == 0.25 && rollout_chance(&o, 10) == 1);
}

/* The fixture's network: tanh(x M + (t / 1000) b) on rows of x. */
struct toy {
	const float *m, *b;
	int64_t width, calls;
};

static void
toy_velocity(void *me, struct tensor v, struct tensor x, struct tensor timestep)
{
	struct toy *t = me;
	int64_t w = t->width, rows = tensor_rows(x), each = rows / x.dim[0];

	assert_int_equal(tensor_cols(x), w);
	t->calls++;
	for (int64_t r = 0; r < rows; r++)
		for (int64_t c = 0; c < w; c++) {
			double sum = (double)((float *)timestep.data)[r / each] / 1000 * (double)t->b[c];
			for (int64_t k = 0; k < w; k++)
				sum += (double)((float *)x.data)[r * w + k] * (double)t->m[k * w + c];
			((float *)v.data)[r * w + c] = (float)tanh(sum);
		}
}

struct plan {
	struct st_file f;
	struct dev d;
	struct flow_options flow;
	struct rollout_options o;
	struct toy toy;
	struct tensor x0, e, m, b, x;
	int64_t source[64], target[64];
	char tag[60];
};

static struct tensor
named(const struct plan *p, const char *rest)
{
	char name[120];

	snprintf(name, sizeof name, "%s.%s", p->tag, rest);
	return golden_f32(&p->f, name);
}

static void
same_indices(const cJSON *c, const char *key, const int64_t *got, int64_t n)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(c, key);

	assert_int_equal(cJSON_GetArraySize(list), n);
	for (int64_t b = 0; b < n; b++)
		assert_int_equal(got[b], (int64_t)cJSON_GetArrayItem(list, (int)b)->valuedouble);
}

static void
open_plan(struct plan *p, const cJSON *c, int which)
{
	const cJSON *targets = cJSON_GetObjectItemCaseSensitive(c, "target_index");
	struct tensor keep, offset;
	int64_t offsets[64];

	memset(p, 0, sizeof *p);
	golden_open(&p->f, "scheduled-sampling", "rollout.safetensors");
	assert_ok(dev_open(&p->d, which ? DEV_CPU : DEV_REF, 2));
	kernels_attach(&p->d);
	p->flow = FLOW_OPTIONS_DEFAULT;
	snprintf(p->tag, sizeof p->tag, "%s", text(c, "tag"));
	p->o = (struct rollout_options){ .longest = (int64_t)number(c, "max_step_offset", 0),
		.chance = number(c, "probability", 0) };
	assert_true(rollout_strategy_named(&p->o.strategy, text(c, "strategy")));
	p->x0 = golden_f32(&p->f, "x0");
	p->e = golden_f32(&p->f, "noise");
	p->m = golden_f32(&p->f, "toy.M");
	p->b = golden_f32(&p->f, "toy.b");
	p->toy = (struct toy){ p->m.data, p->b.data, tensor_count(p->b), 0 };
	p->x = jvp_zeros(p->x0.rank, p->x0.dim);
	keep = named(p, "u_keep");
	offset = named(p, "u_offset");
	assert_true(p->x.dim[0] <= 64);
	for (int64_t b = 0; b < p->x.dim[0]; b++) {
		double u[2] = { (double)((float *)keep.data)[b], (double)((float *)offset.data)[b] };
		offsets[b] = rollout_offset(&p->o, p->o.chance, u[0], u[1]);
		p->target[b] = (int64_t)cJSON_GetArrayItem(targets, (int)b)->valuedouble;
		p->source[b] = p->target[b] > offsets[b] ? p->target[b] - offsets[b] : 0;
	}
	same_indices(c, "offset", offsets, p->x.dim[0]);
	same_indices(c, "source_index", p->source, p->x.dim[0]);
	free(keep.data);
	free(offset.data);
}

static void
close_plan(struct plan *p)
{
	struct tensor all[] = { p->x0, p->e, p->m, p->b, p->x };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i].data);
	dev_close(&p->d);
	st_close(&p->f);
}

static void
fill_sigma(const struct plan *p, const int64_t *index, struct tensor sigma, struct tensor timestep)
{
	for (int64_t b = 0; b < p->x.dim[0]; b++) {
		struct flow_time t = flow_time_at(&p->flow, index[b]);
		((float *)sigma.data)[b] = t.sigma;
		((float *)timestep.data)[b] = t.timestep;
	}
}

/* What is trained on is x at the target's time, with the loss of section 1.3. */
static void
check_loss(struct plan *p, struct tensor sigma, struct tensor timestep)
{
	int64_t n = p->x.dim[0], frames = tensor_cols(p->x);
	struct tensor v = jvp_zeros(p->x.rank, p->x.dim), loss = JVP_ZEROS(1, n + 1), mask = JVP_ZEROS(2, n, frames);
	struct tensor weight = JVP_ZEROS(1, n), want = named(p, "euler.x0_loss"), pred = named(p, "euler.x0_pred");
	struct rollout_network net = { &p->toy, toy_velocity };
	int64_t each = tensor_count(p->x) / n;

	fill_sigma(p, p->target, sigma, timestep);
	net.velocity(net.me, v, p->x, timestep);
	for (int64_t b = 0; b < n; b++)
		((float *)weight.data)[b] = 1.f / (float)n;
	for (int64_t i = 0; i < n * frames; i++)
		((float *)mask.data)[i] = 1.f;
	flow_loss(&p->d, (struct tensor){ 0 }, loss, v, p->x, p->x0, p->e, sigma, mask, weight, (struct flow_form){ 0 }, F32);
	assert_true(fabsf(((float *)loss.data)[n] - *(float *)want.data) <= 1e-5f * *(float *)want.data);
	for (int64_t i = 0; i < n * each; i++)
		((float *)v.data)[i] = ((float *)p->x.data)[i] - ((float *)sigma.data)[i / each] * ((float *)v.data)[i];
	golden_close("x0_pred", v.data, pred.data, tensor_count(pred), 1e-5);
	struct tensor all[] = { v, loss, mask, weight, want, pred };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i].data);
}

static void
follow(const cJSON *c, enum rollout_sampler sampler, int which)
{
	struct plan p;
	struct rollout r;
	struct tensor sigma, timestep, want;
	struct rollout_network net = { &p.toy, toy_velocity };
	int64_t longest = 0;

	open_plan(&p, c, which);
	sigma = JVP_ZEROS(1, p.x.dim[0]);
	timestep = JVP_ZEROS(1, p.x.dim[0]);
	fill_sigma(&p, p.source, sigma, timestep);
	flow_mix(&p.d, p.x, p.x0, p.e, sigma, F32);
	assert_ok(rollout_open(&r, &p.d, sampler, p.x.rank, p.x.dim));
	rollout_run(&r, &p.flow, sampler, p.x, p.source, p.target, &net);
	for (int64_t b = 0; b < p.x.dim[0]; b++)
		longest = p.target[b] - p.source[b] > longest ? p.target[b] - p.source[b] : longest;
	assert_int_equal(p.toy.calls, longest * (sampler == ROLLOUT_HEUN ? 2 : 1));
	want = named(&p, sampler == ROLLOUT_HEUN ? "heun.rolled" : "euler.rolled");
	golden_close(p.tag, p.x.data, want.data, tensor_count(want), 1e-5);
	if (sampler == ROLLOUT_EULER)
		check_loss(&p, sigma, timestep);
	rollout_close(&r);
	free(sigma.data);
	free(timestep.data);
	free(want.data);
	close_plan(&p);
}

static void
offsets_rolled_latents_and_losses_are_the_reference_s(void **state)
{
	cJSON *root = golden_json("scheduled-sampling", "manifest.json"), *c;
	int n = 0;

	(void)state;
	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(root, "plans"))
		for (int which = 0; which < 2; which++, n++) {
			follow(c, ROLLOUT_EULER, which);
			follow(c, ROLLOUT_HEUN, which);
		}
	assert_true(n > 0);
	cJSON_Delete(root);
}

/* The exact flow of one sample is a straight line: its velocity e - x0 does not change on the way. */
static void
exact_velocity(void *me, struct tensor v, struct tensor x, struct tensor timestep)
{
	(void)x, (void)timestep;
	memcpy(v.data, ((struct tensor *)me)->data, tensor_bytes(v));
}

static void
a_perfect_network_leads_to_the_exact_noisy_latent(void **state)
{
	struct tensor x0 = JVP_NORMAL(1, 1.f, 3, 3, 4, 5), e = JVP_NORMAL(2, 1.f, 3, 3, 4, 5), x = JVP_ZEROS(3, 3, 4, 5);
	struct tensor want = JVP_ZEROS(3, 3, 4, 5), u = JVP_ZEROS(3, 3, 4, 5);
	const int64_t source[] = { 0, 500, -1 }, target[] = { 40, 503, -1 };
	struct flow_options o = FLOW_OPTIONS_DEFAULT;
	struct rollout_network net = { &u, exact_velocity };
	float at[3], to[3];
	struct rollout r;
	struct dev d;

	(void)state;
	assert_ok(dev_open(&d, DEV_CPU, 1));
	kernels_attach(&d);
	for (int64_t i = 0; i < tensor_count(u); i++)
		((float *)u.data)[i] = ((float *)e.data)[i] - ((float *)x0.data)[i];
	for (int b = 0; b < 3; b++) {
		at[b] = b < 2 ? flow_time_at(&o, source[b]).sigma : 0.3f;
		to[b] = b < 2 ? flow_time_at(&o, target[b]).sigma : 0.3f;
	}
	flow_mix(&d, want, x0, e, tensor_of(to, F32, 1, 3), F32);
	for (int s = ROLLOUT_EULER; s <= ROLLOUT_HEUN; s++) {
		flow_mix(&d, x, x0, e, tensor_of(at, F32, 1, 3), F32);
		assert_ok(rollout_open(&r, &d, (enum rollout_sampler)s, 3, x.dim));
		rollout_run(&r, &o, (enum rollout_sampler)s, x, source, target, &net);
		golden_close("rolled", x.data, want.data, tensor_count(x), 1e-5);
		rollout_close(&r);
	}
	struct tensor all[] = { x0, e, x, want, u };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i].data);
	dev_close(&d);
}

static void
sources_are_drawn_at_the_chance_and_not_past_the_noisiest(void **state)
{
	enum { N = 20000 };
	struct rollout_options o = { .longest = 7, .chance = 0.4 };
	int rolled = 0, off = 0, seen[8] = { 0 };

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		struct rng r = rng_stream(1, RNG_ROLLOUT, i, 3);
		int64_t j = rollout_source(&o, o.chance, 500, r);
		assert_true(j >= 493 && j <= 500);
		rolled += j < 500;
		seen[500 - j]++;
		assert_true(rollout_source(&o, 1, 2, r) >= 0);
		off += rollout_source(&(struct rollout_options){ .chance = 1 }, 1, 500, r) != 500;
	}
	assert_int_equal(off, 0);
	assert_true(fabs((double)rolled / N - 0.4 * 7 / 8) < 5 * sqrt(0.35 * 0.65 / N));
	for (int k = 1; k <= 7; k++)
		assert_true(fabs((double)seen[k] / N - 0.05) < 5 * sqrt(0.05 * 0.95 / N));
	assert_int_equal(rollout_source(&o, 1, -1, rng_stream(1, RNG_ROLLOUT, 0, 0)), -1);
}

static void
solvers_that_are_not_there_become_euler_with_a_notice(void **state)
{
	enum rollout_sampler s;
	bool replaced;

	(void)state;
	assert_true(rollout_sampler_named(&s, "heun", &replaced) && s == ROLLOUT_HEUN && !replaced);
	assert_true(rollout_sampler_named(&s, "euler", &replaced) && s == ROLLOUT_EULER && !replaced);
	assert_true(rollout_sampler_named(&s, "dpm", &replaced) && s == ROLLOUT_EULER && replaced);
	assert_false(rollout_sampler_named(&s, "rk4", &replaced));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chances_along_ramps_are_the_reference_s),
		cmocka_unit_test(without_a_ramp_or_its_ends_the_plain_chance_holds),
		cmocka_unit_test(offsets_rolled_latents_and_losses_are_the_reference_s),
		cmocka_unit_test(a_perfect_network_leads_to_the_exact_noisy_latent),
		cmocka_unit_test(sources_are_drawn_at_the_chance_and_not_past_the_noisiest),
		cmocka_unit_test(solvers_that_are_not_there_become_euler_with_a_notice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
