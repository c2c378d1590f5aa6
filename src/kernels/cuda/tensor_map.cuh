/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_map.cuh - a tensor as Hopper's copy engine wants it described */
#ifndef ACE_KERNELS_CUDA_TENSOR_MAP_CUH
#define ACE_KERNELS_CUDA_TENSOR_MAP_CUH

#include <cuda.h>
#include <cuda_runtime.h>
#include <stdint.h>

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

/* x [B, N, columns] of bf16, or (size 1) of numbers of a byte, rows ld numbers apart, brought by boxes of wide columns, 128 bytes or less, and tall
 * rows of a sample; chunks of 16 bytes are swizzled as wgmma.cuh says, what lies beyond is zeros. False where that cannot be. */
[[maybe_unused]] static inline bool
tensor_map_of(CUtensorMap *map, const void *x, size_t size, int64_t B, int64_t N, int64_t columns, int64_t ld, int wide, int tall)
{
	cuuint64_t apart = (cuuint64_t)ld * size, dim[3] = { (cuuint64_t)columns, (cuuint64_t)N, (cuuint64_t)B };
	cuuint64_t stride[2] = { apart, apart * (cuuint64_t)N };
	cuuint32_t box[3] = { (cuuint32_t)wide, (cuuint32_t)tall, 1 }, step[3] = { 1, 1, 1 };

	return tensor_map_encoder()(map, size == 1 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, (void *)x, dim, stride,
	                            box, step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
	                            CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}
#endif
