/* SPDX-License-Identifier: Apache-2.0 */
/* The transformer on a base in 8 bits or 4: what its matrices say is what it computes with */
#include "models/dit_fixture.h"

#include "ops/quant.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct tensor none;

static struct dit_options
options(enum dtype dtype, enum dtype base, bool feed_forward)
{
	return (struct dit_options){ .dtype = dtype, .attention_masks = true, .base = base, .quantize_feed_forward = feed_forward };
}

static void
open_with(struct dit_fixture *f, struct dit_options o)
{
	dit_fixture_open(f, DEV_CPU, 2, &o, false);
	dit_fixture_lora(f, 0);
	assert_ok(dit_alloc_grads(&f->m, NULL));
}

/* f's weights become what q's say, in memory that f owns. */
static int
take_weights(struct dit_fixture *f, struct dit_fixture *q)
{
	int n = 0;

	for (int i = 0; i < dit_n_params(&q->m); i++) {
		struct param *p = dit_param(&f->m, i), *from = dit_param(&q->m, i);
		struct tensor w;
		if (!from->scale.rank)
			continue;
		assert_string_equal(p->name, from->name);
		assert_ok(params_own(&f->m.params, tensor_bytes(p->value), p->name, &p->value.data));
		w = tensor_view(p->value, 2, p->value.dim[0], tensor_count(p->value) / p->value.dim[0]);
		quant_undo(&f->dev, w, tensor_view(from->value, 2, w.dim[0], w.dim[1]), from->scale, none, none);
		n++;
	}
	return n;
}

/* Layers whose rows are no pairs, which 4 bits leave as they are. */
static int
left(const struct dit_fixture *f, enum dtype base)
{
	int n = 0;

	for (int i = 0; base == I4 && i < f->m.params.n_modules; i++)
		n += linear_in(f->m.params.module[i].l) % 2 != 0 &&
		     params_quantizes(&f->m.params, f->m.params.module[i].name, f->m.params.module[i].l->w.value.rank);
	return n;
}

static void
a_step_is_that_of_the_undone_weights_to_the_bit(void **state)
{
	const struct { enum dtype dtype, base; bool feed_forward; } cases[] = { { F32, I8, false }, { BF16, I8, true }, { F32, F8, true },
		{ F16, I8, true }, { F32, I4, false }, { BF16, I4, true }, { F16, I4, true } };

	(void)state;
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		struct dit_fixture f, q;
		double a, b;
		int n;
		open_with(&q, options(cases[k].dtype, cases[k].base, cases[k].feed_forward));
		open_with(&f, options(cases[k].dtype, cases[k].dtype, false));
		n = take_weights(&f, &q);
		assert_int_equal(n, q.m.params.n_modules - left(&q, cases[k].base) - (cases[k].feed_forward ? 0 : 2 * (int)q.m.cfg.layers));
		a = dit_fixture_step(&f);
		b = dit_fixture_step(&q);
		assert_true(a == b && isfinite(a));
		assert_memory_equal(f.v.data, q.v.data, tensor_bytes(f.v));
		for (int i = 0; i < dit_n_params(&f.m); i++) {
			struct param *p = dit_param(&f.m, i), *r = dit_param(&q.m, i);
			assert_int_equal(p->train, r->train);
			if (p->train)
				assert_memory_equal(p->grad.data, r->grad.data, tensor_bytes(p->grad));
		}
		dit_fixture_close(&f);
		dit_fixture_close(&q);
	}
}

/* A whole number of 127 steps is off by at most half a step, 0.4 % of a row's largest: below 1 % of the norm for weights of one
 * size. e4m3 is off by at most 1 part in 16. A whole number of 15 steps between a
 * group's ends, about 5 deviations apart, is off by a twelfth of a step squared: a tenth of the norm. */
static void
the_loss_stays_near_the_plain_ones(void **state)
{
	const struct { enum dtype base; double tol; } cases[] = { { I8, 0.02 }, { F8, 0.1 }, { I4, 0.25 } };
	struct dit_fixture f, q;
	double want;

	(void)state;
	open_with(&f, options(F32, F32, false));
	want = dit_fixture_step(&f);
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		double e;
		open_with(&q, options(F32, cases[k].base, true));
		(void)dit_fixture_step(&q);
		e = golden_norm_error(q.v.data, f.v.data, tensor_count(f.v));
		print_message("# base %s: velocity off by %.3g of its norm\n", dtype_name(cases[k].base), e);
		if (!(e > 0 && e <= cases[k].tol))
			fail_msg("base %s: velocity off by %.3g of its norm, at most %.3g is right", dtype_name(cases[k].base), e,
			         cases[k].tol);
		dit_fixture_close(&q);
	}
	assert_true(want > 0);
	dit_fixture_close(&f);
}

static void
what_is_in_8_bits_does_not_train(void **state)
{
	struct dit_options o = options(F32, I8, false);
	struct dit_fixture f;

	(void)state;
	dit_fixture_open(&f, DEV_CPU, 1, &o, false);
	assert_int_equal(dit_train(&f.m, DIT_LYRICS), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "8 bits"));
	dit_fixture_close(&f);
	o.lyrics_train = true;
	dit_fixture_open(&f, DEV_CPU, 1, &o, false);
	assert_ok(dit_train(&f.m, DIT_LYRICS));
	for (int i = 0; i < dit_n_params(&f.m); i++)
		assert_false(dit_param(&f.m, i)->train && dit_param(&f.m, i)->scale.rank);
	dit_fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_step_is_that_of_the_undone_weights_to_the_bit),
		cmocka_unit_test(the_loss_stays_near_the_plain_ones),
		cmocka_unit_test(what_is_in_8_bits_does_not_train),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
