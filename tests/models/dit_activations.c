/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_fixture.h"

#include "models/lyric_encoder.h"
#include "ops/attend.h"
#include "ops/ends.h"
#include "ops/glu_conv.h"
#include "ops/lyric.h"
#include "ops/modulate.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

/* Page transformer.md, section 12. */
static const double activation = 3e-5, sinusoid = 2e-4;

static struct dit_fixture f;
static struct st_file golden;

static int
open_all(void **state)
{
	(void)state;
	if (!golden_set(DIT_SET))
		return 0;
	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	golden_open(&golden, DIT_SET, "forward.safetensors");
	dit_fixture_forward(&f, true);
	return 0;
}

static int
close_all(void **state)
{
	(void)state;
	if (golden_set(DIT_SET)) {
		st_close(&golden);
		dit_fixture_close(&f);
	}
	return 0;
}

static void
close_to(const char *name, struct tensor got, double tol)
{
	struct tensor want;

	golden_path(DIT_SET, "");
	want = golden_f32(&golden, name);
	if (tensor_count(want) != tensor_count(got))
		fail_msg("%s: %lld numbers, wanted %lld", name, (long long)tensor_count(got), (long long)tensor_count(want));
	golden_close(name, got.data, want.data, tensor_count(got), tol);
	free(want.data);
}

/* The fixture's [B, C, 1, T] or [B, C, T] for our [B, T, C]. */
static void
close_to_transposed(const char *name, struct tensor got, double tol)
{
	struct tensor want;
	int64_t B, T, C;
	float *turned;

	golden_path(DIT_SET, "");
	want = golden_f32(&golden, name);
	B = got.dim[0], T = got.dim[1], C = got.dim[2];
	assert_int_equal(tensor_count(want), tensor_count(got));
	turned = malloc(tensor_bytes(got));
	assert_non_null(turned);
	for (int64_t b = 0; b < B; b++)
		for (int64_t t = 0; t < T; t++)
			for (int64_t c = 0; c < C; c++)
				turned[(b * T + t) * C + c] = ((float *)want.data)[(b * C + c) * T + t];
	golden_close(name, got.data, turned, tensor_count(got), tol);
	free(turned);
	free(want.data);
}

static void
time_path_is_the_references(void **state)
{
	(void)state;
	close_to("time.sinusoid", f.m.save.sinusoid, sinusoid);
	close_to("time.embedded", f.m.save.e, activation);
	close_to("time.t_block", f.m.save.tb, activation);
}

static void
encoder_tokens_are_the_references(void **state)
{
	const struct cross_attention_keys *keys = &f.m.save.shared.keys;
	int64_t N = keys->cs.dim[1], d = keys->cs.dim[2];
	struct tensor cosine = tensor_of(keys->cs.data, F32, 2, N, d);
	struct tensor sine = tensor_of((float *)keys->cs.data + N * d, F32, 2, N, d);

	(void)state;
	close_to("enc.hidden_states", keys->enc, activation);
	close_to("enc.mask", keys->mask, 0);
	close_to("rope.cos", cosine, activation);
	close_to("rope.sin", sine, activation);
}

static void
patch_embedding_is_the_references(void **state)
{
	(void)state;
	(void)golden_path(DIT_SET, "manifest.json");	/* skips where there is nothing to compare with */
	close_to("proj_in.out", f.m.save.x[0], activation);
}

static void
every_block_is_the_references(void **state)
{
	(void)state;
	(void)golden_path(DIT_SET, "manifest.json");
	for (int64_t i = 0; i < f.m.cfg.layers; i++) {
		char name[32];
		snprintf(name, sizeof name, "block%lld.in", (long long)i);
		close_to(name, f.m.save.x[i], activation);
		snprintf(name, sizeof name, "block%lld.out", (long long)i);
		close_to(name, f.m.save.x[i + 1], activation);
	}
}

/* A place on the arena, used by one test; released at its end. */
static struct tensor
like(const char *name)
{
	struct tensor x = golden_f32(&golden, name);

	memset(x.data, 0, tensor_bytes(x));
	return x;
}

/* got [B, N, D] for the stored [B, H, N, d] */
static void
close_to_heads(const char *name, struct tensor got)
{
	struct tensor want = golden_f32(&golden, name);
	int64_t H = want.dim[1], N = want.dim[2], d = want.dim[3], n = tensor_count(want);
	float *turned = malloc(tensor_bytes(want));

	assert_non_null(turned);
	assert_int_equal(n, tensor_count(got));
	for (int64_t i = 0; i < n; i++) {
		int64_t b = i / (H * N * d), h = i / (N * d) % H, t = i / d % N;
		turned[((b * N + t) * H + h) * d + i % d] = ((float *)want.data)[i];
	}
	golden_close(name, got.data, turned, n, activation);
	free(turned);
	free(want.data);
}

