/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/ranks.h"

#include "dev/dev.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
ranks_threads(const struct comm *c, int asked)
{
	long all = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t mine;

	if (asked > 0 || !c || c->node_size < 2 || getenv("OMP_NUM_THREADS"))
		return asked;
	if (sched_getaffinity(0, sizeof mine, &mine) != 0 || CPU_COUNT(&mine) < all)
		return 0;
	return all > c->node_size ? (int)(all / c->node_size) : 1;
}

int
ranks_device(const struct comm *c)
{
	int devices = dev_cuda_count();

	return c && devices > 1 ? c->node_rank % devices : 0;
}

enum status
ranks_check(const struct comm *c, const struct settings *s)
{
	int64_t wanted = settings_has(s, "num_processes") ? settings_i64(s, "num_processes") : c->node_size;

	if (wanted == c->node_size)
		return ACE_OK;
	return ace_fail(ACE_ECONFIG, "num_processes=%lld, and the launcher has started %d rank%s on node %s", (long long)wanted,
	                c->node_size, c->node_size == 1 ? "" : "s", c->host);
}

enum status
ranks_share_settings(struct comm *c, struct settings *s)
{
	int64_t seed = settings_has(s, "seed") ? settings_i64(s, "seed") : -1, first = seed;
	char text[24];

	if (c->size == 1)
		return ACE_OK;
	ACE_TRY(comm_broadcast(c, tensor_of(&first, I64, 1, 1), 0, "the seed"));
	if (first == seed)
		return ACE_OK;
	snprintf(text, sizeof text, "%lld", (long long)first);
	return settings_set(s, "seed", text, "drawn by rank 0");
}
