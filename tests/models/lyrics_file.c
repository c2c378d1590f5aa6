/* SPDX-License-Identifier: Apache-2.0 */
#include "models/lyrics_file.h"

#include "base/file.h"
#include "models/dit_fixture.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A fixture whose lyrics embedder trains, and which has an adapter in it. */
static void
open_training(struct dit_fixture *f)
{
	dit_fixture_open(f, DEV_CPU, 2, NULL, false);
	dit_fixture_lora(f, 0);
	assert_ok(dit_train(&f->m, DIT_LYRICS));
}

static void
items(struct dit_fixture *f, struct st_item **item, int *n, void **memory)
{
	assert_ok(lyrics_file_items(&f->m.params, NULL, item, n, memory));
}

static void
what_is_written_is_read(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/model.safetensors", dir);
	struct dit_fixture a, b;
	struct st_item *item;
	struct st_file st;
	void *memory;
	int n, held = 0;

	(void)state;
	open_training(&a);
	for (int i = 0; i < a.m.params.n; i++) {
		struct param *p = a.m.params.param[i];
		if (!lyrics_file_holds(p->name))
			continue;
		assert_true(p->train);
		for (int64_t k = 0; k < tensor_count(p->value); k++)
			((float *)p->value.data)[k] += 0.01f * (float)(k % 7 + 1);
		held++;
	}
	items(&a, &item, &n, &memory);
	assert_int_equal(n, held);
	assert_ok(st_write(path, item, n, NULL, 0));
	free(item);
	free(memory);
	assert_ok(st_open(&st, path));
	for (int i = 0; i < st.n; i++)
		assert_true(strncmp(st.entry[i].name, "lyric_", 6) == 0 && !strstr(st.entry[i].name, "lora"));
	assert_non_null(st_find(&st, "lyric_embs.weight"));
	assert_non_null(st_find(&st, "lyric_proj.bias"));
	st_close(&st);
	open_training(&b);
	assert_ok(lyrics_file_read(&b.m.params, path));
	for (int i = 0; i < a.m.params.n; i++)
		assert_memory_equal(a.m.params.param[i]->value.data, b.m.params.param[i]->value.data,
		                    tensor_bytes(a.m.params.param[i]->value));
	dit_fixture_close(&a);
	dit_fixture_close(&b);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
names_below_an_adapter_are_read_too(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/model.safetensors", dir), name[400];
	struct dit_fixture a, b;
	struct st_item *item;
	int n, renamed = 0;
	void *memory;

	(void)state;
	open_training(&a);
	items(&a, &item, &n, &memory);
	for (int i = 0; i < n; i++) {
		const char *dot = strrchr(item[i].name, '.');
		if (!strstr(item[i].name, "linear_q."))
			continue;
		((float *)item[i].value.data)[0] = 42.f;
		snprintf(name, sizeof name, "%.*s.base_layer%s", (int)(dot - item[i].name), item[i].name, dot);
		item[i].name = strdup(name);
		renamed++;
	}
	assert_true(renamed >= 2);
	item[n++] = (struct st_item){ "lyric_encoder.encoders.0.self_attn.linear_q.lora_A.default.weight",
		                      tensor_of(memory, F32, 2, 1, 1) };
	assert_ok(st_write(path, item, n, NULL, 0));
	open_training(&b);
	assert_ok(lyrics_file_read(&b.m.params, path));
	for (int i = 0; i < b.m.params.n; i++)
		if (strstr(b.m.params.param[i]->name, "linear_q.") && lyrics_file_holds(b.m.params.param[i]->name))
			assert_true(((float *)b.m.params.param[i]->value.data)[0] == 42.f);
	for (int i = 0; i < n; i++)
		if (strstr(item[i].name, "base_layer"))
			free((char *)(uintptr_t)item[i].name);
	free(item);
	free(memory);
	dit_fixture_close(&a);
	dit_fixture_close(&b);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
a_file_that_is_not_the_models_is_refused(void **state)
{
	static const char *const words[] = { "missing", "none of", "shape", "finite", "wanted a float" };
	const char *dir = golden_tmp();
	char *path = file_path("%s/model.safetensors", dir);
	float inf = 1.f / 0.f;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct dit_fixture f;
		struct st_item *item;
		void *memory;
		int n;
		open_training(&f);
		items(&f, &item, &n, &memory);
		if (i == 0)
			item[0] = item[--n];
		if (i == 1)
			item[n++] = (struct st_item){ "speaker_embedder.weight", tensor_of(memory, F32, 1, 1) };
		if (i == 2)
			item[0].value.dim[0]--;
		if (i == 3)
			memcpy(item[n - 1].value.data, &inf, sizeof inf);
		if (i == 4)
			item[0].value.dtype = I32;
		assert_ok(st_write(path, item, n, NULL, 0));
		assert_int_equal(lyrics_file_read(&f.m.params, path), ACE_EDATA);
		if (!strstr(ace_message(), words[i]) || !strstr(ace_message(), path))
			fail_msg("%s", ace_message());
		free(item);
		free(memory);
		dit_fixture_close(&f);
	}
	assert_ok(file_remove_tree(dir));
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(names_below_an_adapter_are_read_too),
		cmocka_unit_test(a_file_that_is_not_the_models_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
