/* SPDX-License-Identifier: Apache-2.0 */
/* Several adapter files at once: the change of the weights is the sum of theirs, each times its strength. */
#include "models/adapter.h"

#include "models/dit_fixture.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 3 };

/* The golden adapters once for each strength, joined. */
static void
join(struct dit_fixture *f, const float *strength, int n)
{
	struct adapter_file file[MOST];
	int modules;

	assert_true(n <= MOST);
	for (int i = 0; i < n; i++)
		assert_ok(adapter_file_open(&file[i], golden_path(DIT_SET, "lora"), &f->m.params));
	assert_ok(adapter_join(&f->m.params, file, strength, n, &modules));
	assert_int_equal(modules, file[0].n);
	for (int i = 0; i < f->m.params.n_modules; i++) {
		const struct linear *l = f->m.params.module[i].l;
		assert_true(l->rank == 0 || l->rank == n * file[0].module[0].rank);
	}
	for (int i = 0; i < n; i++)
		adapter_file_close(&file[i]);
}

static void
gives(const float *strength, int n, const char *golden)
{
	struct dit_fixture f;
	struct st_file outputs;
	struct tensor want;

	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	join(&f, strength, n);
	dit_fixture_forward(&f, false);
	golden_open(&outputs, DIT_SET, "lora_outputs.safetensors");
	want = golden_f32(&outputs, golden);
	golden_close(golden, f.v.data, want.data, tensor_count(want), 3e-5);
	free(want.data);
	st_close(&outputs);
	dit_fixture_close(&f);
}

static double
golden_scale(void)
{
	cJSON *m = golden_json(DIT_SET, "manifest.json");
	double s = cJSON_GetObjectItem(m, "lora_scale")->valuedouble;

	cJSON_Delete(m);
	return s;
}

static void
one_file_is_as_it_was_loaded(void **state)
{
	const float one = 1.f, none = 0.f, plain = (float)(1 / golden_scale());

	(void)state;
	gives(&one, 1, "out_lora");
	gives(&none, 1, "out_base");
	gives(&plain, 1, "out_lora_scale_one");
}

static void
parts_of_one_sum_to_it(void **state)
{
	const float parts[] = { 0.25f, 1.5f, -0.75f }, away[] = { 2.f, -2.f };

	(void)state;
	gives(parts, 3, "out_lora");
	gives(away, 2, "out_base");
}

static void
what_is_wrong_with_a_file_is_named(void **state)
{
	struct adapter_file good, bad;
	struct adapter_file both[2];
	const float strength[] = { 1.f, 1.f };
	struct dit_fixture f;

	(void)state;
	dit_fixture_open(&f, DEV_CPU, 2, NULL, false);
	assert_ok(adapter_file_open(&good, golden_path(DIT_SET, "lora"), &f.m.params));
	assert_ok(adapter_file_open(&bad, golden_path(DIT_SET, "lora"), &f.m.params));
	both[0] = good;
	both[1] = bad;
	both[1].module[0].a.dim[1]++;
	assert_int_equal(adapter_join(&f.m.params, both, strength, 2, NULL), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "inputs"));
	both[1].module[0].a.dim[1]--;
	both[1].n = 0;
	assert_int_equal(adapter_join(&f.m.params, both, strength, 2, NULL), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "no key is an adapter"));
	adapter_file_close(&good);
	adapter_file_close(&bad);
	dit_fixture_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_file_is_as_it_was_loaded),
		cmocka_unit_test(parts_of_one_sum_to_it),
		cmocka_unit_test(what_is_wrong_with_a_file_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
