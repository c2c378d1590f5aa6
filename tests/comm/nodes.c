/* SPDX-License-Identifier: Apache-2.0 */
/* nodes: every rank says where it is, and what sums inside its node and across nodes come to (for slurm.sh) */
#include "comm/comm.h"

#include <stdio.h>

static enum status
run(struct comm *c)
{
	struct comm *inside = NULL, *across = NULL;
	float in = (float)c->rank, over = (float)c->rank;
	enum status st = comm_split_nodes(c, &inside, &across);

	if (st == ACE_OK)
		st = comm_allreduce(inside, tensor_of(&in, F32, 0), COMM_SUM, "ranks of a node");
	if (st == ACE_OK)
		st = comm_allreduce(across, tensor_of(&over, F32, 0), COMM_SUM, "ranks of a number");
	if (st == ACE_OK)
		printf("rank %d of %d: node %d of %d (%s), %d of %d there; sums %g, %g\n", c->rank, c->size, c->node, c->nodes,
		       c->host, c->node_rank, c->node_size, (double)in, (double)over);
	comm_leave(inside);
	comm_leave(across);
	return st;
}

int
main(void)
{
	struct comm *c = NULL;
	enum status st = comm_open(&c, 20);

	if (st == ACE_OK)
		st = comm_close(&c, run(c));
	if (st != ACE_OK)
		fprintf(stderr, "%s\n", ace_message());
	return status_exit_code(st);
}
