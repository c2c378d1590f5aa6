/* SPDX-License-Identifier: Apache-2.0 */
#include "data/batch.h"

#include "base/file.h"
#include "data/dataset_settings.h"
#include "data/sampler.h"
#include "lists.h"
#include "num/rng.h"
#include "store/latents.h"
#include "store/texts.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIPS = 23, SPEAKER = 5 };

struct place {
	char dir[300];
	struct stores_options stores;
	struct dataset_list list;
	struct data_options o;
};

static void
setup(struct place *p, int clips)
{
	snprintf(p->dir, sizeof p->dir, "%s", golden_tmp());
	p->stores = lists_stores(clips);
	p->stores.autoencoder = "random";
	free(stores_make(p->dir, &p->stores));
	p->list = lists_one(p->dir);
	p->o = (struct data_options){
		.list = &p->list, .seed = 3, .speaker = SPEAKER, .lyric_vocab = 50, .text_width = 12
	};
}

static void
cleanup(struct place *p)
{
	lists_free(&p->list);
	assert_ok(file_remove_tree(p->dir));
}

static struct data *
open_data(const struct place *p)
{
	struct data *d;

	assert_ok(data_open(&d, &p->o));
	return d;
}

/* rows of n in front of rows of all, zeros behind. */
static void
padded(const float *got, const float *want, int64_t rows, int64_t n, int64_t all)
{
	for (int64_t r = 0; r < rows; r++)
		for (int64_t i = 0; i < all; i++)
			assert_true(got[r * all + i] == (i < n ? want[r * n + i] : 0.f));
}

/* Which of its captions a clip of a batch has: compares with the store. */
static int
caption_in(struct texts *texts, const struct latent_item *a, const struct batch *b, int64_t k)
{
	static float x[64 * 64];

	for (int c = 0; c < a->captions; c++) {
		int64_t i = texts_find(texts, a->caption[c]), rows = texts_item(texts, i)->rows, n = 0;
		for (int64_t s = 0; s < b->S; s++)
			n += b->text_mask[k * b->S + s] == 1.f;
		assert_ok(texts_read(texts, i, x));
		if (rows == n && memcmp(x, b->text + k * b->S * b->text_width,
		                        (size_t)(rows * b->text_width) * sizeof *x) == 0) {
			padded(b->text + k * b->S * b->text_width, x, 1, rows * b->text_width, b->S * b->text_width);
			return c;
		}
	}
	return -1;
}

static void
is_clip(struct latents *latents, struct texts *texts, const struct batch *b, int64_t k, enum mask_rule rule)
{
	int64_t i = latents_find(latents, b->name[k]), maps = b->channels * b->rows;
	const struct latent_item *a = latents_item(latents, i);
	float *x = malloc((size_t)(maps * a->frames) * sizeof *x);
	int32_t id[16];
	uint8_t mask[16];

	assert_ok(latents_read(latents, i, x));
	padded(b->latents + k * maps * b->T, x, maps, a->frames, b->T);
	for (int64_t t = 0; t < b->T; t++)
		assert_true(b->frame_mask[k * b->T + t] == (t < a->frames || rule == MASK_ALL ? 1.f : 0.f));
	assert_ok(latents_read_lyrics(latents, i, id, mask));
	for (int64_t y = 0; y < b->Y; y++) {
		assert_int_equal(b->lyric_ids[k * b->Y + y], y < a->lyrics ? id[y] : 0);
		assert_true(b->lyric_mask[k * b->Y + y] == (y < a->lyrics ? (float)mask[y] : 0.f));
	}
	for (int64_t s = 0; s < b->speaker_width; s++)
		assert_true(b->speaker[k * b->speaker_width + s] == 0.f);
	assert_true(a->bucket == b->bucket);
	assert_int_equal(b->samples[k], a->samples);
	assert_true(caption_in(texts, a, b, k) >= 0);
	free(x);
}

