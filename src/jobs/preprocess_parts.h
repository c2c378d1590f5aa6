/* SPDX-License-Identifier: Apache-2.0 */
/* preprocess_parts.h - what the files preprocess*.c share; of no use elsewhere */
#ifndef ACE_JOBS_PREPROCESS_PARTS_H
#define ACE_JOBS_PREPROCESS_PARTS_H

#include "audio/decode.h"
#include "data/songs.h"
#include "jobs/preprocess.h"
#include "models/codec.h"
#include "models/umt5.h"
#include "store/latents.h"
#include "store/texts.h"
#include "text/buffer.h"
#include "text/lyric.h"
#include "text/unigram.h"

enum prep_todo {
	TODO_KEEP,			/* all of it is in the store */
	TODO_UPDATE,			/* its latent is in the store; captions, lyrics or dates are not */
	TODO_ENCODE,
	TODO_NONE,			/* not usable: code says why */
};

/* One song of this shard. */
struct prep_item {
	int64_t song;			/* in songs */
	enum prep_todo todo;
	const char *code;		/* "decode_failed" ...; NULL: nothing is wrong. Static */
	char *reason;			/* a sentence; owned */
	bool skipped;			/* left out by a rule: no fault of the file */
	bool done;			/* written now; sealed when all went well */
	bool upstream, has_lyrics;
	int tokens, unknown, lyric_lines, lyric_skipped;	/* of what was written now */
	char (*caption)[65];		/* keys; owned */
	int captions;
	char lyrics_sha256[65];		/* "" without lyrics */
	int64_t have;			/* in the store; -1: not there */
	double seconds;			/* expected, as prepared */
};

/* A caption that its store lacks. */
struct prep_caption {
	char key[65];
	char *text;			/* owned */
};

struct prep_texts {
	const struct dataset *entry;
	struct texts *have;		/* NULL: nothing was opened */
	struct texts_writer *writer;
	struct facts facts;
	struct prep_caption *missing;
	int64_t n, cap;
	int64_t kept;			/* captions of songs that it has, each as often as it is met */
};

struct prep_set {
	const struct dataset *entry;
	struct songs songs;
	struct prep_item *item;
	int64_t n;
	struct latents *have;
	struct latents_writer *writer;
	struct facts audio, lyric;	/* what must be the same for a latent, for lyric tokens, to be kept */
	struct prep_texts *texts;	/* borrowed */
	double longest;			/* seconds, of the clips to encode */
};

/* A song that is not usable, of any rank; the first rank has them all. */
struct prep_fault {
	char *code, *reason;		/* owned */
	bool skipped;
};

/* What ranks tell each other while they work, summed. */
enum { ROUND_DONE, ROUND_TOTAL, ROUND_HAND, ROUND_BAD, ROUND_SECONDS, ROUND_LEFT, ROUND_STOP, ROUND_READY, ROUND_NUMBERS };

struct prep_round {
	double mine[ROUND_NUMBERS];	/* under way, when open */
	double all[ROUND_NUMBERS];	/* of the last one that is over */
	int64_t ticket;
	bool open;
};

struct prep {
	const struct preprocess_job *job;	/* shard and shards are those of this rank among all */
	struct comm *comm;		/* NULL: alone */
	int rank, ranks;		/* of the job's shard */
	int shard, shards;		/* that shard, as it was asked for */
	struct prep_round round;
	struct prep_fault *fault;
	int64_t faults;
	int64_t good;			/* usable songs of this rank; after the counting, of all */
	struct preprocess_report *r;
	struct dev dev;
	bool dev_open;
	struct codec codec;
	struct unigram unigram;
	struct umt5 umt5;
	bool umt5_open;
	struct lyric lyric;
	bool lyric_open;
	char tokenizer_hash[65];
	struct prep_set *set;
	struct prep_texts *texts;
	int sets, n_texts;
	int lyric_warnings;
	double start;			/* of encoding clips */
	double shown;			/* pieces of work that the progress said were done */
};

/* --- preprocess_models.c --- */

enum status prep_open_models(struct prep *p) ACE_NODISCARD;
/* The device and the codec alone. */
enum status prep_open_codec(struct prep *p) ACE_NODISCARD;
/* What preprocess_run leaves behind in p. */
void prep_free(struct prep *p);
/* Whenever the vocabulary is there, so that all shards say the same of their parts; it must be where a song has lyrics. */
enum status prep_open_lyrics(struct prep *p) ACE_NODISCARD;
void prep_close_encoder(struct prep *p);
void prep_close_models(struct prep *p);
/* Facts of a set and of a text store; the models are open. */
void prep_facts(const struct prep *p, struct prep_set *s);
void prep_text_facts(struct prep *p, struct prep_texts *t);

/* --- preprocess_plan.c: what there is, what is to do --- */

enum status prep_list(struct prep *p) ACE_NODISCARD;
enum status prep_plan(struct prep *p) ACE_NODISCARD;

/* The captions of the item are those that the store has. */
bool prep_same_captions(const struct prep_item *it, const struct latent_item *have);

/* One more caption to encode. */
enum status prep_want_caption(struct prep_texts *t, const char *text, const char key[65]) ACE_NODISCARD;

/* The item is not usable: code, and this thread's message as the reason. */
enum status prep_reject(struct prep_item *it, const char *code, bool skipped) ACE_NODISCARD;

/* --- preprocess_size.c: how much it will be --- */

/* Lengths of the clips to encode, from their headers. */
enum status prep_probe(struct prep *p) ACE_NODISCARD;
/* Disk space for all; ACE_EIO when it cannot hold it. */
enum status prep_space(struct prep *p) ACE_NODISCARD;
/* Memory, and time by a trial. */
enum status prep_estimate(struct prep *p) ACE_NODISCARD;

