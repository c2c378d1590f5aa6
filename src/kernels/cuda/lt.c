/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/lt.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cuBLASLt's functions that are used: its name there, what it is here. */
#define FUNCTIONS(F)                                                                                                        \
	F(cublasLtCreate) F(cublasLtDestroy) F(cublasLtMatmul) F(cublasLtMatmulAlgoGetHeuristic)                            \
	F(cublasLtMatmulDescCreate) F(cublasLtMatmulDescDestroy) F(cublasLtMatmulDescSetAttribute)                          \
	F(cublasLtMatrixLayoutCreate) F(cublasLtMatrixLayoutDestroy)                                                        \
	F(cublasLtMatmulPreferenceCreate) F(cublasLtMatmulPreferenceDestroy) F(cublasLtMatmulPreferenceSetAttribute)

enum { SPACE = 32 << 20, SIDE_SPACE = 8 << 20, TRIES = 8 };

/* What decides the algorithm. Compared as bytes: made from zeros. */
struct key {
	int64_t m, n, k, lda, ldb, ldc, ldadd;
	int type, type_c, ta, tb, beta, bias, side, tf32;
	unsigned align;
};

struct known {
	struct key key;
	bool possible;
	cublasLtMatmulDesc_t desc;
	cublasLtMatrixLayout_t a, b, c, add;
	cublasLtMatmulAlgo_t algo;
};

struct lt {
	void *library;
#define F(name) __typeof__(&name) name;
	FUNCTIONS(F)
#undef F
	cublasLtHandle_t handle;
	void *space, *side_space;
	struct known *known;
	int n, cap;
};

static bool
lt_ok(struct dev *d, cublasStatus_t s, const char *what)
{
	if (s != CUBLAS_STATUS_SUCCESS && d->status == ACE_OK)
		d->status = ace_fail(ACE_EDEVICE, "device cuda:%d: cuBLASLt: %s: status %d", d->cuda->number, what, (int)s);
	return s == CUBLAS_STATUS_SUCCESS;
}

static void
forget(struct lt *t, struct known *w)
{
	cublasLtMatrixLayout_t layout[] = { w->a, w->b, w->c, w->add };

	for (int i = 0; i < 4; i++)
		if (layout[i])
			t->cublasLtMatrixLayoutDestroy(layout[i]);
	if (w->desc)
		t->cublasLtMatmulDescDestroy(w->desc);
}

static void
lt_close(struct dev *d)
{
	struct lt *t = d->cuda->lt;

	for (int i = 0; i < t->n; i++)
		forget(t, &t->known[i]);
	if (t->handle)
		t->cublasLtDestroy(t->handle);
	d->m->free(d, t->space);
	d->m->free(d, t->side_space);
	free(t->known);
	free(t);		/* the library stays: unloading it is not safe */
	d->cuda->lt = NULL;
}

