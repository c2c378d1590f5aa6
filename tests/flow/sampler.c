/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/guidance.h"
#include "flow/sampler.h"

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

/* --- tables --- */

static void
check_table(const struct st_file *f, const char *kind, double shift, double share, int steps)
{
	struct schedule_of_run r;
	enum sampler_kind k;
	char name[120];
	struct tensor sigma, time;

	assert_true(sampler_named(&k, kind));
	snprintf(name, sizeof name, "%s.shift%g.max%g.n%d", kind, shift, share, steps);
	sigma = named(f, name, "sigmas");
	time = named(f, name, "timesteps");
	assert_ok(sampler_plan(&r, k, shift, share, steps));
	assert_int_equal(r.n, tensor_count(time));
	assert_int_equal(r.n + 1, tensor_count(sigma));
	for (int i = 0; i < r.n; i++) {
		float s = ((float *)sigma.data)[i], t = ((float *)time.data)[i];
		if (fabsf(r.sigma[i] - s) > 1e-6f * s || fabsf(r.timestep[i] - t) > 1e-6f * t)
			fail_msg("%s, call %d: %.9g at %.9g, wanted %.9g at %.9g", name, i, (double)r.sigma[i], (double)r.timestep[i],
			         (double)s, (double)t);
	}
	assert_true(r.sigma[r.n] == 0);
	sampler_free(&r);
	free(sigma.data);
	free(time.data);
}

static void
tables_are_the_reference_s(void **state)
{
	cJSON *all = golden_json("sampling", "manifest.json"), *tables = cJSON_GetObjectItem(all, "tables");
	const cJSON *limit, *steps, *omega, *frames;
	struct st_file f;

	(void)state;
	golden_open(&f, "sampling", "tables.safetensors");
	cJSON_ArrayForEach(limit, cJSON_GetObjectItem(tables, "limits")) {
		const char *kind = cJSON_GetStringValue(cJSON_GetObjectItem(limit, "kind"));
		double shift = number(limit, "shift"), share = number(limit, "sigma_max_arg");
		float high, low;
		sampler_limits(shift, share, &high, &low);
		assert_true(fabs((double)high - number(limit, "table_sigma_max")) <= 1e-6);
		assert_true(fabs((double)low - number(limit, "table_sigma_min")) <= 1e-8);
		cJSON_ArrayForEach(steps, cJSON_GetObjectItem(tables, "steps"))
			check_table(&f, kind, shift, share, steps->valueint);
	}
	cJSON_ArrayForEach(omega, cJSON_GetObjectItem(all, "omega"))
		assert_true(fabs(sampler_omega(number(omega, "omega")) - number(omega, "rescaled")) < 1e-12);
	cJSON_ArrayForEach(frames, cJSON_GetObjectItem(all, "frame_length"))
		assert_int_equal(sampler_frames(number(frames, "duration")), (int64_t)number(frames, "frames"));
	st_close(&f);
	cJSON_Delete(all);
}

static void
chosen_steps_are_the_reference_s(void **state)
{
	cJSON *all = golden_json("sampling", "manifest.json");
	const cJSON *list = cJSON_GetObjectItem(cJSON_GetObjectItem(all, "oss"), "oss_steps"), *one;
	int place[4096], n = 0;
	struct schedule_of_run r;
	struct tensor sigma, time;
	struct st_file f;

	(void)state;
	golden_open(&f, "sampling", "oss.safetensors");
	cJSON_ArrayForEach(one, list)
		if (n < 4096)
			place[n++] = one->valueint;
	assert_ok(sampler_plan_chosen(&r, SAMPLER_EULER, 3, place, n));
	sigma = golden_f32(&f, "sigmas");
	time = golden_f32(&f, "timesteps");
	assert_int_equal(tensor_count(time), r.n);
	golden_close("sigmas", r.sigma, sigma.data, r.n + 1, 1e-6);
	golden_close("timesteps", r.timestep, time.data, r.n, 1e-6);
	sampler_free(&r);
	assert_int_equal(sampler_plan_chosen(&r, SAMPLER_HEUN, 3, place, n), ACE_ECONFIG);
	place[0] = place[1];
	assert_int_equal(sampler_plan_chosen(&r, SAMPLER_EULER, 3, place, n), ACE_ECONFIG);
	free(sigma.data);
	free(time.data);
	st_close(&f);
	cJSON_Delete(all);
}