/* Seconds of a clip of that length as it is encoded, and its bucket. */
double prep_window(const struct dataset *d, double seconds, double *bucket);

/* --- preprocess_texts.c, preprocess_clips.c: doing it --- */

enum status prep_encode_texts(struct prep *p) ACE_NODISCARD;
enum status prep_encode_clips(struct prep *p) ACE_NODISCARD;

/* --- preprocess_loader.c: decoding ahead --- */

/* One clip, ready for the codec, or the reason why not. */
struct prep_clip {
	struct prep_set *set;
	struct prep_item *item;
	struct clip sound;		/* prepared; owned */
	float *mel;			/* what the codec makes of it first (codec_mel), when the loader was asked for it; owned */
	int64_t real_samples;
	double seconds, bucket;		/* of the source */
	int64_t size, mtime;
	char source_sha256[65], audio_sha256[65];
	const char *code;		/* not usable; NULL: it is */
	char reason[600];
	bool skipped;
};

struct prep_loader;

/* Threads that decode the items with TODO_ENCODE, set after set, a few ahead. mel: they make the spectra too, by p's codec. */
enum status prep_loader_open(struct prep_loader **l, struct prep *p, bool mel) ACE_NODISCARD;
/* The next one, in order; *c is the caller's (prep_clip_free). */
void prep_loader_next(struct prep_loader *l, struct prep_clip *c);
void prep_loader_close(struct prep_loader *l);
void prep_clip_free(struct prep_clip *c);

/* Decode and prepare the clip's item, whose set is given; c->code says why when it is not usable. Uses p->job alone. */
void prep_load(const struct prep *p, struct prep_clip *c, const char *path);

/* What stands beside the sound of one song. */
struct prep_words {
	struct lyric_ids ids;		/* owned (lyric_ids_free) */
	char sha256[65];
};

/* Lyrics as they are now; rejects the item when they are bad. */
enum status prep_read_words(struct prep *p, struct prep_set *s, struct prep_item *it, const char *path, struct prep_words *w)
	ACE_NODISCARD;

/* What a store says of a clip: of its sound, borrowing path; of its words, borrowing them and the item's. */
struct latent_item prep_measure(const struct prep *p, const struct prep_clip *c, const char *path);
void prep_describe(const struct prep *p, const struct prep_set *s, const struct prep_item *it, const struct prep_words *w,
                   struct latent_item *a, const int32_t **id, int *mask);

/* --- preprocess_report.c: saying it --- */

enum status prep_say_plan(const struct prep *p) ACE_NODISCARD;	/* collective */
enum status prep_count(struct prep *p) ACE_NODISCARD;	/* items into the report, of all ranks. Collective */
/* The faults of all ranks; write: failures.jsonl of every set, or none where there are no faults. Collective. */
enum status prep_failures(struct prep *p, bool write) ACE_NODISCARD;
void prep_say_end(const struct prep *p);
/* ACE_EDATA when too many are bad or none is left. */
enum status prep_judge(const struct prep *p) ACE_NODISCARD;

/* Numbers for people, into text, returned: 1,204; 705 MB (SI). */
const char *prep_number(int64_t n, char text[32]);
const char *prep_bytes(double n, char text[32]);

/* --- preprocess_ranks.c; all collective. Alone they do nothing, or what is said --- */

enum status prep_agree(const struct prep *p, enum status st) ACE_NODISCARD;
enum status prep_sum(const struct prep *p, double *v, int n) ACE_NODISCARD;
enum status prep_sum_report(struct prep *p) ACE_NODISCARD;
/* The texts of all ranks, one behind another, to the first: *all is owned, NULL and empty on the others. */
enum status prep_gather(const struct prep *p, const char *text, size_t size, const char *what, char **all,
                        size_t *all_size) ACE_NODISCARD;

/* told: of each caption of this rank its key, one of these letters, and, unless it is there, the text; a 0 behind each. Afterwards
 * t's list is this rank's share of what all ranks miss. Not alone. */
enum { TOLD_THERE = '=', TOLD_MISSING = '+', TOLD_STALE = '~' };
enum status prep_share_captions(struct prep *p, struct prep_texts *t, const char *told, size_t size) ACE_NODISCARD;

/* A new stage of work, of which nothing is shown yet. */
void prep_rounds_begin(struct prep *p);
/* Between two pieces of work: how far this rank is; p->round.all becomes what all said last. A rank that was told to stop tells the
 * others. Does not wait for them. */
enum status prep_round(struct prep *p, const double now[ROUND_NUMBERS]) ACE_NODISCARD;
/* This rank has no more to do; until none has. show: after each round. */
enum status prep_rounds_end(struct prep *p, const double now[ROUND_NUMBERS], void (*show)(struct prep *p)) ACE_NODISCARD;

/* --- preprocess_verify.c --- */

/* The stores against their songs, behind prep_plan; ACE_EDATA when they do not fit. Collective. */
enum status prep_verify(struct prep *p) ACE_NODISCARD;
/* Every number of an entry, of a caption: ACE_EDATA when one was changed on the disk. */
enum status prep_read_entry(struct latents *s, int64_t i) ACE_NODISCARD;
enum status prep_read_caption(struct texts *s, int64_t i) ACE_NODISCARD;

/* --- preprocess_merge.c --- */

/* Lines of text that end with '\n', by their bytes. */
enum status prep_sort_lines(char *text, size_t size, struct buffer *sorted) ACE_NODISCARD;

enum status prep_merge(struct prep *p) ACE_NODISCARD;
#endif
