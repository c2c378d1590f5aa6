/* SPDX-License-Identifier: Apache-2.0 */
/* Weak queries: what they do is what queries of smaller weights and biases do, in the samples that are meant. */
#include "models/dit_fixture.h"
#include "models/lyric_encoder.h"

#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const float tau = 0.01f;

static void
shrink(struct tensor w)
{
	for (int64_t i = 0; w.rank && i < tensor_count(w); i++)
		((float *)w.data)[i] *= tau;
}

static void
run(struct dit_fixture *f, float *v)
{
	dit_fixture_forward(f, false);
	assert_int_equal(f->dev.status, ACE_OK);
	memcpy(v, f->v.data, tensor_bytes(f->v));
}

/* Output of f with all clips strong (as it is), of f with weak ones from `clip` on, and of f whose weights are smaller. */
static void
compare(struct dit_fixture *f, const struct weakening *blocks, const struct weakening *layers)
{
	static const struct weakening none = { 0 };
	int64_t n = tensor_count(f->v), each = n / f->v.dim[0];
	float *strong = malloc(tensor_bytes(f->v)), *weak = malloc(tensor_bytes(f->v)), *small = malloc(tensor_bytes(f->v));
	int64_t clip = blocks->clip > layers->clip ? blocks->clip : layers->clip;

	assert_true(clip < f->v.dim[0]);
	run(f, strong);
	assert_ok(dit_weaken(&f->m, blocks, layers));
	run(f, weak);
	assert_ok(dit_weaken(&f->m, &none, &none));
	for (int i = blocks->from; i < blocks->to; i++) {
		struct block *b = &f->m.block[i];
		shrink(b->attn.q.w.value), shrink(b->attn.q.b.value);
		shrink(b->cross.q.w.value), shrink(b->cross.q.b.value);
	}
	for (int i = layers->from; i < layers->to; i++) {
		shrink(f->m.lyric->layer[i].q.w.value);
		shrink(f->m.lyric->layer[i].q.b.value);
	}
	run(f, small);
	assert_memory_equal(strong, weak, (size_t)(clip * each) * sizeof(float));
	golden_close("weak queries", weak + clip * each, small + clip * each, n - clip * each, 1e-5);
	assert_true(golden_error(weak + clip * each, strong + clip * each, n - clip * each) > 1e-4);
	free(strong);
	free(weak);
	free(small);
}

static void
open_writable(struct dit_fixture *f, bool given_states)
{
	dit_fixture_open(f, DEV_CPU, 2, NULL, given_states);
	if (!dev_is_host(&f->dev)) {
		dit_fixture_close(f);
		skip();
	}
	assert_ok(dit_train(&f->m, DIT_FULL));
}

static void
weak_queries_of_blocks_are_queries_of_smaller_weights(void **state)
{
	struct dit_fixture f;
	int n;

	(void)state;
	open_writable(&f, true);
	n = f.m.cfg.layers;
	compare(&f, &(struct weakening){ n / 2, n, tau, f.v.dim[0] / 2 }, &(struct weakening){ 0 });
	dit_fixture_close(&f);
}

static void
weak_queries_of_lyric_layers_too(void **state)
{
	struct dit_fixture f;

	(void)state;
	open_writable(&f, false);
	compare(&f, &(struct weakening){ 0 }, &(struct weakening){ 0, f.m.lyric->n, tau, f.v.dim[0] / 2 });
	dit_fixture_close(&f);
}

static void
states_that_were_made_before_give_the_same_bits(void **state)
{
	struct dit_fixture f;
	struct tensor states;
	float *before, *after;

	(void)state;
	open_writable(&f, false);
	before = malloc(tensor_bytes(f.v));
	after = malloc(tensor_bytes(f.v));
	run(&f, before);
	states = tensor_of(NULL, F32, 3, f.in.lyric_ids.dim[0], f.in.lyric_ids.dim[1], f.m.cfg.lyric_dim);
	states.data = malloc(tensor_bytes(states));
	f.c.training = false;
	dit_lyric_states(&f.c, &f.m, states, f.in.lyric_ids, f.in.lyric_mask);
	f.m.lyric_states = &states;
	run(&f, after);
	assert_memory_equal(before, after, tensor_bytes(f.v));
	free(before);
	free(after);
	free(states.data);
	dit_fixture_close(&f);
}

static void
a_model_with_too_few_blocks_is_named(void **state)
{
	static const struct weakening none = { 0 };
	struct dit_fixture f;

	(void)state;
	open_writable(&f, true);
	assert_int_equal(dit_weaken(&f.m, &(struct weakening){ 1, f.m.cfg.layers + 1, tau, 0 }, &none), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "blocks"));
	assert_int_equal(dit_weaken(&f.m, &none, &(struct weakening){ 1, f.m.lyric->n + 1, tau, 0 }), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "lyric"));
	dit_fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weak_queries_of_blocks_are_queries_of_smaller_weights),
		cmocka_unit_test(weak_queries_of_lyric_layers_too),
		cmocka_unit_test(states_that_were_made_before_give_the_same_bits),
		cmocka_unit_test(a_model_with_too_few_blocks_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
