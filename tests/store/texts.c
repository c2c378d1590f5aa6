/* SPDX-License-Identifier: Apache-2.0 */
#include "store/texts.h"

#include "base/file.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 24 };

static int64_t
rows_of(int i)
{
	return 1 + i % 20;
}

static size_t
caption_of(int i, char *text, size_t size)
{
	return i == 0 ? (text[0] = 0, 0) : (size_t)snprintf(text, size, "caption %d, été", i);
}

static void
numbers(int i, float *x)
{
	rng_normal_fill(rng_stream(3, RNG_TEST, 0, (uint64_t)i), x, rows_of(i) * WIDTH);
}

static void
write_texts(const char *dir, int rank, int from, int to, enum dtype t, const char *encoder)
{
	float x[20 * WIDTH];
	struct facts f = { 0 };
	struct texts_writer *w;
	char text[64];

	facts_set(&f, "encoder", true, "%s", encoder);
	assert_ok(texts_writer_open(&w, dir, rank, t, WIDTH, &f));
	for (int i = from; i < to; i++) {
		size_t n = caption_of(i, text, sizeof text);
		numbers(i, x);
		assert_ok(texts_put(w, text, n, x, rows_of(i)));
	}
	assert_ok(texts_seal(w));
	assert_int_equal(texts_sealed(w), to - from);
	texts_writer_close(w);
}

static void
is_text(struct texts *s, int i, enum dtype t)
{
	float x[20 * WIDTH], want[20 * WIDTH];
	char text[64], key[65], *said;
	size_t n = caption_of(i, text, sizeof text), len;
	int64_t at;

	texts_key(text, n, key);
	at = texts_find(s, key);
	assert_true(at >= 0);
	assert_int_equal(texts_item(s, at)->rows, rows_of(i));
	assert_ok(texts_read(s, at, x));
	numbers(i, want);
	for (int64_t k = 0; k < rows_of(i) * WIDTH; k++)
		if (t == BF16)
			want[k] = bf16_to_f32(f32_to_bf16(want[k]));
	assert_memory_equal(x, want, (size_t)(rows_of(i) * WIDTH) * sizeof *x);
	assert_ok(texts_caption(s, at, &said, &len));
	assert_int_equal(len, n);
	assert_memory_equal(said, text, n + (n > 0));
	free(said);
}

static void
what_is_written_is_read(void **state)
{
	static const enum dtype types[] = { BF16, F32 };

	(void)state;
	for (int t = 0; t < 2; t++) {
		const char *dir = golden_tmp();
		struct texts_options o = { .verify = true };
		int64_t before, after;
		struct texts *s;
		write_texts(dir, 0, 0, 70, types[t], "e");
		write_texts(dir, 1, 60, 100, types[t], "e");
		for (int merged = 0; merged < 2; merged++) {
			assert_ok(texts_open(&s, dir, &o));
			assert_int_equal(texts_count(s), 100);
			assert_int_equal(texts_width(s), WIDTH);
			assert_int_equal(texts_parts(s), merged ? 1 : 2);	/* one of three is replaced whole */
			for (int i = 0; i < 100; i++)
				is_text(s, i, types[t]);
			texts_close(s);
			assert_ok(texts_merge(dir, &before, &after));
			assert_int_equal(after, 1);
		}
		assert_ok(file_remove_tree(dir));
	}
}

static void
the_empty_caption_alone_is_a_store(void **state)
{
	const char *dir = golden_tmp();
	struct texts_options o = { .verify = true };
	struct texts *s;

	(void)state;
	write_texts(dir, 0, 0, 1, BF16, "e");
	assert_ok(texts_open(&s, dir, &o));
	assert_int_equal(texts_damaged(s), 0);
	is_text(s, 0, BF16);
	texts_close(s);
	assert_ok(file_remove_tree(dir));
}

static void
a_store_of_another_encoder_is_refused(void **state)
{
	const char *dir = golden_tmp();
	struct facts f = { 0 };
	struct texts_options o = { .want = &f };
	struct texts *s;

	(void)state;
	write_texts(dir, 0, 0, 9, BF16, "there");
	facts_set(&f, "encoder", true, "here");
	assert_int_equal(texts_open(&s, dir, &o), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "encoder there"));
	o.override = true;
	assert_ok(texts_open(&s, dir, &o));
	assert_true(texts_stale(s, 3));
	texts_close(s);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_empty_caption_alone_is_a_store),
		cmocka_unit_test(a_store_of_another_encoder_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
