/* SPDX-License-Identifier: Apache-2.0 */
/* synth.h - a small synthesiser: enough music for a demo, always the same */
#ifndef ACE_TOOLS_SYNTH_H
#define ACE_TOOLS_SYNTH_H

#include <stdint.h>

enum { SYNTH_RATE = 44100 };

enum timbre { PLUCK, PIANO, ORGAN, STRINGS, BASS, LEAD };

struct take {
	int64_t n;			/* frames */
	float *x[2];			/* left, right */
};

/* A piece as a table says it. One letter of melody, bass and drums is an eighth note. */
struct score {
	const char *name;
	double seconds, bpm;
	int root;			/* MIDI number of the first degree; 60 is the middle c */
	const char *scale;		/* "major", "minor" or "dorian" */
	const char *chords;		/* degrees, one a bar of eight letters: "1645" */
	enum timbre comp, lead;
	const char *melody;		/* degrees 1-9 (8 is an octave up), - holds, . rests */
	const char *bass;		/* x plays the chord's root */
	const char *kick, *snare, *hat;	/* x plays; NULL: none */
};

/* Silence of the score's length, then its notes, then the loudest sample at 0.9. Returns 0, or -1 when memory is out;
 * synth_free afterwards in any case. */
int synth_play(struct take *t, const struct score *s);
void synth_free(struct take *t);
#endif
