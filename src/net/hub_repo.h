/* SPDX-License-Identifier: Apache-2.0 */
/* hub_repo.h - what a repository of the Hugging Face hub holds (datasets.md section 4.5) */
#ifndef ACE_NET_HUB_REPO_H
#define ACE_NET_HUB_REPO_H

#include "net/http.h"

/* Where the hub is and who asks; from the environment. */
struct hub {
	char *base;		/* HF_ENDPOINT, else the public hub; without a slash at its end; owned */
	char *token;		/* HF_TOKEN, else what HF_TOKEN_PATH holds (HF_HOME/token); NULL: none; owned; never shown */
	bool offline;		/* HF_HUB_OFFLINE */
};

struct hub_repo {
	bool dataset;
	char *name;		/* "OWNER/NAME"; owned */
	char *revision;		/* branch, tag or commit; owned */
	char commit[41];	/* "" until hub_info */
};

struct hub_file {
	char *path;		/* below the repository's top, checked: it stays there */
	int64_t size;		/* -1 unknown */
	char etag[130];		/* SHA-256 or git's blob name; "" unknown */
};

struct hub_list {
	struct hub_file *file;	/* sorted by path */
	int n, room;
};

/* ACE_ECONFIG when HF_ENDPOINT is no address or a token holds what no token can. */
enum status hub_open(struct hub *hub) ACE_NODISCARD;
void hub_close(struct hub *hub);

/* "OWNER/NAME", "models/OWNER/NAME", "datasets/OWNER/NAME", each with "@REVISION" or without; dataset: what OWNER/NAME alone
 * means. ACE_EUSAGE when it is none of them. */
enum status hub_repo_parse(struct hub_repo *r, const char *word, bool dataset, const char *revision) ACE_NODISCARD;
void hub_repo_free(struct hub_repo *r);

/* The commit of the revision. ACE_ENOINPUT, with what to do, when repository or revision are not there or not for us. */
enum status hub_info(const struct hub *hub, struct http *h, struct hub_repo *r) ACE_NODISCARD;

/* All files. Sizes and checksums as far as the hub lists them. */
enum status hub_files(const struct hub *hub, struct http *h, const struct hub_repo *r, struct hub_list *l) ACE_NODISCARD;
void hub_list_free(struct hub_list *l);

/* Size and checksum of one file, by a HEAD request. */
enum status hub_file_head(const struct hub *hub, struct http *h, const struct hub_repo *r, struct hub_file *f) ACE_NODISCARD;

/* Its address; owned by the caller, NULL: no memory. */
char *hub_file_url(const struct hub *hub, const struct hub_repo *r, const char *path);
#endif
