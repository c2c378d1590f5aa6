/* SPDX-License-Identifier: Apache-2.0 */
/* train_parts.h - what the files of the training job share */
#ifndef ACE_JOBS_TRAIN_PARTS_H
#define ACE_JOBS_TRAIN_PARTS_H

#include "jobs/train_encode.h"
#include "jobs/train_model.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/tensorboard.h"

#include <sys/types.h>

struct train_models;
struct train_validation;

enum { TRAIN_SCRIPTS = 8 };

/* What a rank may be asked for, and all agree on after each update. */
enum { ASKED_STOP = 1, ASKED_SAVE = 2, ASKED_BY_CLOCK = 4 };

struct train {
	struct settings *settings;
	struct comm *comm;		/* NULL: alone */
	bool first;			/* the rank that writes, and speaks */
	double patience;		/* seconds, of ranks for each other */
	struct exchange exchange;	/* the step's, unless alone */
	uint32_t asked;			/* after the last update, of any rank */
	struct train_job j;
	struct data *data;
	char *texts;			/* folder of captions that are not kept; owned, NULL: there are none */
	struct train_encode *encode;	/* songs without a store; NULL: all have one */
	struct step_shape room;
	struct dev dev;
	struct dit m;
	struct step step;
	struct loop loop;
	struct evaluation evaluation;
	struct train_validation *validation;	/* clips to render; NULL: none */
	struct loop_place at;		/* where the data begins */
	struct loop_limits limits;
	struct plan plan;
	char mark[65];
	struct checkpoint c;		/* resumed from; path NULL: a fresh start */
	struct adapter_loaded init;	/* what init_lora gave */
	int64_t start;			/* updates that were done before */
	struct train_models *models;	/* the comparison under way; NULL: done */
	struct checkpoint_writer *writer;
	struct train_script { pid_t pid; const char *what; } script[TRAIN_SCRIPTS];	/* that are running; what: the option */
	size_t n_scripts;
	int64_t saved;			/* the last update that is in a checkpoint, or on its way there; -1: none */
	struct metrics metrics;
	struct tensorboard tensorboard;
	/* for what is said */
	double began, first_loss, last_loss, average, weight;
	double pace;			/* seconds of an update, lately */
	double longest_save;		/* seconds */
	double margin;			/* seconds before the end of a batch job; 0: none is known */
	double step_seconds;		/* in updates, of which */
	double wait_seconds;		/* waiting for batches */
};

/* train_models.c: the autoencoder, prompt encoder and tokenizer that the stores were made with against those beside the transformer.
 * begin needs the data, and starts a thread; end waits for it: ACE_ECONFIG naming the store when it is another model's, a warning
 * with override_dataset_config. What the model folder lacks is not compared. */
enum status train_models_begin(struct train *t) ACE_NODISCARD;
enum status train_models_end(struct train *t) ACE_NODISCARD;

/* train_ranks.c: what ranks do together; alone nothing, or what is said. All collective. */
enum status train_agree(const struct train *t, enum status st) ACE_NODISCARD;
/* path, owned, of the first rank to all (NULL: none); theirs is owned as well. */
enum status train_share_path(const struct train *t, char **path) ACE_NODISCARD;
/* t->asked, of what this rank was asked for. */
enum status train_ask(struct train *t, uint32_t mine) ACE_NODISCARD;
/* Whether ranks may be late as long as their process answers (opening, saving), or count as lost (training). */
void train_may_be_late(const struct train *t, bool late);
/* Memory that this rank may use, of what the machine has. */
size_t train_share_of_memory(const struct train *t);

/* train_say.c: lines for people. */
void train_say_start(const struct train *t);
void train_say_saved(const struct checkpoint_report *r);
void train_say_step(struct train *t, const struct loop_report *r);
void train_say_end(const struct train *t, const char *path);

/* Bytes for people: "612 kB", "65 MB". text holds 16; returns text. */
const char *train_bytes(double bytes, char text[16]);

/* The most memory so far, in bytes: asked of a cuda device, else the largest resident set of this process. */
double train_peak(const struct train *t);

/* train_dry.c: time and disk space that a run would take. ACE_EIO when the disk is too small. */
enum status train_say_dry(struct train *t) ACE_NODISCARD;

/* train_validate.c: clips that are rendered while training. open: what the options ask for; encode: once the device is open, before the
 * model; ready: once the step is. Without prompts and validation_on_batch, or with validation_disable, they do nothing. */
enum status train_validation_open(struct train *t) ACE_NODISCARD;
enum status train_validation_encode(struct train *t) ACE_NODISCARD;
enum status train_validation_ready(struct train *t) ACE_NODISCARD;
void train_validation_close(struct train *t);
/* Behind an update, or (NULL) before the first one: render when it is time; *rendered: whether it was. Collective. */
enum status train_validate(struct train *t, const struct loop_report *r, bool *rendered) ACE_NODISCARD;

/* train_save.c: files. */
/* effective.json, run.json, metrics. Checkpoints of another course than this run's are set aside first. */
enum status train_open_files(struct train *t) ACE_NODISCARD;
/* What writes checkpoints, on every rank, once the first one has opened its files. */
enum status train_open_writer(struct train *t) ACE_NODISCARD;
/* A line of metrics; eval: the loss on held-out clips, or NULL; event: "save" ..., or NULL. */
enum status train_note(struct train *t, const struct loop_report *r, const double *eval, const char *event) ACE_NODISCARD;
/* A checkpoint of the present update, unless there is one; rolling: a short-lived one. It is written beside the steps. Collective, as is
 * train_saved, which does what train_ask has found to be next, or (wait) all. */
enum status train_save(struct train *t, bool rolling) ACE_NODISCARD;
/* Say what has been saved since; its failure. wait: until all is on the disk. */
enum status train_saved(struct train *t, bool wait) ACE_NODISCARD;
/* While values are shown: the adapters, and the lyrics embedder where it trains, as files of a folder; by the first rank. */
enum status train_write_adapters(const struct train *t, const char *folder) ACE_NODISCARD;
/* The adapter file, or the model's folder, of a finished run; *path owned by the caller. */
enum status train_finish(struct train *t, char **path) ACE_NODISCARD;
enum status train_close_files(struct train *t) ACE_NODISCARD;

/* train_guard.c */
/* At the start and behind each save, when the disk is low: what disk_low_action says. ACE_EIO: it stayed low. */
enum status train_mind_disk(struct train *t) ACE_NODISCARD;
/* Start post_checkpoint_script for a save, or the command of an option behind an update, with the last checkpoint there is; look which have
 * ended, or (all) wait for them unless the run is asked to stop. */
void train_start_script(struct train *t, const struct checkpoint_report *r);
void train_start_command(struct train *t, const char *what, const char *command);
void train_wait_scripts(struct train *t, bool all);
/* modelspec_comment with its placeholders filled in; owned by the caller, NULL: none. */
char *train_comment(const struct train *t);
#endif
