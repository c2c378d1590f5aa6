/* SPDX-License-Identifier: Apache-2.0 */
/* cuda.h - inside a cuda device; for dev/, kernels/cuda/ and comm/nccl.c alone */
#ifndef ACE_DEV_CUDA_H
#define ACE_DEV_CUDA_H

#include "dev/dev.h"

#include <cuda_runtime_api.h>

struct cuda_block {
	void *data;
	size_t bytes;
};

struct cuda_dev {
	int number;
	int processors;			/* multiprocessors */
	int arch;			/* 90 for compute capability 9.0 */
	size_t shared;			/* bytes of shared memory that one block may ask for */
	cudaStream_t stream;		/* all kernels and copies, in order */
	cudaStream_t side;		/* work beside it: dev_side */
	cudaStream_t now;		/* the one that kernels are launched on */
	bool apart;			/* the side stream has work that the other has not waited for */
	cudaEvent_t forked, joined;
	cudaStream_t beside;		/* the longer half of a kernel's work: cuda_fork */
	cudaEvent_t parted, met;
	cudaStream_t ahead;		/* copies that run ahead: dev_ahead */
	cudaEvent_t copied, used;
	cudaEvent_t waited;		/* where the host waits for a stream and d->waits is asked */
	struct cuda_block *block;	/* what is allocated, to count it */
	int n_blocks, blocks_cap;
	char *staging[2];		/* pinned, for copies from and to memory that is not */
	cudaEvent_t staged[2];
	struct cuda_keep *keep;		/* dev_keep; NULL until it is asked for */
	char *scratch;			/* cuda_scratch */
	size_t scratch_bytes;
	int moved;			/* times that scratch has moved: recorded graphs are then stale */
	bool recording;
	void *lt;			/* kernels/cuda/lt.h; freed by lt_close */
	void (*lt_close)(struct dev *d);
	void (*recorded)(struct dev *d, cudaGraph_t graph);	/* NULL, or changes what has been recorded before it is made ready */
	void *cudnn;			/* kernels/cuda/cudnn.h; freed by cudnn_close */
	void (*cudnn_close)(struct dev *d);
};

/* For dev.c. */
enum status cuda_dev_open(struct dev *d, int number) ACE_NODISCARD;
void cuda_dev_close(struct dev *d);
int cuda_dev_count(void);

/* dev_side, dev_join and dev_pair of a cuda device. */
void cuda_side(struct dev *d, bool on);
void cuda_join(struct dev *d);
void cuda_pair(struct dev *d, int piece);

/* dev_memory and dev_ahead* of a cuda device. */
bool cuda_memory(struct dev *d, size_t *there, size_t *all);
void cuda_ahead(struct dev *d, void *to, const void *from, size_t bytes);
void cuda_ahead_join(struct dev *d);
void cuda_ahead_used(struct dev *d);
void cuda_ahead_wait(struct dev *d);

/* dev_keep of a cuda device (cuda_keep.c). */
void cuda_keep(struct dev *d, void *to, const void *from, size_t bytes);
void cuda_keep_end(struct dev *d);
void cuda_keep_close(struct dev *d);

/* Whether e is no error; else d is failed, with what in the message. */
bool cuda_ok(struct dev *d, cudaError_t e, const char *what);

/* The host waits for e, or for all of a stream, asking d->waits meanwhile; false: it, or the device, has failed. */
bool cuda_wait(struct dev *d, cudaEvent_t e, const char *what);
bool cuda_wait_stream(struct dev *d, cudaStream_t s, const char *what);

/* For kernels of two launches that do not need one another: a stream that goes on from what the device was asked for so far. Its
 * blocks come before the other stream's, so the longer launch belongs there. cuda_meet: all that comes later waits for it. */
cudaStream_t cuda_fork(struct dev *d);
void cuda_meet(struct dev *d);

/* Work space of the kernel being launched: valid until the next kernel asks. Grows outside of recording only; NULL and a failed
 * device when it cannot. 256-byte aligned. */
void *cuda_scratch(struct dev *d, size_t bytes);

#endif
