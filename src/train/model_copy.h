/* SPDX-License-Identifier: Apache-2.0 */
/* model_copy.h - the whole transformer of a full training as files that other programs load (training.md section 12) */
#ifndef ACE_TRAIN_MODEL_COPY_H
#define ACE_TRAIN_MODEL_COPY_H

#include "train/exchange.h"

#define MODEL_COPY_CONFIG "config.json"
#define MODEL_COPY_WEIGHTS "diffusion_pytorch_model.safetensors"

struct model_copy;

/* The same file as ranks write it together: every tensor, of each what is this rank's to write. */
enum status model_copy_share(struct exchange *x, struct checkpoint_save *s, const char *file, const struct dit *m) ACE_NODISCARD;

/* Copy what trains to the host; tensors that do not are those of m's own file, which stays open: m outlives the copy. */
enum status model_copy_take(struct model_copy **c, const struct dit *m) ACE_NODISCARD;

/* Write the weights, me being a model_copy, to path: whole or not at all. Every tensor of m's file is there under its name. */
enum status model_copy_write(void *me, const char *path) ACE_NODISCARD;
void model_copy_free(void *me);

/* The bytes of m's config.json; owned by the caller. */
enum status model_copy_config(const struct dit *m, char **text, size_t *size) ACE_NODISCARD;
#endif
