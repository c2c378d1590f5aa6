/* SPDX-License-Identifier: Apache-2.0 */
/* tiny.h - the tiny transformer of the fixtures with adapters or all of it training, and its batch */
#ifndef ACE_TESTS_TRAIN_TINY_H
#define ACE_TESTS_TRAIN_TINY_H

#include "support/golden.h"
#include "train/step.h"

#define TINY_SET "transformer-tiny"

struct tiny {
	struct dev dev;
	struct dit m;
	struct step step;
	struct batch b;			/* of batch.safetensors, frame mask of ones */
	cJSON *manifest;
	uint64_t id[16];
	int64_t samples[16];
	const char *name[16];
	void *own[8];
	int n_own;
};

struct tiny_options {
	enum dev_kind kind;
	int threads;
	int checkpoint_interval;
	bool full;
	enum dtype dtype;
	float lora_dropout, lyric_dropout;
};

/* The model, opened; adapters of the manifest's rank and scale on its targets, unless full; the batch. Skips without the set. */
void tiny_open(struct tiny *t, const struct tiny_options *o);

/* The manifest's training numbers (spec.train), without any dropout. */
struct step_options tiny_step_options(const struct tiny *t);

/* step_open with room for the batch. */
void tiny_start(struct tiny *t, const struct step_options *o);
void tiny_close(struct tiny *t);

/* Random stores that fit the model, made in folder unless they are there: seven clips in buckets of several lengths, opened. */
struct tiny_data {
	struct dataset_list list;
	struct data_options o;
	struct data *d;
};
void tiny_data_open(struct tiny_data *d, const struct tiny *t, const char *folder, int64_t batch_size);
void tiny_data_close(struct tiny_data *d);

double tiny_number(const struct tiny *t, const char *part, const char *key);
#endif
