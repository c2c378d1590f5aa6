/* SPDX-License-Identifier: Apache-2.0 */
/* Whole runs, with a stand-in for the network: the trajectories of the reference. */
#include "flow/generation.h"

#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double
number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static struct tensor
named(const struct st_file *f, const char *name, const char *part)
{
	char text[160];

	snprintf(text, sizeof text, "%s.%s", name, part);
	return golden_f32(f, text);
}

/* Branch b gives a[b] x + bias[b]; each call also looks at what the step before has made. */
struct stand_in {
	const char *name;
	struct tensor bias[GENERATION_BRANCHES], trajectory;
	const cJSON *scales;
	int64_t n;
	double limit;
	int calls;
};

static enum status
velocity(void *me, float *const out[GENERATION_BRANCHES], int n, const float *x, float timestep, int call, int calls)
{
	static const float a[] = { 0.9f, 0.7f, 0.8f };
	struct stand_in *s = me;

	assert_int_equal(call, s->calls++);
	assert_int_equal(calls, s->trajectory.dim[0]);
	assert_true(timestep > 0 && timestep <= 1000);
	assert_int_equal(n > 1, cJSON_IsNumber(cJSON_GetArrayItem(s->scales, call)));
	if (call > 0)
		golden_close(s->name, x, (float *)s->trajectory.data + (call - 1) * s->n, s->n, s->limit);
	for (int b = 0; b < n; b++)
		for (int64_t k = 0; k < s->n; k++)
			out[b][k] = a[b] * x[k] + ((float *)s->bias[b].data)[call * s->n + k];
	return ACE_OK;
}

static void
read_options(struct generation_options *o, const cJSON *one)
{
	*o = GENERATION_DEFAULT;
	assert_true(sampler_named(&o->kind, cJSON_GetStringValue(cJSON_GetObjectItem(one, "kind"))));
	assert_true(guidance_named(&o->guidance.kind, cJSON_GetStringValue(cJSON_GetObjectItem(one, "cfg_type"))));
	o->shift = number(one, "shift");
	o->steps = (int)number(one, "steps_asked");
	o->omega = number(one, "omega_scale");
	o->strength = number(one, "audio2audio_ref_strength");
	o->guidance.scale = number(one, "guidance_scale");
	o->guidance.least = number(one, "min_guidance_scale");
	o->guidance.interval = number(one, "guidance_interval");
	o->guidance.decay = number(one, "guidance_interval_decay");
	o->guidance.text = number(one, "guidance_scale_text");
	o->guidance.lyric = number(one, "guidance_scale_lyric");
}

static void
check_case(const struct st_file *f, const cJSON *one)
{
	static const char *const branches[] = { "bias.cond", "bias.uncond", "bias.text_only" };
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(one, "name"));
	struct stand_in s = { .name = name, .scales = cJSON_GetObjectItem(one, "scale_per_step") };
	const struct generation_network network = { &s, velocity };
	struct tensor x, reference = { 0 }, fresh = { 0 };
	struct generation_options o;
	int calls, outputs;

	read_options(&o, one);
	for (int b = 0; b < GENERATION_BRANCHES; b++)
		s.bias[b] = named(f, name, branches[b]);
	s.trajectory = named(f, name, "trajectory");
	s.limit = o.kind == SAMPLER_HEUN ? 2e-4 : 1e-4;
	if (o.strength > 0)
		reference = named(f, name, "ref");
	x = named(f, name, o.strength > 0 ? "noise0" : "x0");
	if (o.kind == SAMPLER_PINGPONG)
		fresh = named(f, name, "step_noise");
	s.n = tensor_count(x);
	assert_ok(generation_run(&o, x.data, reference.data, x.dim[1], x.dim[2], x.dim[3],
	                         &(struct generation_noise){ .given = fresh.data }, &network));
	assert_int_equal(s.calls, s.trajectory.dim[0]);
	golden_close(name, x.data, (float *)s.trajectory.data + (s.calls - 1) * s.n, s.n, s.limit);
	assert_true(generation_cost(&o, &calls, &outputs));
	assert_int_equal(calls, s.calls);
	assert_true(outputs >= calls);
	for (int b = 0; b < GENERATION_BRANCHES; b++)
		free(s.bias[b].data);
	free(s.trajectory.data);
	free(x.data);
	free(reference.data);
	free(fresh.data);
}

static void
runs_are_the_reference_s(void **state)
{
	cJSON *all = golden_json("sampling", "manifest.json");
	const cJSON *one;
	struct st_file f;

	(void)state;
	golden_open(&f, "sampling", "loops.safetensors");
	cJSON_ArrayForEach(one, cJSON_GetObjectItem(cJSON_GetObjectItem(all, "loops"), "cases"))
		check_case(&f, one);
	st_close(&f);
	cJSON_Delete(all);
}