static bool
load(struct dev *d, struct lt *t)
{
	char name[64];
	const char *dir[] = { "", ACE_CUDA_LIBDIR "/" };

	snprintf(name, sizeof name, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
	for (int i = 0; i < 2 && !t->library; i++) {
		char path[512];
		snprintf(path, sizeof path, "%s%s", dir[i], name);
		t->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	if (!t->library) {
		d->status = ace_fail(ACE_EDEVICE, "device cuda:%d: %s is not to be found: %s", d->cuda->number, name, dlerror());
		return false;
	}
#define F(name) *(void **)&t->name = dlsym(t->library, #name);
	FUNCTIONS(F)
#undef F
#define F(name)                                                                                                       \
	if (!t->name) {                                                                                               \
		d->status = ace_fail(ACE_EDEVICE, "device cuda:%d: libcublasLt lacks %s", d->cuda->number, #name); \
		return false;                                                                                         \
	}
	FUNCTIONS(F)
#undef F
	return true;
}

static struct lt *
lt_of(struct dev *d)
{
	struct lt *t = d->cuda->lt;
	enum status st;

	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (!t) {
		d->status = ace_fail(ACE_ENOMEM, "no memory for products");
		return NULL;
	}
	d->cuda->lt = t;
	d->cuda->lt_close = lt_close;
	d->cuda->recorded = cuda_sets_as_kernels;
	if (!load(d, t) || !lt_ok(d, t->cublasLtCreate(&t->handle), "open"))
		return NULL;
	st = dev_alloc(d, SPACE, "the products' work space", &t->space);
	if (st == ACE_OK)
		st = dev_alloc(d, SIDE_SPACE, "the products' work space", &t->side_space);
	if (st != ACE_OK)
		d->status = st;
	return st == ACE_OK ? t : NULL;
}

static cudaDataType_t
type_of(enum dtype t)
{
	return t == F32 ? CUDA_R_32F : t == F8 ? CUDA_R_8F_E4M3 : t == F16 ? CUDA_R_16F : CUDA_R_16BF;
}

/* Row-major matrices are cuBLASLt's column-major ones transposed: it is asked for c^T = op(b)^T op(a)^T. */
static bool
layout(struct dev *d, struct lt *t, cublasLtMatrixLayout_t *l, struct tensor x)
{
	return lt_ok(d, t->cublasLtMatrixLayoutCreate(l, type_of(x.dtype), (uint64_t)x.dim[1], (uint64_t)x.dim[0], tensor_ld(x)),
	             "layout");
}

/* A scale for each row of both operands; partial sums stay in the tensor cores. */
static bool
describe_f8(struct dev *d, struct lt *t, struct known *w)
{
#if CUBLAS_VERSION >= 120900
	cublasLtMatmulMatrixScale_t mode = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
	int8_t fast = 1;

	return lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode, sizeof mode), "describe") &&
	       lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode, sizeof mode), "describe") &&
	       lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof fast), "describe");
#else
	(void)d, (void)t, (void)w;
	return false;		/* the product has no such scales yet: plain tiles */
#endif
}

static bool
set_scales(struct dev *d, struct lt *t, struct known *w, const struct lt_product *p)
{
	return lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &p->scale_b.data,
	                                                  sizeof p->scale_b.data), "scales") &&
	       lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &p->scale_a.data,
	                                                  sizeof p->scale_a.data), "scales");
}

static bool
describe(struct dev *d, struct lt *t, struct known *w, const struct lt_product *p)
{
	cublasOperation_t op_a = p->ta ? CUBLAS_OP_T : CUBLAS_OP_N, op_b = p->tb ? CUBLAS_OP_T : CUBLAS_OP_N;
	cublasLtEpilogue_t bias = CUBLASLT_EPILOGUE_BIAS;
	cublasComputeType_t how = w->key.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;

	if (!lt_ok(d, t->cublasLtMatmulDescCreate(&w->desc, how, CUDA_R_32F), "describe") ||
	    !lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_TRANSA, &op_b, sizeof op_b), "describe") ||
	    !lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_TRANSB, &op_a, sizeof op_a), "describe"))
		return false;
	if (p->a.dtype == F8 && !describe_f8(d, t, w))
		return false;
	if (p->bias.rank) {
		cudaDataType_t type = type_of(p->bias.dtype);
		if (!lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &bias, sizeof bias),
		           "describe") ||
		    !lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &type, sizeof type),
		           "describe"))
			return false;
	}
	return layout(d, t, &w->a, p->b) && layout(d, t, &w->b, p->a) && layout(d, t, &w->c, p->c) &&
	       layout(d, t, &w->add, p->add.rank ? p->add : p->c);
}

/* Sums that go on by atomics have no fixed order: only those that add up through work space, in the computing type, may be
 * split. */
