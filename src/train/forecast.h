/* SPDX-License-Identifier: Apache-2.0 */
/* forecast.h - how long an update, and a checkpoint, of ranks that are only planned would take (doc/scaling.md has the formulas)
 *
 * A ring of n ranks, g of them on each of m nodes, carries x bytes in n - 1 steps, in each of which every rank passes on a part to the
 * next: V = (n - 1) / n x for an all-gather or reduce-scatter, twice that and twice the steps for an all-reduce. There are as many rings as
 * ranks on a node, so that each rank's network card carries V / g. Gathers run one block ahead of the pass, sums one behind, in order
 * (shards.h); what the pass has to wait for is exposed. Latencies are those of a ring's steps; the network is nobody else's. */
#ifndef ACE_TRAIN_FORECAST_H
#define ACE_TRAIN_FORECAST_H

#include "train/exchange.h"

struct forecast_rates {
	double link, node;		/* bytes a second that leave a GPU within a node, and between nodes */
	double copy, disk;		/* from a GPU to its host; to the disk, of all ranks together */
	double hop;			/* seconds, of a step of a ring */
	double compute;			/* seconds of a micro step of one GPU alone */
	double forward;			/* which part of them is the forward pass */
	int node_ranks;			/* GPUs a node */
};

struct forecast {
	double sent;			/* bytes that a rank sends in an update (exchange_traffic) */
	double card;			/* of them through its network card */
	double exchange;		/* seconds that takes, */
	double exposed;			/* and for which nothing is computed; the rest is hidden */
	double step;			/* seconds of an update */
	double efficiency;		/* of them computing */
	double part, stall, written;	/* a rank's bytes of a checkpoint; seconds that the run stands still for it, and until it is on the disk */
};

/* x: a plan, of at least two ranks; accumulation: micro steps of an update; checkpoint: its bytes. The update itself and reading batches
 * take no time beside compute. */
void forecast_make(struct forecast *f, const struct exchange *x, const struct forecast_rates *r, int64_t accumulation, double checkpoint);
#endif