static void
a_batch_is_what_the_stores_hold(void **state)
{
	struct place p;

	(void)state;
	setup(&p, CLIPS);
	for (int rule = 0; rule < 2; rule++) {
		struct batch b = { 0 };
		struct latents *latents;
		struct texts *texts;
		struct data *d;
		int64_t clips = 0;
		p.o.mask = (enum mask_rule)rule;
		d = open_data(&p);
		assert_ok(latents_open(&latents, p.list.entry[0].store, NULL));
		assert_ok(texts_open(&texts, p.list.entry[1].store, NULL));
		for (int64_t n = 0; n < data_batches_per_epoch(d, 0); n++) {
			assert_ok(data_batch(d, 0, n, &b));
			assert_int_equal(b.epoch, 0);
			assert_int_equal(b.number, n);
			assert_int_equal(b.speaker_width, SPEAKER);
			assert_string_equal(b.dataset, "random");
			for (int64_t k = 0; k < b.B; k++) {
				is_clip(latents, texts, &b, k, p.o.mask);
				assert_true(b.sample_id[k] == dataset_sample_id("random", b.name[k]));
			}
			clips += b.B;
		}
		assert_int_equal(clips, CLIPS);
		assert_int_equal(data_clips(d), CLIPS);
		batch_free(&b);
		latents_close(latents);
		texts_close(texts);
		data_close(d);
	}
	cleanup(&p);
}

static void
no_lyrics_are_token_0_and_mask_0(void **state)
{
	struct batch b = { 0 };
	struct place p;
	struct data *d;
	int seen = 0;

	(void)state;
	setup(&p, CLIPS);
	d = open_data(&p);
	for (int64_t n = 0; n < data_batches_per_epoch(d, 0); n++) {
		assert_ok(data_batch(d, 0, n, &b));
		for (int64_t k = 0; k < b.B; k++) {
			float sum = 0;
			int clip;
			assert_int_equal(sscanf(b.name[k], "clip_%d.wav", &clip), 1);
			for (int64_t y = 0; y < b.Y; y++)
				sum += b.lyric_mask[k * b.Y + y];
			if (clip % 4 == 3) {	/* stores.h */
				assert_true(sum == 0.f && b.lyric_ids[k * b.Y] == 0);
				seen++;
			} else {
				assert_true(sum > 0.f);
			}
		}
	}
	assert_int_equal(seen, CLIPS / 4);
	batch_free(&b);
	data_close(d);
	cleanup(&p);
}

static void
a_batch_may_be_asked_for_in_any_order_again_and_again(void **state)
{
	struct batch first[64] = { { 0 } }, b = { 0 };
	struct rng r = rng_stream(2, RNG_TEST, 0, 0);
	struct place p;
	struct data *d, *other;
	int64_t n;

	(void)state;
	setup(&p, CLIPS);
	d = open_data(&p);
	other = open_data(&p);
	n = data_batches_per_epoch(d, 0);
	assert_true(2 * n <= 64);
	for (int64_t i = 0; i < 2 * n; i++)
		assert_ok(data_batch(d, i / n, i % n, &first[i]));
	for (uint64_t t = 0; t < 60; t++) {
		int64_t i = (int64_t)rng_below(r, t, (uint64_t)(2 * n));
		assert_ok(data_batch(t % 2 ? d : other, i / n, i % n, &b));	/* into memory of another size */
		lists_same_batch(&b, &first[i]);
	}
	for (int64_t i = 0; i < 2 * n; i++)
		batch_free(&first[i]);
	batch_free(&b);
	data_close(d);
	data_close(other);
	cleanup(&p);
}

