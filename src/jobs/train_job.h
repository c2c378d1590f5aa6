/* SPDX-License-Identifier: Apache-2.0 */
/* train_job.h - a training run as a plain struct, and what the options make of it (layout.md section 4) */
#ifndef ACE_JOBS_TRAIN_JOB_H
#define ACE_JOBS_TRAIN_JOB_H

#include "base/settings.h"
#include "train/forecast.h"
#include "train/state.h"

enum { TRAIN_TARGETS = 64 };

struct train_job {
	const struct settings *settings;	/* borrowed: for effective.json */
	char *model;				/* folder of the transformer; owned, as all texts below */
	const char *model_name;			/* as it was asked for; borrowed from the settings */
	bool full;				/* everything trains; else adapters do */
	bool lyrics;				/* and the lyrics embedder; a group of its own (step.groups) */
	struct dit_options dit;
	struct lora_options lora;
	char *target[TRAIN_TARGETS];		/* lora.target points here */
	const char *init_lora;			/* borrowed; NULL: none */
	int64_t init_lora_step;			/* -1: what the file says */
	const char *init_lora_ema;		/* borrowed; NULL: the average begins at the values */
	struct dataset_list list;
	struct data_options data;		/* widths are the model's, set when it is open */
	struct step_options step;		/* schedule.steps is set when the data is known */
	int64_t steps;				/* max_train_steps; 0: the epochs say */
	double epochs;
	bool strict;				/* strict_epoch_limit */
	enum sharding sharding;			/* what ranks part, when there are several */
	bool f16;				/* mixed_precision=fp16: losses are scaled */
	const char *out;			/* output_dir; borrowed */
	char *logs;				/* folder of metrics.jsonl */
	bool tensorboard;
	int64_t save_steps, save_epochs;	/* 0: no such interval */
	int64_t rolling_steps;			/* of short-lived ones */
	struct checkpoint_rule rule, rolling;
	int64_t eval_steps, eval_epochs;	/* 0: no loss on held-out clips after so many */
	int64_t eval_clips, eval_times;
	const char *eval_dataset;		/* borrowed; NULL: those of dataset_type eval */
	bool delete_invalid;
	double disk_low;			/* bytes; 0: not minded */
	enum disk_low_action { DISK_STOP, DISK_WAIT, DISK_SCRIPT } disk_low_action;
	const char *disk_low_script, *post_script, *comment;	/* borrowed; NULL: none */
	int time_limit;				/* checkpoint_time_limit, seconds; 0: grace */
	const char *resume;			/* "latest", a folder, or NULL: a fresh start */
	struct adapter_write_options adapter;
	enum dev_kind device;
	bool tf32;				/* of a cuda device: not disable_tf32 */
	int threads;				/* 0: what is there */
	int grace;				/* seconds */
	bool dry_run, check;
	const struct forecast_rates *rates;	/* of a plan of ranks, whose forecast is wanted; borrowed; NULL: none */
};

/* Everything but the data sets from the settings. A value that cannot be: ACE_ECONFIG naming the option; a model folder that is
 * not there: ACE_ENOINPUT. train_job_free in any case. */
enum status train_job_fill(struct train_job *j, const struct settings *s) ACE_NODISCARD;

/* The data sets: list and data. */
enum status train_job_data(struct train_job *j) ACE_NODISCARD;
void train_job_free(struct train_job *j);

/* The type of the model's matrices, as options spell it. */
const char *train_job_type(const struct train_job *j);

/* "50G" as bytes (train_guard.c). ACE_ECONFIG naming the option. */
enum status train_size_of(const char *option, const char *text, double *bytes) ACE_NODISCARD;
#endif
