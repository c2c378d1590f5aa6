/* SPDX-License-Identifier: Apache-2.0 */
#include "support/jvp.h"

#include "num/rng.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tensor
jvp_zeros(int rank, const int64_t dim[])
{
	struct tensor x = tensor_make(NULL, F32, rank, dim);

	x.data = aligned_alloc(256, (tensor_bytes(x) + 511) / 256 * 256);
	assert_non_null(x.data);
	memset(x.data, 0, tensor_bytes(x));
	return x;
}

struct tensor
jvp_normal(uint64_t index, float size, int rank, const int64_t dim[])
{
	struct tensor x = jvp_zeros(rank, dim);
	int64_t n = tensor_count(x);

	rng_normal_fill(rng_stream(1, RNG_TEST, 0, index), x.data, n);
	for (int64_t i = 0; i < n; i++)
		((float *)x.data)[i] *= size;
	return x;
}

static double
dot(const float *a, const float *b, int64_t n)
{
	double s = 0;

	for (int64_t i = 0; i < n; i++)
		s += (double)a[i] * (double)b[i];
	return s;
}

static float *
numbers(int64_t n)
{
	float *p = calloc((size_t)n + 1, sizeof *p);

	assert_non_null(p);
	return p;
}

/* x = base + h v for every input, then forward. */
static void
move(const struct jvp *j, float *const *base, float *const *v, float h)
{
	for (int i = 0; i < j->n_in; i++) {
		int64_t n = tensor_count(j->in[i].x);
		float *x = j->in[i].x.data;
		for (int64_t k = 0; k < n; k++)
			x[k] = base[i][k] + h * v[i][k];
	}
	j->forward(j->me);
}

/* v += size times the gradient at unit root mean square. */
static void
lean(float *v, const float *gradient, double size, int64_t n)
{
	double rms = sqrt(dot(gradient, gradient, n) / (double)(n ? n : 1));

	for (int64_t k = 0; k < n && rms > 0; k++)
		v[k] += (float)(size * (double)gradient[k] / rms);
}

/* Random u in out[].dx, random v scaled to each input; returns <v, J^T u>. */
static double
adjoint(const struct jvp *j, float *const *base, float *const *v, struct rng r)
{
	double sum = 0;

	for (int i = 0; i < j->n_out; i++)
		rng_normal_fill(rng_sub(r, (uint64_t)i), j->out[i].dx.data, tensor_count(j->out[i].dx));
	for (int i = 0; i < j->n_in; i++) {
		int64_t n = tensor_count(j->in[i].x);
		double size = sqrt(dot(base[i], base[i], n) / (double)(n ? n : 1));
		rng_normal_fill(rng_sub(r, 1000 + (uint64_t)i), v[i], n);
		for (int64_t k = 0; k < n; k++)
			v[i][k] *= size > 1e-3 ? (float)size : 1e-3f;
		memset(j->in[i].dx.data, 0, tensor_bytes(j->in[i].dx));
	}
	move(j, base, v, 0.f);
	j->backward(j->me);
	for (int i = 0; i < j->n_in && j->steer; i++) {
		int64_t n = tensor_count(j->in[i].x);
		double size = sqrt(dot(base[i], base[i], n) / (double)(n ? n : 1));
		lean(v[i], j->in[i].dx.data, size > 1e-3 ? size : 1e-3, n);
	}
	for (int i = 0; i < j->n_in; i++)
		sum += dot(v[i], j->in[i].dx.data, tensor_count(j->in[i].x));
	return sum;
}

/* J v by the five-point difference, whose error is of fourth order in h: <J v, u>, and |J v|^2. */
static double
directional(const struct jvp *j, float *const *base, float *const *v, double *const *jv, float *const *u, double *square)
{
	static const float at[] = { 1, -1, 2, -2 };
	static const double weight[] = { 8. / 12, -8. / 12, -1. / 12, 1. / 12 };
	double h = j->step > 0.f ? (double)j->step : 1e-2, left = 0;

	for (int p = 0; p < 4; p++) {
		move(j, base, v, at[p] * (float)h);
		for (int i = 0; i < j->n_out; i++)
			for (int64_t k = 0; k < tensor_count(j->out[i].x); k++)
				jv[i][k] += weight[p] * (double)((float *)j->out[i].x.data)[k] / h;
	}
	*square = 0;
	for (int i = 0; i < j->n_out; i++)
		for (int64_t k = 0; k < tensor_count(j->out[i].x); k++) {
			left += jv[i][k] * (double)u[i][k];
			*square += jv[i][k] * jv[i][k];
		}
	return left;
}

static double
once(const struct jvp *j, float *const *base, float *const *v, uint64_t trial)
{
	struct rng r = rng_stream(j->seed, RNG_TEST, 1, trial);
	double right = adjoint(j, base, v, r), left, jv = 0, top, *difference[16];
	float *u[16];

	for (int i = 0; i < j->n_out; i++) {	/* u again: the backward pass may have used its place */
		int64_t n = tensor_count(j->out[i].dx);
		u[i] = numbers(n);
		difference[i] = calloc((size_t)n + 1, sizeof **difference);
		assert_non_null(difference[i]);
		rng_normal_fill(rng_sub(r, (uint64_t)i), u[i], n);
	}
	left = directional(j, base, v, difference, u, &jv);
	for (int i = 0; i < j->n_out; i++) {
		free(u[i]);
		free(difference[i]);
	}
	move(j, base, v, 0.f);
	top = fmax(0.1 * sqrt(jv), fmax(fabs(left), fabs(right)));
	if (!isfinite(left) || !isfinite(right))
		return INFINITY;
	return fabs(left - right) / (top > 0 ? top : 1e-30);
}

double
jvp_error(const struct jvp *j)
{
	float **base = calloc((size_t)j->n_in + 1, sizeof *base), **v = calloc((size_t)j->n_in + 1, sizeof *v);
	double worst = 0;

	assert_true(base && v && j->n_out <= 16);
	for (int i = 0; i < j->n_in; i++) {
		int64_t n = tensor_count(j->in[i].x);
		assert_true(tensor_count(j->in[i].dx) == n);
		base[i] = numbers(n);
		v[i] = numbers(n);
		memcpy(base[i], j->in[i].x.data, tensor_bytes(j->in[i].x));
	}
	for (uint64_t t = 0; t < 3; t++) {
		double e = once(j, base, v, t);
		if (!(e <= worst))
			worst = e;
	}
	for (int i = 0; i < j->n_in; i++) {
		memcpy(j->in[i].x.data, base[i], tensor_bytes(j->in[i].x));
		free(base[i]);
		free(v[i]);
	}
	free(base);
	free(v);
	return worst;
}

void
jvp_check(const char *what, const struct jvp *j, double tol)
{
	double e = jvp_error(j);

	if (!(e <= tol))
		fail_msg("%s: <J v, u> and <v, J^T u> differ by %.3g, at most %.3g is right", what, e, tol);
}
