/* SPDX-License-Identifier: Apache-2.0 */
#include "text/langid.h"

#include "base/datadir.h"
#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
labels_and_probabilities_are_the_reference_s(void **state)
{
	cJSON *root = text_json("langid", "classify.json"), *v;
	struct langid l;
	struct langid_work w = { 0 };
	int cases = 0;

	(void)state;
	assert_ok(langid_open(&l, NULL));
	cJSON_ArrayForEach(v, root) {
		const char *label = cJSON_GetObjectItem(v, "label")->valuestring;
		double p = cJSON_GetObjectItem(v, "score")->valuedouble;
		struct langid_guess g;
		size_t len;
		char *text = text_of(cJSON_GetObjectItem(v, "text"), &len);
		assert_ok(langid_guess(&l, &w, text, len, &g));
		if (strcmp(l.label[g.class], label) != 0 || !(fabs((double)g.p - p) <= 1e-4))
			fail_msg("case %d, \"%s\": %s %.6f, wanted %s %.6f", cases, text, l.label[g.class], (double)g.p, label, p);
		assert_true(fabs(g.score - (double)g.p) <= 0.0005000001);
		free(text);
		cases++;
	}
	assert_true(cases > 0);
	langid_work_free(&w);
	langid_close(&l);
	cJSON_Delete(root);
}

/* The plain tables of the reference's model; skips when they are absent. */
static void
open_plain(struct st_file *f)
{
	const char *path = golden_data("langid.safetensors");

	if (!path) {
		print_message("# SKIP langid.safetensors is not there\n");
		skip();
	}
	assert_ok(st_open(f, path));
}

