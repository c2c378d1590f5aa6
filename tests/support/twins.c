/* SPDX-License-Identifier: Apache-2.0 */
#include "support/twins.h"

#include "support/twins_fill.h"

#include "kernels/kernels.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static float
rising(int64_t row, int64_t i, int64_t n)
{
	float x = (float)i / (float)(n - 1);

	return row % 2 ? x : 2.f * x - 1.f;
}

void
twins_fill(struct tensor x, enum twin_fill how, int below, uint64_t index)
{
	struct rng r = rng_stream(7, RNG_TEST, 0, index);
	int64_t n = tensor_count(x);

	for (int64_t i = 0; i < n; i++) {
		float v = 0.f;
		switch (how) {
		case TWIN_NORMAL: v = rng_normal(r, (uint64_t)i); break;
		case TWIN_MASK: v = rng_uniform(r, (uint64_t)i) < 0.75f ? 1.f : 0.f; break;
		case TWIN_MASK_BLANK:
			v = i >= tensor_cols(x) && rng_uniform(r, (uint64_t)i) < 0.75f ? 1.f : 0.f;
			break;
		case TWIN_POSITIVE: v = 0.5f + rng_uniform(r, (uint64_t)i); break;
		case TWIN_INDEX: v = (float)rng_below(r, (uint64_t)i, (uint64_t)below); break;
		case TWIN_FRACTION: v = 0.05f + 0.9f * rng_uniform(r, (uint64_t)i); break;
		case TWIN_RISING: v = rising(i / tensor_cols(x), i % tensor_cols(x), tensor_cols(x)); break;
		case TWIN_ZERO: break;
		}
		if (x.dtype == BF16)
			((uint16_t *)x.data)[i] = f32_to_bf16(v);
		else if (x.dtype == F16)
			((uint16_t *)x.data)[i] = f32_to_f16(v);
		else if (x.dtype == I64)
			((int64_t *)x.data)[i] = (int64_t)rng_u32(r, (uint64_t)i);
		else if (x.dtype == U8)
			((uint8_t *)x.data)[i] = (uint8_t)v;
		else if (x.dtype == I4)			/* a pair is any byte */
			((uint8_t *)x.data)[i / 2] = (uint8_t)rng_below(r, (uint64_t)i, 256);
		else if (x.dtype == I8)
			((int8_t *)x.data)[i] = (int8_t)rng_below(r, (uint64_t)i, 256);
		else if (x.dtype == F8)
			((uint8_t *)x.data)[i] = f32_to_f8(v);
		else if (x.dtype == I32)
			((int32_t *)x.data)[i] = (int32_t)v;
		else
			((float *)x.data)[i] = v;
	}
}

static int
run(const struct twin_case *c, enum dev_kind kind, int threads, struct tensor *t)
{
	struct dev d;
	int n = 0;

	assert_ok(dev_open(&d, kind, threads));
	kernels_attach(&d);
	for (; n < TWIN_TENSORS && c->t[n].rank; n++) {
		t[n] = tensor_make(NULL, c->t[n].dtype, c->t[n].rank, c->t[n].dim);
		t[n].data = aligned_alloc(256, (tensor_bytes(t[n]) + 511) / 256 * 256);
		assert_non_null(t[n].data);
		twins_fill(t[n], c->t[n].fill, c->index_below, (uint64_t)n);
	}
	c->call(&d, t);
	assert_int_equal(d.status, ACE_OK);
	dev_close(&d);
	return n;
}

static void
compare(const struct twin_case *c, int i, struct tensor got, struct tensor want, double tol)
{
	char what[128];

	snprintf(what, sizeof what, "%s, tensor %d", c->kernel, i);
	if (got.dtype == F32 && tol > 0)
		golden_close(what, got.data, want.data, tensor_count(got), tol);
	else if (memcmp(got.data, want.data, tensor_bytes(got)) != 0)
		fail_msg("%s: bits differ%s", what, tol > 0 ? "" : " between thread counts");
}

void
twins_check(const struct twin_case *c)
{
	struct tensor ref[TWIN_TENSORS], cpu[3][TWIN_TENSORS];
	int n = run(c, DEV_REF, 1, ref);

	for (int k = 0; k < 3; k++)
		run(c, DEV_CPU, k + 1, cpu[k]);
	for (int i = 0; i < n; i++) {
		compare(c, i, cpu[0][i], ref[i], c->tol);
		for (int k = 1; k < 3; k++)
			compare(c, i, cpu[k][i], cpu[0][i], 0);
		for (int k = 0; k < 3; k++)
			free(cpu[k][i].data);
		free(ref[i].data);
	}
}
