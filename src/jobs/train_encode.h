/* SPDX-License-Identifier: Apache-2.0 */
/* train_encode.h - songs that are encoded while training, in the place of a latent store (vae_cache_disable, datasets.md section 7)
 *
 * At the start every song is decoded once, to know its length and that it can be used; a batch then decodes and encodes its clips
 * again, one at a time, with the rounding of latent_dtype: losses are those of a run over stores. The processor
 * encodes, also where a GPU trains. Captions come from the text
 * store all the same. */
#ifndef ACE_JOBS_TRAIN_ENCODE_H
#define ACE_JOBS_TRAIN_ENCODE_H

#include "base/settings.h"
#include "data/batch.h"

struct train_encode;

/* Sets o->clips when the list (borrowed until train_encode_close) has entries without a store; else *e stays NULL. Too many songs
 * that cannot be used (max_bad): ACE_EDATA. */
enum status train_encode_open(struct train_encode **e, const struct dataset_list *l, const struct settings *s,
                              struct data_options *o) ACE_NODISCARD;
void train_encode_close(struct train_encode *e);	/* behind data_close */
#endif
