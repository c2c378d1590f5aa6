/* SPDX-License-Identifier: Apache-2.0 */
/* lists.h - data set lists over random stores, without a file */
#ifndef ACE_TESTS_DATA_LISTS_H
#define ACE_TESTS_DATA_LISTS_H

#include "data/batch.h"
#include "support/stores.h"

/* The usual small store. */
struct stores_options lists_stores(int clips);

/* One audio entry "random" and its texts over FOLDER/latents and FOLDER/texts, as stores_make fills them. Entry 0
 * is the audio entry. lists_free at the end. */
struct dataset_list lists_one(const char *folder);

/* Another audio entry over FOLDER/latents of other stores with texts of their own; returns it. */
struct dataset *lists_add(struct dataset_list *l, const char *id, const char *folder);
void lists_free(struct dataset_list *l);

/* Everything in a batch is the same, bit for bit. */
void lists_same_batch(const struct batch *a, const struct batch *b);
#endif