/* --- steps --- */

static void
check_step(const struct st_file *f, const cJSON *one)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(one, "case"));
	struct tensor x = named(f, name, "sample"), v = named(f, name, "model_output"), want = named(f, name, "prev_sample");
	struct tensor noise = { 0 };
	struct schedule_of_run r;
	struct sampler s;
	enum sampler_kind kind;
	char word[40];

	snprintf(word, sizeof word, "%.*s", (int)strcspn(name, "."), name);
	assert_true(sampler_named(&kind, word));
	assert_ok(sampler_plan(&r, kind, number(one, "shift"), 1, (int)number(one, "steps")));
	assert_ok(sampler_open(&s, &r, number(one, "omega"), x.dim[0], tensor_count(x) / x.dim[0]));
	s.joint = true;
	if (kind == SAMPLER_PINGPONG)
		noise = named(f, name, "noise");
	sampler_step(&s, (int)number(one, "index"), x.data, v.data, noise.data);
	golden_close(name, x.data, want.data, tensor_count(want), 1e-5);
	sampler_close(&s);
	sampler_free(&r);
	free(x.data);
	free(v.data);
	free(want.data);
	free(noise.data);
}

static void
steps_are_the_reference_s(void **state)
{
	cJSON *all = golden_json("sampling", "manifest.json");
	const cJSON *one;
	struct st_file f;

	(void)state;
	golden_open(&f, "sampling", "steps.safetensors");
	cJSON_ArrayForEach(one, cJSON_GetObjectItem(cJSON_GetObjectItem(all, "steps"), "cases"))
		check_step(&f, one);
	st_close(&f);
	cJSON_Delete(all);
}

/* --- guidance --- */

static void
check_apg(const struct st_file *f, const char *run, const struct guidance_options *how)
{
	struct guidance g = { 0 };
	char name[64];

	for (int i = 0;; i++) {
		struct tensor c, u, want;
		snprintf(name, sizeof name, "%s.%d.out", run, i);
		if (!st_find(f, name)) {
			assert_true(i > 0);
			break;
		}
		want = golden_f32(f, name);
		snprintf(name, sizeof name, "apg.%d", i);
		c = named(f, name, "cond");
		u = named(f, name, "uncond");
		if (i == 0)
			assert_ok(guidance_open(&g, how, c.dim[0], c.dim[1], c.dim[2] * c.dim[3]));
		guidance_apply(&g, c.data, c.data, u.data, NULL, how->scale, i);
		golden_close(name, c.data, want.data, tensor_count(want), 1e-5);
		if (strcmp(run, "apg") == 0) {
			struct tensor m = named(f, name, "momentum");
			golden_close("momentum", g.buffer, m.data, tensor_count(m), 1e-5);
			free(m.data);
		}
		free(c.data);
		free(u.data);
		free(want.data);
	}
	guidance_close(&g);
}

static void
check_form(const struct st_file *f, const struct guidance_options *how, int i, const char *name)
{
	struct tensor c = golden_f32(f, "cond"), u = golden_f32(f, "uncond"), t = golden_f32(f, "text_only"), want = golden_f32(f, name);
	struct guidance g;

	assert_ok(guidance_open(&g, how, c.dim[0], c.dim[1], c.dim[2] * c.dim[3]));
	guidance_apply(&g, c.data, c.data, u.data, t.data, how->scale, i);
	golden_close(name, c.data, want.data, tensor_count(want), 1e-5);
	guidance_close(&g);
	free(c.data);
	free(u.data);
	free(t.data);
	free(want.data);
}

