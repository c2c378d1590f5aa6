/* SPDX-License-Identifier: Apache-2.0 */
/* flow_form.h - which error is trained on, and what it costs (training.md section 1.3; huber and smooth_l1 as the general
 * trainers have them for their noise prediction: pseudo-Huber losses, whose width may follow the time) */
#ifndef ACE_KERNELS_FLOW_FORM_H
#define ACE_KERNELS_FLOW_FORM_H

enum flow_target {
	FLOW_X0,		/* the error of the estimated data: what both trainers use */
	FLOW_VELOCITY,		/* the error of the velocity: the same without the factor sigma^2 */
};

/* The cost of an error e, with h = sqrt(e^2 + w^2): near 0 all are parabolas, far out the last two are straight. */
enum flow_cost {
	FLOW_L2,		/* e^2 */
	FLOW_HUBER,		/* 2 w (h - w) */
	FLOW_SMOOTH_L1,		/* 2 (h - w) */
};

/* The width w at sigma: c where all is noise; in the last two 1 at the data. */
enum flow_width {
	FLOW_CONSTANT,		/* c */
	FLOW_EXPONENTIAL,	/* c^sigma */
	FLOW_SNR,		/* (1 - c) / (1 + noise / signal)^2 + c, noise / signal = sigma / (1 - sigma) */
};

/* Zero: squares of the error of the data. */
struct flow_form {
	enum flow_target target;
	enum flow_cost cost;
	enum flow_width width;	/* with c > 0, of FLOW_HUBER and FLOW_SMOOTH_L1 */
	float c;
};
#endif
