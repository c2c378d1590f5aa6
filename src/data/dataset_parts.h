/* SPDX-License-Identifier: Apache-2.0 */
/* dataset_parts.h - what the files dataset*.c share; of no use elsewhere */
#ifndef ACE_DATA_DATASET_PARTS_H
#define ACE_DATA_DATASET_PARTS_H

#include "base/json.h"
#include "data/dataset.h"

/* One entry while it is read. */
struct entry {
	const char *path, *id;		/* for messages */
	const cJSON *json;
	struct dataset *to;
	const struct dataset_defaults *defaults;
};

/* Values of all that an entry may leave out; kind and id are set. */
void dataset_start(struct dataset *to, const struct dataset_defaults *d);

/* Every key of an entry whose kind is known, by the table. */
enum status dataset_take_keys(struct entry *e) ACE_NODISCARD;

/* ACE_ECONFIG, "FILE: entry "ID": " and the rest. */
#define entry_fail(e, fmt, ...) ace_fail(ACE_ECONFIG, "%s: entry \"%s\": " fmt, (e)->path, (e)->id, __VA_ARGS__)

/* Values. name: as the file spells it, for messages; failures are ACE_ECONFIG and say what was found and wanted. */
enum status dataset_wanted(const struct entry *e, const char *name, const cJSON *v, const char *what) ACE_NODISCARD;
bool dataset_is_neutral(const cJSON *v);	/* null, false, 0, "", [], {} */
const char *dataset_shown(const cJSON *v, char text[64]);	/* for a message, cut when long; returns text */
/* *to: placeholders replaced, freed before; left alone by "". */
enum status dataset_take_string(struct entry *e, const char *name, const cJSON *v, char **to) ACE_NODISCARD;
enum status dataset_take_number(struct entry *e, const char *name, const cJSON *v, double low, double high, bool whole,
                                double *to) ACE_NODISCARD;
enum status dataset_take_word(struct entry *e, const char *name, const cJSON *v, const char *const *words, int *to)
	ACE_NODISCARD;

/* Keys with rules of their own. */
typedef enum status dataset_taker(struct entry *e, const char *name, const cJSON *v);
dataset_taker dataset_take_strategy, dataset_take_metadata, dataset_take_prompt, dataset_take_shuffle, dataset_take_interval,
	dataset_take_format, dataset_take_fixed, dataset_take_hub, dataset_take_hub_block, dataset_take_parquet, dataset_take_filter;

void dataset_hub_free(struct dataset_hub *h);	/* NULL will do */

/* text with {model_family} and {id} replaced; owned by the caller, NULL: no memory. */
char *dataset_expand(const char *text, const char *model_family, const char *id);

/* Where stores lie unless an entry says so; owned by the caller, NULL: no memory. folder: of a list made of a folder. */
char *dataset_latents_at(const struct dataset_defaults *d, const char *id);
char *dataset_texts_at(const struct dataset_defaults *d, bool folder);
const char *dataset_family(const struct dataset_defaults *d);

/* What holds between entries; adds the text_embeds entry that is missing. */
enum status dataset_check_list(struct dataset_list *l, const struct dataset_defaults *d) ACE_NODISCARD;

void dataset_free(struct dataset *d);

/* Words of the values, in the order of the enums; ended by NULL. */
extern const char *const dataset_strategies[], *const dataset_truncations[], *const dataset_length_modes[];
#endif