static void
one_of_several_captions_is_drawn_for_each_use(void **state)
{
	enum { EPOCHS = 100, REPEATS = 2 };
	double count[3] = { 0 }, same = 0, all = 0, want;
	int last[CLIPS];
	struct batch b = { 0 };
	struct latents *latents;
	struct texts *texts;
	struct place p;
	struct data *d;

	(void)state;
	setup(&p, CLIPS);
	p.list.entry[0].repeats = REPEATS;
	d = open_data(&p);
	assert_ok(latents_open(&latents, p.list.entry[0].store, NULL));
	assert_ok(texts_open(&texts, p.list.entry[1].store, NULL));
	for (int i = 0; i < CLIPS; i++)
		last[i] = -1;
	for (int64_t n = 0; n < EPOCHS * data_batches_per_epoch(d, 0); n++) {
		assert_ok(data_batch(d, n / data_batches_per_epoch(d, 0), n % data_batches_per_epoch(d, 0), &b));
		for (int64_t k = 0; k < b.B; k++) {
			int64_t i = latents_find(latents, b.name[k]);
			int c = caption_in(texts, latents_item(latents, i), &b, k);
			assert_true(c >= 0);
			count[c]++;
			if (last[i] >= 0) {
				same += last[i] == c;
				all++;
			}
			last[i] = c;
		}
	}
	want = CLIPS * EPOCHS * (REPEATS + 1) / 3.;
	for (int c = 0; c < 3; c++)
		assert_true(fabs(count[c] - want) < 5 * sqrt(want * 2 / 3));
	assert_true(fabs(same - all / 3) < 5 * sqrt(all * 2 / 9));	/* the next use knows nothing of the last */
	batch_free(&b);
	latents_close(latents);
	texts_close(texts);
	data_close(d);
	cleanup(&p);
}

static void
the_empty_caption_takes_the_place_of_others_as_often_as_asked(void **state)
{
	enum { EPOCHS = 60 };
	const float chance = 0.3f;
	double dropped = 0, all = 0;
	struct batch b = { 0 };
	const float *empty;
	struct place p;
	struct data *d;
	int64_t rows;

	(void)state;
	setup(&p, CLIPS);
	p.o.caption_dropout = chance;
	d = open_data(&p);
	empty = data_empty_text(d, &rows);
	assert_non_null(empty);
	assert_int_equal(rows, 1);
	for (int64_t n = 0; n < EPOCHS * data_batches_per_epoch(d, 0); n++) {
		assert_ok(data_batch(d, n / data_batches_per_epoch(d, 0), n % data_batches_per_epoch(d, 0), &b));
		for (int64_t k = 0; k < b.B; k++, all++)
			dropped += memcmp(b.text + k * b.S * b.text_width, empty,
			                  (size_t)b.text_width * sizeof *empty) == 0;
	}
	assert_true(all == EPOCHS * CLIPS);
	assert_true(fabs(dropped - chance * all) < 5 * sqrt(all * chance * (1 - chance)));
	batch_free(&b);
	data_close(d);
	cleanup(&p);
}

/* Names of the clips of epoch, sorted into a set. */
static void
clips_of(struct data *d, int64_t epoch, bool seen[CLIPS + 40])
{
	struct batch b = { 0 };

	memset(seen, 0, CLIPS + 40);
	for (int64_t n = 0; n < data_batches_per_epoch(d, epoch); n++) {
		assert_ok(data_batch(d, epoch, n, &b));
		for (int64_t k = 0; k < b.B; k++) {
			int clip;
			assert_int_equal(sscanf(b.name[k], "clip_%d.wav", &clip), 1);
			assert_false(seen[clip]);
			seen[clip] = true;
		}
	}
	batch_free(&b);
}

static void
max_num_samples_keeps_the_same_clips_for_a_seed(void **state)
{
	bool first[CLIPS + 40], again[CLIPS + 40], other[CLIPS + 40], grown[CLIPS + 40];
	struct place p, more;
	struct data *d;
	int n = 0;

	(void)state;
	setup(&p, CLIPS);
	p.list.entry[0].max_samples = 9;
	d = open_data(&p);
	assert_int_equal(data_clips(d), 9);
	clips_of(d, 0, first);
	clips_of(d, 7, again);
	assert_memory_equal(first, again, sizeof first);
	data_close(d);
	p.o.seed = 4;
	d = open_data(&p);
	clips_of(d, 0, other);
	assert_memory_not_equal(first, other, sizeof first);
	data_close(d);
	setup(&more, CLIPS + 40);	/* what comes later takes places, but does not mix the others up */
	more.list.entry[0].max_samples = 9;
	d = open_data(&more);
	clips_of(d, 0, grown);
	for (int i = 0; i < CLIPS; i++) {
		n += grown[i];
		assert_true(first[i] || !grown[i]);
	}
	assert_true(n < 9);
	data_close(d);
	cleanup(&more);
	cleanup(&p);
}

