/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/linear.h"

#include "kernels/kernels.h"
#include "support/jvp.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 11, IN = 6, OUT = 9, RANK = 3 };

struct trial {
	struct dev dev;
	struct arena act;
	struct ctx c;
	struct linear l;
	struct linear_save s;
	struct tensor x, dx, y, dy;
	enum linear_dx want;
};

static void
param(struct param *p, uint64_t index, int rank, int64_t a, int64_t b, bool train)
{
	p->value = JVP_NORMAL(index, 0.5f, rank, a, b);
	p->grad = JVP_ZEROS(rank, a, b);
	p->train = train;
}

static void
trial_open(struct trial *t, enum dev_kind kind, bool full, bool adapter, float dropout)
{
	*t = (struct trial){ .want = LINEAR_DX };
	assert_ok(dev_open(&t->dev, kind, 1));
	kernels_attach(&t->dev);
	t->act = (struct arena){ .size = 1 << 16 };
	t->act.base = aligned_alloc(256, t->act.size);
	t->c = (struct ctx){ .dev = &t->dev, .act = &t->act, .rng = rng_stream(5, RNG_DROPOUT, 0, 0), .training = true, .half = F32 };
	param(&t->l.w, 1, 2, OUT, IN, full);
	param(&t->l.b, 2, 1, OUT, 0, full);
	param(&t->l.lora_a, 3, 2, RANK, IN, adapter);
	param(&t->l.lora_b, 4, 2, OUT, RANK, adapter);
	t->l.rank = adapter ? RANK : 0;
	t->l.scale = 0.7f;
	t->l.dropout = dropout;
	t->x = JVP_NORMAL(5, 1.f, 2, ROWS, IN);
	t->dx = JVP_ZEROS(2, ROWS, IN);
	t->y = JVP_ZEROS(2, ROWS, OUT);
	t->dy = JVP_ZEROS(2, ROWS, OUT);
}

static void
trial_close(struct trial *t)
{
	struct param *p[] = { &t->l.w, &t->l.b, &t->l.lora_a, &t->l.lora_b };

	for (size_t i = 0; i < 4; i++) {
		free(p[i]->value.data);
		free(p[i]->grad.data);
	}
	free(t->x.data);
	free(t->dx.data);
	free(t->y.data);
	free(t->dy.data);
	free(t->act.base);
	dev_close(&t->dev);
}

static void
forward(void *me)
{
	struct trial *t = me;

	arena_release(&t->act, 0);
	linear_forward(&t->c, &t->l, &t->s, t->y, t->x);
}

static void
backward(void *me)
{
	struct trial *t = me;
	size_t mark = arena_mark(&t->act);

	linear_backward(&t->c, &t->l, &t->s, t->dx, t->dy, t->x, t->want);
	assert_true(arena_mark(&t->act) == mark);
}

static void
check(struct trial *t, const char *what)
{
	const struct jvp_pair out = { t->y, t->dy };
	const struct jvp_pair in[] = { { t->x, t->dx }, { t->l.lora_a.value, t->l.lora_a.grad },
		{ t->l.lora_b.value, t->l.lora_b.grad }, { t->l.w.value, t->l.w.grad }, { t->l.b.value, t->l.b.grad } };
	struct jvp j = { t, forward, backward, in, &out, t->l.w.train ? 5 : 3, 1, 0, 1, false };

	if (!t->l.rank && !t->l.w.train)
		j.n_in = 1;
	jvp_check(what, &j, 5e-4);
}

static void
backward_is_the_adjoint_of_forward(void **state)
{
	struct trial t;

	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		for (int i = 0; i < 6; i++) {
			trial_open(&t, kind ? DEV_CPU : DEV_REF, i % 3 == 2, i % 3 != 0, i < 3 ? 0.f : 0.4f);
			check(&t, "linear");
			trial_close(&t);
		}
	}
}

static void
only_what_is_asked_for_is_touched(void **state)
{
	struct trial t;

	(void)state;
	trial_open(&t, DEV_REF, false, false, 0.f);
	for (int i = 0; i < ROWS * OUT; i++)
		((float *)t.dy.data)[i] = 1.f;
	t.want = LINEAR_NO_DX;
	forward(&t);
	backward(&t);
	for (int i = 0; i < ROWS * IN; i++)
		assert_true(((float *)t.dx.data)[i] == 0.f);
	for (int i = 0; i < OUT * IN; i++)
		assert_true(((float *)t.l.w.grad.data)[i] == 0.f);
	t.want = LINEAR_DX;
	backward(&t);
	float first = ((float *)t.dx.data)[0];
	t.want = LINEAR_DX_ADD;
	backward(&t);
	assert_true(((float *)t.dx.data)[0] == 2.f * first);
	trial_close(&t);
}

static void
the_adapter_drops_only_in_training(void **state)
{
	struct trial t;
	float still[ROWS * OUT];

	(void)state;
	trial_open(&t, DEV_REF, false, true, 0.5f);
	t.c.training = false;
	forward(&t);
	assert_true(t.s.h.rank == 0);
	memcpy(still, t.y.data, sizeof still);
	t.l.dropout = 0.f;
	t.c.training = true;
	forward(&t);
	assert_memory_equal(still, t.y.data, sizeof still);
	t.l.dropout = 0.5f;
	forward(&t);
	assert_memory_not_equal(still, t.y.data, sizeof still);
	trial_close(&t);
}

static void
without_a_save_the_gradients_are_the_same(void **state)
{
	struct trial t;
	float first[OUT * RANK];

	(void)state;
	trial_open(&t, DEV_REF, false, true, 0.5f);
	memcpy(t.dy.data, t.y.data, tensor_bytes(t.dy));
	for (int i = 0; i < ROWS * OUT; i++)
		((float *)t.dy.data)[i] = (float)(i % 7) - 3.f;
	forward(&t);
	backward(&t);
	memcpy(first, t.l.lora_b.grad.data, sizeof first);
	memset(t.l.lora_b.grad.data, 0, sizeof first);
	linear_backward(&t.c, &t.l, NULL, t.dx, t.dy, t.x, LINEAR_DX);
	assert_memory_equal(first, t.l.lora_b.grad.data, sizeof first);
	trial_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backward_is_the_adjoint_of_forward),
		cmocka_unit_test(only_what_is_asked_for_is_touched),
		cmocka_unit_test(the_adapter_drops_only_in_training),
		cmocka_unit_test(without_a_save_the_gradients_are_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
