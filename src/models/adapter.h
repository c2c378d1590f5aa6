/* SPDX-License-Identifier: Apache-2.0 */
/* adapter.h - low-rank adapters (LoRA): any spelling read, the one that all readers understand written (transformer.md 10)
 *
 * Read, key by key and mixed in one file: names bare or behind transformer., ace_step_transformer., diffusion_model.,
 * model.diffusion_model., base_model.model., or lora_unet_ with dots as underscores; .lora_A/.lora_B (with or without the name
 * of an adapter), .lora.down/.lora.up, .lora_down/.lora_up, each with .weight; .alpha or .lora_alpha.
 * s of a module: its alpha tensor / r; else the metadata's lora_alpha (alpha_pattern, use_rslora); else 1. r is A's rows.
 *
 * Written: bare names, .lora_A.weight and .lora_B.weight, B multiplied by s and alpha = r, so that readers that know of no
 * alpha give the same output. The values that a run goes on from are in its checkpoint (train/checkpoint.h), not here. */
#ifndef ACE_MODELS_ADAPTER_H
#define ACE_MODELS_ADAPTER_H

#include "models/params.h"

#define ADAPTER_FILE "pytorch_lora_weights.safetensors"
enum { ADAPTER_RANK = 8192 };		/* of a file, at most */

enum adapter_scale_from { ADAPTER_SCALE_ONE, ADAPTER_SCALE_ALPHA, ADAPTER_SCALE_METADATA };

struct adapter {
	const char *name;		/* the module, bare: "transformer_blocks.0.attn.to_q" */
	int64_t rank;			/* r, >= 1 */
	float scale;			/* s */
	float dropout;			/* of a snapshot; of a file 0 */
	struct tensor a, b;		/* host: [r, in], [out, r]; of a file F32 BF16 F16 F64, of a snapshot F32 */
	enum adapter_scale_from from;	/* of a file */
};

struct adapter_file {
	struct st_file st;		/* what a and b point into */
	struct adapter *module;		/* sorted by name, each once */
	int n;
	char **unknown;			/* keys that belong to no module (or that are nothing of an adapter), sorted */
	int n_unknown;
	int64_t global_step;		/* of the metadata; -1: none */
	char **text;			/* owned names */
	int n_texts;
};

/* path: a file, or a folder that holds ADAPTER_FILE. ps: the model it is for; names that it lacks become unknown. NULL: every
 * name is taken as it is (that of a lora_unet_ key keeps its underscores). Nothing in the file is trusted.
 * ACE_ENOINPUT: no such file. ACE_EDATA, naming file and key: DoRA, LyCORIS and biased adapters (not supported), half a
 * pair, two keys for one thing, sizes that do not fit each other, an alpha that is no number, metadata that is no adapter's.
 * A file without any adapter is no failure here: n is 0. On failure nothing is kept. */
enum status adapter_file_open(struct adapter_file *f, const char *path, const struct params *ps) ACE_NODISCARD;
void adapter_file_close(struct adapter_file *f);

/* "a, b, c and 4 more" of f->unknown into text; returns text. */
const char *adapter_unknown_text(const struct adapter_file *f, char *text, size_t size);

/* Frobenius norm of the change s B A (host, any float dtype), from the Gram matrices of A and B: without forming it.
 * NaN when a value is. ACE_ENOMEM. */
enum status adapter_norm(const struct adapter *m, double *norm) ACE_NODISCARD;

struct adapter_load_options {
	float dropout;			/* of the adapters that are made */
	bool ignore_unknown;		/* false: unknown keys are a failure that lists them; true: a warning that does */
	/* NULL, or: modules it names that the file lacks get a fresh adapter of the file's most common rank and its scale;
	 * a rank or scale that differs from the file's is warned of (the file wins) */
	const struct lora_options *lora;
};

struct adapter_loaded {
	int modules, fresh, unknown;	/* filled from the file; made anew for o->lora; keys left over */
	int64_t rank;			/* the most common of the file's */
	float scale;			/* of the first module of that rank */
	int64_t global_step;		/* -1: none recorded */
};

/* Give ps the file's adapters: modules without one get one of the file's own rank, one that is there is filled (its rank
 * must be the file's, else ACE_ECONFIG) and gets the file's s. f was opened with ps. No module at all, a size that is not
 * the model's, a value that is not finite: ACE_EDATA. Before params_alloc_grads. loaded may be NULL. After a failure ps is
 * only good for params_free. */
enum status adapter_load(struct params *ps, const struct adapter_file *f, const struct adapter_load_options *o,
                         struct adapter_loaded *loaded) ACE_NODISCARD;

/* Multiply the s of every adapter (strength at inference). */
void adapter_strength(struct params *ps, float factor);

/* Several files at once, each with its strength: a module gets one adapter whose rank is the sum of theirs, and whose change of
 * the weights is the sum of theirs. ps has no adapter yet; f [n] were opened with ps. Failures as of adapter_load; *modules (may
 * be NULL): how many got one. */
enum status adapter_join(struct params *ps, const struct adapter_file *f, const float *strength, int n, int *modules) ACE_NODISCARD;

/* A copy on the host of all adapters of a model, for writing while the model goes on. */
struct adapter_set {
	struct adapter *module;		/* in the model's order; names are owned too */
	int n;
	char **target;			/* endings that name exactly these modules, else their full names */
	int n_targets;
	void *memory;
};

/* value: NULL, or ps->n tensors that stand for the params' own values (an average), on ps->dev, of the params' shapes, F32.
 * ACE_ECONFIG when the model has no adapter. */
enum status adapter_snapshot(struct adapter_set *s, const struct params *ps, const struct tensor *value) ACE_NODISCARD;
void adapter_set_free(struct adapter_set *s);

enum adapter_format {
	ADAPTER_DIFFUSERS,		/* bare names, and the adapter's configuration as metadata */
	ADAPTER_COMFYUI,		/* names behind diffusion_model., and a tensor .alpha each */
};

struct adapter_write_options {
	enum adapter_format format;
	bool unfolded;			/* B as it is, alpha = s r; warned of when an s is not 1 */
	enum dtype dtype;		/* F32 (0), BF16 or F16 */
	int64_t global_step;		/* < 0: not recorded */
	/* modelspec.* and others; NULL: left out. Borrowed. */
	const char *flavour;		/* architecture is "ace_step-FLAVOUR/lora"; NULL: base */
	const char *title, *description, *comment, *resolution, *trigger_words;
};

/* One file, whole or not at all (parts of the disk that fill up: ACE_EIO). The folder must exist. */
enum status adapter_write(const char *path, const struct adapter_set *s, const struct adapter_write_options *o) ACE_NODISCARD;
#endif
