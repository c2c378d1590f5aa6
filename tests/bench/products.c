/* SPDX-License-Identifier: Apache-2.0 */
/* products [threads [repetitions]]: how fast gemm is on the shapes of the music transformer, beside OpenBLAS on as many
 * threads. Weights are taken in turn from several, as a step does. Best of the repetitions, in GFLOP/s. */
#include "base/clock.h"
#include "kernels/kernels.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>

void openblas_set_num_threads(int n);

enum { WEIGHTS = 8 };

static const struct shape {
	int64_t m, n, k;
	bool ta, tb;
} shapes[] = {
	{ 200, 1024, 1024, false, true }, { 200, 1024, 1024, false, false }, { 1024, 1024, 200, true, false },
	{ 200, 4096, 1024, false, true }, { 200, 1024, 4096, false, false }, { 4096, 1024, 200, true, false },
	{ 200, 1024, 4096, false, true }, { 200, 4096, 1024, false, false }, { 1024, 4096, 200, true, false },
	{ 399, 1024, 1024, false, true }, { 399, 1024, 1024, false, false },
	{ 323, 256, 256, false, true },   { 323, 256, 256, false, false },   { 256, 256, 323, true, false },
	{ 323, 1280, 256, false, true },  { 323, 256, 1280, false, false },  { 1280, 256, 323, true, false },
	{ 200, 16, 1024, false, true },   { 200, 1024, 16, false, true },    { 16, 1024, 200, true, false },
};

static struct tensor
matrix(int64_t rows, int64_t columns)
{
	struct tensor x = tensor_of(NULL, F32, 2, rows, columns);

	x.data = aligned_alloc(256, (tensor_bytes(x) + 255) / 256 * 256);
	if (!x.data) {
		fprintf(stderr, "products: no memory\n");
		exit(71);
	}
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), x.data, rows * columns);
	return x;
}

static void
ours(struct dev *d, const struct shape *s, struct tensor c, struct tensor a, struct tensor b)
{
	d->k->gemm(d, c, a, b, s->ta, s->tb, 1.f, 0.f);
}

static void
theirs(struct dev *d, const struct shape *s, struct tensor c, struct tensor a, struct tensor b)
{
	(void)d;
	cblas_sgemm(CblasRowMajor, s->ta ? CblasTrans : CblasNoTrans, s->tb ? CblasTrans : CblasNoTrans, (blasint)s->m,
	            (blasint)s->n, (blasint)s->k, 1.f, a.data, (blasint)a.dim[1], b.data, (blasint)b.dim[1], 0.f, c.data,
	            (blasint)s->n);
}

static double
seconds(struct dev *d, const struct shape *s, struct tensor c, struct tensor a, struct tensor b,
        void (*product)(struct dev *, const struct shape *, struct tensor, struct tensor, struct tensor))
{
	double t = clock_now();

	product(d, s, c, a, b);
	return clock_now() - t;
}

/* Seconds of the best runs, taken in turn so that a noisy moment is both's. */
static void
race(struct dev *d, const struct shape *s, int times, double *mine, double *other)
{
	struct tensor c = matrix(s->m, s->n), a = s->ta ? matrix(s->k, s->m) : matrix(s->m, s->k), b[WEIGHTS];

	for (int w = 0; w < WEIGHTS; w++)
		b[w] = s->tb ? matrix(s->n, s->k) : matrix(s->k, s->n);
	*mine = *other = 1e30;
	for (int i = 0; i < times; i++) {
		openblas_set_num_threads(1);
		double t = seconds(d, s, c, a, b[i % WEIGHTS], ours);
		*mine = t < *mine ? t : *mine;
		openblas_set_num_threads(d->threads);
		t = seconds(d, s, c, a, b[i % WEIGHTS], theirs);
		*other = t < *other ? t : *other;
	}
	for (int w = 0; w < WEIGHTS; w++)
		free(b[w].data);
	free(a.data);
	free(c.data);
}

int
main(int argc, char **argv)
{
	struct dev d;
	int times = argc > 2 ? atoi(argv[2]) : 50;

	if (dev_open(&d, DEV_CPU, argc > 1 ? atoi(argv[1]) : 0) != ACE_OK) {
		fprintf(stderr, "products: %s\n", ace_message());
		return 69;
	}
	kernels_attach(&d);
	printf("%d threads, best of %d\n    m     n     k  ops        ms  GFLOP/s  OpenBLAS\n", d.threads, times);
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const struct shape *s = &shapes[i];
		double work = 2e-9 * (double)(s->m * s->n * s->k), mine, other;
		race(&d, s, times, &mine, &other);
		printf("%5lld %5lld %5lld  %c%c  %8.3f  %7.1f   %7.1f\n", (long long)s->m, (long long)s->n, (long long)s->k,
		       s->ta ? 't' : 'n', s->tb ? 't' : 'n', mine * 1e3, work / mine, work / other);
	}
	dev_close(&d);
	return 0;
}