static void
modulation_and_norms_are_the_references(void **state)
{
	const struct block_save *s;
	struct tensor x, y, r;

	(void)state;
	golden_path(DIT_SET, "");
	s = &f.m.save.block[0];
	for (int i = 0; i < 2; i++) {
		struct tensor zero = like("time.t_block"), m = tensor_view(zero, 3, zero.dim[0], 6, zero.dim[1] / 6);
		x = golden_f32(&golden, i ? "block0.norm2.in" : "block0.in");
		y = like("block0.in");
		r = like("block0.in");		/* larger than needed */
		r.rank = 2;
		rms_modulate_forward(&f.dev, y, r, x, m, 0, 1);
		close_to(i ? "block0.norm2" : "block0.norm1", y, activation);
		rms_modulate_forward(&f.dev, y, r, x, s->m, i ? 3 : 0, i ? 4 : 1);
		close_to(i ? "block0.ff.in" : "block0.attn.in", y, activation);
		free(x.data);
		free(y.data);
		free(r.data);
		free(zero.data);
	}
}

static void
self_attention_is_the_references_inside(void **state)
{
	const struct self_attention *l;
	const struct cross_attention_keys *keys;
	struct tensor x, q;

	(void)state;
	golden_path(DIT_SET, "");
	l = &f.m.block[0].attn;
	keys = &f.m.save.shared.keys;
	x = golden_f32(&golden, "block0.attn.in");
	q = like("block0.attn.in");
	linear_forward(&f.c, &l->q, NULL, q, x);
	close_to("block0.attn.to_q", q, activation);
	attend_rope(&f.dev, q, q, keys->cs, false);
	close_to_heads("block0.attn.rope_q", q);
	linear_forward(&f.c, &l->k, NULL, q, x);
	close_to("block0.attn.to_k", q, activation);
	attend_rope(&f.dev, q, q, keys->cs, false);
	close_to_heads("block0.attn.rope_k", q);
	linear_forward(&f.c, &l->v, NULL, q, x);
	close_to("block0.attn.to_v", q, activation);
	close_to("block0.attn.context", f.m.save.block[0].attn.o, activation);
	linear_forward(&f.c, &l->out, NULL, q, f.m.save.block[0].attn.o);
	close_to("block0.attn.to_out", q, activation);
	free(x.data);
	free(q.data);
}

static void
cross_attention_is_the_references_inside(void **state)
{
	const struct cross_attention *l;
	const struct block_save *s;
	struct tensor q, k;

	(void)state;
	golden_path(DIT_SET, "");
	l = &f.m.block[0].cross;
	s = &f.m.save.block[0];
	q = like("block0.cross_attn.in");
	k = like("enc.hidden_states");
	close_to("block0.cross_attn.in", s->x1, activation);
	linear_forward(&f.c, &l->q, NULL, q, s->x1);
	close_to("block0.cross_attn.to_q", q, activation);
	linear_forward(&f.c, &l->k, NULL, k, f.m.save.shared.keys.enc);
	close_to("block0.cross_attn.to_k", k, activation);
	close_to_heads("block0.cross_attn.rope_q", s->cross.q);
	close_to_heads("block0.cross_attn.rope_k", s->cross.kv[0]);
	close_to("block0.cross_attn.to_v", s->cross.kv[1], activation);
	close_to("block0.cross_attn.context", s->cross.o, activation);
	linear_forward(&f.c, &l->out, NULL, q, s->cross.o);
	close_to("block0.cross_attn.to_out", q, activation);
	close_to("block0.norm2.in", s->x2, activation);
	free(q.data);
	free(k.data);
}

static void
feed_forward_is_the_references_inside(void **state)
{
	const struct glu_ff *l;
	struct tensor a, act, u, y, gated;

	(void)state;
	golden_path(DIT_SET, "");
	l = &f.m.block[0].ff;
	a = f.m.save.block[0].ff.a;
	close_to_transposed("block0.ff.inverted_conv_pre_act", a, activation);
	act = like("block0.ff.inverted_conv");
	act = tensor_view(act, 3, a.dim[0], a.dim[1], a.dim[2]);
	silu_forward(&f.dev, act, a);
	close_to_transposed("block0.ff.inverted_conv", act, activation);
	gated = like("block0.ff.gated");
	u = tensor_view(gated, 3, a.dim[0], a.dim[1], a.dim[2] / 2);
	y = like("block0.ff.out");
	glu_conv_forward(&f.dev, u, a, l->depth_w.value, l->depth_b.value);
	close_to_transposed("block0.ff.gated", u, activation);
	linear_forward(&f.c, &l->point, NULL, y, u);
	close_to("block0.ff.out", y, activation);
	free(act.data);
	free(gated.data);
	free(y.data);
}

