/* SPDX-License-Identifier: Apache-2.0 */
/* adapter_parts.h - keys and metadata of adapter files, for adapter*.c alone */
#ifndef ACE_MODELS_ADAPTER_PARTS_H
#define ACE_MODELS_ADAPTER_PARTS_H

#include "models/adapter.h"

#include <cjson/cJSON.h>

enum adapter_part { ADAPTER_A, ADAPTER_B, ADAPTER_ALPHA, ADAPTER_NONE };

enum { ADAPTER_NAME = 256 };		/* bytes of a module's name, at most */

struct adapter_key {
	enum adapter_part part;		/* ADAPTER_NONE: nothing of an adapter */
	char module[ADAPTER_NAME];	/* without prefix; underscores when flat */
	bool flat;			/* lora_unet_: dots were replaced by underscores */
	const char *refused;		/* what it belongs to that is not supported ("DoRA"), else NULL */
};

void adapter_split(const char *key, struct adapter_key *k);

/* Index of a key's module in the model; -1 when it has none, or more than one of that flat name. */
int adapter_find_module(const struct params *ps, const struct adapter_key *k);

/* lora_adapter_metadata, as far as it says s. */
struct adapter_meta {
	cJSON *root;			/* NULL: the file has none */
	double alpha;			/* NAN: not said */
	bool rslora;
	const cJSON *pattern;		/* alpha_pattern; NULL: none */
};

enum status adapter_meta_read(struct adapter_meta *m, const struct st_file *f) ACE_NODISCARD;
void adapter_meta_free(struct adapter_meta *m);

/* s of a module of rank r by the metadata, 1 where it says nothing. A pattern that is no expression: ACE_EDATA. */
enum status adapter_meta_scale(const struct adapter_meta *m, const char *path, const char *module, int64_t r, float *s)
	ACE_NODISCARD;

/* Whether a pattern is a module's name, or an expression for all of it or for what is behind one of its dots. */
enum status adapter_pattern(const char *pattern, const char *module, bool *matches) ACE_NODISCARD;
#endif
