/* SPDX-License-Identifier: Apache-2.0 */
/* weights.h - the tensors of one model part: a safetensors file, or a folder with a sharded index
 *
 * Looks for FOLDER/diffusion_pytorch_model.safetensors, model.safetensors, or one of them with .index.json (object with
 * "weight_map": name -> file; files are plain names inside the folder; a tensor is in one of them only). Only what is asked for
 * is read. */
#ifndef ACE_FORMATS_WEIGHTS_H
#define ACE_FORMATS_WEIGHTS_H

#include "base/status.h"
#include "formats/safetensors.h"

#include <stdbool.h>

struct weights {
	char *path;			/* folder or file as given */
	struct st_file *file;
	int n;
	void **owned;			/* converted copies */
	int n_owned;
	size_t mapped, copied;		/* bytes given out so far: inside the mapping, as copies */
	bool dry;			/* set after opening: copies are only counted, and come without data */
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

/* Bring the pages of a tensor that lies in the mapping into memory, so that later reads do not wait for the disk; others are left
 * alone. */
void weights_read_ahead(const struct weights *w, struct tensor x);

/* Let the pages of a tensor that lies in the mapping go, which is not needed any more; they would come back when read. */
void weights_let_go(const struct weights *w, struct tensor x);

/* x, given out before, is not needed any more: a converted copy is freed and not counted, of others the pages go. */
void weights_give_back(struct weights *w, struct tensor x);

/* Whether x is one of w's converted copies, which nobody else sees. */
bool weights_is_copy(const struct weights *w, struct tensor x);

/* Bytes of the mapping that come into memory with n tensors (those outside it do not count): whole pages, and the pages around
 * that the kernel maps along with them. x is sorted by address. */
size_t weights_resident(const struct weights *w, struct tensor *x, int n);

/* SHA-256 over the names, shapes, dtypes and bytes of all tensors, sorted by name: what a cache records of a model. */
enum status weights_hash(const struct weights *w, char hex[65]) ACE_NODISCARD;
#endif
