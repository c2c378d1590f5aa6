/* SPDX-License-Identifier: Apache-2.0 */
/* <J v, u> = <v, J^T u> for the operations of the transformer and its lyric encoder, on ref and on cpu */
#include "ops/attend.h"
#include "ops/ends.h"
#include "ops/glu_conv.h"
#include "ops/lyric.h"
#include "ops/modulate.h"
#include "ops/rows.h"

#include "kernels/kernels.h"
#include "support/jvp.h"
#include "support/test.h"

#include <stdlib.h>

enum { B = 2, T = 9, H = 3, W = 6, D = H * W, M = 7, F = 5, R = 4, SLOTS = 16 };

/* Tensor i of an operation is t[i], its gradient g[i]; which are inputs and outputs stands in the case. */
struct work {
	struct dev d;
	struct tensor t[SLOTS], g[SLOTS];
	const struct op_case *c;
};

struct slot {
	char role;			/* i input, o output, k constant, m mask, p constant and positive, q input and positive, 0 end */
	int rank;
	int64_t dim[4];
};

struct op_case {
	const char *name;
	void (*forward)(struct dev *d, struct tensor *t);
	void (*backward)(struct dev *d, struct tensor *t, struct tensor *g);
	struct slot slot[SLOTS];
};

static void
rms_forward(struct dev *d, struct tensor *t)
{
	rms_modulate_forward(d, t[0], t[1], t[2], t[3], 3, 1);
}

static void
rms_backward(struct dev *d, struct tensor *t, struct tensor *g)
{
	rms_modulate_grads(d, g[3], g[0], t[2], t[1], 3, 1);
	rms_modulate_backward(d, g[2], g[0], t[2], t[1], t[3], 1, true);
}

static void
gate_forward(struct dev *d, struct tensor *t)
{
	gate_add(d, t[0], t[1], t[2], t[3], 2);
}

static void
gate_back(struct dev *d, struct tensor *t, struct tensor *g)
{
	rows_copy(d, g[1], g[0]);
	gate_backward(d, g[2], g[0], t[3], 2);
	gate_grads(d, g[3], g[0], t[2], 2);
}

static void
silu_f(struct dev *d, struct tensor *t)
{
	silu_forward(d, t[0], t[1]);
}

static void
silu_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	silu_backward(d, g[1], g[0], t[1]);
}

static void
modulation_f(struct dev *d, struct tensor *t)
{
	modulation_forward(d, t[0], t[1], t[2]);
}

static void
modulation_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	(void)t;
	modulation_backward(d, g[1], g[2], g[0]);
}

static void
rope_f(struct dev *d, struct tensor *t)
{
	attend_rope_table(d, t[2], 1e6f);
	attend_rope(d, t[0], t[1], t[2], false);
}

static void
rope_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	attend_rope(d, g[1], g[0], t[2], true);
}

static void
mask_f(struct dev *d, struct tensor *t)
{
	attend_mask_rows(d, t[0], t[1], t[2]);
}

static void
mask_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	attend_mask_rows(d, g[1], g[0], t[2]);
}

static void
rope_relu_f(struct dev *d, struct tensor *t)
{
	attend_rope_table(d, t[2], 1e6f);
	attend_rope_relu(d, t[0], t[1], t[2], t[3]);
}

static void
rope_relu_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	attend_rope_relu_backward(d, g[1], g[0], t[0], t[2], t[3]);
}

static void
linear_f(struct dev *d, struct tensor *t)
{
	attend_linear(d, t[0], t[1], t[2], t[3], t[4]);
}

static void
linear_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	attend_linear_backward(d, g[2], g[3], g[4], g[0], t[2], t[3], t[4], t[0], t[1]);
}

static void
softmax_f(struct dev *d, struct tensor *t)
{
	attend_softmax(d, t[0], t[1], t[2], t[3], t[4], t[5], t[6]);
}

