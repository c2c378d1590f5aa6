/* SPDX-License-Identifier: Apache-2.0 */
/* --dry-run: what a run would need on the disk and in time */
#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "jobs/train_parts.h"
#include "kernels/kernels.h"


/* Floating point operations a second of the device's products of matrices as the model's: the best of some tries. */
static double
product_rate(struct dev *d, enum dtype type)
{
	bool cuda = d->kind == DEV_CUDA;
	int64_t side = cuda ? 4096 : 512;
	struct tensor x[3];
	double best = 0, flops = 2.0 * (double)(side * side * side);
	bool there = true;

	for (int i = 0; i < 3; i++) {
		x[i] = tensor_of(NULL, cuda ? type : F32, 2, side, side);
		x[i].data = d->m->alloc(d, tensor_bytes(x[i]));
		there = there && x[i].data;
		if (there)
			d->k->fill(d, x[i], 0.f);
	}
	for (double end = clock_now() + 0.2; there && clock_now() < end;) {
		double from = clock_now(), took;
		d->k->gemm(d, x[0], x[1], x[2], false, true, 1.f, 0.f);
		d->m->sync(d);
		took = clock_now() - from;
		if (took > 0 && flops / took > best)
			best = flops / took;
	}
	for (int i = 0; i < 3; i++)
		d->m->free(d, x[i].data);
	return best;
}

enum status
train_say_dry(struct train *t)
{
	double rate = product_rate(&t->dev, t->j.dit.dtype), free_bytes = (double)file_free_bytes(t->j.out);
	double one = (double)plan_checkpoint(&t->plan);
	int64_t left = t->limits.steps - t->start, every = t->j.save_steps > 0 ? t->j.save_steps : left + 1;
	int64_t saves = (left + every - 1) / every;
	/* one more than are kept: the old one goes when the new one is whole */
	double kept = t->j.rule.limit > 0 && t->j.rule.limit + 1 < saves ? t->j.rule.limit + 1 : (double)(saves > 0 ? saves : 1);
	char need[16], there[16], took[32];

	if (rate > 0)
		msg_info("time       about %s for %lld steps: %.3g TFLOP each, products at %.3g GFLOP/s",
		         clock_length((double)left * t->plan.flops * (double)t->j.step.accumulation / rate, took, sizeof took),
		         (long long)left, t->plan.flops * (double)t->j.step.accumulation / 1e12, rate / 1e9);
	train_bytes(kept * one, need);
	if (free_bytes >= 0 && free_bytes < kept * one)
		return ace_fail(ACE_EIO, "%s: checkpoints need %s, %s are free", t->j.out, need, train_bytes(free_bytes, there));
	msg_info("disk       checkpoints need %s of %s free", need, free_bytes >= 0 ? train_bytes(free_bytes, there) : "?");
	msg_info("dry run    nothing was written");
	return ACE_OK;
}
