/* SPDX-License-Identifier: Apache-2.0 */
/* link_parts.h - what the files of link.h share; of no use elsewhere */
#ifndef ACE_COMM_LINK_PARTS_H
#define ACE_COMM_LINK_PARTS_H

#include "comm/comm_parts.h"
#include "comm/link.h"

enum { LINK_STAGES = 8 };		/* operations under way through the host */

/* Host memory of one of them, pinned, and where its result goes. */
struct link_stage {
	void *host;
	size_t room;
	int64_t number, ticket;		/* 0: over */
	void *to;
	size_t from, bytes;		/* of the result in host */
};

struct nccl;

struct link {
	struct comm *c;
	struct dev *d;
	enum link_way way;
	char text[200];
	int64_t started;
	enum status status;		/* first failure; its message */
	char message[1024];
	struct link_stage stage[LINK_STAGES];
	struct nccl *nccl;
	struct peers *peers;		/* peers.c; NULL: nothing is shared */
};

/* --- nccl.c, in builds with it --- */

/* Whether this rank could; why not, in words. */
bool nccl_there(char why[160]);

/* Collective. k->nccl is set even where it fails. */
enum status nccl_open(struct link *k) ACE_NODISCARD;
void nccl_close(struct link *k);

/* Begin op, which is numbered k->started; failures are kept in k. */
void nccl_start(struct link *k, const struct comm_op *op);
void nccl_join(struct link *k, int64_t number);

/* link_group. */
void nccl_group(struct link *k, bool on);

/* Begin op as a fetch; link_share, link_publish. */
void nccl_fetch(struct link *k, const struct comm_op *op);
enum status nccl_share(struct link *k, void *base, size_t bytes) ACE_NODISCARD;
void nccl_publish(struct link *k);

/* Where the GPU of d is, as a number that no other of its node has. */
int64_t nccl_place(struct dev *d);
#endif
