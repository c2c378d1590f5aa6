/* SPDX-License-Identifier: Apache-2.0 */
/* What the ranks of a training run do together, beside its steps. */
#include "jobs/train_parts.h"

#include <stdlib.h>
#include <string.h>

enum { PATH_LIMIT = 1 << 16 };

enum status
train_agree(const struct train *t, enum status st)
{
	return t->comm ? comm_agree(t->comm, st) : st;
}

enum status
train_share_path(const struct train *t, char **path)
{
	size_t size = t->first && *path ? strlen(*path) : 0;
	char none[1] = "", *shared = *path;

	if (!t->comm)
		return ACE_OK;
	if (t->first)		/* comm_share wants bytes, be there none */
		shared = size ? shared : none;
	ACE_TRY(comm_share(t->comm, &shared, &size, PATH_LIMIT, "the checkpoint's name"));
	if (t->first)
		return ACE_OK;
	*path = shared;
	if (size == 0) {
		free(shared);
		*path = NULL;
	}
	return ACE_OK;
}

enum status
train_ask(struct train *t, uint32_t mine)
{
	t->asked = mine | checkpoint_asks(t->writer);
	return t->comm ? comm_agree_flags(t->comm, t->asked, &t->asked) : ACE_OK;
}

void
train_may_be_late(const struct train *t, bool late)
{
	if (t->comm)
		comm_set_patience(t->comm, t->patience, late);
}

size_t
train_share_of_memory(const struct train *t)
{
	size_t there = train_memory_there(), others = t->comm ? (size_t)t->comm->node_size - 1 : 0;

	/* pages of a file are there once for all ranks of a node */
	return (there + others * t->plan.bytes[PLAN_BASE_MAPPED]) / (others + 1);
}