static void
a_clip_twice_in_an_epoch_has_two_numbers(void **state)
{
	uint64_t id[CLIPS * 3];
	struct batch b = { 0 };
	struct place p;
	struct data *d;
	int n = 0;

	(void)state;
	setup(&p, CLIPS);
	p.list.entry[0].repeats = 2;
	d = open_data(&p);
	for (int64_t i = 0; i < data_batches_per_epoch(d, 0); i++) {
		assert_ok(data_batch(d, 0, i, &b));
		for (int64_t k = 0; k < b.B; k++)
			id[n++] = b.sample_id[k];
	}
	assert_int_equal(n, CLIPS * 3);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			assert_true(id[i] != id[k]);
	batch_free(&b);
	data_close(d);
	cleanup(&p);
}

static void
the_largest_shape_bounds_all_and_is_reached(void **state)
{
	struct place p;

	(void)state;
	setup(&p, CLIPS);
	for (int t = 0; t < 6; t++) {
		struct batch b = { 0 }, most = { 0 }, reached = { 0 };
		struct data *d;
		p.list.entry[0].batch_size = 1 + 2 * t;
		p.list.entry[0].repeats = t % 2;
		d = open_data(&p);
		data_largest(d, &most);
		assert_null(most.latents);
		assert_int_equal(most.channels, 4);
		assert_int_equal(most.text_width, 12);
		for (int64_t n = 0; n < 5 * data_batches_per_epoch(d, 0); n++) {
			assert_ok(
			    data_batch(d, n / data_batches_per_epoch(d, 0), n % data_batches_per_epoch(d, 0), &b));
			reached.B = b.B > reached.B ? b.B : reached.B;
			reached.T = b.T > reached.T ? b.T : reached.T;
			reached.S = b.S > reached.S ? b.S : reached.S;
			reached.Y = b.Y > reached.Y ? b.Y : reached.Y;
		}
		assert_int_equal(reached.B, most.B);
		assert_int_equal(reached.T, most.T);
		assert_int_equal(reached.S, most.S);
		assert_int_equal(reached.Y, most.Y);
		batch_free(&b);
		data_close(d);
	}
	cleanup(&p);
}

static void
lists_of_many_shapes_give_every_clip_its_passes(void **state)
{
	static const struct {
		int clips[3], sets;
		int64_t repeats, batch, interval;
	} shapes[] = {
		{ { 1 }, 1, 0, 1, 0 },	  { { 1 }, 1, 40, 8, 0 },  { { 5, 1 }, 2, 1, 4, 0 },
		{ { 2, 9, 3 }, 3, 0, 64, 0 }, { { 65, 7 }, 2, 3, 5, 0 },
	};

	(void)state;
	for (size_t t = 0; t < sizeof shapes / sizeof *shapes; t++) {
		struct dataset_list l = { 0 };
		struct data_options o = { .list = &l, .seed = t, .uniform = t % 2 };
		char dir[3][300];
		struct batch b = { 0 };
		int64_t want = 0, uses = 0;
		struct data *d;
		for (int i = 0; i < shapes[t].sets; i++) {
			struct stores_options s = lists_stores(shapes[t].clips[i]);
			char id[8];
			s.vary = i * 20;
			snprintf(id, sizeof id, "set%d", i);
			snprintf(dir[i], sizeof dir[i], "%s", golden_tmp());
			free(stores_make(dir[i], &s));
			struct dataset *e = lists_add(&l, id, dir[i]);
			e->repeats = shapes[t].repeats + i;
			e->batch_size = shapes[t].batch;
			e->probability = 1 - 0.3 * i;
			want += shapes[t].clips[i] * (1 + e->repeats);
		}
		assert_ok(data_open(&d, &o));
		for (int64_t n = 0; n < data_batches_per_epoch(d, 2); n++) {
			assert_ok(data_batch(d, 2, n, &b));
			uses += b.B;
		}
		assert_int_equal(uses, want);
		batch_free(&b);
		data_close(d);
		lists_free(&l);
		for (int i = 0; i < shapes[t].sets; i++)
			assert_ok(file_remove_tree(dir[i]));
	}
}

