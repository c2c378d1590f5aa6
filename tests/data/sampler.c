/* SPDX-License-Identifier: Apache-2.0 */
#include "data/sampler.h"

#include "num/rng.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SETS = 4, MOST_CLIPS = 60 };

/* Data sets of random shapes; number t of them. */
struct shapes {
	struct sampler_set set[MOST_SETS];
	double bucket[MOST_SETS][MOST_CLIPS];
	uint64_t id[MOST_SETS][MOST_CLIPS];
	int sets;
};

static struct sampler_set
set_of(const char *name, int64_t n, const double *bucket, const uint64_t *id, int64_t batch_size)
{
	return (struct sampler_set){ .name = name, .bucket = bucket, .id = id, .n = n, .batch_size = batch_size,
		                     .probability = 1, .start_epoch = 1 };
}

static void
make_shapes(struct shapes *s, uint64_t t)
{
	static const char *const names[MOST_SETS] = { "a", "b", "c", "d" };
	struct rng r = rng_stream(1, RNG_TEST, 7, t);

	s->sets = 1 + (int)rng_below(r, 0, MOST_SETS);
	for (int i = 0; i < s->sets; i++) {
		struct rng q = rng_sub(r, (uint64_t)i);
		uint64_t buckets = 1 + rng_below(q, 4, 5);
		s->set[i] = set_of(names[i], 1 + (int64_t)rng_below(q, 0, MOST_CLIPS), s->bucket[i], s->id[i],
		                   1 + (int64_t)rng_below(q, 1, 9));
		s->set[i].repeats = (int64_t)rng_below(q, 2, 4);
		s->set[i].probability = 0.1 + rng_uniform(q, 20);
		for (int k = 0; k < MOST_CLIPS; k++) {
			s->bucket[i][k] = 3. * (double)rng_below(q, 10 + (uint64_t)k, buckets);
			s->id[i][k] = t * 1000 + (uint64_t)(i * MOST_CLIPS + k);
		}
	}
}

static struct sampler_epoch
order(const struct sampler_set *set, int sets, uint64_t seed, bool uniform, int64_t epoch)
{
	struct sampler_options o = { .seed = seed, .uniform = uniform };
	struct sampler_epoch e;

	assert_ok(sampler_epoch(set, sets, &o, epoch, &e));
	return e;
}

static bool
same(const struct sampler_epoch *a, const struct sampler_epoch *b)
{
	if (a->batches != b->batches || a->uses != b->uses)
		return false;
	for (int64_t i = 0; i < a->batches; i++)
		if (a->batch[i].set != b->batch[i].set || a->batch[i].first != b->batch[i].first ||
		    a->batch[i].n != b->batch[i].n || a->batch[i].bucket != b->batch[i].bucket)
			return false;
	return memcmp(a->use, b->use, (size_t)a->uses * sizeof *a->use) == 0;
}

static void
every_use_comes_once_in_a_batch_of_its_set_and_bucket(void **state)
{
	struct shapes *s = malloc(sizeof *s);

	(void)state;
	for (uint64_t t = 0; t < 200; t++) {
		int seen[MOST_SETS][MOST_CLIPS][4] = { { { 0 } } }, small[MOST_SETS][5] = { { 0 } };
		int64_t at = 0, want = 0;
		make_shapes(s, t);
		struct sampler_epoch e = order(s->set, s->sets, t, t % 2, (int64_t)t % 3);
		for (int64_t b = 0; b < e.batches; b++) {
			const struct sampler_batch *x = &e.batch[b];
			assert_true(x->set >= 0 && x->set < s->sets && x->n >= 1 && x->n <= s->set[x->set].batch_size);
			assert_int_equal(x->first, at);
			at += x->n;
			small[x->set][(int)(x->bucket / 3)] += x->n < s->set[x->set].batch_size;
			for (int i = 0; i < x->n; i++) {
				const struct sampler_use *u = &e.use[x->first + i];
				assert_true(u->sample >= 0 && u->sample < s->set[x->set].n);
				assert_true(u->repeat >= 0 && u->repeat <= s->set[x->set].repeats);
				assert_true(s->bucket[x->set][u->sample] == x->bucket);
				assert_int_equal(seen[x->set][u->sample][u->repeat]++, 0);
			}
		}
		for (int i = 0; i < s->sets; i++) {
			want += s->set[i].n * (s->set[i].repeats + 1);
			for (int k = 0; k < 5; k++)
				assert_true(small[i][k] <= 1);	/* only the last of a bucket may be smaller */
		}
		assert_int_equal(e.uses, want);	/* none twice, so all of them */
		sampler_epoch_free(&e);
	}
	free(s);
}

