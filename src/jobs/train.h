/* SPDX-License-Identifier: Apache-2.0 */
/* train.h - ace-train and ace-resume: train adapters on the stores of ace-preprocess (training.md, ux.md)
 *
 * In output_dir: effective.json and run.json (what it ran with), LOGS/metrics.jsonl (a line an update), checkpoint-STEP folders,
 * and at the end pytorch_lora_weights.safetensors. */
#ifndef ACE_JOBS_TRAIN_H
#define ACE_JOBS_TRAIN_H

#include "base/settings.h"
#include "comm/comm.h"

/* By the ranks of c (NULL: alone), of which the first writes and speaks. ACE_ESTOPPED: stopped on request with state saved. Killed
 * at any moment, the run goes on from its last checkpoint, also on another number of ranks. Collective over c. */
enum status train_run(struct settings *s, struct comm *c) ACE_NODISCARD;
#endif
