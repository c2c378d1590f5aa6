/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduled sampling in a step: what it trains on, what it leaves alone */
#include "train/tiny.h"

#include "flow/noise.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 3, B_MOST = 16 };

static struct step_options
options(const struct tiny *t, int64_t longest, double chance, enum rollout_sampler sampler)
{
	struct step_options o = tiny_step_options(t);

	o.rollout = (struct rollout_options){ .longest = longest, .chance = chance, .strategy = ROLLOUT_BIASED_LATE,
		.sampler = sampler, .prob_start = NAN, .prob_end = NAN };
	return o;
}

/* The network of the step before its update, asked by hand: no dropout, no training. */
static void
ask(struct tiny *t, struct tensor v, struct tensor x, const float *timestep)
{
	struct arena act = { .size = (size_t)1 << 26 };
	struct ctx c = { .dev = &t->dev, .act = &act, .half = F32 };
	const struct batch *b = &t->b;
	struct dit_input in = { .latents = x, .frame_mask = tensor_of(b->frame_mask, F32, 2, b->B, b->T),
		.text = tensor_of(b->text, F32, 3, b->B, b->S, b->text_width), .text_mask = tensor_of(b->text_mask, F32, 2, b->B, b->S),
		.speaker = tensor_of(b->speaker, F32, 2, b->B, b->speaker_width),
		.lyric_ids = tensor_of(b->lyric_ids, I32, 2, b->B, b->Y), .lyric_mask = tensor_of(b->lyric_mask, F32, 2, b->B, b->Y),
		.timestep = tensor_of((void *)(uintptr_t)timestep, F32, 1, b->B) };

	act.base = malloc(act.size);
	assert_non_null(act.base);
	dit_forward(&c, &t->m, v, &in);
	free(act.base);
}

/* What reflex makes of it: v and x of the pass that trains, each clip's two velocities apart. */
static double
reflex_by_hand(struct tiny *t, const float *noise, struct tensor v, struct tensor x)
{
	const struct flow_options *f = &t->step.o.flow;
	const struct reflex_options *o = &t->step.o.rollout.reflex;
	const int64_t B = t->b.B, n = tensor_count(x) / B, *to = t->step.way + t->step.room.B;
	const float *xp = x.data, *vp = v.data, *x0 = t->b.latents;
	struct tensor exact = x, clean = v;
	float time[B_MOST], *ep, *cp;
	double loss = 0;

	exact.data = ep = malloc(tensor_bytes(x));
	clean.data = cp = malloc(tensor_bytes(x));
	assert_true(ep && cp);
	for (int64_t i = 0; i < B * n; i++) {
		float sigma = flow_time_at(f, to[i / n]).sigma;
		time[i / n] = flow_time_at(f, to[i / n]).timestep;
		ep[i] = sigma * noise[i] + (1 - sigma) * x0[i];
	}
	ask(t, clean, exact, time);
	for (int64_t b = 0; b < B; b++) {
		double sum = 1e-30, vv = 0, ww = 0, squares = 0, drift = 0, sigma = (double)flow_time_at(f, to[b]).sigma;
		for (int64_t i = b * n; i < (b + 1) * n; i++) {
			sum += fabs((double)cp[i] - (double)vp[i]);
			vv += (double)vp[i] * (double)vp[i];
			ww += ((double)xp[i] - (double)x0[i]) * ((double)xp[i] - (double)x0[i]);
		}
		for (int64_t i = b * n; i < (b + 1) * n; i++) {
			double e = (double)xp[i] - sigma * (double)vp[i] - (double)x0[i];
			double turn = (double)vp[i] / sqrt(vv) - ((double)xp[i] - (double)x0[i]) / sqrt(ww);
			squares += e * e * (1 + o->alpha * ((double)cp[i] - (double)vp[i]) / sum);
			drift += turn * turn;
		}
		loss += (o->beta2 * squares / (double)n + o->beta1 * drift) / (double)B;
	}
	free(ep);
	free(cp);
	return loss;
}

/* The loss that section 10 asks for, from the ways that the step has drawn: euler, each clip standing still where it arrives. */
static double
by_hand(struct tiny *t, const float *noise)
{
	const struct flow_options *f = &t->step.o.flow;
	const int64_t B = t->b.B, each = t->b.channels * t->b.rows * t->b.T, *from = t->step.way, *to = from + t->step.room.B;
	struct tensor x = tensor_of(malloc((size_t)(B * each) * 4), F32, 4, B, t->b.channels, t->b.rows, t->b.T), v = x;
	double loss = 0;

	v.data = malloc((size_t)(B * each) * 4);
	assert_true(x.data && v.data);
	for (int64_t i = 0; i < B * each; i++) {
		float sigma = flow_time_at(f, from[i / each]).sigma;
		((float *)x.data)[i] = sigma * noise[i] + (1 - sigma) * t->b.latents[i];
	}
	for (int64_t k = 0; k <= LONGEST; k++) {
		float time[B_MOST];
		for (int64_t b = 0; b < B; b++)
			time[b] = flow_time_at(f, from[b] + k < to[b] ? from[b] + k : to[b]).timestep;
		ask(t, v, x, time);
		for (int64_t i = 0; i < B * each; i++) {
			int64_t b = i / each, at = from[b] + k;
			float *p = (float *)x.data + i, vi = ((float *)v.data)[i];
			if (at < to[b])
				*p += (flow_time_at(f, at + 1).sigma - flow_time_at(f, at).sigma) * vi;
			else if (k == LONGEST) {
				double e = (double)(*p - flow_time_at(f, to[b]).sigma * vi - t->b.latents[i]);
				loss += e * e / (double)(B * each);
			}
		}
	}
	if (t->step.o.rollout.reflex.on)
		loss = reflex_by_hand(t, noise, v, x);
	free(x.data);
	free(v.data);
	return loss;
}

