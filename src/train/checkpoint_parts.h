/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint_parts.h - what a save holds, and folders by name, for checkpoint*.c and exchange_state.c alone */
#ifndef ACE_TRAIN_CHECKPOINT_PARTS_H
#define ACE_TRAIN_CHECKPOINT_PARTS_H

#include "train/checkpoint.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CHECKPOINT_VERSION = 1 };

/* One file of a save; which of the parts is used follows from kind. */
enum saved_kind { SAVED_BYTES, SAVED_TENSORS, SAVED_ADAPTERS, SAVED_WRITTEN };

/* What a rank has of a tensor that several write. */
struct saved_part {
	int item;
	size_t from, bytes;		/* in the tensor */
	const char *data;		/* of room, or borrowed */
	int64_t at;			/* in the file, once that is laid out */
};

struct saved_file {
	char *name;
	enum saved_kind kind;
	char *data;			/* SAVED_BYTES */
	size_t size;
	struct st_item *item;		/* SAVED_TENSORS: names are owned, data is of room */
	int n, cap;
	bool parted;			/* SAVED_TENSORS: items have no data, what this rank has of them is in */
	struct saved_part *part;
	int parts, parts_cap;
	char *header;			/* and this is what the file begins with; owned */
	size_t header_size;
	char **meta;			/* 2 * n_meta texts */
	int n_meta;
	struct adapter_set set;		/* SAVED_ADAPTERS */
	struct adapter_write_options how;	/* its texts are owned */
	enum status (*write)(void *me, const char *path);	/* SAVED_WRITTEN */
	void (*done)(void *me);
	void *me;
};

/* Memory for copies of tensors, one such piece before the other. */
struct saved_room {
	struct saved_room *before;
	size_t bytes, used;		/* this included */
};

struct checkpoint_save {
	char name[96];			/* "checkpoint-500-rolling" */
	struct checkpoint_name parsed;
	struct saved_file *file;
	int n, cap;
	struct saved_room *room;
	struct dev *from;		/* from where copies may still be on their way; NULL: none are */
	cJSON *facts;
};

enum { CHECKPOINT_REPORTS = 2 };

/* Of ranks: their parts are being written; the first rank puts the checkpoint in its place. All ranks are in the same phase. */
enum checkpoint_phase { CHECKPOINT_PARTS, CHECKPOINT_PUBLISHING };

struct checkpoint_writer {
	char *dir;
	bool background;
	struct comm *comm;		/* borrowed; NULL: alone */
	enum checkpoint_phase phase;
	/* of the save in flight; the thread owns them until finished is set */
	bool busy, joinable;
	pthread_t thread;
	atomic_bool finished;
	enum status (*work)(struct checkpoint_writer *w);
	struct checkpoint_save *save;
	char *path, *tmp;
	cJSON *files;			/* the manifest's, as far as they are there */
	char *digests;			/* of ranks: what this one has written, as JSON */
	bool rotate;
	struct checkpoint_rule rule;
	double began;
	enum status status;
	char message[2048];
	struct checkpoint_report report;
	/* told by checkpoint_poll, oldest first */
	struct checkpoint_report ready[CHECKPOINT_REPORTS];
	int n_ready;
};

/* checkpoint_write.c: the steps of a save in flight. The folder that it grows in, made anew; what belongs into it and is written by
 * one rank; manifest and guard around it, its place, and rotation. */
enum status checkpoint_make_folder(struct checkpoint_writer *w) ACE_NODISCARD;
void checkpoint_drop_folder(struct checkpoint_writer *w);
enum status checkpoint_make_parents(const char *folder, const char *name) ACE_NODISCARD;
enum status checkpoint_sync_parents(const char *folder, const char *name) ACE_NODISCARD;
enum status checkpoint_write_files(const struct checkpoint_save *s, const char *folder, cJSON *files, int64_t *bytes) ACE_NODISCARD;
enum status checkpoint_publish(struct checkpoint_writer *w) ACE_NODISCARD;

/* Have work done by the thread, or at once where there is none; wait for it, with what it came to; drop what was saved. */
void checkpoint_start(struct checkpoint_writer *w, enum status (*work)(struct checkpoint_writer *w));
enum status checkpoint_join(struct checkpoint_writer *w) ACE_NODISCARD;
void checkpoint_forget(struct checkpoint_writer *w);
void checkpoint_reported(struct checkpoint_writer *w);

/* checkpoint_ranks.c: w's save in flight, st being what this rank has come to up to now; until none is in flight. Collective. */
enum status checkpoint_commit_ranks(struct checkpoint_writer *w, enum status st) ACE_NODISCARD;
enum status checkpoint_wait_ranks(struct checkpoint_writer *w) ACE_NODISCARD;

/* Called at each stage of a save when it is not NULL: tests end a rank there. */
extern void (*checkpoint_stage)(const char *stage);
void checkpoint_at(const char *stage);

/* All copies into s are there. */
enum status saved_taken(struct checkpoint_save *s) ACE_NODISCARD;

/* Write one file of a save, which is not parted, to path. */
enum status saved_file_write(const struct saved_file *f, const char *path) ACE_NODISCARD;

/* checkpoint_add_part of host memory that outlives the save, which is not copied. */
enum status checkpoint_add_borrowed(struct checkpoint_save *s, const char *file, const char *tensor, struct tensor whole,
                                    struct tensor mine, int64_t first) ACE_NODISCARD;

/* A name inside a checkpoint: relative, without empty, "." or ".." components, not one of the names of the form itself. */
bool checkpoint_plain(const char *name);

/* Folders of dir whose names are checkpoints', by step, suffix; owned by the caller. A dir that is not there has none. */
struct checkpoint_entry {
	char *name;
	struct checkpoint_name n;
};
enum status checkpoint_list(const char *dir, struct checkpoint_entry **e, int *n) ACE_NODISCARD;
void checkpoint_list_free(struct checkpoint_entry *e, int n);

/* checkpoint_optim.c: "GROUP.PARAM.WHAT", owned; NULL: no memory. The numbers of an optimiser beside its tensors. */
char *checkpoint_key(const char *group, const struct param *p, const char *what);
enum status checkpoint_add_scalars(struct checkpoint_save *s, const char *group, const struct optim *o) ACE_NODISCARD;
enum status checkpoint_restore_scalars(const struct st_file *f, const char *group, struct optim *o) ACE_NODISCARD;
enum status checkpoint_check_finite(const struct st_file *f, const char *name) ACE_NODISCARD;

/* Whether another program made it: a trainer's pickles, and nothing of ours. */
bool checkpoint_foreign(const char *path);

/* checkpoint_manifest.json, checked as far as it stands by itself. */
enum status checkpoint_read_manifest(const char *path, cJSON **manifest) ACE_NODISCARD;
#endif
