/* SPDX-License-Identifier: Apache-2.0 */
#include "support/twins.h"

#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/twins_fill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 8, GAP_BYTE = 0xff };	/* numbers between rows that lie apart; NaN in F32 and BF16 */

static char
letter(const char *word, int i)
{
	return i < (int)strcspn(word, " ") ? word[i] : '.';
}

static void *
bytes_of(size_t n)
{
	void *p = malloc(n ? n : 1);

	assert_non_null(p);
	return p;
}

/* Host tensor i as the case says, in F32 rounded to what the variant stores. */
static struct tensor
host_tensor(const struct twin_case *c, int i, char how)
{
	struct tensor x = tensor_make(NULL, c->t[i].dtype, c->t[i].rank, c->t[i].dim);

	x.data = bytes_of(tensor_bytes(x));
	twins_fill(x, c->t[i].fill, c->index_below, (uint64_t)i);
	if ((how == 'h' || how == 'H') && x.dtype == F32)
		for (int64_t k = 0; k < tensor_count(x); k++)
			((float *)x.data)[k] = bf16_to_f32(f32_to_bf16(((float *)x.data)[k]));
	return x;
}

static size_t
row_bytes(enum dtype t, int64_t numbers)
{
	return (size_t)numbers * dtype_size(t) / (t == I4 ? 2 : 1);
}

/* x as the variant stores it, dense in the host's memory or apart: rows of ld, gaps of GAP_BYTE. */
static struct tensor
stored(struct tensor x, char how)
{
	struct tensor y = x;
	size_t row;

	if ((how == 'h' || how == 'H') && x.dtype == F32)
		y.dtype = BF16;
	if (how == 's' || how == 'H')
		y.ld = tensor_cols(x) + GAP;
	row = row_bytes(y.dtype, tensor_ld(y));
	y.data = bytes_of((size_t)tensor_rows(y) * row);
	memset(y.data, GAP_BYTE, (size_t)tensor_rows(y) * row);
	for (int64_t r = 0; r < tensor_rows(x); r++) {
		char *to = (char *)y.data + (size_t)r * row;
		const char *from = (const char *)x.data + (size_t)r * row_bytes(x.dtype, tensor_cols(x));
		if (y.dtype == x.dtype)
			memcpy(to, from, row_bytes(x.dtype, tensor_cols(x)));
		else
			dtype_convert(to, BF16, from, F32, tensor_cols(x));
	}
	return y;
}

/* Runs the case on d from the stored tensors; got[i] is what came back, as stored. */
static void
run(const struct twin_case *c, struct dev *d, const struct tensor *in, struct tensor *got, int n)
{
	struct tensor on[TWIN_TENSORS];

	for (int i = 0; i < n; i++) {
		size_t bytes = (size_t)tensor_rows(in[i]) * row_bytes(in[i].dtype, tensor_ld(in[i]));
		on[i] = got[i] = in[i];
		assert_ok(dev_alloc(d, bytes, c->kernel, &on[i].data));
		d->m->upload(d, on[i].data, in[i].data, bytes);
	}
	c->call(d, on);
	for (int i = 0; i < n; i++) {
		size_t bytes = (size_t)tensor_rows(in[i]) * row_bytes(in[i].dtype, tensor_ld(in[i]));
		got[i].data = bytes_of(bytes);
		d->m->download(d, got[i].data, on[i].data, bytes);
		d->m->free(d, on[i].data);
	}
}

/* The numbers of a stored tensor in F32, without gaps; false when a gap was written to. */
static bool
numbers(struct tensor y, float *x)
{
	int64_t cols = tensor_cols(y), ld = tensor_ld(y);
	size_t size = dtype_size(y.dtype);

	for (int64_t r = 0; r < tensor_rows(y); r++) {
		const unsigned char *row = (const unsigned char *)y.data + (size_t)(r * ld) * size;
		dtype_convert(x + r * cols, F32, row, y.dtype, cols);
		for (size_t k = (size_t)cols * size; k < (size_t)ld * size; k++)
			if (row[k] != GAP_BYTE)
				return false;
	}
	return true;
}

/* Whether the variant stores some tensor in BF16. */
static bool
halves(const char *word)
{
	return strcspn(word, "hH") < strcspn(word, " ");
}

