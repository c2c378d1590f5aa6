/* SPDX-License-Identifier: Apache-2.0 */
/* ranks.h - what jobs that run as several ranks share */
#ifndef ACE_JOBS_RANKS_H
#define ACE_JOBS_RANKS_H

#include "base/settings.h"
#include "comm/comm.h"

/* How many threads a rank should use: what was asked for; else 0 (what dev_open chooses), or, where the launcher has not bound the
 * ranks of a node to processors of their own, their share of the node's. c may be NULL. */
int ranks_threads(const struct comm *c, int asked);

/* Which of the cuda devices that this rank sees is its own: the only one, where the launcher has given each rank one, else the one of
 * its number on the node. c may be NULL. */
int ranks_device(const struct comm *c);

/* num_processes, where it is given, against the ranks that were started on this node: ACE_ECONFIG when they differ. */
enum status ranks_check(const struct comm *c, const struct settings *s) ACE_NODISCARD;

/* The settings that are drawn by chance, from the first rank to all. Collective over c. */
enum status ranks_share_settings(struct comm *c, struct settings *s) ACE_NODISCARD;
#endif
