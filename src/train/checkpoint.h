/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.h - folders checkpoint-STEP[-SUFFIX]: written whole or not at all, found again, rotated (training.md 12)
 *
 * Written into NAME-tmp: every file, then checkpoint_manifest.json {version, checkpoint, files: [{name, size, sha256}],
 * metadata}, then .guard ("complete\n"); all synced, then renamed and the parent synced. What is not called NAME, has no
 * guard, or does not fit its manifest is no checkpoint. Killed at any moment, the one before is whole.
 *
 * A save is first put together in memory (checkpoint_begin, _add...), which is all that the step waits for, and then written
 * by a thread (checkpoint_commit). One at a time: commit waits for the one before.
 *
 * Ranks write one file together, each its own bytes of it (pwrite): whole tensors, the same file whatever the number of ranks and
 * their sharding. Its entry in the manifest says who wrote what: {..., parts: [{sha256, ranges: [first byte, bytes, ...]}]}, sha256
 * being that of the parts' digests one behind another, so that each rank hashes what it writes. */
#ifndef ACE_TRAIN_CHECKPOINT_H
#define ACE_TRAIN_CHECKPOINT_H

#include "comm/comm.h"
#include "models/adapter.h"
#include "train/optim.h"

#include <cjson/cJSON.h>

#define CHECKPOINT_OPTIMIZER "optimizer.safetensors"	/* tensors "GROUP.PARAM.value" (raw), "GROUP.PARAM.exp_avg" ... */
#define CHECKPOINT_STATE "state.json"			/* schedule (k, learning rates), loss scale */
#define CHECKPOINT_TRAINING "training_state.json"	/* global_step, epoch_step, epoch, exhausted_backends, repeats */
#define CHECKPOINT_RNG "rng.json"
#define CHECKPOINT_SAMPLER "sampler.json"
#define CHECKPOINT_MANIFEST "checkpoint_manifest.json"
#define CHECKPOINT_GUARD ".guard"
#define CHECKPOINT_MODEL "ace_step_transformer"		/* full training: this folder in place of ADAPTER_FILE */

#define CHECKPOINT_EMA "ema"				/* the average: this folder has the same files for other programs, and */
#define CHECKPOINT_EMA_STATE CHECKPOINT_EMA "/state.json"	/* what made it; raw: "ema.PARAM.shadow" of CHECKPOINT_OPTIMIZER */

enum { CHECKPOINT_SUFFIX = 32 };

struct checkpoint_name {
	int64_t step;
	char suffix[CHECKPOINT_SUFFIX];		/* "" or "rolling" ... */
	bool temporary;				/* ends in -tmp; suffix without it */
};

/* "checkpoint-500", "checkpoint-90-rolling", "checkpoint-5-tmp"; false: no such name ("checkpoint-0100b"). */
bool checkpoint_parse(const char *name, struct checkpoint_name *n);

/* ---- writing ---- */

/* What is kept after a save, in the saved one's suffix class. */
struct checkpoint_rule {
	int limit;			/* newest ones kept; 0: all */
	int64_t keep_every;		/* multiples of this step are never removed and not counted; 0: none */
	const char *protect;		/* base name of one that stays (resumed from), or NULL; copied */
};

struct checkpoint_writer;

/* dir: output_dir, made when missing. background false: commit writes before it returns. Not shared between threads. */
enum status checkpoint_writer_open(struct checkpoint_writer **w, const char *dir, bool background) ACE_NODISCARD;

/* From now on the saves of w are of all ranks of c, which make the same calls; every rank has a save of the same step, in which the
 * first one has what one rank writes, and each its parts (checkpoint_add_part). begin, add and poll stay a rank's own; commit and wait
 * are collective over c, and their failures agreed (comm_agree). */
void checkpoint_writer_join(struct checkpoint_writer *w, struct comm *c);

/* What a rank has to say about the save in flight; combined over the ranks (comm_agree_flags) it goes to checkpoint_settle, which
 * does what is to be done then, and does not wait: an agreement when all have written their parts, another one when the first rank
 * has put the checkpoint in its place. Its report comes after that, on the first rank. Collective. */
enum { CHECKPOINT_BUSY = 1 << 8, CHECKPOINT_READY = 1 << 9 };
uint32_t checkpoint_asks(const struct checkpoint_writer *w);
enum status checkpoint_settle(struct checkpoint_writer *w, uint32_t asked) ACE_NODISCARD;

