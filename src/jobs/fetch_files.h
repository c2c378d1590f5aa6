/* SPDX-License-Identifier: Apache-2.0 */
/* fetch_files.h - the files of one repository, several at once, with progress */
#ifndef ACE_JOBS_FETCH_FILES_H
#define ACE_JOBS_FETCH_FILES_H

#include "jobs/fetch.h"
#include "net/hub_store.h"

struct fetch_files {
	const struct fetch_job *job;
	const struct hub *hub;
	const struct hub_repo *repo;
	const struct hub_store *store;
	const struct hub_list *list;
	const struct http_options *options;
	/* out */
	int fetched, kept;
	int64_t bytes;		/* that came over the network */
	double seconds;
};

/* All of the list into the store. The first failure ends it; what was begun stays. */
enum status fetch_files(struct fetch_files *f) ACE_NODISCARD;

/* 7.7 GB, 812 kB: into text, returned. */
const char *fetch_size(double bytes, char text[32]);
#endif