static double
step_loss(struct tiny *t, const float *noise)
{
	const struct step_given given = { .noise = noise };
	struct step_report r;

	assert_ok(step_run(&t->step, &t->b, &given));
	assert_ok(step_update(&t->step, &r));
	return r.loss;
}

static float *
noise_of(const struct tiny *t)
{
	int64_t n = t->b.B * t->b.channels * t->b.rows * t->b.T;
	float *noise = malloc((size_t)n * sizeof *noise);

	assert_non_null(noise);
	rng_normal_fill(rng_stream(7, RNG_TEST, 0, 0), noise, n);
	return noise;
}

static void
check_against_hand(struct reflex_options reflex)
{
	struct step_options o;
	struct tiny t;
	float *noise;
	double want;

	tiny_open(&t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2, .checkpoint_interval = 1 });
	o = options(&t, LONGEST, 1, ROLLOUT_EULER);
	o.schedule.rate = 0;		/* the network stays as it is */
	o.rollout.reflex = reflex;
	tiny_start(&t, &o);
	noise = noise_of(&t);
	assert_true(t.b.B <= B_MOST);
	for (int k = 0; k < 3; k++) {
		int64_t moved = 0;
		double loss;
		t.b.number = k;
		loss = step_loss(&t, noise);
		for (int64_t b = 0; b < t.b.B; b++)
			moved += t.step.way[t.step.room.B + b] - t.step.way[b];
		assert_true(moved > 0);
		want = by_hand(&t, noise);
		if (!(fabs(loss - want) <= 1e-5 * want))
			fail_msg("the loss is %.9g, by hand it is %.9g", loss, want);
	}
	assert_int_equal(t.step.act.peak, t.step.act.size);
	free(noise);
	tiny_close(&t);
}

static void
a_clip_is_trained_on_what_the_network_made_of_it(void **state)
{
	(void)state;
	check_against_hand((struct reflex_options){ 0 });
}

/* A large alpha, since a clip has many numbers and their weights hardly differ. */
static void
reflex_weighs_errors_and_holds_to_the_direction(void **state)
{
	(void)state;
	check_against_hand((struct reflex_options){ true, 300, 10, 0.5 });
}

/* Without its terms it is the loss of a plain rollout, and trains the same. */
static void
reflex_of_no_strength_is_a_plain_rollout(void **state)
{
	double loss[2][3];

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct step_options o;
		struct tiny t;
		tiny_open(&t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2, .lora_dropout = 0.1f, .lyric_dropout = 0.1f });
		o = options(&t, 5, 0.5, ROLLOUT_EULER);
		o.rollout.reflex = (struct reflex_options){ k == 1, 0, 0, 1 };
		tiny_start(&t, &o);
		for (int i = 0; i < 3; i++) {
			t.b.number = i;
			loss[k][i] = step_loss(&t, NULL);
		}
		tiny_close(&t);
	}
	for (int i = 0; i < 3; i++)
		assert_true(fabs(loss[1][i] / loss[0][i] - 1) < 1e-5);
	assert_true(loss[0][2] != loss[0][1]);
}

/* Without a chance it is the step without rollouts, to the bit: nothing else is drawn otherwise. Heun goes another way than euler. */
static void
what_is_not_rolled_out_is_as_ever(void **state)
{
	static const struct {
		int64_t longest;
		double chance;
		enum rollout_sampler sampler;
	} how[] = { { 0, 0, ROLLOUT_EULER }, { 5, 0, ROLLOUT_EULER }, { 5, 1, ROLLOUT_EULER }, { 5, 1, ROLLOUT_HEUN } };
	double loss[4][3];

	(void)state;
	for (int k = 0; k < 4; k++) {
		struct step_options o;
		struct tiny t;
		tiny_open(&t, &(struct tiny_options){ .kind = DEV_CPU, .threads = 2, .lora_dropout = 0.1f, .lyric_dropout = 0.1f });
		o = options(&t, how[k].longest, how[k].chance, how[k].sampler);
		o.dropout = (struct flow_dropout){ 0.15f, 0.5f, 0.15f };
		tiny_start(&t, &o);
		for (int i = 0; i < 3; i++) {
			t.b.number = i;
			loss[k][i] = step_loss(&t, NULL);
		}
		tiny_close(&t);
	}
	assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
	for (int i = 0; i < 3; i++)
		assert_true(loss[2][i] != loss[0][i] && loss[3][i] != loss[2][i] && fabs(loss[3][i] / loss[2][i] - 1) < 0.05);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clip_is_trained_on_what_the_network_made_of_it),
		cmocka_unit_test(reflex_weighs_errors_and_holds_to_the_direction),
		cmocka_unit_test(reflex_of_no_strength_is_a_plain_rollout),
		cmocka_unit_test(what_is_not_rolled_out_is_as_ever),
	};

	if (!golden_set(TINY_SET)) {
		printf("1..0 # SKIP " TINY_SET "\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