/* Products round both operands when one is of 16 bits; pixels are stored in it. */
static bool
rounds(const struct twin_case *c)
{
	if (strncmp(c->kernel, "pix_", 4) == 0)
		return c->t[0].dtype == BF16;
	if (strcmp(c->kernel, "gemm") != 0 && strcmp(c->kernel, "linear") != 0)
		return false;
	for (int i = 0; i < TWIN_TENSORS && c->t[i].rank; i++)
		if (c->t[i].dtype == BF16 || c->t[i].dtype == F16)
			return true;
	return false;
}

static bool
agrees(const struct twin_case *c, const char *word, bool tf32, int i, struct tensor got, struct tensor want)
{
	bool half = halves(word) || rounds(c);
	double tol = half ? 0x1p-6 : tf32 ? 0x1p-8 : 4 * c->tol > 4e-6 ? 4 * c->tol : 4e-6, norm = half ? 0x1p-7 : tol, e, ne;
	float *x;
	bool ok;

	if (!dtype_is_activation(want.dtype))
		return memcmp(got.data, want.data, tensor_bytes(want)) == 0;
	x = bytes_of((size_t)tensor_count(want) * sizeof *x);
	if (want.dtype != F32) {
		float *w = bytes_of((size_t)tensor_count(want) * sizeof *w);
		dtype_convert(w, F32, want.data, want.dtype, tensor_count(want));
		ok = numbers(got, x);
		e = golden_error(x, w, tensor_count(want)), ne = golden_norm_error(x, w, tensor_count(want));
		free(w);
	} else {
		ok = numbers(got, x);
		e = golden_error(x, want.data, tensor_count(want)), ne = golden_norm_error(x, want.data, tensor_count(want));
	}
	if (!ok)
		print_message("%s [%.*s], tensor %d: written between its rows\n", c->kernel, (int)strcspn(word, " "), word, i);
	if (e == 0)		/* also where all is zero, and the norm with it */
		ne = 0;
	if (!(e <= tol && ne <= norm))
		print_message("%s [%.*s], tensor %d: error %.3g of the largest entry and %.3g of the norm, at most %.3g and %.3g are right\n",
		              c->kernel, (int)strcspn(word, " "), word, i, e, ne, tol, norm);
	free(x);
	return ok && e <= tol && ne <= norm;
}

static bool
check(const struct twin_case *c, struct dev *d, const char *word)
{
	struct tensor ref[TWIN_TENSORS], in[TWIN_TENSORS], got[2][TWIN_TENSORS];
	struct dev r;
	bool ok = true;
	int n = 0;

	assert_ok(dev_open(&r, DEV_REF, 1));
	kernels_attach(&r);
	for (; n < TWIN_TENSORS && c->t[n].rank; n++) {
		ref[n] = host_tensor(c, n, letter(word, n));
		in[n] = stored(ref[n], letter(word, n));
	}
	c->call(&r, ref);
	for (int k = 0; k < 2; k++)
		run(c, d, in, got[k], n);
	for (int i = 0; i < n; i++) {
		size_t bytes = (size_t)tensor_rows(in[i]) * row_bytes(in[i].dtype, tensor_ld(in[i]));
		if (d->status == ACE_OK) {
			ok = agrees(c, word, d->tf32, i, got[0][i], ref[i]) && ok;
			if (memcmp(got[0][i].data, got[1][i].data, bytes) != 0) {
				print_message("%s [%.*s], tensor %d: bits differ between runs\n", c->kernel, (int)strcspn(word, " "),
				              word, i);
				ok = false;
			}
		}
		free(ref[i].data);
		free(in[i].data);
		free(got[0][i].data);
		free(got[1][i].data);
	}
	dev_close(&r);
	return ok;
}

int
twins_check_cuda(const struct twin_case *c, struct dev *d)
{
	const char *word = c->also && c->also[0] == '!' ? c->also + 1 : ".";
	int bad = 0;

	while (word) {
		if (!d->tf32 || !halves(word))
			bad += !check(c, d, word);
		if (d->status != ACE_OK) {
			print_message("%s [%.*s]: %s\n", c->kernel, (int)strcspn(word, " "), word, ace_message());
			return bad + 1;
		}
		if (strcmp(word, ".") == 0) {
			word = c->also;
			continue;
		}
		word = strchr(word, ' ');
		word = word ? word + 1 : NULL;
	}
	return bad;
}

bool
test_without_cuda(void)
{
	if (dev_cuda_count() > 0)
		return false;
	printf("1..0 # SKIP no cuda device is here\n");
	return true;
}
