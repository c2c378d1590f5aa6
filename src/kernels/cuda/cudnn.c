/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/cudnn.h"

#ifdef HAVE_CUDNN

#include <cudnn.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTIONS(F)                                                                                                        \
	F(cudnnCreate) F(cudnnDestroy) F(cudnnSetStream) F(cudnnCreateTensorDescriptor) F(cudnnDestroyTensorDescriptor)     \
	F(cudnnSetTensor4dDescriptor) F(cudnnCreateFilterDescriptor) F(cudnnDestroyFilterDescriptor)                        \
	F(cudnnSetFilter4dDescriptor) F(cudnnCreateConvolutionDescriptor) F(cudnnDestroyConvolutionDescriptor)              \
	F(cudnnSetConvolution2dDescriptor) F(cudnnSetConvolutionMathType) F(cudnnGetConvolutionForwardAlgorithm_v7)         \
	F(cudnnConvolutionForward)

enum { MOST_SPACE = 512 << 20, TRIES = CUDNN_CONVOLUTION_FWD_ALGO_COUNT };

struct key {
	int64_t H, W, I, O, k;
	int64_t stride;
};

struct known {
	struct key key;
	bool possible;
	cudnnTensorDescriptor_t x, y;
	cudnnFilterDescriptor_t w;
	cudnnConvolutionDescriptor_t conv;
	cudnnConvolutionFwdAlgo_t algo;
	size_t space;
};

struct cudnn {
	void *library;
#define F(name) __typeof__(&name) name;
	FUNCTIONS(F)
#undef F
	cudnnHandle_t handle;
	bool absent;			/* loaded in vain */
	struct known *known;
	int n, cap;
};

static void
cudnn_close(struct dev *d)
{
	struct cudnn *t = d->cuda->cudnn;

	for (int i = 0; i < t->n; i++) {
		struct known *w = &t->known[i];
		if (w->x)
			t->cudnnDestroyTensorDescriptor(w->x);
		if (w->y)
			t->cudnnDestroyTensorDescriptor(w->y);
		if (w->w)
			t->cudnnDestroyFilterDescriptor(w->w);
		if (w->conv)
			t->cudnnDestroyConvolutionDescriptor(w->conv);
	}
	if (t->handle)
		t->cudnnDestroy(t->handle);
	free(t->known);
	free(t);		/* the library stays: unloading it is not safe */
	d->cuda->cudnn = NULL;
}