static void
the_order_follows_from_seed_and_epoch_alone(void **state)
{
	struct shapes *s = malloc(sizeof *s);

	(void)state;
	make_shapes(s, 3);
	s->set[0].n = MOST_CLIPS;
	struct sampler_epoch a = order(s->set, s->sets, 5, false, 2), b = order(s->set, s->sets, 5, false, 2),
			     c = order(s->set, s->sets, 6, false, 2), d = order(s->set, s->sets, 5, false, 3);
	assert_true(same(&a, &b));
	assert_false(same(&a, &c));
	assert_false(same(&a, &d));
	sampler_epoch_free(&a);
	sampler_epoch_free(&b);
	sampler_epoch_free(&c);
	sampler_epoch_free(&d);
	free(s);
}

/* Batches of one, so that the order is that of the batches; and one large batch, in which it is that of the uses. */
static void
every_clip_is_as_likely_in_every_place(void **state)
{
	enum { N = 12, EPOCHS = 3000 };
	double bucket[N];
	uint64_t id[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		id[i] = 77 + (uint64_t)i;
		bucket[i] = 3. * (i / 4);
	}
	for (int pass = 0; pass < 2; pass++) {
		double count[N][N] = { { 0 } }, chi = 0, want = EPOCHS / (pass ? 4. : N);
		struct sampler_set set = set_of("a", N, bucket, id, pass ? 4 : 1);
		for (int epoch = 0; epoch < EPOCHS; epoch++) {
			struct sampler_epoch e = order(&set, 1, 9, false, epoch);
			for (int b = 0; b < e.batches; b++)
				for (int i = 0; i < e.batch[b].n; i++)
					count[e.use[e.batch[b].first + i].sample][pass ? i : b]++;
			sampler_epoch_free(&e);
		}
		for (int i = 0; i < N; i++)
			for (int k = 0; k < (pass ? 4 : N); k++)
				chi += (count[i][k] - want) * (count[i][k] - want) / want;
		/* permutations of n: n / (n - 1) times chi square of (n - 1)^2 degrees of freedom; five deviations */
		double df = pass ? 3 * 3 * 3 : (N - 1) * (N - 1), scale = pass ? 4 / 3. : N / (N - 1.);
		assert_true(chi < scale * (df + 5 * sqrt(2 * df)));
	}
}

static void
a_clip_that_comes_leaves_the_others_in_their_order(void **state)
{
	enum { N = 40 };
	double bucket[N] = { 0 };
	uint64_t id[N], moved[N];
	int at = 0;

	(void)state;
	for (int i = 0; i < N; i++)
		id[i] = 5 + 3 * (uint64_t)i;
	memcpy(moved, id + 1, (N - 1) * sizeof *id);
	struct sampler_set with = set_of("a", N, bucket, id, N), without = set_of("a", N - 1, bucket, moved, N);
	struct sampler_epoch a = order(&with, 1, 1, false, 0), b = order(&without, 1, 1, false, 0);
	for (int i = 0; i < N; i++)
		if (a.use[i].sample != 0)
			assert_int_equal(id[a.use[i].sample], moved[b.use[at++].sample]);
	assert_int_equal(at, N - 1);
	sampler_epoch_free(&a);
	sampler_epoch_free(&b);
}

/* How often set 0 is drawn while both have batches. */
static double
share(const struct sampler_epoch *e, int64_t *draws)
{
	int64_t left[2] = { 0, 0 }, first = 0, n = 0;

	for (int64_t b = 0; b < e->batches; b++)
		left[e->batch[b].set]++;
	for (int64_t b = 0; b < e->batches && left[0] > 0 && left[1] > 0; b++, n++) {
		left[e->batch[b].set]--;
		first += e->batch[b].set == 0;
	}
	*draws += n;
	return (double)first;
}

static void
data_sets_are_drawn_by_their_weights(void **state)
{
	enum { N = 4000, EPOCHS = 8 };
	static double bucket[N];
	static uint64_t id[2][N];
	static const struct {
		int64_t n, repeats;	/* of the first; the second has 1000 and none */
		double first, second, want;
		bool uniform;
	} cases[] = {
		{ 1000, 0, 1, 1, 0.5, true }, { 3000, 0, 1, 1, 0.5, true },	{ 1000, 0, 0.9, 0.3, 0.75, true },
		{ 1000, 0, 1, 1, 0.5, false }, { 3000, 0, 1, 1, 0.75, false },	{ 1000, 3, 1, 1, 0.8, false },
		{ 3000, 0, 0.2, 0.6, 0.5, false }, { 1000, 1, 0.05, 1, 1 / 11., false },
	};

	(void)state;
	for (int i = 0; i < N; i++) {
		id[0][i] = (uint64_t)i;
		id[1][i] = (uint64_t)(N + i);
	}
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		struct sampler_set set[2] = { set_of("a", cases[c].n, bucket, id[0], 1),
			                      set_of("b", 1000, bucket, id[1], 1) };
		double first = 0, p = cases[c].want, bound;
		int64_t draws = 0;
		set[0].probability = cases[c].first;
		set[0].repeats = cases[c].repeats;
		set[1].probability = cases[c].second;
		for (int epoch = 0; epoch < EPOCHS; epoch++) {
			struct sampler_epoch e = order(set, 2, 3, cases[c].uniform, epoch);
			assert_int_equal(e.batches, cases[c].n * (1 + cases[c].repeats) + 1000);
			first += share(&e, &draws);
			sampler_epoch_free(&e);
		}
		bound = 4.5 * sqrt(p * (1 - p) / (double)draws) + 2. * EPOCHS / (double)draws;	/* stopping at an end */
		if (fabs(first / (double)draws - p) > bound)
			fail_msg("case %zu: %.4f of %lld draws; wanted %.4f within %.4f", c, first / (double)draws,
			         (long long)draws, p, bound);
	}
}

