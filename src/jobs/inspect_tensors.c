/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_things.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 4096 };

static bool
is_float(enum dtype t)
{
	return t == F32 || t == F64 || t == BF16 || t == F16;
}

int64_t
inspect_nonfinite(struct tensor x)
{
	int64_t n = tensor_count(x), bad = 0;
	float v[PIECE];

	for (int64_t i = 0; is_float(x.dtype) && i < n; i += PIECE) {
		int64_t k = n - i < PIECE ? n - i : PIECE;
		if (!dtype_convert(v, F32, (const char *)x.data + (size_t)i * dtype_size(x.dtype), x.dtype, k))
			return bad;
		for (int64_t j = 0; j < k; j++)
			bad += !isfinite(v[j]);
	}
	return bad;
}

const char *
inspect_shape(struct tensor x, char text[96])
{
	int at = snprintf(text, 96, "[");

	for (int i = 0; i < x.rank && at < 96; i++)
		at += snprintf(text + at, (size_t)(96 - at), i ? ", %lld" : "%lld", (long long)x.dim[i]);
	if (at < 96)
		snprintf(text + at, (size_t)(96 - at), "]");
	return text;
}

void
inspect_sum(const struct weights *w, struct tensor_sum *sum)
{
	bool seen[32] = { false };

	*sum = (struct tensor_sum){ .dtypes = "" };
	for (int f = 0; f < w->n; f++)
		for (int i = 0; i < w->file[f].n; i++) {
			struct tensor x = w->file[f].entry[i].value;
			size_t at = strlen(sum->dtypes);
			sum->tensors++;
			sum->parameters += tensor_count(x);
			sum->bytes += (int64_t)tensor_bytes(x);
			if (seen[x.dtype])
				continue;
			seen[x.dtype] = true;
			snprintf(sum->dtypes + at, sizeof sum->dtypes - at, at ? " and %s" : "%s", dtype_name(x.dtype));
		}
}

static void
show_metadata(struct report *r, const struct st_file *f)
{
	static const struct report_column columns[] = { { "key", "key", false }, { "value", "value", false } };

	report_table(r, "metadata", "metadata", columns, 2);
	for (int i = 0; i < f->n_meta; i++) {
		report_cell(r, "%s", f->meta[2 * i]);
		report_cell(r, "%s", f->meta[2 * i + 1]);
	}
	report_table_end(r);
}

static void
show_tensors(struct report *r, const struct st_file *f, bool verify, int64_t *bad)
{
	static const struct report_column columns[] = { { "name", "tensor", false },
		                                        { "dtype", "dtype", false },
		                                        { "shape", "shape", false },
		                                        { "parameters", "parameters", true },
		                                        { "nonfinite", "not finite", true } };
	char shape[96];

	report_table(r, "tensors", "tensors", columns, verify ? 5 : 4);
	for (int i = 0; i < f->n; i++) {
		struct tensor x = f->entry[i].value;
		report_cell(r, "%s", f->entry[i].name);
		report_cell(r, "%s", dtype_name(x.dtype));
		report_cell(r, "%s", inspect_shape(x, shape));
		report_cell_i64(r, tensor_count(x));
		if (verify) {
			int64_t n = inspect_nonfinite(x);
			*bad += n;
			report_cell_i64(r, n);
		}
	}
	report_table_end(r);
}

enum status
inspect_tensors(const struct look *l, const char *path)
{
	char count[REPORT_SHORT], parameters[REPORT_SHORT], bytes[REPORT_SHORT];
	struct tensor_sum sum;
	struct weights w;
	struct report r;
	int64_t bad = 0;
	enum status st;

	ACE_TRY(weights_open(&w, path));
	inspect_sum(&w, &sum);
	report_begin(&r, l->out, l->json, path, "safetensors");
	report_line(&r, "safetensors, %s tensors, %s parameters, %s, %s", report_count(sum.tensors, count),
	            report_count(sum.parameters, parameters), sum.dtypes, report_bytes((int64_t)w.file[0].size, bytes));
	report_i64(&r, "count", "tensors", sum.tensors);
	report_i64(&r, "parameters", "parameters", sum.parameters);
	report_text(&r, "dtypes", "dtypes", "%s", sum.dtypes);
	report_number(&r, "bytes", "size", (double)w.file[0].size, "%s", bytes);
	show_metadata(&r, &w.file[0]);
	show_tensors(&r, &w.file[0], l->verify, &bad);
	st = report_end(&r, ACE_OK);
	weights_close(&w);
	if (st == ACE_OK && bad > 0)
		return ace_fail(ACE_EDATA, "%s: %lld values are not finite", path, (long long)bad);
	return st;
}