static void
softmax_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	attend_softmax_backward(d, g[2], g[3], g[4], g[0], t[2], t[3], t[4], t[0], t[1], t[5], t[6]);
}

static void
glu_f(struct dev *d, struct tensor *t)
{
	glu_conv_forward(d, t[0], t[1], t[2], t[3]);
}

static void
glu_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	glu_conv_grads(d, g[2], g[3], g[0], t[1], t[2], t[3]);
	glu_conv_backward(d, g[1], g[0], t[1], t[2], t[3]);
}

static void
norm_f(struct dev *d, struct tensor *t)
{
	ends_group_norm(d, t[0], t[1], t[2], t[3], t[4], 1e-6f);
}

static void
norm_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	ends_group_norm_backward(d, g[2], g[3], g[4], g[0], t[2], t[1], t[3]);
}

static void
tokens_f(struct dev *d, struct tensor *t)
{
	ends_latent_tokens(d, t[0], t[1], true);
}

static void
tokens_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	(void)t;
	ends_latents_of_tokens(d, g[1], g[0], true);
}

static void
place_f(struct dev *d, struct tensor *t)
{
	rows_fill(d, t[0], 0.f);
	ends_place(d, t[0], t[1], 3);
}

static void
place_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	(void)t;
	ends_take(d, g[1], g[0], 3);
}

static void
layer_norm_f(struct dev *d, struct tensor *t)
{
	lyric_layer_norm(d, t[0], t[1], t[2], t[3], t[4]);
}

static void
layer_norm_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	lyric_layer_norm_grads(d, g[3], g[4], g[0], t[2], t[1]);
	lyric_layer_norm_backward(d, g[2], g[0], t[2], t[1], t[3], true);
}

static const int32_t ids[B * T] = { 3, 0, 1, 3, 3, 2, 0, 1, 1, 2, 2, 0, 3, 1, 0, 0, 2, 3 };

static void
embedding_f(struct dev *d, struct tensor *t)
{
	lyric_embedding(d, t[0], t[1], tensor_of((void *)(uintptr_t)ids, I32, 2, B, T));
}

static void
embedding_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	(void)t;
	lyric_embedding_backward(d, g[1], g[0], tensor_of((void *)(uintptr_t)ids, I32, 2, B, T));
}

static void
relative_f(struct dev *d, struct tensor *t)
{
	lyric_attention(d, t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8]);
}

static void
relative_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	lyric_attention_backward(d, g[2], g[3], g[4], g[5], g[6], g[7], g[0], t[2], t[3], t[4], t[5], t[6], t[7], t[0], t[1], t[8]);
}

static void
projection_f(struct dev *d, struct tensor *t)
{
	ends_projection_loss(d, t[0], t[1], t[2]);
}

static void
projection_b(struct dev *d, struct tensor *t, struct tensor *g)
{
	ends_projection_loss_backward(d, g[1], t[1], t[2], ((float *)g[0].data)[0]);
}

