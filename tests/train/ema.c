/* SPDX-License-Identifier: Apache-2.0 */
#include "train/ema.h"

#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };

struct run {
	struct st_file in, out;
	char prefix[80], name[MOST][64];
	struct param p[MOST], *list[MOST];
	int n, last;		/* the last update that the file keeps */
	struct dev d;
};

static void
open_device(struct dev *d, int which)
{
	assert_ok(dev_open(d, which ? DEV_CPU : DEV_REF, 2));
	kernels_attach(d);
}

/* "decay0.9_warm4_int1.s20.w1": which parameters take part and for how long is in the names. */
static void
open_run(struct run *r, const char *file, const struct ema_options *o, int which)
{
	memset(r, 0, sizeof *r);
	golden_open(&r->in, "optim", "inputs.safetensors");
	golden_open(&r->out, "optim", file);
	open_device(&r->d, which);
	snprintf(r->prefix, sizeof r->prefix, "decay%g_warm%lld_int%lld.s", o->decay, (long long)o->warmup,
	         (long long)o->interval);
	for (int i = 0; i < r->out.n; i++) {
		const char *name = r->out.entry[i].name, *dot;
		char *end;
		int t;
		if (strncmp(name, r->prefix, strlen(r->prefix)) != 0)
			continue;
		t = (int)strtol(name + strlen(r->prefix), &end, 10);
		assert_true(*end == '.');
		dot = end + 1;
		r->last = t > r->last ? t : r->last;
		for (t = 0; t < r->n && strcmp(r->name[t], dot) != 0;)
			t++;
		if (t < r->n)
			continue;
		assert_true(r->n < MOST);
		snprintf(r->name[r->n], sizeof r->name[0], "%s", dot);
		char start[80];
		snprintf(start, sizeof start, "p0.%s", r->name[r->n]);
		r->p[r->n] = (struct param){ .name = r->name[r->n], .value = golden_f32(&r->in, start), .train = true };
		r->list[r->n] = &r->p[r->n];
		r->n++;
	}
	assert_true(r->n > 0 && r->last > 0);
}

static void
close_run(struct run *r)
{
	for (int i = 0; i < r->n; i++)
		free(r->p[i].value.data);
	dev_close(&r->d);
	st_close(&r->in);
	st_close(&r->out);
}

/* live -= 0.01 g */
static void
walk(struct run *r, int t)
{
	for (int i = 0; i < r->n; i++) {
		char name[80];
		struct tensor g;
		float *live = r->p[i].value.data;
		snprintf(name, sizeof name, "g%d.%s", t, r->name[i]);
		g = golden_f32(&r->in, name);
		for (int64_t k = 0; k < tensor_count(g); k++)
			live[k] -= 0.01f * ((float *)g.data)[k];
		free(g.data);
	}
}

static int
check(const struct run *r, const struct ema *e, int t)
{
	int checked = 0;

	for (int i = 0; i < r->n; i++) {
		char name[160];
		struct tensor want;
		snprintf(name, sizeof name, "%s%d.%s", r->prefix, t, r->name[i]);
		if (!st_find(&r->out, name))
			continue;
		want = golden_f32(&r->out, name);
		golden_close(name, ema_shadow(e, r->name[i], NULL).data, want.data, tensor_count(want), 1e-5);
		free(want.data);
		checked++;
	}
	return checked;
}

static void
follow(const char *file, const cJSON *schedule, int which)
{
	const cJSON *c = cJSON_GetObjectItemCaseSensitive(schedule, "config");
	const cJSON *used = cJSON_GetObjectItemCaseSensitive(schedule, "decay_used"), *row = used ? used->child : NULL;
	struct ema_options o = { golden_number(c, "decay"), (int64_t)golden_number(c, "warmup"), (int64_t)golden_number(c, "interval"), false };
	int checked = 0;
	struct run r;
	struct ema e;

	open_run(&r, file, &o, which);
	assert_ok(ema_init(&e, &r.d, &o, r.list, NULL, r.n));
	for (int t = 1; t <= r.last; t++) {
		double decay;
		walk(&r, t);
		decay = ema_update(&e, t);
		if (row && cJSON_GetArrayItem(row, 0)->valueint == t) {
			assert_true(fabs(decay - cJSON_GetArrayItem(row, 1)->valuedouble) <= 1e-12);
			row = row->next;
		} else {
			assert_true(decay == -1);
		}
		checked += check(&r, &e, t);
	}
	assert_true(checked > 0 && !row);
	ema_free(&e);
	close_run(&r);
}

static void
averages_and_their_decays_are_the_reference_s(void **state)
{
	cJSON *root = golden_json("optim", "manifest.json"), *ema = cJSON_GetObjectItemCaseSensitive(root, "ema"), *s;
	int n = 0;

	(void)state;
	cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(ema, "schedules"))
		for (int which = 0; which < 2; which++, n++)
			follow(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(ema, "file")), s, which);
	assert_true(n > 0);
	cJSON_Delete(root);
}

static void
the_averages_are_lent_to_the_weights_and_taken_back(void **state)
{
	float a[3] = { 1, 2, 3 }, b[2] = { 5, 6 }, frozen[1] = { 9 };
	struct param p[3] = { { .name = "a", .value = tensor_of(a, F32, 1, 3), .train = true },
		{ .name = "f", .value = tensor_of(frozen, F32, 1, 1) },
		{ .name = "b", .value = tensor_of(b, F32, 1, 2), .train = true } };
	struct param *list[3] = { &p[0], &p[1], &p[2] };
	struct ema_options o = { .decay = 0.5, .warmup = 1, .interval = 1 };
	struct dev d;
	struct ema e;

	(void)state;
	open_device(&d, 1);
	assert_ok(ema_init(&e, &d, &o, list, NULL, 3));
	assert_int_equal(ema_shadow(&e, "f", NULL).rank, 0);
	a[0] = 3, b[1] = 10;
	assert_true(ema_update(&e, 1) == 0.5);
	ema_show(&e, 0);
	assert_true(a[0] == 2 && a[1] == 2 && b[1] == 8 && frozen[0] == 9);
	assert_true(((float *)ema_shadow(&e, "b", NULL).data)[1] == 8);
	ema_free(&e);
	dev_close(&d);
}

static void
a_dry_run_knows_the_memory_of_the_averages(void **state)
{
	float x[1000] = { 0 };
	struct param p = { .name = "x", .value = tensor_of(x, F32, 1, 1000), .train = true }, *list[1] = { &p };
	struct ema_options o = { .decay = 0.5, .interval = 1 };
	struct dev d, dry;
	struct ema e, f;

	(void)state;
	open_device(&d, 1);
	assert_ok(dev_open(&dry, DEV_DRY, 0));
	kernels_attach(&dry);
	assert_ok(ema_init(&e, &d, &o, list, NULL, 1));
	assert_ok(ema_init(&f, &dry, &o, list, NULL, 1));
	ema_update(&f, 1);
	assert_true(e.bytes == f.bytes && e.bytes >= 2 * sizeof x);
	ema_free(&e);
	ema_free(&f);
	dev_close(&d);
	dev_close(&dry);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(averages_and_their_decays_are_the_reference_s),
		cmocka_unit_test(the_averages_are_lent_to_the_weights_and_taken_back),
		cmocka_unit_test(a_dry_run_knows_the_memory_of_the_averages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
