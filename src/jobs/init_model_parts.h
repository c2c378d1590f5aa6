/* SPDX-License-Identifier: Apache-2.0 */
/* init_model_parts.h - what a random model is made of; for init_model*.c alone */
#ifndef ACE_JOBS_INIT_MODEL_PARTS_H
#define ACE_JOBS_INIT_MODEL_PARTS_H

#include "base/status.h"
#include "num/tensor.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

enum { INIT_VOCAB = 6693, INIT_STAGES = 4 };

struct init_sizes {
	/* transformer.md section 1 */
	int64_t layers, heads, head_dim, speaker, tap, tap_dim[2];
	int64_t lyric, lyric_layers, lyric_heads, lyric_ff;
	/* audio_codec.md section 1 */
	int64_t dcae[INIT_STAGES], dcae_head;
	int64_t vocoder_depth[INIT_STAGES], vocoder_dim[INIT_STAGES], vocoder_channels;
	/* text.md section 1.1 */
	int64_t text, text_head, text_heads, text_ff, text_blocks, text_rows;
};

/* Where a tensor's numbers come from. */
enum init_rule {
	INIT_UNIFORM,	/* within +-scale */
	INIT_NORMAL,	/* of that deviation */
	INIT_CONSTANT,	/* scale itself */
	INIT_VALUES,	/* values, as they are */
	INIT_ROW_NORMS, /* the norms of the rows of the tensor before it in the list */
};

struct init_tensor {
	char name[80];
	int rank;
	int64_t dim[TENSOR_RANK];
	enum init_rule rule;
	float scale;
	const float *values; /* borrowed */
};

struct init_list {
	struct init_tensor *v; /* owned; the index is the tensor's number */
	int n, cap;
	bool bad; /* memory ran out: asked once at the end */
};

#define init_dims(...)                                                                             \
	(const int64_t[TENSOR_RANK]) { __VA_ARGS__ }

void init_add(struct init_list *l, enum init_rule rule, double scale, int rank, const int64_t dim[],
	      const char *fmt, ...) ACE_PRINTF(6, 7);

/* NAME.weight, and NAME.bias [dim 0], uniform within 1 / sqrt(inputs of an output), as PyTorch's
 * linear and convolution are. */
void init_linear(struct init_list *l, bool bias, const char *name, int rank, const int64_t dim[]);

/* NAME.weight of ones and NAME.bias of zeros. */
void init_norm(struct init_list *l, const char *name, int64_t width);

void init_list_free(struct init_list *l);
int64_t init_list_count(const struct init_list *l); /* numbers of all tensors */

/* n numbers of tensor number `number` of list l from index `from` on. */
void init_numbers(const struct init_list *l, int number, uint64_t seed, uint64_t part, int64_t from,
		  int64_t n, float *x);

/* A list's file, streamed; told after every few MiB how many bytes more are done, and may refuse to
 * go on. */
struct init_writing {
	uint64_t seed, part;
	enum dtype dtype;
	int threads;
	enum status (*done)(void *me, int64_t bytes);
	void *me;
};
enum status init_list_write(const struct init_list *l, const char *path,
			    const struct init_writing *w) ACE_NODISCARD;

/* The parts: tensors and config.json. mel: window [2048] and filters [1025, 128], borrowed by the
 * list. */
void init_dit(struct init_list *l, const struct init_sizes *s);
void init_dcae(struct init_list *l, const struct init_sizes *s);
void init_vocoder(struct init_list *l, const struct init_sizes *s, const float *window,
		  const float *filters);
void init_umt5(struct init_list *l, const struct init_sizes *s);
cJSON *init_dit_config(const struct init_sizes *s); /* owned by the caller; NULL: no memory */
cJSON *init_dcae_config(const struct init_sizes *s);
cJSON *init_vocoder_config(const struct init_sizes *s);
cJSON *init_umt5_config(const struct init_sizes *s, enum dtype dtype);

/* A list of numbers, and one of texts, as a member of o. */
void init_json_numbers(cJSON *o, const char *key, int n, const int64_t *v);

/* Into an existing folder: lyric_vocab.json, and the three tokenizer files of the prompt encoder,
 * whose table has rows. */
enum status init_lyric_vocab(const char *folder) ACE_NODISCARD;
enum status init_tokenizer(const char *folder, int64_t rows) ACE_NODISCARD;

/* The tokenizer's character map (text.md section 2.2), in base64; owned by the caller, NULL: no
 * memory. */
char *init_charsmap(void);

/* Where a model is made: PART beside its place, put there when it is whole. */
struct init_folder {
	char *target, *part; /* owned */
	int lock;	     /* held while it is written */
};

/* dir is free: absent, or an empty folder that another can be put in the place of; else, and when
 * it cannot be made or someone else is making it: ACE_ECREATE, and nothing was touched. */
enum status init_folder_begin(struct init_folder *f, const char *dir) ACE_NODISCARD;

/* Put it in place. On failure the part is still there. */
enum status init_folder_end(struct init_folder *f) ACE_NODISCARD;

/* Remove the part. */
enum status init_folder_undo(struct init_folder *f) ACE_NODISCARD;

/* The sizes of a preset, NULL when there is none of that name. */
const struct init_sizes *init_sizes_of(const char *preset);
#endif
