/* SPDX-License-Identifier: Apache-2.0 */
/* dataset.h - the dataset list, multidatabackend.json (datasets.md section 1) */
#ifndef ACE_DATA_DATASET_H
#define ACE_DATA_DATASET_H

#include "audio/prepare.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum dataset_kind { DATASET_AUDIO, DATASET_EVAL, DATASET_TEXTS };
enum caption_strategy { CAPTION_TEXTFILE, CAPTION_FILENAME, CAPTION_PROMPT, CAPTION_ROW };
enum length_mode { LENGTH_BUCKET, LENGTH_PAD };

/* What entries take where they say nothing: from the program's options. NULL and 0 of a zeroed struct are the defaults. */
struct dataset_defaults {
	const char *model_family;	/* "ace_step" */
	const char *output_dir;		/* "output" */
	const char *cache_dir;		/* root of caches; NULL: see cache_dir_text, output_dir */
	const char *cache_dir_text;	/* "cache"; the store is {cache_dir_text}/{model_family} */
	const char *cache_dir_vae;	/* NULL: {output_dir}/cache/audio/vae/{model_family}/{id} */
	enum caption_strategy caption_strategy;
	double min_seconds, max_seconds;	/* 0: no limit */
	double interval;		/* seconds; 3.0 */
	enum truncation truncation;
	enum length_mode length_mode;
	int64_t batch_size;		/* 1 */
	const char *prompt;		/* instance_prompt; NULL: none */
	bool prepend_prompt, only_prompt, whole_file;
	bool no_cache, no_texts;	/* vae_cache_disable, text_cache_disable */
	bool latents_ondemand, texts_ondemand;	/* vae_cache_ondemand, text_cache_ondemand */
	const char *parquet_caption, *parquet_filename;	/* columns of parquet entries; NULL: none */
	uint64_t seed;			/* of caption_shuffle */
};

struct caption_filter;			/* caption_filter.h */

struct caption_shuffle {
	bool off;			/* said to be off: tags of rows keep their order too */
	bool on, original;		/* original: keep the unshuffled one as well */
	int count, first;		/* variants; how many leading tags stay in place */
	uint64_t seed;
	char separator;			/* ',' ' ' or '.' */
};

/* A Hugging Face data set and which of its columns say what, as in hf_song.h; NULL: the usual ones. All owned. */
struct dataset_hub {
	char *name, *split, *revision, *config;		/* split NULL: train */
	char *audio, *caption, *fallback, *fields, *description, *lyrics;
	char *filter, *limit, *audio_root;		/* as options of ace-import-hf; limit a number */
	bool bare;					/* names of files may lack their extension */
	bool table;					/* csv, parquet: a song without a caption is called by its file's name */
};

struct dataset {
	char *id;
	enum dataset_kind kind;
	char *store;			/* folder of latents, or of texts */
	bool no_cache;			/* what a run makes itself, and does not keep: latents while training, captions at its start */
	bool ondemand;			/* what this store lacks is made by a run that wants it, at its start */
	char *texts_id;			/* audio: id of its text store, NULL: the default one */
	bool is_default;		/* texts */
	char *folder;			/* local: root of the files, NULL for texts; it need not exist */
	struct dataset_hub *hub;	/* huggingface, csv, parquet: where the songs are instead; NULL: local */
	enum caption_strategy captions;
	char **prompt;			/* instance_prompt */
	int prompts;
	bool prepend_prompt, only_prompt, whole_file;	/* whole_file: disable_multiline_split */
	struct caption_shuffle shuffle;
	struct caption_filter *filter;	/* texts: owned; audio: that of its text store; NULL: none */
	char *lyrics_format, *lyrics_extension, *lyrics_suffix;	/* NULL: not given */
	int64_t repeats, max_samples;	/* max_samples -1: all */
	double probability;
	int64_t start_epoch, end_epoch;	/* epochs count from 1; end_epoch 0: for ever */
	int64_t batch_size;
	double min_seconds, max_seconds, interval;
	enum truncation truncation;
	enum length_mode length_mode;
};

struct dataset_list {
	struct dataset *entry;		/* owned; in the order of the file, disabled ones left out */
	int n;
	char *path;			/* the file, "" when there is none */
};

/* Read and check the file. Unknown keys, and keys that mean nothing here (of pictures, of other types): a notice each. Keys
 * of the wrong type or out of range, renamed keys, refused values, and what is not built yet: ACE_ECONFIG, naming file,
 * entry and key. Texts may hold {model_family} and {id}. No text_embeds entry: one is added, with a notice. */
enum status dataset_list_read(struct dataset_list *l, const char *path, const struct dataset_defaults *d) ACE_NODISCARD;

/* The same from text that came from path. */
enum status dataset_list_parse(struct dataset_list *l, const char *text, size_t size, const char *path,
                               const struct dataset_defaults *d) ACE_NODISCARD;

/* A list of one: a local folder of NAME.mp3 + NAME.txt (+ NAME.lyrics), its stores below output_dir unless the defaults
 * name others; its id is the folder's name. */
enum status dataset_list_folder(struct dataset_list *l, const char *folder, const struct dataset_defaults *d) ACE_NODISCARD;

/* The same of rows: a folder that `datasets` saved to disk, a repository's folder or one file, as the dataset_name of a
 * huggingface entry. Columns are those of the defaults, else the usual ones. */
enum status dataset_list_rows(struct dataset_list *l, const char *source, const struct dataset_defaults *d) ACE_NODISCARD;

/* Whether `source` holds rows and no songs of its own: saved by `datasets`, or with Parquet files in it or in its "data". */
bool dataset_is_rows(const char *source);

/* Write the list as a multidatabackend.json that says all it means. */
enum status dataset_list_write(const struct dataset_list *l, const char *path) ACE_NODISCARD;
void dataset_list_free(struct dataset_list *l);	/* NULL and zeros will do */

/* The text store of an audio entry; there always is one. */
const struct dataset *dataset_texts(const struct dataset_list *l, const struct dataset *audio);

/* Number of a sample, the same wherever its store lies: keys random streams. */
uint64_t dataset_sample_id(const char *dataset, const char *key);

/* The random word that max_num_samples chooses by: the samples with the smallest words are taken, which are the same for a
 * seed whatever else is there. */
uint64_t dataset_chance(uint64_t seed, const char *dataset, const char *key);
#endif
