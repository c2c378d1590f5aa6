/* SPDX-License-Identifier: Apache-2.0 */
/* link.h - a group's operations on the memory of a device (layout.md section 4)
 *
 *   plain    the device's memory is the host's: comm.h itself
 *   staged   through pinned memory of the host and comm.h; slower, and the host waits for the device each time. Any device
 *            takes it; its sums are those of plain, to the bit
 *   nccl     by NCCL, on a stream of its own beside the device's kernels; the host does not wait. What is fetched from memory that is
 *            shared comes by the GPUs' copy engines
 *
 * A started operation sees all that was asked of the device before it; what is asked behind link_join sees its result. Between
 * the two its buffers are left alone. Every rank makes the same calls in the same order, over all links and groups.
 *
 * Sums of plain and staged have the order of the ranks. NCCL's have one that follows from its version, the number of ranks, the size
 * of the operation and how the GPUs are linked: the same machine gives the same bits; of two ranks any order does. BF16 is rounded
 * once by plain and staged, at each joining of two ranks by NCCL. */
#ifndef ACE_COMM_LINK_H
#define ACE_COMM_LINK_H

#include "comm/comm.h"
#include "dev/dev.h"

enum link_way { LINK_AUTO, LINK_PLAIN, LINK_STAGED, LINK_NCCL };

struct link;

/* For group c and device d, both borrowed. auto: plain, or, on a cuda device, nccl where all ranks have it and a GPU of their own,
 * else staged. nccl that is not to be had: ACE_ECONFIG. ACE_ERANK: the others do not come. *k is owned. Collective over c. */
enum status link_open(struct link **k, struct comm *c, struct dev *d, enum link_way way) ACE_NODISCARD;

/* k may be NULL. After a failure it ends what is under way; else all was joined. */
void link_close(struct link *k);

/* Which way it goes, never auto; and in words: "NCCL 2.28.9", "MPI through host memory (this build has no NCCL)". */
enum link_way link_way(const struct link *k);
const char *link_text(const struct link *k);

/* As in comm.h, on the device's memory; the number of the operation. */
int64_t link_allgather(struct link *k, struct tensor all, struct tensor part, const char *fmt, ...) ACE_PRINTF(4, 5);
int64_t link_reduce_scatter(struct link *k, struct tensor part, struct tensor all, enum comm_sum sum, const char *fmt, ...)
	ACE_PRINTF(5, 6);
int64_t link_allreduce(struct link *k, struct tensor x, enum comm_sum sum, const char *fmt, ...) ACE_PRINTF(4, 5);

/* Memory of every rank, of the same size and with the same layout, that link_fetch may take parts from: until link_close it stays where it is.
 * GPUs of one node open it to each other, where they can; else nothing is shared, and nothing fails. Collective. */
enum status link_share(struct link *k, void *base, size_t bytes) ACE_NODISCARD;

/* link_allgather whose parts lie in shared memory, whole or as the ranks' places in all. It sees what every rank had written there before
 * its last link_publish. Parts may be written to again behind any other operation that was started after it
 * and joined, or link_publish. */
int64_t link_fetch(struct link *k, struct tensor all, struct tensor part, const char *fmt, ...) ACE_PRINTF(4, 5);

/* What was written to shared memory up to here is there for fetches that are started behind it, on all ranks; and what is asked of the device
 * from here on comes behind all that any rank has fetched before it. Collective. */
void link_publish(struct link *k);

/* Operations between on and off are one to the others' links: NCCL begins them together, and a ring of many ranks is gone around once. Nothing
 * is joined in between. With NCCL, where link_groups: ACE_NCCL_GROUPS is in the environment. For many ranks: two have lost by it
 * (doc/benchmarks.md). */
void link_group(struct link *k, bool on);
bool link_groups(void);

/* What is asked of the device from here on comes behind that operation and all before it; of fetches and others, behind those of its
 * kind. */
enum status link_join(struct link *k, int64_t number) ACE_NODISCARD;

/* x's bytes where the host can read them: x itself, or (*copy, owned: free) a copy. */
enum status link_host(const struct link *k, struct tensor x, const void **at, void **copy) ACE_NODISCARD;
#endif
