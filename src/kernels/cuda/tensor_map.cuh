/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_map.cuh - the driver's function that describes a tensor to Hopper's copy engine */
#ifndef ACE_KERNELS_CUDA_TENSOR_MAP_CUH
#define ACE_KERNELS_CUDA_TENSOR_MAP_CUH

#include <cuda.h>
#include <cuda_runtime.h>

typedef CUresult (*tensor_map_encode)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *, const cuuint64_t *,
                                      const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                                      CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

/* cuTensorMapEncodeTiled, or NULL where the driver has none. */
static inline tensor_map_encode
tensor_map_encoder()
{
	static tensor_map_encode found;
	void *f = NULL;
	cudaDriverEntryPointQueryResult result;

	if (!found && cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &result) == cudaSuccess)
		found = (tensor_map_encode)f;
	return found;
}
#endif
