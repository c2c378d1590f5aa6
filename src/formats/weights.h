/* SPDX-License-Identifier: Apache-2.0 */
/* weights.h - the tensors of one model part: a safetensors file, or a folder with a sharded index
 *
 * Looks for FOLDER/diffusion_pytorch_model.safetensors, model.safetensors, or one of them with .index.json (object with
 * "weight_map": name -> file; files are plain names inside the folder). Only what is asked for is read. */
#ifndef ACE_FORMATS_WEIGHTS_H
#define ACE_FORMATS_WEIGHTS_H

#include "base/status.h"
#include "formats/safetensors.h"

struct weights {
	char *path;			/* folder or file as given */
	struct st_file *file;
	int n;
	void **owned;			/* converted copies */
	int n_owned;
};

/* path: a .safetensors file or a folder. */
enum status weights_open(struct weights *w, const char *path) ACE_NODISCARD;
void weights_close(struct weights *w);

/* NULL when absent. */
const struct st_entry *weights_find(const struct weights *w, const char *name);

/* The tensor of that name in dtype (F32 or BF16), of exactly this shape (rank < 0: any). Points into the mapping when the
 * file has that dtype, else to a converted copy that w owns; valid until weights_close. Absent, other shape or a dtype that is
 * not a float: ACE_EDATA naming file, tensor, found and wanted. */
enum status weights_get(struct weights *w, const char *name, enum dtype dtype, int rank, const int64_t dim[],
                        struct tensor *x) ACE_NODISCARD;

/* SHA-256 over the names, shapes, dtypes and bytes of all tensors, sorted by name: what a cache records of a model. */
enum status weights_hash(const struct weights *w, char hex[65]) ACE_NODISCARD;
#endif
