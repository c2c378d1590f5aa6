/* SPDX-License-Identifier: Apache-2.0 */
/* convert_hf.h - ace-convert-hf: a folder of songs -> a data set as `datasets` saves it to disk (datasets.md sections 3, 4.1) */
#ifndef ACE_JOBS_CONVERT_HF_H
#define ACE_JOBS_CONVERT_HF_H

#include "base/settings.h"

struct convert_job {
	const char *source, *folder;	/* borrowed */
	int64_t repeat;			/* how often each row is written, >= 1 */
	double max_bad;			/* songs that may fail, or percent of them */
	bool max_bad_percent;
};

struct convert_report {
	int64_t songs, failed, rows;
	int shards;
};

/* Columns keys, filename, tags, speaker_emb_path, norm_lyrics, recaption of each song of source that has NAME_prompt.txt or
 * NAME.txt; lyrics from NAME_lyrics.txt or NAME.lyrics, none: "". Of a NAME.txt the first line makes the tags and each further one
 * a member caption_2 ... of recaption. folder appears whole; it must be new or empty. ACE_ENOINPUT, ACE_EDATA (bad songs),
 * ACE_ECREATE, ACE_EIO, ACE_EDEVICE (no Arrow). */
enum status convert_hf_run(const struct convert_job *job, struct convert_report *r) ACE_NODISCARD;

/* The job that a program's options describe, done: what ace-convert-hf is. */
enum status convert_hf_settings(struct settings *s) ACE_NODISCARD;
#endif