static void
choose(struct dev *d, struct lt *t, struct known *w, unsigned align)
{
	uint32_t split = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
	uint64_t space = w->key.side ? SIDE_SPACE : SPACE;
	cublasLtMatmulPreference_t want = NULL;
	cublasLtMatmulHeuristicResult_t found[TRIES];
	int n = 0;

	if (!lt_ok(d, t->cublasLtMatmulPreferenceCreate(&want), "choose"))
		return;
#define SET(what, value) \
	lt_ok(d, t->cublasLtMatmulPreferenceSetAttribute(want, CUBLASLT_MATMUL_PREF_##what, &value, sizeof value), "choose")
	SET(REDUCTION_SCHEME_MASK, split);
	SET(MAX_WORKSPACE_BYTES, space);
	SET(MIN_ALIGNMENT_A_BYTES, align);
	SET(MIN_ALIGNMENT_B_BYTES, align);
	SET(MIN_ALIGNMENT_C_BYTES, align);
	SET(MIN_ALIGNMENT_D_BYTES, align);
#undef SET
	if (t->cublasLtMatmulAlgoGetHeuristic(t->handle, w->desc, w->a, w->b, w->add, w->c, want, TRIES, found, &n) !=
	    CUBLAS_STATUS_SUCCESS)
		n = 0;
	for (int i = 0; i < n && !w->possible; i++)
		if (found[i].state == CUBLAS_STATUS_SUCCESS) {
			w->algo = found[i].algo;
			w->possible = true;
		}
	t->cublasLtMatmulPreferenceDestroy(want);
}

/* The greatest power of two up to 16 that all starts and rows keep, in bytes. */
static unsigned
alignment(const struct lt_product *p)
{
	const struct tensor *x[] = { &p->a, &p->b, &p->c, &p->add };
	uintptr_t all = 16;

	for (int i = 0; i < 4; i++)
		if (x[i]->rank)
			all |= (uintptr_t)x[i]->data | (uintptr_t)tensor_ld(*x[i]) * dtype_size(x[i]->dtype);
	return (unsigned)(all & -all);
}

static struct known *
known(struct dev *d, struct lt *t, const struct lt_product *p, bool side)
{
	struct key key;
	struct known *w;

	memset(&key, 0, sizeof key);
	key.m = p->c.dim[0];
	key.n = p->c.dim[1];
	key.k = p->a.dim[p->ta ? 0 : 1];
	key.lda = tensor_ld(p->a);
	key.ldb = tensor_ld(p->b);
	key.ldc = tensor_ld(p->c);
	key.ldadd = p->add.rank ? tensor_ld(p->add) : 0;
	key.beta = p->beta != 0.f;
	key.type = (int)p->a.dtype;
	key.type_c = (int)p->c.dtype;
	key.ta = p->ta;
	key.tb = p->tb;
	key.bias = p->bias.rank > 0;
	key.side = side;
	key.tf32 = d->tf32 && p->a.dtype == F32;
	key.align = alignment(p);
	for (int i = 0; i < t->n; i++)
		if (memcmp(&t->known[i].key, &key, sizeof key) == 0)
			return &t->known[i];
	if (t->n == t->cap) {
		int cap = t->cap ? 2 * t->cap : 64;
		struct known *more = realloc(t->known, (size_t)cap * sizeof *more);
		if (!more) {
			d->status = ace_fail(ACE_ENOMEM, "no memory for %d kinds of products", cap);
			return NULL;
		}
		t->known = more;
		t->cap = cap;
	}
	w = &t->known[t->n++];
	*w = (struct known){ .key = key };
	if (describe(d, t, w, p) && (p->a.dtype != F8 || set_scales(d, t, w, p)))
		choose(d, t, w, key.align);
	return w;
}

bool
lt_product(struct dev *d, const struct lt_product *p, bool side)
{
	struct lt *t = d->status == ACE_OK ? lt_of(d) : NULL;
	struct known *w = t ? known(d, t, p, side) : NULL;
	const void *add = p->add.rank ? p->add.data : p->c.data;

	if (!w || !w->possible || d->status != ACE_OK)
		return false;
	if (p->bias.rank && !lt_ok(d, t->cublasLtMatmulDescSetAttribute(w->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias.data,
	                                                                sizeof p->bias.data), "bias"))
		return false;
	if (p->a.dtype == F8 && !set_scales(d, t, w, p))
		return false;
	return lt_ok(d, t->cublasLtMatmul(t->handle, w->desc, &p->alpha, p->b.data, w->a, p->a.data, w->b, &p->beta, add, w->add,
	                                  p->c.data, w->c, &w->algo, side ? t->side_space : t->space,
	                                  side ? SIDE_SPACE : SPACE, side ? d->cuda->side : d->cuda->stream),
	             "product");
}
