/* SPDX-License-Identifier: Apache-2.0 */
/* versions.h - what the programs were built with and what they run with */
#ifndef ACE_JOBS_VERSIONS_H
#define ACE_JOBS_VERSIONS_H

#include <stdio.h>

struct version {
	const char *name, *what;	/* "HDF5", "stores" */
	char built[64], run[128];	/* "" unknown or absent */
};

enum { VERSIONS_MOST = 10 };

/* Fill v, returns how many. */
int versions_get(struct version v[VERSIONS_MOST]);

/* The same without those that would have to be loaded first (FFmpeg, MPI: time and memory). */
int versions_loaded(struct version v[VERSIONS_MOST]);

/* The commit this was built from, "" unknown. */
const char *versions_commit(void);

/* What could have been built in and is not: "CUDA, NCCL"; "" nothing. */
const char *versions_without(void);

/* Commit and compiler, switches of the build, then one line a library: linked and running version. */
void versions_print(FILE *out);
#endif
