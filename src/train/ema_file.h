/* SPDX-License-Identifier: Apache-2.0 */
/* ema_file.h - an average of adapters from a file (init_lora_ema, training.md section 9) */
#ifndef ACE_TRAIN_EMA_FILE_H
#define ACE_TRAIN_EMA_FILE_H

#include "models/params.h"
#include "train/ema.h"

/* The averages of ps's adapters from an adapter file or a folder with one (models/adapter.h), whose s goes into B. Every adapter of
 * ps must be there, in its rank, and no other one: else ACE_ECONFIG naming it. A value that is not finite: ACE_EDATA. */
enum status ema_read_adapters(struct ema *e, const struct params *ps, const char *path) ACE_NODISCARD;
#endif