static void
epochs_without_an_active_set_are_known(void **state)
{
	struct place p;
	struct data *d;

	(void)state;
	setup(&p, 6);
	p.list.entry[0].start_epoch = 3;
	p.list.entry[0].end_epoch = 4;
	d = open_data(&p);
	for (int64_t epoch = 0; epoch < 6; epoch++)
		assert_int_equal(data_batches_per_epoch(d, epoch) > 0, epoch == 2 || epoch == 3);
	assert_int_equal(data_next_epoch(d, 0), 2);
	assert_int_equal(data_next_epoch(d, 3), 3);
	assert_int_equal(data_next_epoch(d, 4), -1);
	data_close(d);
	cleanup(&p);
}

/* Opening fails with st, in words that hold all of these. */
static void
refused(const struct place *p, enum status st, const char *a, const char *b)
{
	struct data *d;

	assert_int_equal(data_open(&d, &p->o), st);
	assert_null(d);
	if (!strstr(ace_message(), a) || !strstr(ace_message(), b))
		fail_msg("\"%s\" does not name \"%s\" and \"%s\"", ace_message(), a, b);
}

static void
a_missing_caption_is_named_with_its_clip(void **state)
{
	const char *caption = "never encoded";
	struct facts facts = { 0 };
	struct latents_writer *w;
	float x[4 * 2 * 7] = { 0 };
	int32_t id = 0;
	char key[1][65];
	struct latent_item a = { .key = "sub/new.wav", .source = "songs/sub/new.wav", .samples = 144000, .channels = 4,
		                 .rows = 2, .frames = 7, .seconds = 3, .bucket = 3, .captions = 1, .lyrics = 1 };
	struct place p;

	(void)state;
	setup(&p, 6);
	texts_key(caption, strlen(caption), key[0]);
	a.caption = (const char (*)[65])key;
	facts_set(&facts, "autoencoder", true, "random");
	assert_ok(latents_writer_open(&w, p.list.entry[0].store, 1, BF16, &facts));
	assert_ok(latents_put(w, &a, x, &id, 0));
	assert_ok(latents_seal(w));
	latents_writer_close(w);
	refused(&p, ACE_EDATA, "\"sub/new.wav\"", p.list.entry[1].store);
	cleanup(&p);
}

static void
stores_that_do_not_fit_are_refused_by_name(void **state)
{
	struct place p, q;
	struct facts facts = { 0 };
	struct latents_writer *w;
	float x[4 * 2 * 7] = { 0 };
	int32_t id = 0;
	char key[1][65];
	struct latent_item a = { .key = "z.wav",
		                 .source = "z.wav",
		                 .samples = 144000,
		                 .channels = 4,
		                 .rows = 2,
		                 .frames = 7,
		                 .seconds = 3,
		                 .bucket = 3,
		                 .captions = 1,
		                 .lyrics = 1 };
	struct data *d;

	(void)state;
	setup(&p, 6);
	p.o.text_width = 768;
	refused(&p, ACE_ECONFIG, p.list.entry[1].store, "wanted 768");
	p.o.text_width = 12;

	setup(&q, 6);	/* latents of another shape */
	q.stores.channels = 8;
	assert_ok(file_remove_tree(q.dir));
	free(stores_make(q.dir, &q.stores));
	lists_add(&p.list, "wide", q.dir);
	refused(&p, ACE_ECONFIG, p.list.entry[2].store, "wanted [4, 2");
	p.list.n = 2;

	texts_key("", 0, key[0]);	/* one part by another autoencoder, and cut otherwise than the list says */
	a.caption = (const char (*)[65])key;
	dataset_facts(&facts, &p.list.entry[0], 3);
	facts_set(&facts, "autoencoder", true, "another one");
	assert_ok(latents_writer_open(&w, p.list.entry[0].store, 1, BF16, &facts));
	assert_ok(latents_put(w, &a, x, &id, 0));
	assert_ok(latents_seal(w));
	latents_writer_close(w);
	refused(&p, ACE_ECONFIG, p.list.entry[0].store, "autoencoder another one");
	p.list.entry[0].truncation = TRUNCATE_END;
	refused(&p, ACE_ECONFIG, p.list.entry[0].store, "truncation beginning");
	p.o.override = true;
	d = open_data(&p);
	assert_int_equal(data_clips(d), 7);
	data_close(d);
	p.list.n = 4;
	cleanup(&q);
	cleanup(&p);
}

