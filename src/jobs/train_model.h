/* SPDX-License-Identifier: Apache-2.0 */
/* train_model.h - the transformer of a run with its adapters, on a real or the dry device; its mark; its memory */
#ifndef ACE_JOBS_TRAIN_MODEL_H
#define ACE_JOBS_TRAIN_MODEL_H

#include "jobs/train_job.h"
#include "train/plan.h"

/* Open m on d. Adapters are made as in the checkpoint c, or, where c is NULL, as in the file of init_lora, or new ones. Ranks
 * or scales of c that the options no longer ask for: ACE_ECONFIG. loaded (may be NULL): what the file gave. */
enum status train_model_open(struct dit *m, const struct train_job *j, struct dev *d, const struct checkpoint *c,
                             struct adapter_loaded *loaded) ACE_NODISCARD;

/* The transformer's mark: SHA-256 over names, shapes, types and samples of all tensors. Fast, and the same for the same files;
 * 0-terminated hex digits. */
enum status train_model_mark(const struct dit *m, char mark[65]) ACE_NODISCARD;

/* Plan a run with batches up to room. */
enum status train_plan(struct plan *p, const struct train_job *j, const struct checkpoint *c, struct step_shape room) ACE_NODISCARD;

/* Bytes this process may use: of the machine, or of the group of processes it is held in. */
size_t train_memory_there(void);

/* ACE_ENOMEM when the plan does not fit into there bytes, with what would make it fit on a second line. */
enum status train_plan_fits(const struct plan *p, const struct train_job *j, const struct checkpoint *c, size_t there) ACE_NODISCARD;

/* The same for a plan of a cuda device, against the memory of d, which is open. */
enum status train_plan_fits_device(const struct plan *p, const struct train_job *j, const struct checkpoint *c, struct dev *d)
	ACE_NODISCARD;
#endif