static void
guidance_is_the_reference_s(void **state)
{
	struct guidance_options o = GUIDANCE_DEFAULT;
	char name[64];
	struct st_file f;
	int i = 0;

	(void)state;
	golden_open(&f, "sampling", "guidance.safetensors");
	check_apg(&f, "apg", &o);
	o.scale = 5, o.eta = 0.3, o.momentum = 0, o.limit = 0;
	check_apg(&f, "apg_eta", &o);
	o = GUIDANCE_DEFAULT;
	o.kind = GUIDANCE_CFG;
	o.scale = 7.5;
	check_form(&f, &o, 0, "cfg.out");
	o.kind = GUIDANCE_CFG_STAR;
	for (; snprintf(name, sizeof name, "cfg_star.i%d.out", i), st_find(&f, name); i++)
		check_form(&f, &o, i, name);
	assert_true(i > 0);
	o.zero_steps = -1;
	check_form(&f, &o, 0, "cfg_star_nozero.out");
	o = GUIDANCE_DEFAULT;
	o.text = 5, o.lyric = 1.5;
	assert_true(guidance_double(&o));
	check_form(&f, &o, 0, "double.out");
	st_close(&f);
}

/* --- whole loops --- */

struct loop {
	const struct st_file *f;
	const char *name;
	struct guidance_options how;
	struct schedule_of_run run;
	struct tensor x, bias[3], noise, want;
	float *out[3];
	int start, end;
};

static void
open_loop(struct loop *l, const cJSON *one)
{
	static const char *const branches[] = { "bias.cond", "bias.uncond", "bias.text_only" };
	const cJSON *strength = cJSON_GetObjectItem(one, "audio2audio_ref_strength");
	double share = cJSON_IsNumber(strength) ? 1 - strength->valuedouble : 1;
	int steps = (int)number(one, "steps_asked");
	enum sampler_kind kind;

	l->name = cJSON_GetStringValue(cJSON_GetObjectItem(one, "name"));
	assert_true(sampler_named(&kind, cJSON_GetStringValue(cJSON_GetObjectItem(one, "kind"))));
	l->how = GUIDANCE_DEFAULT;
	assert_true(guidance_named(&l->how.kind, cJSON_GetStringValue(cJSON_GetObjectItem(one, "cfg_type"))));
	l->how.scale = number(one, "guidance_scale");
	l->how.least = number(one, "min_guidance_scale");
	l->how.interval = number(one, "guidance_interval");
	l->how.decay = number(one, "guidance_interval_decay");
	l->how.text = number(one, "guidance_scale_text");
	l->how.lyric = number(one, "guidance_scale_lyric");
	assert_ok(guidance_check(&l->how));
	if (share < 1)
		steps = sampler_steps_from(steps, strength->valuedouble);
	assert_int_equal(steps, (int)number(one, "steps_used"));
	assert_ok(sampler_plan(&l->run, kind, number(one, "shift"), share, steps));
	assert_int_equal(l->run.n, (int)number(one, "timesteps"));
	guidance_interval(&l->how, steps, &l->start, &l->end);
	l->x = named(l->f, l->name, "x0");
	l->want = named(l->f, l->name, "trajectory");
	for (int b = 0; b < 3; b++) {
		l->bias[b] = named(l->f, l->name, branches[b]);
		l->out[b] = malloc(tensor_bytes(l->x));
	}
	if (kind == SAMPLER_PINGPONG)
		l->noise = named(l->f, l->name, "step_noise");
	if (share < 1) {
		struct tensor ref = named(l->f, l->name, "ref"), noise = named(l->f, l->name, "noise0");
		float high, low;
		sampler_limits(number(one, "shift"), share, &high, &low);
		sampler_begin_from(noise.data, ref.data, noise.data, tensor_count(ref), high);
		golden_close("the beginning", noise.data, l->x.data, tensor_count(ref), 1e-6);
		free(ref.data);
		free(noise.data);
	}
}

/* What stands for the network: branch b is a[b] x + bias[b]. */
static void
network(struct loop *l, int i)
{
	static const float a[] = { 0.9f, 0.7f, 0.8f };
	int64_t n = tensor_count(l->x);
	const float *x = l->x.data;

	for (int b = 0; b < 3; b++) {
		const float *bias = (float *)l->bias[b].data + i * n;
		for (int64_t k = 0; k < n; k++)
			l->out[b][k] = a[b] * x[k] + bias[k];
	}
}