/* Whether all that is used of it is here. */
static bool
load(struct cudnn *t)
{
	char name[64];
	const char *dir[] = { "", ACE_CUDNN_LIBDIR "/" };
	bool all = true;

	snprintf(name, sizeof name, "libcudnn.so.%d", CUDNN_MAJOR);
	for (int i = 0; i < 2 && !t->library; i++) {
		char path[512];
		snprintf(path, sizeof path, "%s%s", dir[i], name);
		t->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	if (!t->library)
		return false;
#define F(name)                                                       \
	*(void **)&t->name = dlsym(t->library, #name);                \
	all = all && t->name;
	FUNCTIONS(F)
#undef F
	return all && t->cudnnCreate(&t->handle) == CUDNN_STATUS_SUCCESS;
}

static struct cudnn *
cudnn_of(struct dev *d)
{
	const char *said = getenv("ACE_CUDNN");
	struct cudnn *t = d->cuda->cudnn;

	if (!t && said && strcmp(said, "1") == 0) {
		t = calloc(1, sizeof *t);
		if (!t) {
			d->status = ace_fail(ACE_ENOMEM, "no memory for convolutions");
			return NULL;
		}
		d->cuda->cudnn = t;
		d->cuda->cudnn_close = cudnn_close;
		t->absent = !load(t);
	}
	return t && !t->absent ? t : NULL;
}

static bool
describe(struct cudnn *t, struct known *w, struct tensor y, struct tensor x)
{
	int k = (int)w->key.k, I = (int)w->key.I, O = (int)w->key.O, stride = (int)w->key.stride;

	return t->cudnnCreateTensorDescriptor(&w->x) == CUDNN_STATUS_SUCCESS && t->cudnnCreateTensorDescriptor(&w->y) == CUDNN_STATUS_SUCCESS &&
	       t->cudnnCreateFilterDescriptor(&w->w) == CUDNN_STATUS_SUCCESS &&
	       t->cudnnCreateConvolutionDescriptor(&w->conv) == CUDNN_STATUS_SUCCESS &&
	       t->cudnnSetTensor4dDescriptor(w->x, CUDNN_TENSOR_NHWC, CUDNN_DATA_BFLOAT16, 1, I, (int)x.dim[0], (int)x.dim[1]) ==
	               CUDNN_STATUS_SUCCESS &&
	       t->cudnnSetTensor4dDescriptor(w->y, CUDNN_TENSOR_NHWC, CUDNN_DATA_BFLOAT16, 1, O, (int)y.dim[0], (int)y.dim[1]) ==
	               CUDNN_STATUS_SUCCESS &&
	       t->cudnnSetFilter4dDescriptor(w->w, CUDNN_DATA_BFLOAT16, CUDNN_TENSOR_NHWC, O, I, k, k) == CUDNN_STATUS_SUCCESS &&
	       t->cudnnSetConvolution2dDescriptor(w->conv, k / 2, k / 2, stride, stride, 1, 1, CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT) ==
	               CUDNN_STATUS_SUCCESS &&
	       t->cudnnSetConvolutionMathType(w->conv, CUDNN_TENSOR_OP_MATH) == CUDNN_STATUS_SUCCESS;
}

static void
choose(struct cudnn *t, struct known *w)
{
	cudnnConvolutionFwdAlgoPerf_t found[TRIES];
	int n = 0;

	if (t->cudnnGetConvolutionForwardAlgorithm_v7(t->handle, w->x, w->w, w->conv, w->y, TRIES, &n, found) != CUDNN_STATUS_SUCCESS)
		n = 0;
	for (int i = 0; i < n && !w->possible; i++)
		if (found[i].status == CUDNN_STATUS_SUCCESS && found[i].determinism == CUDNN_DETERMINISTIC && found[i].memory <= MOST_SPACE) {
			w->algo = found[i].algo;
			w->space = found[i].memory;
			w->possible = true;
			/* the kind of math that goes with the choice */
			(void)t->cudnnSetConvolutionMathType(w->conv, found[i].mathType);
		}
}

static struct known *
known(struct dev *d, struct cudnn *t, struct tensor y, struct tensor x, struct tensor w, int stride)
{
	struct key key = { x.dim[0], x.dim[1], x.dim[2], w.dim[0], w.dim[1], stride };
	struct known *k;

	for (int i = 0; i < t->n; i++)
		if (memcmp(&t->known[i].key, &key, sizeof key) == 0)
			return &t->known[i];
	if (t->n == t->cap) {
		int cap = t->cap ? 2 * t->cap : 16;
		struct known *more = realloc(t->known, (size_t)cap * sizeof *more);
		if (!more) {
			d->status = ace_fail(ACE_ENOMEM, "no memory for %d kinds of convolutions", cap);
			return NULL;
		}
		t->known = more;
		t->cap = cap;
	}
	k = &t->known[t->n++];
	*k = (struct known){ .key = key };
	if (describe(t, k, y, x))
		choose(t, k);
	return k;
}

bool
pixels_cudnn_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, int stride)
{
	struct cudnn *t = d->status == ACE_OK ? cudnn_of(d) : NULL;
	struct known *k = t ? known(d, t, y, x, w, stride) : NULL;
	void *space = NULL;
	float one = 1.f, zero = 0.f;
	cudnnStatus_t s;

	if (!k || !k->possible || (k->space && !(space = cuda_scratch(d, k->space))))
		return false;
	s = t->cudnnSetStream(t->handle, d->cuda->now);
	if (s == CUDNN_STATUS_SUCCESS)
		s = t->cudnnConvolutionForward(t->handle, &one, k->x, x.data, k->w, w.data, k->conv, k->algo, space, k->space, &zero, k->y,
		                               y.data);
	if (s != CUDNN_STATUS_SUCCESS)
		d->status = ace_fail(ACE_EDEVICE, "device cuda:%d: cuDNN: convolution: status %d", d->cuda->number, (int)s);
	return s == CUDNN_STATUS_SUCCESS;
}

#else

bool
pixels_cudnn_conv(struct dev *d, struct tensor y, struct tensor x, struct tensor w, int stride)
{
	(void)d, (void)y, (void)x, (void)w, (void)stride;
	return false;
}

#endif
