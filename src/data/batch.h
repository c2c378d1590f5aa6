/* SPDX-License-Identifier: Apache-2.0 */
/* batch.h - batches of a training run, read from the stores (datasets.md sections 6, 7; training.md section 1.3)
 *
 * A batch is a function of (seed, epoch, number) and of what is in the stores, of nothing else: it may be asked for
 * in any order, from any rank, again and again. Epochs count from 0 here (start_epoch 1 is epoch 0), and so do
 * batches. */
#ifndef ACE_DATA_BATCH_H
#define ACE_DATA_BATCH_H

#include "data/dataset.h"

enum mask_rule {
	MASK_LENGTHS,			/* 1 on each clip's own frames, 0 on the batch's padding */
	MASK_ALL,			/* 1 everywhere: padding is trained on as if it were music */
};

struct latents;

struct data_options {
	const struct dataset_list *list;	/* borrowed until data_close; eval entries are left out */
	uint64_t seed;
	enum mask_rule mask;		/* latent_mask */
	bool drop_incomplete;		/* drop_incomplete_batches */
	bool uniform;			/* data_backend_sampling=uniform; else probability * share of the samples */
	float caption_dropout;		/* chance that the empty caption takes the caption's place */
	int64_t speaker;		/* width of the speaker vector: zeros */
	int64_t lyric_vocab;		/* ids must be below; 0: not checked */
	int64_t text_width;		/* wanted of the text store; 0: any */
	bool override;			/* override_dataset_config */
	/* The clips of an entry in the place of its latent store; *s stays NULL: there is a store. NULL: all have one. */
	enum status (*clips)(void *me, const struct dataset *e, struct latents **s);
	void *me;
};

struct batch {
	int64_t B, T, S, Y;		/* clips, frames, text rows, lyric tokens: each the longest of the batch */
	int64_t channels, rows, text_width, speaker_width;	/* 8, 16, 768, 512 */
	float *latents;			/* [B, channels, rows, T], zeros behind a clip's end */
	float *frame_mask;		/* [B, T] */
	float *text;			/* [B, S, text_width], zeros behind a caption's end */
	float *text_mask;		/* [B, S] */
	float *speaker;			/* [B, speaker_width] */
	int32_t *lyric_ids;		/* [B, Y], 0 behind the end */
	float *lyric_mask;		/* [B, Y] */
	/* [B]; of a clip's first use in the epoch dataset_sample_id, of repeats other numbers */
	uint64_t *sample_id;
	int64_t *samples;		/* [B] 48 kHz samples of the clip as encoded */
	const char **name;		/* [B] keys, borrowed from the data */
	const char *dataset;		/* its id; borrowed */
	double bucket;			/* seconds */
	int64_t epoch, number;
	void *memory;			/* owned; what the pointers above point into */
	size_t size;
};

struct data;

/* Open all stores of the list and check them. A data set without a clip: ACE_ENOINPUT, saying which program fills
 * the store. A caption that the text store lacks: ACE_EDATA, naming clip and store. Stores of other settings or
 * models (dataset_settings.h), of other shapes, a data set of which drop_incomplete leaves nothing: ACE_ECONFIG. */
enum status data_open(struct data **d, const struct data_options *o) ACE_NODISCARD;
void data_close(struct data *d);

/* What the first store of latents, and of texts, says that it was made with (store/facts.h), and the store's path; borrowed. Stores
 * of one run agree in what is the model's. */
struct facts;
const struct facts *data_latent_facts(const struct data *d, const char **store);
const struct facts *data_text_facts(const struct data *d, const char **store);

/* Clips that take part (in any epoch); seconds of audio of one pass over them. */
int64_t data_clips(const struct data *d);
double data_seconds(const struct data *d);
int data_buckets(const struct data *d);		/* distinct (data set, duration) pairs */

/* Batches of an epoch, a function of the lists alone: any thread may ask. 0: no data set is active in that epoch. */
int64_t data_batches_per_epoch(const struct data *d, int64_t epoch);

/* The first epoch from that one on in which a data set is active; -1: none any more. */
int64_t data_next_epoch(const struct data *d, int64_t epoch);

/* Batch number 0 .. batches-1 of an epoch, into b, whose memory is used again when large enough (start from a zeroed
 * struct; batch_free at the end). Not from several threads at once. */
enum status data_batch(struct data *d, int64_t epoch, int64_t number, struct batch *b) ACE_NODISCARD;
void batch_free(struct batch *b);

/* What the caption of clip k says, 0 behind it; owned by the caller. b is the last batch that data_batch gave. */
enum status data_caption(struct data *d, const struct batch *b, int64_t k, char **caption) ACE_NODISCARD;

/* The largest B, T, S, Y that any batch of any epoch can have (each by itself), and the shapes [channels, rows,
 * text_width]: what memory must be planned for. Only the sizes of b are set. */
void data_largest(const struct data *d, struct batch *b);

/* Hidden states of the empty caption, [*rows, text_width]; borrowed. NULL when the store has none. */
const float *data_empty_text(const struct data *d, int64_t *rows);
#endif