/* Waits for what is being written. An error not yet told is returned. w is gone afterwards in any case; NULL is allowed. */
enum status checkpoint_writer_close(struct checkpoint_writer *w) ACE_NODISCARD;

struct checkpoint_save;

/* A save in memory; suffix NULL: none. */
enum status checkpoint_begin(struct checkpoint_save **s, int64_t step, const char *suffix) ACE_NODISCARD;
void checkpoint_save_free(struct checkpoint_save *s);	/* of one not committed; NULL is allowed */

/* Every name is a relative path without ".." ("ema/state.json"); folders are made. A name twice is a bug: ACE_EBUG. */

/* A tensor into the file of that name (made by its first tensor); copied from d's memory now. d NULL: host; never dry. */
enum status checkpoint_add_tensor(struct checkpoint_save *s, const char *file, const char *tensor, struct dev *d,
                                  struct tensor value) ACE_NODISCARD;

/* The same of what several ranks write together: a tensor of whole's type and shape, of which this rank has mine (rank 0: nothing), its
 * numbers from first on. All ranks of the writer add the same tensors in the same order. */
enum status checkpoint_add_part(struct checkpoint_save *s, const char *file, const char *tensor, struct tensor whole, struct dev *d,
                                struct tensor mine, int64_t first) ACE_NODISCARD;

/* Metadata of such a file, added before or after its tensors; replaces what the key had. */
enum status checkpoint_add_meta(struct checkpoint_save *s, const char *file, const char *key, const char *value) ACE_NODISCARD;

/* What a run goes on from exactly, into CHECKPOINT_OPTIMIZER: of every item of o "GROUP.PARAM.value" and "GROUP.PARAM.STATE",
 * and its scalars as metadata "GROUP[0]/NAME". group[k] names the rate group k ("main", "lyrics"); no dots. */
enum status checkpoint_add_optim(struct checkpoint_save *s, const char *const group[OPTIM_GROUPS], const struct optim *o)
	ACE_NODISCARD;

/* The s of every adapter, beside them: what checkpoint_make_adapters reads. */
enum status checkpoint_add_scales(struct checkpoint_save *s, const struct params *ps) ACE_NODISCARD;

/* An adapter file for other programs; value as for adapter_snapshot (an average), NULL for the params' own. */
enum status checkpoint_add_adapters(struct checkpoint_save *s, const char *file, const struct params *ps,
                                    const struct tensor *value, const struct adapter_write_options *o) ACE_NODISCARD;

/* A file like LYRICS_FILE from the params below lyric_. */
enum status checkpoint_add_lyrics(struct checkpoint_save *s, const char *file, const struct params *ps) ACE_NODISCARD;

/* A JSON file; root stays the caller's. A file of these bytes. */
enum status checkpoint_add_json(struct checkpoint_save *s, const char *file, const cJSON *root) ACE_NODISCARD;
enum status checkpoint_add_bytes(struct checkpoint_save *s, const char *file, const void *data, size_t size) ACE_NODISCARD;

/* A file that write makes at path, called by the writing thread; done (may be NULL) frees me, always, exactly once. */
enum status checkpoint_add_written(struct checkpoint_save *s, const char *file,
                                   enum status (*write)(void *me, const char *path), void (*done)(void *me), void *me)
	ACE_NODISCARD;

/* A text of the manifest's metadata ("model_type": "lora" and "config" are what checkpoint_open looks at). */
enum status checkpoint_add_fact(struct checkpoint_save *s, const char *key, const char *value) ACE_NODISCARD;

/* training_state.json with exactly these keys: global_step epoch_step epoch exhausted_backends repeats. */
struct checkpoint_training {
	int64_t global_step, epoch_step, epoch;
	const char *const *exhausted;		/* data sets that are through in this epoch */
	int n_exhausted;
	const char *const *dataset;		/* with repeats[] */
	const int64_t *repeats;
	int n_datasets;
};
enum status checkpoint_add_training(struct checkpoint_save *s, const struct checkpoint_training *t) ACE_NODISCARD;

/* Write s, which is moved (gone, also on failure). First waits for the save before; returns its error if that failed, then
 * s was not written. With rule: after the new one is in place and verified, older ones go (checkpoint_rotate). */
