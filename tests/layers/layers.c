/* SPDX-License-Identifier: Apache-2.0 */
/* <J v, u> = <v, J^T u> for whole layers, with adapters and dropout in them, and recomputed saves */
#include "layers/block.h"
#include "layers/lyric_layer.h"
#include "ops/attend.h"

#include "kernels/kernels.h"
#include "support/jvp.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 7, M = 5, H = 2, D = 12, F = 9, R = 2, PAIRS = 96 };

struct bench {
	struct dev dev;
	struct arena act;
	struct ctx c;
	struct jvp_pair in[PAIRS];
	int n;
	uint64_t seed;
	struct tensor x, dx, y, dy, scratch;
	struct block block;
	struct block_save save;
	struct block_shared shared;
	struct lyric_layer lyric;
	struct lyric_layer_save lyric_save;
	struct lyric_shared lyric_shared;
	bool again;			/* backward on saves of a second run */
};

static void
input(struct bench *w, struct tensor x, struct tensor dx)
{
	assert_true(w->n < PAIRS);
	w->in[w->n++] = (struct jvp_pair){ x, dx };
}

static void
param(struct bench *w, struct param *p, float size, int rank, const int64_t dim[])
{
	p->value = jvp_normal(++w->seed, size, rank, dim);
	p->grad = jvp_zeros(rank, dim);
	p->train = true;
	input(w, p->value, p->grad);
}

#define DIMS(...) (const int64_t[TENSOR_RANK]){ __VA_ARGS__ }

static void
linear(struct bench *w, struct linear *l, int64_t out, int64_t in, bool bias)
{
	param(w, &l->w, 0.3f, 2, DIMS(out, in));
	if (bias)
		param(w, &l->b, 0.3f, 1, DIMS(out));
	param(w, &l->lora_a, 0.3f, 2, DIMS(R, in));
	param(w, &l->lora_b, 0.3f, 2, DIMS(out, R));
	l->rank = R;
	l->scale = 0.5f;
	l->dropout = 0.2f;
	l->stream = w->seed;
}

static void
bench_open(struct bench *w)
{
	*w = (struct bench){ 0 };
	assert_ok(dev_open(&w->dev, DEV_CPU, 2));
	kernels_attach(&w->dev);
	w->act = (struct arena){ .size = 1 << 20 };
	w->act.base = aligned_alloc(256, w->act.size);
	assert_non_null(w->act.base);
	w->c = (struct ctx){ .dev = &w->dev, .act = &w->act, .rng = rng_stream(1, RNG_DROPOUT, 0, 0), .training = true, .half = F32 };
	w->x = JVP_NORMAL(901, 1.f, 3, B, T, D);
	w->dx = JVP_ZEROS(3, B, T, D);
	w->y = JVP_ZEROS(3, B, T, D);
	w->dy = JVP_ZEROS(3, B, T, D);
	w->scratch = JVP_ZEROS(3, B, T, D);
	input(w, w->x, w->dx);
}

static void
bench_close(struct bench *w)
{
	for (int i = 0; i < w->n; i++) {
		free(w->in[i].x.data);
		free(w->in[i].dx.data);
	}
	free(w->y.data);
	free(w->dy.data);
	free(w->scratch.data);
	free(w->act.base);
	dev_close(&w->dev);
}

static struct tensor
mask(int64_t n)
{
	struct tensor m = JVP_ZEROS(2, B, n);

	for (int64_t i = 0; i < B * n; i++)
		((float *)m.data)[i] = i % n < n - i / n ? 1.f : 0.f;	/* the second sample is one shorter */
	return m;
}

static void
attention(struct bench *w, struct linear *q, struct linear *k, struct linear *v, struct linear *out)
{
	linear(w, q, D, D, true);
	linear(w, k, D, D, true);
	linear(w, v, D, D, true);
	linear(w, out, D, D, true);
}

static void
block_forward_again(void *me)
{
	struct bench *w = me;

	arena_release(&w->act, 0);
	block_forward(&w->c, &w->block, &w->save, w->y, w->x, &w->shared, true);
	if (w->again) {
		arena_release(&w->act, 0);
		block_forward(&w->c, &w->block, &w->save, (struct tensor){ 0 }, w->x, &w->shared, true);
	}
}

static void
block_back(void *me)
{
	struct bench *w = me;
	size_t mark = arena_mark(&w->act);

	memcpy(w->dx.data, w->dy.data, tensor_bytes(w->dy));
	block_backward(&w->c, &w->block, &w->save, w->dx, w->x, &w->shared, true);
	assert_true(arena_mark(&w->act) == mark);
}