static void
empty_stores_name_the_program_that_fills_them(void **state)
{
	struct place p;

	(void)state;
	setup(&p, 6);
	p.list.entry[0].max_seconds = 0.5;
	refused(&p, ACE_ENOINPUT, "\"random\"", "within its limits");
	p.list.entry[0].max_seconds = 0;
	p.list.entry[0].probability = 0;
	refused(&p, ACE_ENOINPUT, "no clip", "probability");
	p.list.entry[0].probability = 1;
	assert_ok(file_remove_tree(p.list.entry[1].store));
	refused(&p, ACE_ENOINPUT, p.list.entry[1].store, "ace-preprocess");
	assert_ok(file_remove_tree(p.list.entry[0].store));
	refused(&p, ACE_ENOINPUT, p.list.entry[0].store, "ace-preprocess");
	cleanup(&p);
}

static void
options_that_leave_nothing_or_lack_something_are_refused(void **state)
{
	struct place p;
	struct data *d;
	struct batch b = { 0 };
	enum status st = ACE_OK;

	(void)state;
	setup(&p, 6);
	p.list.entry[0].batch_size = 5;
	p.o.drop_incomplete = true;
	refused(&p, ACE_ECONFIG, "\"random\"", "drop_incomplete_batches");
	p.list.entry[0].batch_size = 2;
	p.o.lyric_vocab = 2;
	d = open_data(&p);
	for (int64_t n = 0; st == ACE_OK && n < data_batches_per_epoch(d, 0); n++)
		st = data_batch(d, 0, n, &b);
	assert_int_equal(st, ACE_EDATA);
	assert_non_null(strstr(ace_message(), "lyric token"));
	assert_non_null(strstr(ace_message(), "clip_0"));
	batch_free(&b);
	data_close(d);
	free(p.list.entry[0].texts_id);
	p.list.entry[0].texts_id = strdup("elsewhere");
	refused(&p, ACE_ECONFIG, "\"random\"", "\"elsewhere\"");
	cleanup(&p);
}

static void
the_number_of_a_sample_is_that_of_set_and_key(void **state)
{
	(void)state;
	assert_true(dataset_sample_id("a", "b") == dataset_sample_id("a", "b"));
	assert_true(dataset_sample_id("a", "b") != dataset_sample_id("b", "a"));
	assert_true(dataset_sample_id("ab", "c") != dataset_sample_id("a", "bc"));
	/* printf 'a\0b' | sha256sum */
	assert_true(dataset_sample_id("a", "b") == UINT64_C(0x59b271ae1bbcb1d3));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_is_what_the_stores_hold),
		cmocka_unit_test(no_lyrics_are_token_0_and_mask_0),
		cmocka_unit_test(a_batch_may_be_asked_for_in_any_order_again_and_again),
		cmocka_unit_test(one_of_several_captions_is_drawn_for_each_use),
		cmocka_unit_test(the_empty_caption_takes_the_place_of_others_as_often_as_asked),
		cmocka_unit_test(max_num_samples_keeps_the_same_clips_for_a_seed),
		cmocka_unit_test(a_clip_twice_in_an_epoch_has_two_numbers),
		cmocka_unit_test(the_largest_shape_bounds_all_and_is_reached),
		cmocka_unit_test(lists_of_many_shapes_give_every_clip_its_passes),
		cmocka_unit_test(epochs_without_an_active_set_are_known),
		cmocka_unit_test(a_missing_caption_is_named_with_its_clip),
		cmocka_unit_test(stores_that_do_not_fit_are_refused_by_name),
		cmocka_unit_test(empty_stores_name_the_program_that_fills_them),
		cmocka_unit_test(options_that_leave_nothing_or_lack_something_are_refused),
		cmocka_unit_test(the_number_of_a_sample_is_that_of_set_and_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
