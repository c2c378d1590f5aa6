/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/synth.h"

#include "num/rng.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TAU 6.283185307179586

enum { EIGHTHS = 8, PARTIALS = 7 }; /* of a bar; of a tone */

/* Loudness of the partials 1, 2, ...; seconds to rise and to fall to 1/e (0: held); how far the
 * pitch wavers, as a part of it. */
static const struct voice {
	float partial[PARTIALS];
	double rise, fall, vibrato;
} voices[] = {
    [PLUCK] = {{1.f, .5f, .35f, .2f, .12f, .08f, .05f}, .003, .35, 0},
    [PIANO] = {{1.f, .4f, .2f, .12f, .06f, .03f, .01f}, .005, .8, 0},
    [ORGAN] = {{1.f, .8f, .1f, .5f, 0, .2f, 0}, .02, 0, .002},
    [STRINGS] = {{1.f, .6f, .45f, .3f, .2f, .15f, .1f}, .15, 0, .004},
    [BASS] = {{1.f, .5f, .15f, .05f, 0, 0, 0}, .008, .5, 0},
    [LEAD] = {{1.f, 0, .33f, 0, .2f, 0, .14f}, .012, 1.2, .006},
};

static double
pitch(int midi)
{
	return 440 * pow(2, (midi - 69) / 12.0);
}

/* Add a tone; pan 0 left, 1 right. */
static void
tone(struct take *t, enum timbre timbre, int midi, double start, double seconds, double gain,
     double pan)
{
	const struct voice *v = &voices[timbre];
	double f = pitch(midi), release = 0.04, phase = 0;
	int64_t first = (int64_t)(start * SYNTH_RATE),
		n = (int64_t)((seconds + release) * SYNTH_RATE);
	float left = (float)(gain * cos(pan * TAU / 4)), right = (float)(gain * sin(pan * TAU / 4));

	for (int64_t i = 0; i < n && first + i < t->n; i++) {
		double at = (double)i / SYNTH_RATE, level = at < v->rise ? at / v->rise : 1, x = 0;
		if (v->fall > 0)
			level *= exp(-at / v->fall);
		if (at > seconds)
			level *= 1 - (at - seconds) / release;
		phase += f * (1 + v->vibrato * sin(TAU * 5.5 * at)) / SYNTH_RATE;
		for (int k = 0; k < PARTIALS && f * (k + 1) < SYNTH_RATE / 2.2; k++)
			x += v->partial[k] * sin(TAU * (k + 1) * phase);
		t->x[0][first + i] += left * (float)(level * x);
		t->x[1][first + i] += right * (float)(level * x);
	}
}

/* Add a drum: a falling sine, and noise that is bright or not. */
static void
drum(struct take *t, char which, double start)
{
	double high = which == 'k' ? 150 : 210, low = which == 'k' ? 45 : 170, phase = 0;
	double ring = which == 'k'   ? .12
		      : which == 's' ? .09
				     : .03,
	       sine = which == 'h'   ? 0
		      : which == 'k' ? .9
				     : .25;
	double noise = which == 'k' ? .02 : which == 's' ? .35 : .16;
	int64_t first = (int64_t)(start * SYNTH_RATE), n = (int64_t)(ring * 6 * SYNTH_RATE);
	struct rng r = rng_stream(1, RNG_TEST, (uint64_t)which, (uint64_t)first);
	float before = 0;

	for (int64_t i = 0; i < n && first + i < t->n; i++) {
		double at = (double)i / SYNTH_RATE;
		float w = 2 * rng_uniform(r, (uint64_t)i) - 1, bright = w - before, x;
		before = w;
		phase += (low + (high - low) * exp(-at / .03)) / SYNTH_RATE;
		x = (float)(exp(-at / ring) *
			    (sine * sin(TAU * phase) + noise * (which == 'h' ? bright : w)));
		t->x[0][first + i] += x;
		t->x[1][first + i] += x;
	}
}

/* The semitones above the root of a degree, which counts from 1. */
static int
semitones(const char *scale, int degree)
{
	static const int major[] = {0, 2, 4, 5, 7, 9, 11}, minor[] = {0, 2, 3, 5, 7, 8, 10},
			 dorian[] = {0, 2, 3, 5, 7, 9, 10};
	const int *s = strcmp(scale, "major") == 0   ? major
		       : strcmp(scale, "minor") == 0 ? minor
						     : dorian;

	return s[(degree - 1) % 7] + 12 * ((degree - 1) / 7);
}

/* The letter of a pattern that goes round. */
static char
letter(const char *pattern, int64_t i)
{
	return pattern ? pattern[i % (int64_t)strlen(pattern)] : '.';
}

/* How many eighths the note at i lasts. */
static int
held(const char *melody, int64_t i)
{
	int n = 1;

	while (letter(melody, i + n) == '-' && n < EIGHTHS)
		n++;
	return n;
}

static void
play_eighth(struct take *t, const struct score *s, int64_t i, double eighth)
{
	double at = (double)i * eighth;
	int chord = letter(s->chords, i / EIGHTHS) - '0';
	char m = letter(s->melody, i);

	if (i % (EIGHTHS / 2) == 0)
		for (int k = 0; k < 3; k++)
			tone(t, s->comp, s->root + semitones(s->scale, chord + 2 * k), at,
			     eighth * (EIGHTHS / 2) * .95, .13, .3 + .2 * k);
	if (m >= '1' && m <= '9')
		tone(t, s->lead, s->root + 12 + semitones(s->scale, m - '0'), at,
		     eighth * held(s->melody, i) * .9, .22, .55);
	if (letter(s->bass, i) == 'x')
		tone(t, BASS, s->root - 24 + semitones(s->scale, chord), at, eighth * .9, .35, .5);
	if (letter(s->kick, i) == 'x')
		drum(t, 'k', at);
	if (letter(s->snare, i) == 'x')
		drum(t, 's', at);
	if (letter(s->hat, i) == 'x')
		drum(t, 'h', at);
}

int
synth_play(struct take *t, const struct score *s)
{
	double eighth = 30 / s->bpm;
	float peak = 1e-9f;

	*t = (struct take){.n = (int64_t)(s->seconds * SYNTH_RATE)};
	for (int c = 0; c < 2; c++)
		if (!(t->x[c] = calloc((size_t)t->n, sizeof *t->x[c])))
			return -1;
	for (int64_t i = 0; (double)i * eighth < s->seconds; i++)
		play_eighth(t, s, i, eighth);
	for (int c = 0; c < 2; c++)
		for (int64_t i = 0; i < t->n; i++)
			peak = fmaxf(peak, fabsf(t->x[c][i]));
	for (int c = 0; c < 2; c++)
		for (int64_t i = 0; i < t->n; i++)
			t->x[c][i] *= .9f / peak;
	return 0;
}

void
synth_free(struct take *t)
{
	for (int c = 0; c < 2; c++)
		free(t->x[c]);
	*t = (struct take){0};
}