static void
a_block_is_adjoint(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		struct bench w;
		struct jvp_pair out;
		bench_open(&w);
		w.again = again;
		param(&w, &w.block.table, 0.5f, 2, DIMS(6, D));
		attention(&w, &w.block.attn.q, &w.block.attn.k, &w.block.attn.v, &w.block.attn.out);
		attention(&w, &w.block.cross.q, &w.block.cross.k, &w.block.cross.v, &w.block.cross.out);
		linear(&w, &w.block.ff.inverted, 2 * F, D, true);
		linear(&w, &w.block.ff.point, D, F, false);
		param(&w, &w.block.ff.depth_w, 0.5f, 3, DIMS(2 * F, 1, 3));
		param(&w, &w.block.ff.depth_b, 0.5f, 1, DIMS(2 * F));
		w.block.attn.heads = w.block.cross.heads = H;
		w.shared.t = JVP_NORMAL(902, 0.5f, 3, B, 6, D);
		w.shared.dt = JVP_ZEROS(3, B, 6, D);
		w.shared.keys.enc = JVP_NORMAL(903, 1.f, 3, B, M, D);
		w.shared.denc = JVP_ZEROS(3, B, M, D);
		input(&w, w.shared.t, w.shared.dt);
		input(&w, w.shared.keys.enc, w.shared.denc);
		w.shared.keys.mask = mask(M);
		w.shared.keys.frame_mask = mask(T);
		w.shared.keys.cs = JVP_ZEROS(3, 2, T, D / H);
		attend_rope_table(&w.dev, w.shared.keys.cs, 1e4f);
		out = (struct jvp_pair){ w.y, w.dy };
		struct jvp j = { &w, block_forward_again, block_back, w.in, &out, w.n, 1, 3e-4f, 8, false };
		jvp_check("block", &j, 1e-2);
		free(w.shared.keys.mask.data);
		free(w.shared.keys.frame_mask.data);
		free(w.shared.keys.cs.data);
		bench_close(&w);
	}
}

static void
lyric_forward_again(void *me)
{
	struct bench *w = me;

	arena_release(&w->act, 0);
	lyric_layer_forward(&w->c, &w->lyric, &w->lyric_save, w->y, w->x, &w->lyric_shared);
	if (w->again) {
		arena_release(&w->act, 0);
		lyric_layer_forward(&w->c, &w->lyric, &w->lyric_save, (struct tensor){ 0 }, w->x, &w->lyric_shared);
	}
}

static void
lyric_back(void *me)
{
	struct bench *w = me;
	size_t mark = arena_mark(&w->act);

	memcpy(w->dx.data, w->dy.data, tensor_bytes(w->dy));
	lyric_layer_backward(&w->c, &w->lyric, &w->lyric_save, w->dx, w->x, &w->lyric_shared, true);
	assert_true(arena_mark(&w->act) == mark);
}

static void
norm(struct bench *w, struct layer_norm *l)
{
	param(w, &l->w, 1.f, 1, DIMS(D));
	param(w, &l->b, 1.f, 1, DIMS(D));
}

static void
a_lyric_layer_is_adjoint(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		struct bench w;
		struct jvp_pair out;
		bench_open(&w);
		w.again = again;
		attention(&w, &w.lyric.q, &w.lyric.k, &w.lyric.v, &w.lyric.out);
		linear(&w, &w.lyric.pos, D, D, false);
		linear(&w, &w.lyric.w1, F, D, true);
		linear(&w, &w.lyric.w2, D, F, true);
		norm(&w, &w.lyric.norm_mha);
		norm(&w, &w.lyric.norm_ff);
		param(&w, &w.lyric.bias_u, 0.5f, 2, DIMS(H, D / H));
		param(&w, &w.lyric.bias_v, 0.5f, 2, DIMS(H, D / H));
		w.lyric.dropout = 0.2f;
		w.lyric.stream = 5000;
		w.lyric_shared.pe = JVP_NORMAL(904, 1.f, 2, 2 * T - 1, D);
		w.lyric_shared.mask = mask(T);
		out = (struct jvp_pair){ w.y, w.dy };
		struct jvp j = { &w, lyric_forward_again, lyric_back, w.in, &out, w.n, 1, 3e-3f, 8, false };
		jvp_check("lyric layer", &j, 2e-3);
		free(w.lyric_shared.pe.data);
		free(w.lyric_shared.mask.data);
		bench_close(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_adjoint),
		cmocka_unit_test(a_lyric_layer_is_adjoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
