/* SPDX-License-Identifier: Apache-2.0 */
/* import_hf_parts.h - what the files import_hf*.c share; of no use elsewhere */
#ifndef ACE_JOBS_IMPORT_HF_PARTS_H
#define ACE_JOBS_IMPORT_HF_PARTS_H

#include "jobs/import_hf.h"
#include "text/buffer.h"

/* --- import_hf_index.c: DST/index.jsonl, and what it says is done --- */

struct import_index {
	int fd;				/* appended to, and locked */
	char *path;
	struct import_done {
		char *split;
		unsigned char *bits;	/* row i is done */
		int64_t cap, n, first;	/* bits; rows done; the first row that is not */
	} *done;
	int n;
	bool finished;			/* the run before came to its end */
};

/* Open or make DST and its index; settings: one line, which an index that is there must have. Items whose files are not there as
 * they were written do not count as done. */
enum status import_index_open(struct import_index *x, const struct import_job *job, const char *settings) ACE_NODISCARD;
void import_index_close(struct import_index *x);
struct import_done *import_index_split(struct import_index *x, const char *split);	/* NULL: no memory */
bool import_is_done(const struct import_done *d, int64_t row);

/* One line, written at once. */
enum status import_index_add(struct import_index *x, const struct buffer *line) ACE_NODISCARD;

/* "text" as JSON, quotes and all; NULL: null. */
void import_json_text(struct buffer *b, const char *text);
void import_json_number(struct buffer *b, const char *key, int64_t n);		/* ,"key":n */

/* --- import_hf_write.c: the files of an item --- */

/* Where the item's files go, without extension: "NUMBER-KEY", safe for any file system; owned. NULL: no memory. */
char *import_name(const struct hf_song *s, int64_t row);

/* FOLDER/NAME.txt, .lyrics, then the sound, which is there whole or not at all, and not before its texts are. Reading that fails (a file that is gone) is a fault of the
 * item: s->code is set. */
enum status import_write(struct hf_song *s, const char *folder, const char *name) ACE_NODISCARD;

/* --- import_hf_fetch.c --- */

/* ace-fetch, the program beside this one or else on the path, of the data set OWNER/NAME. Its failure as it ended. */
enum status import_fetch(const char *source, const char *revision) ACE_NODISCARD;

/* --- import_hf_list.c --- */

/* DST/multidatabackend.json of an import in place: with it ace-preprocess reads the rows of these splits where they are. */
enum status import_write_list(const struct import_job *job, const struct hf_split *const *split, int n) ACE_NODISCARD;
#endif
