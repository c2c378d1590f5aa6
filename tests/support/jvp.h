/* SPDX-License-Identifier: Apache-2.0 */
/* jvp.h - a backward pass against its forward pass by two numbers: <J v, u> = <v, J^T u>
 *
 * J v is taken by a five-point difference of the forward pass along a random direction v of the inputs (parameters are inputs,
 * too), J^T u from the backward pass for a random u. Any op, layer or model can be tried so. */
#ifndef ACE_TESTS_SUPPORT_JVP_H
#define ACE_TESTS_SUPPORT_JVP_H

#include "num/tensor.h"

/* A number field x and its gradient dx: host memory, F32, same count. */
struct jvp_pair {
	struct tensor x, dx;
};

struct jvp {
	void *me;
	void (*forward)(void *me);	/* reads in[].x, writes out[].x */
	void (*backward)(void *me);	/* after forward: reads out[].dx, writes in[].dx (zeroed before: += will do) */
	const struct jvp_pair *in, *out;
	int n_in, n_out;
	float step;			/* of the difference, relative to each input's root mean square; 0: 1e-2 */
	uint64_t seed;
	bool steer;			/* v leans to the gradient, so that <J v, u> stands far above rounding: for deep models */
};

/* |<J v, u> - <v, J^T u>| / (the largest of the two and |J v| / 10), the worst of three directions. |J v| is how large
 * <J v, u> is for a u of independent normal numbers, so that a chance cancellation does not count as an error. */
double jvp_error(const struct jvp *j);

/* Fails the test, naming what, when the error is above tol. */
void jvp_check(const char *what, const struct jvp *j, double tol);

/* A fresh host tensor of normal numbers times size, number index of the tests' stream; and one of zeros. Caller frees. */
struct tensor jvp_normal(uint64_t index, float size, int rank, const int64_t dim[]);
struct tensor jvp_zeros(int rank, const int64_t dim[]);
#define JVP_NORMAL(index, size, rank, ...) jvp_normal(index, size, rank, (const int64_t[TENSOR_RANK]){ __VA_ARGS__ })
#define JVP_ZEROS(rank, ...) jvp_zeros(rank, (const int64_t[TENSOR_RANK]){ __VA_ARGS__ })
#endif
