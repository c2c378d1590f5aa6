/* SPDX-License-Identifier: Apache-2.0 */
/* import_hf.h - ace-import-hf: rows of a Hugging Face data set -> a folder of songs, or an index that refers to them in place
 *
 * DST/NUMBER-KEY.{wav,mp3,...} .txt .lyrics; with several splits in DST/SPLIT. DST/index.jsonl has a line for each item, written
 * when its files are there, so that a run that was killed goes on behind the last one. */
#ifndef ACE_JOBS_IMPORT_HF_H
#define ACE_JOBS_IMPORT_HF_H

#include "base/settings.h"
#include "data/hf_song.h"

struct import_job {
	const char *source, *folder;	/* all texts are borrowed */
	const char *revision, *config;	/* NULL: main; the default one */
	const char *splits;		/* names between commas; NULL: all */
	const char *filter;		/* NULL: all rows */
	const char *audio_root;		/* NULL: none beside the set */
	struct hf_columns columns;
	int64_t limit;			/* rows of a split; 0: all */
	bool in_place;
	double max_bad;			/* rows that may fail, or percent of them */
	bool max_bad_percent;
};

struct import_report {
	int64_t rows;			/* that were wanted */
	int64_t fresh, kept;		/* written now; there already */
	int64_t failed, filtered;
	int64_t lost_files;		/* files of the set that could not be read to their end */
	int64_t with_lyrics, captions;	/* of those written now */
	int64_t bytes;			/* of sound, written now or referred to */
};

/* Do the job, saying how it goes. ACE_ENOINPUT: no such set; ACE_EDATA: more rows than max_bad are bad, a file of the set is
 * damaged, or nothing is left; ACE_ECREATE: DST holds something else; ACE_ECONFIG: an import with other settings;
 * ACE_EDEVICE: what reads such a set is missing; ACE_ESTOPPED. r is filled as far as it came. */
enum status import_hf_run(const struct import_job *job, struct import_report *r) ACE_NODISCARD;

/* The job that a program's options describe, done: what ace-import-hf is. */
enum status import_hf_settings(struct settings *s) ACE_NODISCARD;
#endif
