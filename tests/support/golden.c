/* SPDX-License-Identifier: Apache-2.0 */
#include "support/golden.h"

#include "base/file.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *
root(int i)
{
	static char text[3][1024];
	const char *src = getenv("top_srcdir"), *env = getenv("ACE_FIXTURES");

	if (!src)
		src = ".";
	switch (i) {
	case 0: return env && *env ? env : "/nonexistent";
	case 1: snprintf(text[1], sizeof text[1], "%s/../shared/fixtures", src); return text[1];
	case 2: snprintf(text[2], sizeof text[2], "%s/tests/fixtures", src); return text[2];
	}
	return NULL;
}

/* The last root holds cuts of the sets: a file may be missing there. */
enum { COMMITTED = 2 };

/* The folder of a set, and the number of its root. */
static const char *
find_set(const char *set, int *i)
{
	static char text[1200];

	for (*i = 0; root(*i); ++*i) {
		snprintf(text, sizeof text, "%s/%s", root(*i), set);
		if (file_is_dir(text))
			return text;
	}
	return NULL;
}

const char *
golden_set(const char *set)
{
	int i;

	return find_set(set, &i);
}

const char *
golden_path(const char *set, const char *file)
{
	static char text[8][1400];
	static int at;
	int i;
	const char *dir = find_set(set, &i);

	if (!dir) {
		print_message("# SKIP fixture set %s is in no root\n", set);
		skip();
		return NULL;
	}
	at = (at + 1) % 8;
	snprintf(text[at], sizeof text[at], "%s/%s", dir, file);
	if (i == COMMITTED && !file_exists(text[at])) {
		print_message("# SKIP the committed cut of fixture set %s has no %s\n", set, file);
		skip();
		return NULL;
	}
	return text[at];
}

const char *
golden_data(const char *file)
{
	static char text[1400];
	const char *env = getenv("ACE_DATA"), *src = getenv("top_srcdir");

	if (env && *env) {
		snprintf(text, sizeof text, "%s/%s", env, file);
		return file_exists(text) ? text : NULL;
	}
	for (int i = 0; i < 2; i++) {
		snprintf(text, sizeof text, "%s/../data/%s", root(i), file);
		if (file_exists(text))
			return text;
	}
	snprintf(text, sizeof text, "%s/../shared/data/%s", src ? src : ".", file);
	return file_exists(text) ? text : NULL;
}

void
golden_open(struct st_file *f, const char *set, const char *file)
{
	const char *path = golden_path(set, file);

	if (st_open(f, path) != ACE_OK)
		fail_msg("%s", ace_message());
}

cJSON *
golden_json(const char *set, const char *file)
{
	const char *path = golden_path(set, file);
	cJSON *root_value;

	if (json_read(path, 256u << 20, &root_value) != ACE_OK)
		fail_msg("%s", ace_message());
	return root_value;
}

double
golden_number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	assert_true(cJSON_IsNumber(v));
	return v->valuedouble;
}

static const struct st_entry *
must(const struct st_file *f, const char *name)
{
	const struct st_entry *e = st_find(f, name);

	if (!e)
		fail_msg("%s: no tensor %s", f->path, name);
	return e;
}

struct tensor
golden_f32(const struct st_file *f, const char *name)
{
	struct tensor x = must(f, name)->value, y = x;

	y.dtype = F32;
	y.data = malloc(tensor_bytes(y) + 4);
	if (!y.data || !dtype_convert(y.data, F32, x.data, x.dtype, tensor_count(x)))
		fail_msg("%s: tensor %s is %s, wanted a float", f->path, name, dtype_name(x.dtype));
	return y;
}

struct tensor
golden_i64(const struct st_file *f, const char *name)
{
	struct tensor x = must(f, name)->value, y = x;
	int64_t *p, n = tensor_count(x);

	y.dtype = I64;
	y.data = p = malloc(tensor_bytes(y) + 8);
	assert_non_null(p);
	for (int64_t i = 0; i < n; i++)
		switch (x.dtype) {
		case I64: p[i] = ((const int64_t *)x.data)[i]; break;
		case I32: p[i] = ((const int32_t *)x.data)[i]; break;
		case U8: case BOOL: p[i] = ((const uint8_t *)x.data)[i]; break;
		case F32: p[i] = (int64_t)((const float *)x.data)[i]; break;
		case BF16: case F16: case F8: case I8: case F64: case U16: case U32: case I16: case I4:
			fail_msg("%s: tensor %s is %s, wanted integers", f->path, name, dtype_name(x.dtype));
		}
	return y;
}

double
golden_error(const float *got, const float *want, int64_t n)
{
	double worst = 0, top = 1e-30;

	for (int64_t i = 0; i < n; i++) {
		double e = fabs((double)got[i] - (double)want[i]);
		if (isnan(got[i]) != isnan(want[i]))
			return INFINITY;
		if (isnan(want[i]) || got[i] == want[i])
			continue;
		if (!(e <= worst))
			worst = e;
	}
	for (int64_t i = 0; i < n; i++)
		if (fabs((double)want[i]) > top && isfinite(want[i]))
			top = fabs((double)want[i]);
	return worst / top;
}

double
golden_norm_error(const float *got, const float *want, int64_t n)
{
	double e = 0, s = 1e-60;

	for (int64_t i = 0; i < n; i++) {
		e += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
		s += (double)want[i] * (double)want[i];
	}
	return isfinite(e) ? sqrt(e / s) : INFINITY;
}

void
golden_close(const char *what, const float *got, const float *want, int64_t n, double tol)
{
	double e = golden_error(got, want, n);

	if (!(e <= tol))
		fail_msg("%s: error %.3g of the largest entry, at most %.3g is right", what, e, tol);
}

const char *
golden_tmp(void)
{
	static char text[256];
	const char *base = getenv("TMPDIR");

	snprintf(text, sizeof text, "%s/ace-test-XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(text))
		fail_msg("cannot make a private folder: %s", text);
	return text;
}

/* Asked by the leak checker of a checked build: HDF5 does not give back the headers of damaged files. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:libhdf5\n";
}
