/* SPDX-License-Identifier: Apache-2.0 */
/* preprocess_bench.h - a folder with a small model, songs and stores, for the tests of preparation */
#ifndef ACE_TESTS_JOBS_PREPROCESS_BENCH_H
#define ACE_TESTS_JOBS_PREPROCESS_BENCH_H

#include "data/dataset.h"
#include "jobs/preprocess.h"
#include "store/latents.h"
#include "store/texts.h"

struct bench {
	char *dir, *songs;		/* owned; DIR holds model, songs, out */
	struct dataset_list list;	/* of the folder of songs */
	struct preprocess_job job;
	struct preprocess_report r;
	char model[400];
};

/* A fresh folder with a random model ("" : none) and an empty folder of songs. */
void bench_open(struct bench *b, const char *preset);
/* The bench that lies in dir already. */
void bench_again(struct bench *b, const char *dir);
void bench_close(struct bench *b);
void bench_leave(struct bench *b);	/* as it lies */

/* A song of noise, its caption and lyrics (NULL: none); number chooses the noise. */
void bench_song(struct bench *b, const char *name, int number, double seconds, const char *caption, const char *lyrics);
/* Its date, in seconds since 1970: files that are written one after another may have the same. */
void bench_date(struct bench *b, const char *name, int64_t seconds);
void bench_write(struct bench *b, const char *name, const void *data, size_t size);
void bench_remove(struct bench *b, const char *name);

/* The job; it must end so. */
void bench_run(struct bench *b, enum status want);

struct latents *bench_latents(struct bench *b);
struct texts *bench_texts(struct bench *b);

/* What failures.jsonl says of a song: its code, into text; "" when it is not in it. */
const char *bench_failure(struct bench *b, const char *key);

/* Parts of the latent store. */
int bench_parts(struct bench *b);
#endif
