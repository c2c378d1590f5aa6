/* SPDX-License-Identifier: Apache-2.0 */
/* hf_repo.h - the files of a Hugging Face data set and the splits that they make up (datasets.md 4.1, 4.4, 4.5)
 *
 * What may be given: a folder that `datasets` saved to disk (one split, or several), a repository's folder, its folder in the hub
 * cache or OWNER/NAME of it, one file. Nothing is fetched. */
#ifndef ACE_DATA_HF_REPO_H
#define ACE_DATA_HF_REPO_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum hf_kind { HF_ARROW, HF_CSV, HF_JSON, HF_TAR };	/* ARROW: Parquet, streams and files of Arrow */

struct hf_file {
	char *path, *folder;		/* that names in its rows are relative to */
	enum hf_kind kind;
};

struct hf_split {
	char *name;			/* "train", "validation" ... */
	struct hf_file *file;		/* in the order of the rows */
	int n;
};

struct hf_repo {
	char *root;			/* the folder of it all, as it was found */
	const char *what;		/* "a set saved to disk" ...: for messages. Static */
	struct hf_split *split;
	int n;
	char **inside;			/* folders, without links, that links and paths may lead to: the root, its blobs */
	int insides;
	char *blobs;			/* of a snapshot in the hub cache: what its links lead to; NULL: no snapshot */
};

/* config: a name of the card's `configs`; NULL: the default one. revision of OWNER/NAME; NULL: main. ACE_ENOINPUT when it is
 * not there, ACE_EDATA when no rows can be in it; a line that names it. */
enum status hf_repo_open(struct hf_repo *r, const char *source, const char *revision, const char *config) ACE_NODISCARD;
void hf_repo_close(struct hf_repo *r);		/* zeros will do */

/* The split of that name; NULL when there is none. */
const struct hf_split *hf_repo_split(const struct hf_repo *r, const char *name);

/* A folder more that paths may lead into; a missing one is none. */
enum status hf_repo_allow(struct hf_repo *r, const char *folder) ACE_NODISCARD;

/* Whether the file at path lies in one of them when all links are followed. */
bool hf_repo_holds(const struct hf_repo *r, const char *path);
#endif
