/* SPDX-License-Identifier: Apache-2.0 */
/* sets.cu - what clears memory in a recorded sequence, as kernels: around a node of the driver's own the device waits longer than
 * between two kernels, and cuBLASLt clears its work space before many a product */
#include "kernels/cuda/cuda.cuh"

#include <stdlib.h>

extern "C" {
#include "kernels/cuda/lt.h"
}

namespace {

enum { THREADS = 256 };

__global__ void
set(uint32_t *to, uint32_t word, size_t n)
{
	size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x;

	if (i < n)
		to[i] = word;
}

cudaError_t
neighbours(cudaGraphNode_t node, bool before, cudaGraphNode_t *list, size_t *n)
{
#if CUDART_VERSION >= 13000
	return before ? cudaGraphNodeGetDependencies(node, list, NULL, n) : cudaGraphNodeGetDependentNodes(node, list, NULL, n);
#else
	return before ? cudaGraphNodeGetDependencies(node, list, n) : cudaGraphNodeGetDependentNodes(node, list, n);
#endif
}

cudaError_t
connect(cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to, size_t n)
{
#if CUDART_VERSION >= 13000
	return cudaGraphAddDependencies(graph, from, to, NULL, n);
#else
	return cudaGraphAddDependencies(graph, from, to, n);
#endif
}

/* A kernel that does what a node is to do, between the same neighbours. */
cudaError_t
put_kernel(cudaGraph_t graph, const cudaMemsetParams &s, const cudaGraphNode_t *before, size_t n, const cudaGraphNode_t *behind, size_t m)
{
	size_t words = s.width * s.elementSize / 4;
	uint32_t word = s.elementSize == 1   ? (s.value & 0xff) * 0x01010101u
	                : s.elementSize == 2 ? (s.value & 0xffff) * 0x00010001u
	                                     : s.value;
	void *to = s.dst, *args[] = { &to, &word, &words };
	cudaKernelNodeParams k = {};
	cudaGraphNode_t made;
	cudaError_t e;

	k.func = (void *)set;
	k.gridDim = dim3(cuda_blocks((int64_t)words, THREADS));
	k.blockDim = dim3(THREADS);
	k.kernelParams = args;
	e = cudaGraphAddKernelNode(&made, graph, before, n, &k);
	for (size_t i = 0; i < m && e == cudaSuccess; i++)
		e = connect(graph, &made, behind + i, 1);
	return e;
}

/* Where a node sets whole words and all its edges are plain ones; room: for twice as many nodes as there are. */
cudaError_t
replace(cudaGraph_t graph, cudaGraphNode_t node, cudaGraphNode_t *room, size_t all)
{
	cudaMemsetParams s;
	size_t n = all, m = all;
	cudaError_t e = cudaGraphMemsetNodeGetParams(node, &s);

	if (e != cudaSuccess)
		return e;
	if (s.height != 1 || s.width == 0 || s.width * s.elementSize % 4 || (uintptr_t)s.dst % 4)
		return cudaSuccess;
	if (neighbours(node, true, room, &n) != cudaSuccess || neighbours(node, false, room + all, &m) != cudaSuccess) {
		cudaGetLastError();
		return cudaSuccess;
	}
	e = put_kernel(graph, s, room, n, room + all, m);
	return e == cudaSuccess ? cudaGraphDestroyNode(node) : e;
}

} // namespace

extern "C" void
cuda_sets_as_kernels(struct dev *d, cudaGraph_t graph)
{
	cudaGraphNode_t *node;
	size_t n = 0;

	if (!cuda_ok(d, cudaGraphGetNodes(graph, NULL, &n), "record") || n == 0)
		return;
	node = (cudaGraphNode_t *)malloc(3 * n * sizeof *node);
	if (!node) {
		d->status = ace_fail(ACE_ENOMEM, "no memory for a recorded graph");
		return;
	}
	cuda_ok(d, cudaGraphGetNodes(graph, node, &n), "record");
	for (size_t i = 0; i < n && d->status == ACE_OK; i++) {
		cudaGraphNodeType type;
		if (cuda_ok(d, cudaGraphNodeGetType(node[i], &type), "record") && type == cudaGraphNodeTypeMemset)
			cuda_ok(d, replace(graph, node[i], node + n, n), "record");
	}
	free(node);
}
