/* SPDX-License-Identifier: Apache-2.0 */
/* optim_numbers.h - what the update kernels read from the device: numbers [OPTIM_NUMBERS] F32, one such tensor a group */
#ifndef ACE_KERNELS_OPTIM_NUMBERS_H
#define ACE_KERNELS_OPTIM_NUMBERS_H

/* b1, b2 decays of the moments, t the update's number from 1, L the rate. Rules that correct the moments through their decays
 * (optimi) put h(b) = (b^t - b) / (b^t - 1) for b. */
enum optim_number {
	NUMBER_DECAY,		/* factor of the weight: 1 - L weight_decay, or 1 */
	NUMBER_L2,		/* weight decay that goes into the gradient, or into the update */
	NUMBER_G1,		/* 1 - b1: weight of the gradient in the first moment (lion: in its direction) */
	NUMBER_KEEP1,		/* b1 */
	NUMBER_KEEP2,		/* b2 (sgd: the momentum) */
	NUMBER_G2,		/* 1 - b2: weight of the squared gradient (lion: the gradient; sgd: 1 - dampening, first 1) */
	NUMBER_STEP,		/* L, or L / (1 - b1^t) */
	NUMBER_ROOT,		/* sqrt(1 - b2^t), or 1 */
	NUMBER_EPS,
	NUMBER_CORRECT1,	/* 1 - b1^t */
	NUMBER_CORRECT2,	/* 1 - b2^t */
	NUMBER_NESTEROV,	/* sgd: 1 or 0 */
	NUMBER_C,		/* schedule-free: weight of z in the average */
	NUMBER_Y,		/* schedule-free: what of the update y takes */
	NUMBER_EPS2, NUMBER_D,	/* adafactor: least rms of the weights; largest rms of the update */
	NUMBER_SCALE,		/* prodigy: d, the step size so far; its square is in G2, too */
	NUMBER_KEEP_S, NUMBER_S,	/* prodigy: sqrt(b2); d^2 / sqrt(d0) */
	NUMBER_FIRST,		/* prodigy: 1 at the first update, when the start is kept */
	OPTIM_NUMBERS = 20,
};

/* limits [2]: the gradient times FACTOR, held between -BOUND and BOUND, is what a rule sees. measured [2]. */
enum { LIMIT_FACTOR, LIMIT_BOUND };
enum { MEASURED_SQUARES, MEASURED_ABSMAX };

/* scaling [4] F32: fp16's loss scale (list_train.h). */
enum { SCALING_SCALE, SCALING_GOOD, SCALING_INTERVAL, SCALING_SKIPPED, SCALING_NUMBERS };
#endif