static int
rising(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Walks both automata side by side: their states have other numbers. */
static void
the_compact_table_loses_nothing(void **state)
{
	struct st_file f;
	struct langid l;
	const uint16_t *next;
	const int32_t *offset, *feature;
	const float *ptc;
	uint16_t *number;
	int seen = 1;
	int *queue;

	(void)state;
	open_plain(&f);
	assert_ok(langid_open(&l, NULL));
	assert_string_equal(l.joined + strlen(l.joined) - 5, "zh-zu");
	next = st_find(&f, "next_state")->value.data;
	offset = st_find(&f, "out_offset")->value.data;
	feature = st_find(&f, "out_feature")->value.data;
	ptc = st_find(&f, "log_ptc")->value.data;
	assert_int_equal(tensor_count(st_find(&f, "next_state")->value), l.n_states * 256);
	assert_int_equal(tensor_count(st_find(&f, "log_ptc")->value), l.n_features * l.n_classes);
	number = calloc((size_t)l.n_states, sizeof *number);
	queue = calloc((size_t)l.n_states, sizeof *queue);
	for (int at = 0; at < seen; at++) {
		int s = queue[at], t = number[s], n = offset[s + 1] - offset[s];
		uint16_t ours[16], theirs[16];
		for (int c = 0; c < 256; c++) {
			int to = next[s * 256 + c], mine = l.next[l.row[t] * 256 + c];
			if (to > 0 && number[to] == 0) {
				number[to] = (uint16_t)mine;
				queue[seen++] = to;
			}
			if (number[to] != mine)
				fail_msg("state %d, byte %d: %d, wanted %d", s, c, mine, number[to]);
		}
		assert_int_equal(l.first[t + 1] - l.first[t], n);
		assert_true(n <= 16);
		for (int i = 0; i < n; i++) {
			ours[i] = l.feature[l.first[t] + i];
			theirs[i] = (uint16_t)feature[offset[s] + i];
		}
		qsort(ours, (size_t)n, sizeof *ours, rising);
		qsort(theirs, (size_t)n, sizeof *theirs, rising);
		assert_memory_equal(ours, theirs, (size_t)n * sizeof *ours);
	}
	assert_int_equal(seen, l.n_states);
	for (int i = 0; i < l.n_features; i++)
		assert_memory_equal(l.log_ptc + i * l.stride, ptc + i * l.n_classes, (size_t)l.n_classes * sizeof *ptc);
	assert_memory_equal(l.log_pc, st_find(&f, "log_pc")->value.data, (size_t)l.n_classes * sizeof *l.log_pc);
	free(number);
	free(queue);
	langid_close(&l);
	st_close(&f);
}

static void
bytes_that_are_no_text_are_counted_too(void **state)
{
	static const char bytes[] = "\0\xff\xc0\x80\xed\xa0\x80";
	struct langid l;
	struct langid_work w = { 0 };
	struct langid_guess none, some, again;

	(void)state;
	assert_ok(langid_open(&l, NULL));
	assert_ok(langid_guess(&l, &w, "", 0, &none));
	assert_string_equal(l.label[none.class], "en");
	assert_true(none.score == 0.169);
	assert_ok(langid_guess(&l, &w, bytes, sizeof bytes, &some));
	assert_true(some.p > 0 && some.p <= 1);
	assert_ok(langid_guess(&l, &w, "", 0, &again));	/* nothing is left over */
	assert_true(again.p == none.p && again.class == none.class);
	langid_work_free(&w);
	langid_close(&l);
}

static void
counts_wrap_at_65536_as_the_reference_s_do(void **state)
{
	size_t n = (1 << 16) + 5;
	char *many = malloc(n);
	struct langid l;
	struct langid_work w = { 0 };
	struct langid_guess five, wrapped;
	double difference = 0;

	(void)state;
	memset(many, 'e', n);
	assert_ok(langid_open(&l, NULL));
	assert_ok(langid_guess(&l, &w, many, n, &wrapped));
	/* the features of "eeeee" that are entered for each byte count 65536 times more: not at all */
	double before[128];
	memcpy(before, w.score, (size_t)l.n_classes * sizeof *before);
	assert_ok(langid_guess(&l, &w, many, 5, &five));
	assert_int_equal(wrapped.class, five.class);
	for (int c = 0; c < l.n_classes; c++)
		difference = fmax(difference, fabs(before[c] - w.score[c]));
	assert_true(difference < 1e-6);
	langid_work_free(&w);
	langid_close(&l);
	free(many);
}

/* The file with one byte changed, or cut, is refused or read as another table of the same kind: never past its ends. */
static void
damaged_tables_are_refused_or_harmless(void **state)
{
	struct langid l;
	const char *dir = golden_tmp();
	char *path = file_path("%s/langid.safetensors", dir), *data;
	size_t size;
	uint64_t seed = 1;
	int rounds = test_rounds("ACE_FUZZ", 12), refused = 0;

	(void)state;
	assert_ok(langid_open(&l, NULL));
	langid_close(&l);
	char *from = datadir_find("text/langid.safetensors");
	assert_ok(file_read(from, 1 << 24, &data, &size));
	for (int r = 0; r < rounds; r++) {
		struct langid_work w = { 0 };
		struct langid_guess g;
		size_t n = size, at;
		char old;
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		at = (size_t)(seed >> 33) % (r % 2 ? 4096 : size);
		old = data[at];
		data[at] = (char)(seed >> 20);
		n = r % 5 == 4 ? at : size;
		assert_ok(file_write(path, data, n));
		data[at] = old;
		if (langid_open(&l, path) != ACE_OK) {
			refused++;
			assert_non_null(strstr(ace_message(), "langid.safetensors"));
			continue;
		}
		assert_ok(langid_guess(&l, &w, "the moon is a lantern", 21, &g));
		assert_in_range(g.class, 0, l.n_classes - 1);
		langid_work_free(&w);
		langid_close(&l);
	}
	assert_true(refused > 0);
	free(data);
	free(from);
	free(path);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_and_probabilities_are_the_reference_s),
		cmocka_unit_test(the_compact_table_loses_nothing),
		cmocka_unit_test(bytes_that_are_no_text_are_counted_too),
		cmocka_unit_test(counts_wrap_at_65536_as_the_reference_s_do),
		cmocka_unit_test(damaged_tables_are_refused_or_harmless),
	};

	return cmocka_run_group_tests_name("text/langid", tests, NULL, NULL);
}
