/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_settings.h - the data sets that a program's options ask for */
#ifndef ACE_DATA_DATASET_SETTINGS_H
#define ACE_DATA_DATASET_SETTINGS_H

#include "base/settings.h"
#include "data/dataset.h"
#include "store/facts.h"

/* The list of dataset=FOLDER, or of data_backend_config, with the options as defaults of its entries. Both or neither given:
 * ACE_EUSAGE; else as dataset_list_read. */
enum status dataset_list_settings(struct dataset_list *l, const struct settings *s) ACE_NODISCARD;

/* What an entry's settings make of the numbers of its latents: facts that compare in its store (length mode, bucket step,
 * truncation). seed counts when windows are drawn at random. */
void dataset_facts(struct facts *f, const struct dataset *d, uint64_t seed);
#endif