#define X(role, N) { role, 3, { B, N, D } }
static const struct op_case cases[] = {
	{ "rms_modulate", rms_forward, rms_backward, { X('o', T), { 'k', 2, { B, T } }, X('i', T), { 'i', 3, { B, R, D } } } },
	{ "gate", gate_forward, gate_back, { X('o', T), X('i', T), X('i', T), { 'i', 3, { B, R, D } } } },
	{ "silu", silu_f, silu_b, { X('o', T), X('i', T) } },
	{ "modulation", modulation_f, modulation_b, { { 'o', 3, { B, R, D } }, { 'i', 2, { R, D } }, { 'i', 3, { B, R, D } } } },
	{ "modulation by one row", modulation_f, modulation_b,
	  { { 'o', 3, { B, R, D } }, { 'i', 2, { R, D } }, { 'i', 3, { B, 1, D } } } },
	{ "rope", rope_f, rope_b, { X('o', T), X('i', T), { 'k', 3, { 2, T, W } } } },
	{ "mask_rows", mask_f, mask_b, { X('o', T), X('i', T), { 'm', 2, { B, T } } } },
	{ "linear attention", linear_f, linear_b, { X('o', T), { 'k', 3, { B, T, H } }, X('q', T), X('q', T), X('i', T) } },
	{ "softmax attention", softmax_f, softmax_b,
	  { X('o', T), { 'k', 3, { B, T, H } }, X('i', T), X('i', M), X('i', M), { 'm', 2, { B, T } }, { 'm', 2, { B, M } } } },
	{ "glu_conv", glu_f, glu_b,
	  { { 'o', 3, { B, T, F } }, { 'i', 3, { B, T, 2 * F } }, { 'i', 3, { 2 * F, 1, 3 } }, { 'i', 1, { 2 * F } } } },
	{ "group norm", norm_f, norm_b, { X('o', T), { 'k', 3, { B, H, 2 } }, X('i', T), { 'i', 1, { D } }, { 'i', 1, { D } } } },
	{ "latent tokens", tokens_f, tokens_b, { { 'o', 3, { B, T, 4 * W } }, { 'i', 4, { B, 4, W, T } } } },
	{ "layer norm", layer_norm_f, layer_norm_b,
	  { X('o', T), { 'k', 2, { B * T, 2 } }, X('i', T), { 'i', 1, { D } }, { 'i', 1, { D } } } },
	{ "embedding", embedding_f, embedding_b, { X('o', T), { 'i', 2, { 4, D } } } },
	{ "relative attention", relative_f, relative_b,
	  { X('o', T), { 'k', 3, { B, T, H } }, X('i', T), X('i', T), X('i', T), { 'i', 2, { 2 * T - 1, D } }, { 'i', 2, { H, W } },
	    { 'i', 2, { H, W } }, { 'm', 2, { B, T } } } },
	{ "place", place_f, place_b, { X('o', T), X('i', 4) } },
};

/* One number is the result, so its rounding weighs more: a longer step. */
static const struct op_case loss_cases[] = {
	{ "projection loss, more rows", projection_f, projection_b, { { 'o', 1, { 1 } }, { 'i', 2, { T, D } }, { 'k', 2, { 20, D } } } },
	{ "projection loss, fewer rows", projection_f, projection_b, { { 'o', 1, { 1 } }, { 'i', 2, { T, D } }, { 'k', 2, { 4, D } } } },
};

/* relu is not smooth: tried with a step that changes no sign. */
static const struct op_case relu_case = { "rope_relu", rope_relu_f, rope_relu_b,
	{ X('o', T), X('i', T), { 'k', 3, { 2, T, W } }, { 'm', 2, { B, T } } } };

static void
forward(void *me)
{
	struct work *w = me;

	w->c->forward(&w->d, w->t);
}

static void
backward(void *me)
{
	struct work *w = me;

	w->c->backward(&w->d, w->t, w->g);
}

static void
make(struct work *w, int i)
{
	const struct slot *s = &w->c->slot[i];

	w->t[i] = jvp_normal((uint64_t)i + 1, 1.f, s->rank, s->dim);
	w->g[i] = jvp_zeros(s->rank, s->dim);
	for (int64_t k = 0; k < tensor_count(w->t[i]); k++) {
		float *v = (float *)w->t[i].data + k;
		if (s->role == 'm')
			*v = *v > -0.7f ? 1.f : 0.f;
		else if (s->role == 'p' || s->role == 'q')
			*v = *v * *v + 0.1f;
	}
}