/* --- without goldens --- */

struct simple {
	int calls, fail_at;
	float value;
};

static enum status
simple(void *me, float *const out[GENERATION_BRANCHES], int n, const float *x, float timestep, int call, int calls)
{
	struct simple *s = me;

	(void)timestep;
	(void)calls;
	s->calls++;
	if (call == s->fail_at)
		return ACE_ESTOPPED;
	for (int b = 0; b < n; b++)
		for (int k = 0; k < 12; k++)
			out[b][k] = s->value * x[k];
	return ACE_OK;
}

static enum status
run(const struct generation_options *o, struct simple *s, uint64_t seed, float x[12])
{
	const struct generation_network network = { s, simple };

	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), x, 12);
	s->calls = 0;
	return generation_run(o, x, NULL, 2, 2, 3, &(struct generation_noise){ .fresh = rng_stream(seed, RNG_TEST, 1, 0) }, &network);
}

static void
pingpong_depends_on_its_fresh_noise_and_euler_does_not(void **state)
{
	struct generation_options o = GENERATION_DEFAULT;
	struct simple s = { .fail_at = -1, .value = 0.5f };
	float one[12], two[12];

	(void)state;
	o.steps = 5;
	assert_ok(run(&o, &s, 1, one));
	assert_ok(run(&o, &s, 2, two));
	assert_memory_equal(one, two, sizeof one);
	o.kind = SAMPLER_PINGPONG;
	assert_ok(run(&o, &s, 1, one));
	assert_ok(run(&o, &s, 2, two));
	assert_memory_not_equal(one, two, sizeof one);
	assert_ok(run(&o, &s, 1, two));
	assert_memory_equal(one, two, sizeof one);
}

static void
a_failure_of_the_network_ends_the_run(void **state)
{
	struct generation_options o = GENERATION_DEFAULT;
	struct simple s = { .fail_at = 3, .value = 0.5f };
	float x[12];

	(void)state;
	assert_int_equal(run(&o, &s, 1, x), ACE_ESTOPPED);
	assert_int_equal(s.calls, 4);
	s = (struct simple){ .fail_at = -1, .value = 1e38f };
	assert_int_equal(run(&o, &s, 1, x), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "not finite"));
}

static void
chosen_steps_are_as_many_calls(void **state)
{
	static const int place[] = { 2, 5, 9 };
	struct generation_options o = GENERATION_DEFAULT;
	struct simple s = { .fail_at = -1, .value = 0.5f };
	float x[12];

	(void)state;
	o.place = place;
	o.steps = 3;
	assert_ok(run(&o, &s, 1, x));
	assert_int_equal(s.calls, 3);
	o.strength = 0.5;
	assert_int_equal(run(&o, &s, 1, x), ACE_ECONFIG);
}

/* Where the network always points from the noise to one latent, steps of Euler's arrive there, whatever the schedule. */
struct pointing {
	const float *noise, *goal;
	const bool *again;
	int calls;
	float first;			/* timestep of the first call */
	bool apart;			/* x was the reference under noise wherever it is kept */
	const float *reference;
};

static enum status
point(void *me, float *const out[GENERATION_BRANCHES], int n, const float *x, float timestep, int call, int calls)
{
	struct pointing *p = me;
	float t = timestep / 1000.f;

	assert_true(call == p->calls && call < calls);
	if (p->calls++ == 0)
		p->first = timestep;
	for (int b = 0; b < n; b++)
		for (int k = 0; k < 12; k++)
			out[b][k] = p->noise[k] - p->goal[k];
	for (int k = 0; k < 12; k++)
		if (!p->again[k % 3] && fabsf(x[k] - ((1.f - t) * p->reference[k] + t * p->noise[k])) > 1e-6f)
			p->apart = true;
	return ACE_OK;
}

static void
what_is_not_painted_stays_the_reference(void **state)
{
	const bool again[] = { false, true, false };
	struct generation_options o = GENERATION_DEFAULT;
	float noise[12], goal[12], reference[12], x[12], skipped;
	struct pointing p = { noise, goal, again, 0, 0, false, reference };
	const struct generation_network network = { &p, point };
	int calls, outputs;

	(void)state;
	o.again = again;
	o.steps = 10;
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), noise, 12);
	rng_normal_fill(rng_stream(2, RNG_TEST, 0, 0), goal, 12);
	rng_normal_fill(rng_stream(3, RNG_TEST, 0, 0), reference, 12);
	for (o.variance = 1; o.variance > 0.2; o.variance -= 0.25) {
		memcpy(x, noise, sizeof x);
		p.calls = 0;
		assert_ok(generation_run(&o, x, reference, 2, 2, 3, &(struct generation_noise){ 0 }, &network));
		assert_int_equal(p.calls, 10 - (int)(10 * (1 - o.variance)));
		assert_true(generation_cost(&o, &calls, &outputs));
		assert_int_equal(calls, p.calls);
		skipped = 1.f - p.first / 1000.f;	/* of the way from the noise, which the reference goes instead of the goal */
		for (int k = 0; k < 12; k++)
			assert_float_equal(x[k], again[k % 3] ? goal[k] + skipped * (reference[k] - goal[k]) : reference[k], 1e-5);
	}
	assert_false(p.apart);
}

