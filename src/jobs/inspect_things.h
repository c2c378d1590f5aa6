/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_things.h - one function a kind of thing, for inspect.c alone. Each shows the thing at path, or fails
 * saying why; a damaged one is shown as far as it goes, then ACE_EDATA. */
#ifndef ACE_JOBS_INSPECT_THINGS_H
#define ACE_JOBS_INSPECT_THINGS_H

#include "base/settings.h"
#include "formats/weights.h"
#include "jobs/inspect_report.h"

struct look {
	FILE *out;
	bool json;
	bool verify;			/* read every number, check every digest */
	const struct settings *settings;
};

/* A store's folder, or one part of it. */
enum status inspect_latents(const struct look *l, const char *path) ACE_NODISCARD;
enum status inspect_texts(const struct look *l, const char *path) ACE_NODISCARD;

/* A .safetensors file whose tensors are nothing that we know better. */
enum status inspect_tensors(const struct look *l, const char *path) ACE_NODISCARD;

/* An adapter's file, or a folder that holds one; in a few words; whether a file's keys are those of an adapter. */
enum status inspect_adapter(const struct look *l, const char *path) ACE_NODISCARD;
enum status inspect_adapter_line(const char *path, char *text, size_t size) ACE_NODISCARD;
bool inspect_is_adapter(const struct st_file *f);

/* A folder checkpoint-STEP; a run's folder; its metrics.jsonl. */
enum status inspect_checkpoint(const struct look *l, const char *path) ACE_NODISCARD;
enum status inspect_folder_of_run(const struct look *l, const char *path) ACE_NODISCARD;
enum status inspect_metrics(const struct look *l, const char *path) ACE_NODISCARD;

/* A folder with config.json and weights; a folder of such folders. */
enum status inspect_part(const struct look *l, const char *path) ACE_NODISCARD;
enum status inspect_model(const struct look *l, const char *path) ACE_NODISCARD;
bool inspect_is_part(const char *folder);	/* has config.json and weights */
bool inspect_is_model(const char *folder);	/* has one of the four folders */

enum model_part { PART_TRANSFORMER, PART_TEXTS, PART_AUTOENCODER, PART_VOCODER, PART_UNKNOWN };
/* What a part is, by its tensors. */
enum model_part inspect_part_of(const struct weights *w);
/* What reads a tensor of it: "training, generation"; NULL: nothing does. */
const char *inspect_read_for(enum model_part part, const char *tensor);

/* A dataset list; the configuration of a run, with its data sets; a folder of songs. */
enum status inspect_list(const struct look *l, const char *path) ACE_NODISCARD;
enum status inspect_config(const struct look *l, const char *path) ACE_NODISCARD;
enum status inspect_songs(const struct look *l, const char *path) ACE_NODISCARD;

/* How many names in folder begin with prefix and end with suffix ("" both: all but hidden ones); 0 when it cannot
 * be read. */
int inspect_names(const char *folder, const char *prefix, const char *suffix);
bool inspect_ends_with(const char *text, const char *end);
/* Path of a name in a folder exists. */
bool inspect_has(const char *folder, const char *name);

/* Parameters, bytes of data and dtypes ("BF16", "F32 and BF16") of all tensors of a file or folder. */
struct tensor_sum {
	int64_t tensors, parameters, bytes;
	char dtypes[64];
};
void inspect_sum(const struct weights *w, struct tensor_sum *sum);
/* "[8, 16, 3]" */
const char *inspect_shape(struct tensor x, char text[96]);
/* Values that are not finite, of float tensors; others count as finite. */
int64_t inspect_nonfinite(struct tensor x);
#endif
