/* SPDX-License-Identifier: Apache-2.0 */
/* timestep.h - how noisy a training sample is made (training.md sections 1.1, 1.2)
 *
 * A flow from data (sigma 0) to noise (sigma 1). Table index 0 is the noisiest: sigma 1, timestep 1000. All of it is float32
 * arithmetic, as the reference's, so that equal draws give equal bits. */
#ifndef ACE_FLOW_TIMESTEP_H
#define ACE_FLOW_TIMESTEP_H

#include "base/status.h"
#include "num/rng.h"

#include <stdbool.h>
#include <stdint.h>

enum flow_density {
	FLOW_LOGIT_NORMAL,	/* u = logistic(mean + std scale z), then an entry of the table; large u: clean */
	FLOW_UNIFORM,		/* a noise level in [0, 1), no table; large: noisy */
	FLOW_BETA,		/* a noise level ~ Beta(alpha, beta), no table; large: noisy */
	FLOW_LIST,		/* one of given sigmas, no table, no shift */
	FLOW_CUBIC,		/* a noise level of a density that goes through knots, no table; large: noisy */
};

enum { FLOW_LEVELS = 64 };

enum flow_index_rule {
	FLOW_UPSTREAM,		/* floor(u n) */
	FLOW_COMPAT,		/* floor(u (n - 1)): the Python trainer */
};

struct flow_options {
	int64_t n;			/* entries of the table; 1000 */
	double shift;			/* flow_schedule_shift, 3 */
	double logit_mean, logit_std;	/* 0, 1 */
	double sigmoid_scale;		/* 1 */
	double alpha, beta;		/* 2, 2 */
	enum flow_density density;
	enum flow_index_rule rule;
	float level[FLOW_LEVELS];	/* of FLOW_LIST; FLOW_CUBIC: the knots, from level 0 to level 1 */
	int levels;
	bool in_turn;			/* FLOW_LIST: by turns, not by chance */
};

#define FLOW_OPTIONS_DEFAULT                                                                                             \
	(struct flow_options){ .n = 1000, .shift = 3, .logit_std = 1, .sigmoid_scale = 1, .alpha = 2, .beta = 2 }

struct flow_time {
	int64_t index;			/* of the table; -1: continuous */
	float sigma;			/* 0 .. 1 */
	float timestep;			/* n sigma: what the network is told */
};

/* ACE_ECONFIG, naming the option, for n < 2, a shift, alpha or beta that is not above 0, a number that is not finite. */
enum status flow_options_check(const struct flow_options *o) ACE_NODISCARD;

/* The list of FLOW_LIST from text, numbers between commas, in brackets or not: a sigma from 0 to 1, or above 1 a timestep up to n.
 * ACE_ECONFIG. */
enum status flow_list_read(struct flow_options *o, const char *text) ACE_NODISCARD;

/* The knots of FLOW_CUBIC from text, numbers of 0 or more between commas or semicolons, in brackets or not; none or one: all levels alike.
 * ACE_ECONFIG when all of several are 0. */
enum status flow_cubic_read(struct flow_options *o, const char *text) ACE_NODISCARD;

/* Entry 0 .. n-1 of the table. */
struct flow_time flow_time_at(const struct flow_options *o, int64_t index);

/* The whole table: sigma [n], timestep [n]; either may be NULL. */
void flow_table(const struct flow_options *o, float *sigma, float *timestep);

/* sigma = shift b / (1 + (shift - 1) b) of a noise level b in [0, 1]. */
struct flow_time flow_time_of_level(const struct flow_options *o, float level);

/* u of a normal number z; the table index of u. */
float flow_logistic(const struct flow_options *o, float z);
int64_t flow_index(const struct flow_options *o, float u);

/* A number ~ Beta(alpha, beta) from the numbers of r; alpha, beta > 0. */
float flow_beta(struct rng r, double alpha, double beta);

/* The level below which a share u of FLOW_CUBIC lies. Between knots, which are equally far apart, the density is monotone and cubic (linear
 * between two). */
float flow_cubic(const struct flow_options *o, double u);

/* The time of one sample: r = rng_stream(seed, RNG_TIMESTEP, step, sample). Two uses of a clip in one step need two sample
 * numbers, or they are the same draw. */
struct flow_time flow_draw(const struct flow_options *o, struct rng r);

/* The time of whoever has this turn in a list. */
struct flow_time flow_turn(const struct flow_options *o, uint64_t turn);
#endif