static void
check(const struct op_case *c, enum dev_kind kind, float step)
{
	struct jvp_pair in[SLOTS], out[SLOTS];
	struct work w = { .c = c };
	struct jvp j = { &w, forward, backward, in, out, 0, 0, step, 3, false };

	assert_ok(dev_open(&w.d, kind, 2));
	kernels_attach(&w.d);
	for (int i = 0; i < SLOTS && c->slot[i].role; i++) {
		make(&w, i);
		if (c->slot[i].role == 'i' || c->slot[i].role == 'q')
			in[j.n_in++] = (struct jvp_pair){ w.t[i], w.g[i] };
		if (c->slot[i].role == 'o')
			out[j.n_out++] = (struct jvp_pair){ w.t[i], w.g[i] };
	}
	jvp_check(c->name, &j, 1e-3);
	for (int i = 0; i < SLOTS && c->slot[i].role; i++) {
		free(w.t[i].data);
		free(w.g[i].data);
	}
	dev_close(&w.d);
}

static void
every_backward_pass_is_the_adjoint_of_its_forward_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		check(&cases[i], DEV_REF, 0.f);
		check(&cases[i], DEV_CPU, 0.f);
	}
	for (size_t i = 0; i < sizeof loss_cases / sizeof *loss_cases; i++)
		check(&loss_cases[i], DEV_REF, 5e-2f);
}

static void
relu_passes_gradients_where_its_input_is_positive(void **state)
{
	(void)state;
	check(&relu_case, DEV_REF, 3e-4f);
	check(&relu_case, DEV_CPU, 3e-4f);
}

/* The two halves of a pair have different frequencies, so lengths change: the usual kernels would keep them. */
static void
rotation_does_not_keep_lengths(void **state)
{
	struct dev d;
	struct tensor cs = JVP_ZEROS(3, 2, 4, 6), x = JVP_ZEROS(3, 1, 4, 6);
	float *p = x.data;

	(void)state;
	assert_ok(dev_open(&d, DEV_REF, 1));
	kernels_attach(&d);
	for (int i = 0; i < 24; i++)
		p[i] = 1.f;
	attend_rope_table(&d, cs, 1e6f);
	attend_rope(&d, x, x, cs, false);
	assert_true(p[0] == 1.f && p[5] == 1.f);
	assert_true(p[18] * p[18] + p[19] * p[19] < 1.9f || p[18] * p[18] + p[19] * p[19] > 2.1f);
	free(cs.data);
	free(x.data);
	dev_close(&d);
}

/* Masked frames and queries that meet no key: exactly 0 out, finite gradients. */
static void
dead_queries_give_zero_and_no_poison(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct dev d;
		struct tensor t[8], den = JVP_ZEROS(3, 1, T, H);
		assert_ok(dev_open(&d, kind ? DEV_CPU : DEV_REF, 1));
		kernels_attach(&d);
		for (int i = 0; i < 8; i++)
			t[i] = JVP_NORMAL((uint64_t)i, 1.f, 3, 1, T, D);
		for (int i = 0; i < T * D; i++) {	/* keys live in even channels, queries in odd ones */
			float *q = t[0].data, *k = t[1].data;
			q[i] = i % 2 ? q[i] * q[i] : 0.f;
			k[i] = i % 2 ? 0.f : k[i] * k[i];
		}
		attend_linear(&d, t[3], den, t[0], t[1], t[2]);
		attend_linear_backward(&d, t[4], t[5], t[6], t[7], t[0], t[1], t[2], t[3], den);
		for (int i = 0; i < T * D; i++) {
			assert_true(((float *)t[3].data)[i] == 0.f);
			for (int n = 4; n < 7; n++)
				assert_true(((float *)t[n].data)[i] == ((float *)t[n].data)[i]);
		}
		for (int i = 0; i < 8; i++)
			free(t[i].data);
		free(den.data);
		dev_close(&d);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_backward_pass_is_the_adjoint_of_its_forward_pass),
		cmocka_unit_test(relu_passes_gradients_where_its_input_is_positive),
		cmocka_unit_test(rotation_does_not_keep_lengths),
		cmocka_unit_test(dead_queries_give_zero_and_no_poison),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
