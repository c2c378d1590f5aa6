/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/conditions.h"

#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct flow_dropout usual = { .text = 0.15f, .speaker = 0.5f, .lyrics = 0.15f };

static void
same(const struct st_file *f, const char *name, const float *got, const int32_t *ids)
{
	struct tensor want = golden_f32(f, name);

	for (int64_t i = 0; i < tensor_count(want); i++)
		assert_true((got ? got[i] : (float)ids[i]) == ((const float *)want.data)[i]);
	free(want.data);
}

/* Integers of the file as floats or ids. */
static void *
widened(const struct st_file *f, const char *name, bool ids)
{
	struct tensor x = golden_i64(f, name);
	int64_t n = tensor_count(x);
	void *y = malloc((size_t)n * 4);

	assert_non_null(y);
	for (int64_t i = 0; i < n; i++)
		if (ids)
			((int32_t *)y)[i] = (int32_t)((int64_t *)x.data)[i];
		else
			((float *)y)[i] = (float)((int64_t *)x.data)[i];
	free(x.data);
	return y;
}

static void
same_whole(const struct st_file *f, const char *name, const float *got, const int32_t *ids)
{
	struct tensor want = golden_i64(f, name);

	for (int64_t i = 0; i < tensor_count(want); i++)
		assert_true((got ? (int64_t)got[i] : (int64_t)ids[i]) == ((const int64_t *)want.data)[i]);
	free(want.data);
}

static void
what_the_uniform_numbers_say_is_dropped(void **state)
{
	struct st_file f;
	struct tensor text, speaker, lyrics, u[3];
	struct flow_conditions c;

	(void)state;
	golden_open(&f, "timesteps", "dropout.safetensors");
	u[0] = golden_f32(&f, "uniform_text");
	u[1] = golden_f32(&f, "uniform_speaker");
	u[2] = golden_f32(&f, "uniform_lyric");
	text = golden_f32(&f, "text");
	speaker = golden_f32(&f, "speaker");
	lyrics = golden_i64(&f, "lyric_ids");
	c = (struct flow_conditions){ .B = text.dim[0], .S = text.dim[1], .text_width = text.dim[2], .Y = lyrics.dim[1],
		.speaker_width = speaker.dim[1], .text = text.data, .speaker = speaker.data,
		.lyric_ids = widened(&f, "lyric_ids", true), .lyric_mask = widened(&f, "lyric_mask", false) };
	for (int64_t b = 0; b < c.B; b++) {
		float three[3] = { ((float *)u[0].data)[b], ((float *)u[1].data)[b], ((float *)u[2].data)[b] };
		unsigned want = (three[0] < 0.15f ? FLOW_TEXT : 0) | (three[1] < 0.5f ? FLOW_SPEAKER : 0) |
		                (three[2] < 0.15f ? FLOW_LYRICS : 0);
		assert_int_equal(flow_drop(&c, b, &usual, three), want);
	}
	same(&f, "out.text", c.text, NULL);
	same(&f, "out.speaker", c.speaker, NULL);
	same_whole(&f, "out.lyric_ids", NULL, c.lyric_ids);
	same_whole(&f, "out.lyric_mask", c.lyric_mask, NULL);
	for (int i = 0; i < 3; i++)
		free(u[i].data);
	free(text.data);
	free(speaker.data);
	free(lyrics.data);
	free(c.lyric_ids);
	free(c.lyric_mask);
	st_close(&f);
}

static void
the_comparison_is_strict(void **state)
{
	float text[2] = { 1, 1 }, u[3] = { 0.25f, 0, 0 };
	struct flow_conditions c = { .B = 1, .S = 1, .text_width = 2, .text = text };
	struct flow_dropout p = { .text = 0.25f };

	(void)state;
	assert_int_equal(flow_drop(&c, 0, &p, u), 0);
	assert_true(text[0] == 1);
	u[0] = nextafterf(0.25f, 0);
	assert_int_equal(flow_drop(&c, 0, &p, u), FLOW_TEXT);
	assert_true(text[0] == 0 && text[1] == 0);
}

static void
drawn_conditions_are_dropped_at_their_rates_and_independently(void **state)
{
	enum { N = 20000 };
	struct flow_conditions none = { .B = 1 };
	const double p[3] = { 0.15, 0.5, 0.15 };
	int count[3] = { 0 }, both = 0;

	(void)state;
	for (uint64_t i = 0; i < N; i++) {
		unsigned d = flow_drop_drawn(&none, 0, &usual, rng_stream(5, RNG_CONDITION, i / 8, i % 8));
		for (int j = 0; j < 3; j++)
			count[j] += (d >> j & 1) != 0;
		both += (d & FLOW_TEXT) && (d & FLOW_LYRICS);
	}
	for (int j = 0; j < 3; j++)
		assert_true(fabs((double)count[j] / N - p[j]) < 5 * sqrt(p[j] * (1 - p[j]) / N));
	assert_true(fabs((double)both / N - 0.0225) < 5 * sqrt(0.0225 / N));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_uniform_numbers_say_is_dropped),
		cmocka_unit_test(the_comparison_is_strict),
		cmocka_unit_test(drawn_conditions_are_dropped_at_their_rates_and_independently),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