static void
patch_embedding_is_the_references_inside(void **state)
{
	struct tensor tokens, conv, stat, y;
	int64_t B, T;

	(void)state;
	golden_path(DIT_SET, "");
	B = f.v.dim[0], T = f.v.dim[3];
	tokens = like("out");
	tokens = tensor_view(tokens, 3, B, T, DIT_ROWS * DIT_CHANNELS);
	conv = like("proj_in.layer0");
	conv = tensor_view(conv, 3, B, T, conv.dim[1]);
	stat = like("proj_in.layer0");
	stat = tensor_make(stat.data, F32, 3, params_dims(B, DIT_GROUPS, 2));
	y = like("proj_in.out");
	ends_latent_tokens(&f.dev, tokens, f.in.latents, false);
	linear_forward(&f.c, &f.m.patch1, NULL, conv, tokens);
	close_to_transposed("proj_in.layer0", conv, activation);
	ends_group_norm(&f.dev, conv, stat, conv, f.m.norm_w.value, f.m.norm_b.value, 1e-6f);
	close_to_transposed("proj_in.layer1", conv, activation);
	linear_forward(&f.c, &f.m.patch2, NULL, y, conv);
	close_to_transposed("proj_in.layer2", y, activation);
	free(tokens.data);
	free(conv.data);
	free(stat.data);
	free(y.data);
}

static void
lyric_encoder_is_the_references(void **state)
{
	const struct lyric_encoder *l;

	(void)state;
	golden_path(DIT_SET, "");
	l = f.m.lyric;
	close_to("lyric.embs", l->tokens, activation);
	close_to("lyric.embed.linear", l->embedded, activation);
	close_to("lyric.embed.scaled", l->x[0], activation);
	close_to("lyric.embed.pos_emb", l->shared.pe, activation);
	for (int i = 0; i < l->n; i++) {
		char name[40];
		snprintf(name, sizeof name, "lyric.layer%d.in", i);
		close_to(name, l->x[i], activation);
		snprintf(name, sizeof name, "lyric.layer%d.out", i);
		close_to(name, l->x[i + 1], activation);
	}
	close_to("lyric.layer0.linear_q", l->save[0].qkv[0], activation);
	close_to("lyric.layer0.linear_k", l->save[0].qkv[1], activation);
	close_to("lyric.layer0.linear_v", l->save[0].qkv[2], activation);
	close_to("lyric.layer0.linear_pos", l->save[0].p, activation);
	close_to("lyric.layer0.attn_context", l->save[0].o, activation);
	close_to("lyric.layer0.w_1", l->save[0].a, activation);
	close_to("lyric.after_norm", f.m.save.lyric, activation);
}

static void
lyric_layer_is_the_references_inside(void **state)
{
	const struct lyric_layer *l;
	const struct lyric_layer_save *s;
	struct tensor y, stat, h;

	(void)state;
	golden_path(DIT_SET, "");
	l = &f.m.lyric->layer[0];
	s = &f.m.lyric->save[0];
	y = like("lyric.layer0.in");
	h = like("lyric.layer0.w_1");
	stat = tensor_make(malloc(tensor_bytes(s->stat1)), F32, 2, s->stat1.dim);
	lyric_layer_norm(&f.dev, y, stat, f.m.lyric->x[0], l->norm_mha.w.value, l->norm_mha.b.value);
	close_to("lyric.layer0.norm_mha", y, activation);
	linear_forward(&f.c, &l->out, NULL, y, s->o);
	close_to("lyric.layer0.attn_out", y, activation);
	lyric_layer_norm(&f.dev, y, stat, s->x1, l->norm_ff.w.value, l->norm_ff.b.value);
	close_to("lyric.layer0.norm_ff", y, activation);
	silu_forward(&f.dev, h, s->a);
	linear_forward(&f.c, &l->w2, NULL, y, h);
	close_to("lyric.layer0.ff", y, activation);
	lyric_layer_norm(&f.dev, y, stat, f.m.lyric->embedded, f.m.lyric->embed_norm.w.value, f.m.lyric->embed_norm.b.value);
	close_to("lyric.embed.layernorm", y, activation);
	free(y.data);
	free(h.data);
	free(stat.data);
}

static void
the_output_is_the_references(void **state)
{
	(void)state;
	close_to("out", f.v, activation);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lyric_encoder_is_the_references),
		cmocka_unit_test(lyric_layer_is_the_references_inside),
		cmocka_unit_test(time_path_is_the_references),
		cmocka_unit_test(encoder_tokens_are_the_references),
		cmocka_unit_test(patch_embedding_is_the_references),
		cmocka_unit_test(patch_embedding_is_the_references_inside),
		cmocka_unit_test(every_block_is_the_references),
		cmocka_unit_test(modulation_and_norms_are_the_references),
		cmocka_unit_test(self_attention_is_the_references_inside),
		cmocka_unit_test(cross_attention_is_the_references_inside),
		cmocka_unit_test(feed_forward_is_the_references_inside),
		cmocka_unit_test(the_output_is_the_references),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