static void
sets_take_part_in_their_epochs_only(void **state)
{
	double bucket[6] = { 0 };
	uint64_t id[6] = { 1, 2, 3, 4, 5, 6 };
	struct sampler_set set[3] = { set_of("always", 2, bucket, id, 1), set_of("later", 2, bucket, id + 2, 1),
		                      set_of("never", 2, bucket, id + 4, 1) };

	(void)state;
	set[1].start_epoch = 3;
	set[1].end_epoch = 4;
	set[2].probability = 0;
	for (int64_t epoch = 0; epoch < 6; epoch++) {
		struct sampler_epoch e = order(set, 3, 1, false, epoch);
		bool later = epoch == 2 || epoch == 3;
		assert_int_equal(sampler_active(&set[1], epoch), later);
		assert_int_equal(e.batches, later ? 4 : 2);
		for (int64_t b = 0; b < e.batches; b++)
			assert_true(e.batch[b].set == 0 || (later && e.batch[b].set == 1));
		sampler_epoch_free(&e);
	}
	struct sampler_epoch none = order(set + 1, 2, 1, false, 0);
	assert_int_equal(none.batches, 0);
	sampler_epoch_free(&none);
}

static void
incomplete_batches_are_dropped_when_asked(void **state)
{
	double bucket[10] = { 3, 3, 3, 3, 3, 6, 6, 6, 9, 9 };
	uint64_t id[10];
	struct sampler_options o = { .drop_incomplete = true };
	struct sampler_set set = set_of("songs", 10, bucket, id, 3);
	struct sampler_epoch e;

	(void)state;
	for (int i = 0; i < 10; i++)
		id[i] = (uint64_t)i;
	assert_ok(sampler_epoch(&set, 1, &o, 0, &e));
	assert_int_equal(e.batches, 2);
	assert_int_equal(e.uses, 6);
	for (int b = 0; b < 2; b++)
		assert_int_equal(e.batch[b].n, 3);
	sampler_epoch_free(&e);
	set.batch_size = 6;
	assert_int_equal(sampler_epoch(&set, 1, &o, 0, &e), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "\"songs\""));
	assert_non_null(strstr(ace_message(), "bucket 3s"));
	assert_non_null(strstr(ace_message(), "has 5 clips"));
	set.repeats = 1;	/* ten of them now */
	assert_ok(sampler_epoch(&set, 1, &o, 0, &e));
	assert_int_equal(e.batches, 2);	/* 10 and 6 of two buckets */
	sampler_epoch_free(&e);
}

static void
what_cannot_be_counted_is_refused(void **state)
{
	double bucket[2] = { 0, 0 };
	uint64_t id[2] = { 1, 2 };
	struct sampler_options o = { 0 };
	struct sampler_set set = set_of("songs", 2, bucket, id, 1);
	struct sampler_epoch e;

	(void)state;
	set.repeats = INT64_MAX;
	assert_int_equal(sampler_epoch(&set, 1, &o, 0, &e), ACE_ECONFIG);
	set.repeats = -1;
	assert_int_equal(sampler_epoch(&set, 1, &o, 0, &e), ACE_ECONFIG);
	set.repeats = 0;
	set.batch_size = 0;
	assert_int_equal(sampler_epoch(&set, 1, &o, 0, &e), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "train_batch_size is 0"));
	assert_null(e.batch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_use_comes_once_in_a_batch_of_its_set_and_bucket),
		cmocka_unit_test(the_order_follows_from_seed_and_epoch_alone),
		cmocka_unit_test(every_clip_is_as_likely_in_every_place),
		cmocka_unit_test(a_clip_that_comes_leaves_the_others_in_their_order),
		cmocka_unit_test(data_sets_are_drawn_by_their_weights),
		cmocka_unit_test(sets_take_part_in_their_epochs_only),
		cmocka_unit_test(incomplete_batches_are_dropped_when_asked),
		cmocka_unit_test(what_cannot_be_counted_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