enum status checkpoint_commit(struct checkpoint_writer *w, struct checkpoint_save *s, const struct checkpoint_rule *rule)
	ACE_NODISCARD;

struct checkpoint_report {
	int64_t step;
	char name[96];			/* "checkpoint-1500" */
	int64_t bytes;
	double seconds;			/* until it was in its place */
	double waited;			/* that commit waited for the save before it */
	int removed;			/* older ones */
};

/* Until no save is in flight. An error of it is returned once. */
enum status checkpoint_wait(struct checkpoint_writer *w) ACE_NODISCARD;

/* Without waiting: *done when a save was finished since the last call, with its report; or its error, once. Each step. */
enum status checkpoint_poll(struct checkpoint_writer *w, bool *done, struct checkpoint_report *r) ACE_NODISCARD;

/* Remove all NAME-tmp, then the oldest of the suffix class (NULL: "") beyond the rule. newest: NULL, or the base name of the
 * one just saved: only older ones go. Folders that another program made stay, and do not count. *removed may be NULL. */
enum status checkpoint_rotate(const char *dir, const char *suffix, const struct checkpoint_rule *rule, const char *newest,
                              int *removed) ACE_NODISCARD;

/* ---- reading ---- */

/* The checkpoint with the largest step, of any suffix, that verifies; its path, owned by the caller, NULL: none. Each newer one
 * that does not is warned of, with what is wrong and which one is gone on from; remove: and removed. */
enum status checkpoint_latest(const char *dir, bool remove, char **path) ACE_NODISCARD;

/* What resume_from_checkpoint says: NULL or "": *path NULL. "latest": checkpoint_latest. Else this folder, or that of this
 * name in dir; neither: ACE_ENOINPUT. */
enum status checkpoint_find(const char *dir, const char *wanted, bool remove, char **path) ACE_NODISCARD;

/* Guard, manifest, sizes, and with digests the SHA-256 of every file. ACE_EDATA: what is wrong, beginning with path. */
enum status checkpoint_verify(const char *path, bool digests) ACE_NODISCARD;

struct checkpoint {
	char *path;
	struct checkpoint_name name;
	cJSON *manifest;
	int64_t global_step, epoch_step, epoch;	/* of training_state.json */
	cJSON *training;			/* that file whole */
};

/* Verify (sizes) and read. full: whether the run is a full training; the other kind, or a folder of another program:
 * ACE_ECONFIG that says so. */
enum status checkpoint_open(struct checkpoint *c, const char *path, bool full) ACE_NODISCARD;
void checkpoint_close(struct checkpoint *c);

bool checkpoint_has(const struct checkpoint *c, const char *file);	/* listed in the manifest */
const char *checkpoint_fact(const struct checkpoint *c, const char *key);	/* of the metadata; NULL */

/* A JSON file of it; *root owned by the caller. Not there: ACE_EDATA. */
enum status checkpoint_json(const struct checkpoint *c, const char *file, cJSON **root) ACE_NODISCARD;

/* A safetensors file of it; st_close by the caller. Not there: ACE_EDATA. */
enum status checkpoint_tensors(const struct checkpoint *c, const char *file, struct st_file *f) ACE_NODISCARD;

/* One tensor of such a file into value (on d; NULL: host): exactly this dtype and shape, else ACE_ECONFIG naming both. */
enum status checkpoint_tensor(const struct st_file *f, const char *tensor, struct dev *d, struct tensor value) ACE_NODISCARD;

/* Adapters with the rank and s that they were saved with, on modules that have none yet (dropout as given; values zero until
 * checkpoint_restore_optim), before params_alloc_grads. ACE_ECONFIG: modules or sizes that the model has not. *modules may
 * be NULL. */
enum status checkpoint_make_adapters(const struct checkpoint *c, struct params *ps, float dropout, int *modules) ACE_NODISCARD;

/* Values, state and scalars of all items of o, whose params and state are of the same shapes and dtypes as when they were
 * saved; a tensor that is missing, different, or left over in o's groups: ACE_ECONFIG naming it. Items of a group without name
 * keep what they have. */
enum status checkpoint_restore_optim(const struct checkpoint *c, const char *const group[OPTIM_GROUPS], struct optim *o)
	ACE_NODISCARD;
#endif
