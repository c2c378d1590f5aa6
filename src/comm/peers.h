/* SPDX-License-Identifier: Apache-2.0 */
/* peers.h - what nccl.c asks of peers.c */
#ifndef ACE_COMM_PEERS_H
#define ACE_COMM_PEERS_H

#include "comm/link_parts.h"

#include <cuda_runtime_api.h>

/* Open memory of every rank to the others; k->peers stays NULL where a rank cannot. Collective over k's group. */
enum status peers_open(struct link *k, void *base, size_t bytes) ACE_NODISCARD;
void peers_close(struct link *k);

/* Whether x lies in that memory. */
bool peers_have(const struct link *k, const void *x);

/* Begin to gather for op, whose parts do; the stream that does it. */
cudaStream_t peers_fetch(struct link *k, const struct comm_op *op);

/* Fetches from here on come behind an event. */
void peers_wait(struct link *k, cudaEvent_t published);
#endif