static void
repainting_refuses_what_it_cannot_do(void **state)
{
	const bool again[] = { false, true, false };
	struct generation_options o = GENERATION_DEFAULT;
	struct simple s = { .fail_at = -1, .value = 0.5f };
	float x[12];

	(void)state;
	o.again = again;
	assert_int_equal(run(&o, &s, 1, x), ACE_ECONFIG);	/* no variance */
	o.variance = 0.5;
	o.kind = SAMPLER_HEUN;
	assert_int_equal(run(&o, &s, 1, x), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "euler"));
	o.kind = SAMPLER_EULER;
	o.strength = 0.5;
	assert_int_equal(run(&o, &s, 1, x), ACE_ECONFIG);
	assert_int_equal(s.calls, 0);
}

/* x of a network that pulls towards its goal: v = x - goal. */
struct pull {
	const float *goal;
	int calls;
};

static enum status
pull(void *me, float *const out[GENERATION_BRANCHES], int n, const float *x, float timestep, int call, int calls)
{
	struct pull *p = me;

	(void)timestep;
	assert_true(call < calls);
	p->calls++;
	for (int b = 0; b < n; b++)
		for (int k = 0; k < 12; k++)
			out[b][k] = x[k] - p->goal[k];
	return ACE_OK;
}

/* With these networks a step of (a, b) takes the clip's distance y from the source: y' = y + (b - a)(y + goal of was - goal of wanted),
 * whatever the noise. */
static void
editing_moves_the_source_by_what_the_networks_differ_in(void **state)
{
	struct generation_options o = GENERATION_DEFAULT;
	struct edit_options e = EDIT_DEFAULT;
	float one[12], two[12], source[12], x[12];
	struct pull was = { one, 0 }, wanted = { two, 0 };
	const struct generation_network from = { &was, pull }, to = { &wanted, pull };
	struct schedule_of_run run;
	int calls;

	(void)state;
	o.steps = 10;
	o.guidance.scale = 1;
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), one, 12);
	rng_normal_fill(rng_stream(2, RNG_TEST, 0, 0), two, 12);
	rng_normal_fill(rng_stream(3, RNG_TEST, 0, 0), source, 12);
	assert_ok(sampler_plan(&run, o.kind, o.shift, 1, o.steps));
	for (e.average = 1; e.average < 4; e.average += 2) {
		was.calls = wanted.calls = 0;
		e.from = e.average == 1 ? 0 : 0.3;
		assert_ok(generation_edit(&o, &e, x, source, 2, 2, 3, rng_stream(7, RNG_TEST, 0, 0), &from, &to));
		assert_int_equal(was.calls, (10 - (int)(10 * e.from)) * e.average);
		assert_int_equal(wanted.calls, was.calls);
		assert_true(generation_edit_cost(&o, &e, &calls));
		assert_int_equal(calls, was.calls + wanted.calls);
		for (int k = 0; k < 12; k++) {
			double y = 0;
			for (int i = (int)(10 * e.from); i < 10; i++)
				y += ((double)run.sigma[i + 1] - (double)run.sigma[i]) * (y + (double)one[k] - (double)two[k]);
			assert_float_equal(x[k], source[k] + (float)y, 2e-5);
		}
	}
	sampler_free(&run);
	e.to = 0.5;			/* behind it an ordinary run, which ends elsewhere */
	wanted.calls = was.calls = 0;
	assert_ok(generation_edit(&o, &e, two, source, 2, 2, 3, rng_stream(7, RNG_TEST, 0, 0), &from, &to));
	assert_int_equal(wanted.calls - was.calls, 5);
	assert_memory_not_equal(x, two, sizeof x);
	e.to = e.from;
	assert_int_equal(generation_edit(&o, &e, x, source, 2, 2, 3, rng_stream(7, RNG_TEST, 0, 0), &from, &to), ACE_ECONFIG);
	assert_false(generation_edit_cost(&o, &e, &calls));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_the_reference_s),
		cmocka_unit_test(pingpong_depends_on_its_fresh_noise_and_euler_does_not),
		cmocka_unit_test(a_failure_of_the_network_ends_the_run),
		cmocka_unit_test(chosen_steps_are_as_many_calls),
		cmocka_unit_test(what_is_not_painted_stays_the_reference),
		cmocka_unit_test(repainting_refuses_what_it_cannot_do),
		cmocka_unit_test(editing_moves_the_source_by_what_the_networks_differ_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