static void
run_loop(struct loop *l, const cJSON *one)
{
	const cJSON *scales = cJSON_GetObjectItem(one, "scale_per_step");
	struct sampler s;
	struct guidance g;

	assert_ok(sampler_open(&s, &l->run, number(one, "omega_scale"), 1, tensor_count(l->x)));
	assert_ok(guidance_open(&g, &l->how, 1, l->x.dim[1], l->x.dim[2] * l->x.dim[3]));
	for (int i = 0; i < l->run.n; i++) {
		const cJSON *scale = cJSON_GetArrayItem(scales, i);
		int64_t n = tensor_count(l->x);
		bool acts = i >= l->start && i < l->end;
		assert_int_equal(acts, cJSON_IsNumber(scale));
		network(l, i);
		if (acts) {
			double now = guidance_scale_at(&l->how, l->start, l->end, i);
			assert_true(fabs(now - scale->valuedouble) < 1e-12);
			guidance_apply(&g, l->out[0], l->out[0], l->out[1], l->out[2], now, i);
		}
		sampler_step(&s, i, l->x.data, l->out[0], l->noise.data ? (float *)l->noise.data + i * n : NULL);
		golden_close(l->name, l->x.data, (float *)l->want.data + i * n, n, l->run.kind == SAMPLER_HEUN ? 2e-4 : 1e-4);
	}
	sampler_close(&s);
	guidance_close(&g);
}

static void
loops_are_the_reference_s(void **state)
{
	cJSON *all = golden_json("sampling", "manifest.json");
	const cJSON *one;
	struct st_file f;

	(void)state;
	golden_open(&f, "sampling", "loops.safetensors");
	cJSON_ArrayForEach(one, cJSON_GetObjectItem(cJSON_GetObjectItem(all, "loops"), "cases")) {
		struct loop l = { .f = &f };
		open_loop(&l, one);
		run_loop(&l, one);
		for (int b = 0; b < 3; b++) {
			free(l.out[b]);
			free(l.bias[b].data);
		}
		free(l.x.data);
		free(l.want.data);
		free(l.noise.data);
		sampler_free(&l.run);
	}
	st_close(&f);
	cJSON_Delete(all);
}

static void
clips_of_a_batch_do_not_know_of_each_other(void **state)
{
	float x[6] = { 1, 2, 3, -4, 5, 9 }, v[6] = { 0.5f, -1, 2, 3, 0, 1 }, alone[3] = { -4, 5, 9 };
	struct schedule_of_run r;
	struct sampler two, one;

	(void)state;
	assert_ok(sampler_plan(&r, SAMPLER_EULER, 3, 1, 5));
	assert_ok(sampler_open(&two, &r, 10, 2, 3));
	assert_ok(sampler_open(&one, &r, 10, 1, 3));
	sampler_step(&two, 1, x, v, NULL);
	sampler_step(&one, 1, alone, v + 3, NULL);
	assert_memory_equal(x + 3, alone, sizeof alone);
	sampler_close(&two);
	sampler_close(&one);
	sampler_free(&r);
}

static void
what_is_out_of_range_is_named(void **state)
{
	struct guidance_options o = GUIDANCE_DEFAULT;
	struct schedule_of_run r;
	enum sampler_kind kind;
	enum guidance_kind form;

	(void)state;
	assert_false(sampler_named(&kind, "unipc"));
	assert_false(guidance_named(&form, "zero"));
	assert_int_equal(sampler_plan(&r, SAMPLER_EULER, 3, 1, 0), ACE_ECONFIG);
	assert_int_equal(sampler_plan(&r, SAMPLER_EULER, -1, 1, 5), ACE_ECONFIG);
	assert_int_equal(sampler_plan(&r, SAMPLER_EULER, 3, 0, 5), ACE_ECONFIG);
	assert_int_equal(sampler_plan_chosen(&r, SAMPLER_EULER, 3, NULL, 0), ACE_ECONFIG);
	o.interval = 1.5;
	assert_int_equal(guidance_check(&o), ACE_ECONFIG);
	o.interval = 0.5;
	o.scale = NAN;
	assert_int_equal(guidance_check(&o), ACE_ECONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_the_reference_s),
		cmocka_unit_test(chosen_steps_are_the_reference_s),
		cmocka_unit_test(steps_are_the_reference_s),
		cmocka_unit_test(guidance_is_the_reference_s),
		cmocka_unit_test(loops_are_the_reference_s),
		cmocka_unit_test(clips_of_a_batch_do_not_know_of_each_other),
		cmocka_unit_test(what_is_out_of_range_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
