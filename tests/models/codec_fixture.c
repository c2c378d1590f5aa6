/* SPDX-License-Identifier: Apache-2.0 */
#include "models/codec_fixture.h"

#include "kernels/kernels.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* audio_codec.md section 10: block outputs relative to the block's largest value */
#define BLOCK_TOL 2e-5

const cJSON *
fixture_part(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!v)
		fail_msg("the manifest lacks %s", key);
	return v;
}

const char *
fixture_folder(const cJSON *manifest)
{
	static char dir[300];
	const cJSON *one;

	snprintf(dir, sizeof dir, "%s", golden_tmp());
	cJSON_ArrayForEach(one, fixture_part(manifest, "weights")) {
		const char *name = one->valuestring + 3, *slash = strchr(name, '/');	/* behind "../": each set may lie in a root of its own */
		char link[700], set[100], absolute[4096];
		snprintf(set, sizeof set, "%.*s", (int)(slash - name), name);
		assert_non_null(realpath(golden_path(set, slash + 1), absolute));
		snprintf(link, sizeof link, "%s/%s", dir, strrchr(name, '/') + 1);
		assert_int_equal(symlink(absolute, link), 0);
	}
	return dir;
}

void
fixture_close(const char *what, const float *got, const float *want, int64_t n, double tol)
{
	for (int64_t i = 0; i < n; i++)
		if (!(fabs((double)got[i] - (double)want[i]) <= tol))
			fail_msg("%s: entry %lld is %.9g, wanted %.9g within %g", what, (long long)i, (double)got[i], (double)want[i], tol);
}

struct tensor
fixture_run(struct dcae *m, struct dev *d, fixture_pass *pass, struct tensor y, struct tensor x)
{
	void (*tap)(void *, const char *, struct tensor) = m->tap;
	struct arena plan = { 0 }, act;
	struct tensor nothing = x;
	struct dev dry;

	assert_ok(dev_open(&dry, DEV_DRY, 1));
	kernels_attach(&dry);
	nothing.data = NULL;
	m->tap = NULL;
	pass(&(struct ctx){ .dev = &dry, .act = &plan }, m, y, nothing);
	m->tap = tap;
	act = (struct arena){ .base = malloc(plan.peak), .size = plan.peak };
	y.data = malloc(tensor_bytes(y));
	assert_non_null(act.base);
	assert_non_null(y.data);
	pass(&(struct ctx){ .dev = d, .act = &act }, m, y, x);
	assert_int_equal(d->status, ACE_OK);
	assert_int_equal(act.peak, plan.peak);
	assert_int_equal(act.used, 0);
	free(act.base);
	dev_close(&dry);
	return y;
}

/* The fixture keeps the linear layers' and the norms' outputs with channels last. */
static bool
channels_last(const char *name)
{
	static const char *const ends[] = { ".to_q", ".to_k", ".to_v", ".to_out", ".norm", ".norm_out" };
	const char *end = strrchr(name, '.');

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (end && strcmp(end, ends[i]) == 0)
			return true;
	return false;
}

void
fixture_compare(void *me, const char *name, struct tensor x)
{
	struct fixture_watch *w = me;
	int64_t n = x.dim[1] * x.dim[2];
	bool last = channels_last(name);
	struct tensor want;
	float *turned;
	double e;

	if (!st_find(w->f, name))
		return;
	want = golden_f32(w->f, name);
	assert_int_equal(tensor_count(want), tensor_count(x));
	assert_int_equal(want.dim[want.rank - (last ? 1 : 3)], x.dim[0]);
	turned = malloc(tensor_bytes(want) + 4);
	assert_non_null(turned);
	for (int64_t i = 0; i < tensor_count(x); i++)
		turned[i] = ((float *)want.data)[last ? i % n * x.dim[0] + i / n : i];
	e = golden_error(x.data, turned, tensor_count(x));
	w->worst = e > w->worst ? e : w->worst;
	golden_close(name, x.data, turned, tensor_count(x), BLOCK_TOL);
	w->seen++;
	free(turned);
	free(want.data);
}

void
fixture_all_seen(const struct fixture_watch *w, const char *prefix)
{
	int wanted = 0;

	for (int i = 0; i < w->f->n; i++)
		wanted += strncmp(w->f->entry[i].name, prefix, strlen(prefix)) == 0;
	assert_int_equal(w->seen, wanted);
	print_message("# %d intermediates, worst error %.2g of the largest entry\n", w->seen, w->worst);
}
