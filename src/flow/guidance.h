/* SPDX-License-Identifier: Apache-2.0 */
/* guidance.h - one velocity from the outputs with and without conditions (sampling.md section 3). F32 in host memory. */
#ifndef ACE_FLOW_GUIDANCE_H
#define ACE_FLOW_GUIDANCE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum guidance_kind { GUIDANCE_APG, GUIDANCE_CFG, GUIDANCE_CFG_STAR };

/* "apg", "cfg", "cfg_star"; false: no such name. */
bool guidance_named(enum guidance_kind *kind, const char *name);

struct guidance_options {
	enum guidance_kind kind;
	double scale, least;		/* guidance_scale, min_guidance_scale */
	double interval, decay;		/* the share of the run in which it acts, from its middle; how far the scale falls to least */
	double text, lyric;		/* both above 1: a third output, with text and without lyrics, and the kind has no say */
	double momentum, limit, eta;	/* of apg: -0.75, 2.5 (0: none), 0 */
	int zero_steps;			/* of cfg_star: calls 0 .. zero_steps give zeros; -1: none */
};

#define GUIDANCE_DEFAULT                                                                                                       \
	(struct guidance_options){ .kind = GUIDANCE_APG, .scale = 15, .least = 3, .interval = 0.5, .momentum = -0.75, .limit = 2.5, \
		.zero_steps = 1 }

/* ACE_ECONFIG, naming what is wrong, for numbers that are not finite, or an interval outside 0 .. 1. */
enum status guidance_check(const struct guidance_options *o) ACE_NODISCARD;

/* Whether three outputs are wanted where guidance acts. */
bool guidance_double(const struct guidance_options *o);

/* The calls [*start, *end) of a run of so many steps in which it acts; none when the scale is 0 or 1. */
void guidance_interval(const struct guidance_options *o, int steps, int *start, int *end);

/* The scale at call i of [start, end). */
double guidance_scale_at(const struct guidance_options *o, int start, int end, int i);

struct guidance {
	struct guidance_options how;
	int64_t clips, planes, per_plane;	/* B, channels, H T */
	float *buffer;				/* apg's momentum, [B, C, H, T]; owned, 0 at the start of a run */
	float *change;				/* as large; owned */
};

enum status guidance_open(struct guidance *g, const struct guidance_options *how, int64_t clips, int64_t planes, int64_t per_plane)
	ACE_NODISCARD;
void guidance_close(struct guidance *g);

/* out from c (conditions), u (none), t (text alone; read where guidance_double), at call i of the run, where guidance acts. out may
 * be c. */
void guidance_apply(struct guidance *g, float *out, const float *c, const float *u, const float *t, double scale, int i);
#endif
