/* SPDX-License-Identifier: Apache-2.0 */
/* lyrics_file.h - lyrics_embedder/model.safetensors: lyric_embs, lyric_encoder and lyric_proj by themselves (training.md 11)
 *
 * The tensors have the model's own names. Read also under the names that they have below an adapter
 * (NAME.base_layer.weight); an adapter's tensors beside them are passed over. */
#ifndef ACE_MODELS_LYRICS_FILE_H
#define ACE_MODELS_LYRICS_FILE_H

#include "models/params.h"

#define LYRICS_FOLDER "lyrics_embedder"
#define LYRICS_FILE LYRICS_FOLDER "/model.safetensors"

/* Whether a param belongs there: a base param below lyric_. */
bool lyrics_file_holds(const char *name);

/* Fill the params, which must be writable copies (dit_train with DIT_LYRICS), from a file. Every one must be there, in its
 * shape, finite; more than them is refused: ACE_EDATA naming file and tensor. On failure some may be filled. */
enum status lyrics_file_read(struct params *ps, const char *path) ACE_NODISCARD;

/* Items for st_write on the host, in the params' dtype: *item [*n] and *memory are owned by the caller (free both); names are
 * the params'. value as for adapter_snapshot. */
enum status lyrics_file_items(const struct params *ps, const struct tensor *value, struct st_item **item, int *n,
                              void **memory) ACE_NODISCARD;

/* FOLDER/LYRICS_FILE with the params' values. */
enum status lyrics_file_write(const char *folder, const struct params *ps) ACE_NODISCARD;
#endif
