/* SPDX-License-Identifier: Apache-2.0 */
/* updates [threads [repetitions [millions of weights]]]: how fast the update rules are, as time and as memory moved a second
 * (what each reads and writes once), beside a plain copy of the same machine. Best of the repetitions. */
#include "base/clock.h"
#include "kernels/kernels.h"
#include "train/optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	enum optim_rule rule;
	enum dtype type;
	double bytes;		/* a weight: value and state read and written, gradient read */
} cases[] = {
	{ OPTIM_ADAMW, F32, 28 },	  { OPTIM_ADAMW, BF16, 30 },	  { OPTIM_ADAMW_BF16, BF16, 16 },
	{ OPTIM_OPTIMI_ADAMW, BF16, 20 }, { OPTIM_LION, F32, 20 },	  { OPTIM_ADAMW8BIT, F32, 16 },
	{ OPTIM_SGD, F32, 20 },		  { OPTIM_SCHEDULEFREE, F32, 28 }, { OPTIM_STABLEADAMW, F32, 40 },
};

static void *
must(void *p)
{
	if (!p) {
		fprintf(stderr, "updates: no memory\n");
		exit(71);
	}
	return p;
}

static void
measure(struct dev *d, int which, int64_t n, int repetitions)
{
	struct optim_settings set = { .rule = cases[which].rule, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
		.weight_decay = 0.01, .momentum = 0.9 };
	struct param p = { .name = "w", .value = tensor_of(NULL, cases[which].type, 1, n), .grad = tensor_of(NULL, F32, 1, n),
		.train = true };
	float limits[2] = { 1.f, INFINITY };
	const double rate[OPTIM_GROUPS] = { 1e-4, 0 };
	double best = INFINITY;
	struct optim o;

	p.value.data = must(d->m->alloc(d, tensor_bytes(p.value)));
	p.grad.data = must(d->m->alloc(d, tensor_bytes(p.grad)));
	memset(p.value.data, 0, tensor_bytes(p.value));
	for (int64_t i = 0; i < n; i++)
		((float *)p.grad.data)[i] = 1e-3f * (float)(i % 101 - 50);
	optim_init(&o, d, &set, 1);
	if (optim_add(&o, &p, 0, 0, 0) || optim_alloc(&o)) {
		fprintf(stderr, "updates: %s\n", ace_message());
		exit(71);
	}
	for (int k = 0; k < repetitions + 1; k++) {	/* the first touches the memory */
		double from = clock_now();
		optim_step(&o, rate, tensor_of(limits, F32, 1, 2), k);
		double t = clock_now() - from;
		best = k && t < best ? t : best;
	}
	printf("%-20s %-4s %8.1f ms %6.1f GB/s\n", optim_rule_name(set.rule), dtype_name(p.value.dtype), best * 1e3,
	       cases[which].bytes * (double)n / best * 1e-9);
	optim_free(&o);
	d->m->free(d, p.value.data);
	d->m->free(d, p.grad.data);
}

/* y = 1.0 x, on the same threads: what this machine's memory gives. */
static void
measure_copy(struct dev *d, int64_t n, int repetitions)
{
	struct tensor x = tensor_of(must(d->m->alloc(d, (size_t)n * 4)), F32, 1, n);
	struct tensor y = tensor_of(must(d->m->alloc(d, (size_t)n * 4)), F32, 1, n);
	float measured[2];
	double best = INFINITY, sum = INFINITY;

	memset(x.data, 0, tensor_bytes(x));
	memset(y.data, 0, tensor_bytes(y));
	for (int k = 0; k < repetitions; k++) {
		double from = clock_now();
		d->k->axpy(d, y, x, 1.f);
		double t = clock_now() - from;
		best = t < best ? t : best;
		from = clock_now();
		d->k->grad_measure(d, tensor_of(measured, F32, 1, 2), x);
		t = clock_now() - from;
		sum = t < sum ? t : sum;
	}
	printf("%-20s %-4s %8.1f ms %6.1f GB/s\n", "y += x", "F32", best * 1e3, 12. * (double)n / best * 1e-9);
	printf("%-20s %-4s %8.1f ms %6.1f GB/s\n", "norm", "F32", sum * 1e3, 4. * (double)n / sum * 1e-9);
	d->m->free(d, x.data);
	d->m->free(d, y.data);
}

int
main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1, repetitions = argc > 2 ? atoi(argv[2]) : 5;
	int64_t n = (int64_t)(argc > 3 ? atoi(argv[3]) : 16) << 20;
	struct dev d;

	if (dev_open(&d, DEV_CPU, threads))
		return 69;
	kernels_attach(&d);
	measure_copy(&d, n, repetitions);
	for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++)
		measure(&d, i, n, repetitions);
	dev_close(&d);
	return 0;
}
