/* SPDX-License-Identifier: Apache-2.0 */
/* fetch.h - models and data sets of the hub into its cache, and the lyric vocabulary (datasets.md section 4.5) */
#ifndef ACE_JOBS_FETCH_H
#define ACE_JOBS_FETCH_H

#include "base/settings.h"

#include <stdio.h>

struct fetch_job {
	bool dataset;			/* what OWNER/NAME alone means */
	const char *revision;		/* NULL: main */
	const char *include, *exclude;	/* patterns between commas, '*' also for '/'; NULL: see fetch_repository */
	int connections;		/* files at once */
	int retries;
	double timeout, pause;		/* seconds (http.h) */
	bool dry;			/* list what would come, on out */
	bool verify;			/* read what is there already, too */
	const char *lyric_vocab;	/* file; NULL: lyric_vocab.json in the user's cache */
};

/* One repository: "OWNER/NAME", "datasets/OWNER/NAME", with "@REVISION" or without. Of a model of ACE-Step the parts that are
 * used, unless include says what; else all files. Its folder in the cache is printed on out. refs/REVISION is written when all
 * is there. Offline only the cache is looked at. A killed one goes on where it was. */
enum status fetch_repository(const struct fetch_job *job, const char *word, FILE *out) ACE_NODISCARD;

/* The vocabulary of the lyric tokenizer out of the published Python package simpletuner, by the index of PIP_INDEX_URL; checked
 * by its SHA-256. Its path is printed on out. */
enum status fetch_lyric_vocab(const struct fetch_job *job, FILE *out) ACE_NODISCARD;

/* The program: "THING ...". */
enum status fetch_run(struct settings *s) ACE_NODISCARD;
#endif
