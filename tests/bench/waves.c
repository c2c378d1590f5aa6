/* SPDX-License-Identifier: Apache-2.0 */
/* waves [threads [repetitions]]: how fast the vocoder's convolutions are, by the shapes of the published one on a block of 512
 * mel frames (5.9 s of one channel). Best of the repetitions, in GFLOP/s, and what one second of stereo takes of each. */
#include "base/clock.h"
#include "kernels/kernels.h"
#include "ops/wave.h"

#include <stdio.h>
#include <stdlib.h>

enum { FRAMES = 512 };

/* times: how many of these a decoding makes; up: 0, or the stride of a transposed convolution of ins x times in. */
static const struct shape {
	const char *name;
	int64_t outs, ins, n;
	int k, dilation, up, times;
} shapes[] = {
	{ "conv_pre", 1024, 512, FRAMES, 13, 1, 0, 1 },
	{ "ups.0", 512, 1024, FRAMES, 8, 1, 4, 1 },
	{ "ups.1", 256, 512, 4 * FRAMES, 8, 1, 4, 1 },
	{ "ups.2", 128, 256, 16 * FRAMES, 4, 1, 2, 1 },
	{ "ups.4", 32, 64, 64 * FRAMES, 4, 1, 2, 1 },
	{ "ups.6", 8, 16, 256 * FRAMES, 4, 1, 2, 1 },
#define BLOCKS(c, r)                                                                                            \
	{ #c " channels", c, c, r * FRAMES, 3, 1, 0, 6 }, { #c " channels", c, c, r * FRAMES, 7, 3, 0, 6 },     \
	{ #c " channels", c, c, r * FRAMES, 11, 5, 0, 6 }, { #c " channels", c, c, r * FRAMES, 13, 1, 0, 6 }
	BLOCKS(512, 4), BLOCKS(256, 16), BLOCKS(128, 32), BLOCKS(64, 64), BLOCKS(32, 128), BLOCKS(16, 256), BLOCKS(8, 512),
	{ "conv_post", 1, 8, 512 * FRAMES, 13, 1, 0, 1 },
};

static struct tensor
filled(struct tensor x)
{
	x.data = aligned_alloc(256, (tensor_bytes(x) + 255) / 256 * 256);
	if (!x.data) {
		fprintf(stderr, "waves: no memory\n");
		exit(71);
	}
	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), x.data, tensor_count(x));
	return x;
}

static double
best(struct dev *d, const struct shape *s, int repetitions)
{
	int64_t longer = s->up ? s->up : 1;
	struct tensor x = filled(tensor_of(NULL, F32, 2, s->ins, s->n)), y = filled(tensor_of(NULL, F32, 2, s->outs, longer * s->n));
	struct tensor w = filled(s->up ? tensor_of(NULL, F32, 3, s->ins, s->outs, (int64_t)s->k)
	                               : tensor_of(NULL, F32, 3, s->outs, s->ins, (int64_t)s->k));
	struct tensor b = filled(tensor_of(NULL, F32, 1, s->outs));
	double least = 1e30;

	for (int i = 0; i < repetitions; i++) {
		double t = clock_now();
		if (s->up)
			wave_up(d, y, x, w, b, s->up);
		else
			wave_conv(d, y, x, w, b, s->dilation, false);
		t = clock_now() - t;
		least = t < least ? t : least;
	}
	free(x.data);
	free(y.data);
	free(w.data);
	free(b.data);
	return least;
}

int
main(int argc, char **argv)
{
	const double of_a_second = 2 * 44100. / 512 / FRAMES;	/* blocks */
	double all = 0;
	struct dev d;

	if (dev_open(&d, DEV_CPU, argc > 1 ? atoi(argv[1]) : 0) != ACE_OK) {
		fprintf(stderr, "waves: %s\n", ace_message());
		return 69;
	}
	kernels_attach(&d);
	printf("%d threads\n%-13s  k        ms  GFLOP/s  s per s of stereo\n", d.threads, "");
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const struct shape *s = &shapes[i];
		double t = best(&d, s, argc > 2 ? atoi(argv[2]) : 3), share = t * s->times * of_a_second;
		printf("%-13s %2d  %8.2f  %7.1f  %.3f\n", s->name, s->k, t * 1e3,
		       2e-9 * (double)(s->outs * s->ins * s->n * s->k) / t, share);
		all += share;
	}
	printf("all: %.2f s per s of stereo\n", all);
	dev_close(&d);
	return 0;
}
