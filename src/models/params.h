/* SPDX-License-Identifier: Apache-2.0 */
/* params.h - the parameters of a model that trains: read from a file, listed by name, given adapters, gradients, copies
 *
 * A model reads its parts through params_linear and params_tensor in a fixed order; that order is the order of the list. Base
 * weights point into the file's mapping where the type fits, and are copied only when they are to be trained; on a cuda device
 * they are uploaded as they are read, and converted there. */
#ifndef ACE_MODELS_PARAMS_H
#define ACE_MODELS_PARAMS_H

#include "formats/weights.h"
#include "layers/linears.h"

struct module {
	const char *name;		/* "transformer_blocks.0.attn.to_q"; owned by the list */
	struct linear *l;		/* in the model */
};

struct params {
	struct weights *w;		/* owned by the model; stays open as long as the params are used */
	struct dev *dev;
	enum dtype dtype;		/* of the matrices: F32, BF16 or F16; vectors and tables are F32 always */
	enum dtype base;		/* I8, F8 or I4: what frozen linear layers are kept in; as dtype: as they are */
	bool quantize_conv1d;		/* those of three dimensions too, which else stay as they are */
	bool apart;			/* no layers are put side by side */
	const char *left;		/* borrowed: modules whose names begin so stay as they are; NULL: none */
	size_t quantized;		/* bytes of those in 8 or 4 bits, with their scales */
	struct param **param;		/* base params first, then adapters A, B, A, B ... */
	int n, cap;
	struct module *module;		/* linear layers, in order; the index is the layer's dropout stream */
	int n_modules, modules_cap;
	char **text;			/* owned names */
	int n_texts, texts_cap;
	void **owned;			/* dev memory: adapters, gradients, trained copies; on a cuda device all values */
	int n_owned, owned_cap;
	void *far;			/* owned: gradients in the host's memory (far_grads) */
	size_t far_bytes;
	bool far_grads;			/* cuda: there (dev_alloc_far) */
	bool half_grads;		/* gradients of BF16 weights of linear layers are BF16 too; only on a cuda device */
	struct tensor half;		/* all such gradients, one vector; rank 0: there are none */
	int changes;			/* counts what params_pack depends on: adapters, what trains */
	struct adapter_place *place;	/* of params_pack's adapters; their table on the device */
	int n_places, places_cap;
	struct tensor table;
	int64_t widest;
};

enum lora_init { LORA_INIT_DEFAULT, LORA_INIT_GAUSSIAN };	/* A uniform in +-1/sqrt(in); normal with deviation 1/r. B zero */

struct lora_options {
	const char *const *target;	/* a module is taken when its name is a target or ends with "." and a target */
	int n_targets;
	int64_t rank;
	float alpha;			/* s = alpha / r, or alpha / sqrt(r) when rslora */
	bool rslora;
	float dropout;			/* of the adapter's input, in training, 0 <= p < 1 */
	uint64_t seed;
	enum lora_init init;
};

/* w is borrowed. base, quantize_conv1d and their like are set behind it. */
void params_init(struct params *ps, struct weights *w, struct dev *dev, enum dtype dtype);
void params_free(struct params *ps);

/* Whether the linear layer of that name and so many dimensions is kept in 8 bits (training.md section 7). */
bool params_quantizes(const struct params *ps, const char *name, int rank);

/* Read NAME.weight of exactly this shape (params_dims writes one) and NAME.bias
 * [dim[0]] when bias, set up l without adapter, and list the params and the module. l must stay where it is. */
enum status params_linear(struct params *ps, struct linear *l, const char *name, bool bias, int rank, const int64_t dim[])
	ACE_NODISCARD;

/* Read one tensor of this name and shape and list it. matrix: in ps->dtype, else F32. */
enum status params_tensor(struct params *ps, struct param *p, const char *name, bool matrix, int rank, const int64_t dim[])
	ACE_NODISCARD;

#define params_dims(...) (const int64_t[TENSOR_RANK]){ __VA_ARGS__ }

/* The shape of a tensor in the file, without reading it; ACE_EDATA naming it when absent or of another rank. */
enum status params_shape(const struct params *ps, const char *name, int rank, int64_t dim[TENSOR_RANK]) ACE_NODISCARD;

/* Whether the file has a tensor of that name. */
bool params_has(const struct params *ps, const char *name);

/* An adapter on every module that is a target and has none, F32, A by init from (seed, RNG_INIT, index of the module), B zero; listed
 * behind the base params as NAME.lora_A.weight, NAME.lora_B.weight, train set. ACE_ECONFIG when a target matches no module. */
enum status params_add_lora(struct params *ps, const struct lora_options *o) ACE_NODISCARD;

/* An adapter of its own rank on one module (when a file says so), values zero. scale is s. */
enum status params_add_adapter(struct params *ps, int module, int64_t rank, float scale, float dropout) ACE_NODISCARD;

bool params_is_target(const char *module, const struct lora_options *o);

/* Set train of every base param (adapters are left alone) whose name starts with prefix ("": all), and give those a copy of
 * their value that may be written to. */
enum status params_train(struct params *ps, const char *prefix) ACE_NODISCARD;

/* Memory for the gradients of all params that train, one block, each at a multiple of ARENA_ALIGN bytes; *all is the whole
 * block as one F32 vector (padding included, which stays zero), NULL when not wanted; what half_grads keeps in BF16 lies
 * behind it and is ps->half. Contents: zero. */
enum status params_alloc_grads(struct params *ps, struct tensor *all) ACE_NODISCARD;

/* Put n layers of one input side by side (layers/linears.h), with their adapters, where the device computes in 16 bits and sizes
 * are multiples of 8; elsewhere g stays empty and the layers run one by one. May be called again when adapters were added.
 * result: the type that their results are kept in. The values of their weights move: they become views. */
enum status params_pack(struct params *ps, struct linears *g, struct linear *const l[], int n, enum dtype result) ACE_NODISCARD;

/* After the first and before a new round of params_pack, then after the last of it. */
void params_pack_begin(struct params *ps);
enum status params_pack_end(struct params *ps) ACE_NODISCARD;

/* Copy the adapters that lie side by side with weights to their places, on d (of ps, or a dry one): before each pass, as an
 * update may have changed them. */
void params_spread(const struct params *ps, struct dev *d);

/* For params*.c: device memory owned by the list, NULL on the dry device; and giving one back early. */
enum status params_own(struct params *ps, size_t bytes, const char *what, void **p) ACE_NODISCARD;
void params_disown(struct params *ps, void *p);

/* By exact name; NULL when absent. */
struct param *params_find(const struct params *ps, const char *name);
#endif
