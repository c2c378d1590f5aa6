/* SPDX-License-Identifier: Apache-2.0 */
/* generate_parts.h - what the files generate*.c share; of no use elsewhere */
#ifndef ACE_JOBS_GENERATE_PARTS_H
#define ACE_JOBS_GENERATE_PARTS_H

#include "jobs/generate.h"

/* --- generate_prompts.c --- */

/* A further clip; name and prompt [n bytes] are copied, lyrics too (NULL or "": instrumental). */
enum status generate_add(struct generate_clips *c, const char *name, const char *prompt, size_t n, const char *lyrics) ACE_NODISCARD;

/* The clips of a file: what begins with a brace is a library of the Python trainer, else there is a prompt in each line. lyrics: of
 * those that have none of their own; or NULL. adapter_strength in an entry is the clip's. */
enum status generate_read(struct generate_clips *c, const char *path, const char *lyrics) ACE_NODISCARD;

/* --- generate_settings.c: what ace-generate and validation have in common --- */

/* How lyrics and captions are read. */
enum status generate_fill_texts(struct generate_job *j, const struct settings *s) ACE_NODISCARD;
/* What is weakened. */
enum status generate_fill_weak(struct generate_job *j, const struct settings *s) ACE_NODISCARD;

/* --- generate_texts.c: what the transformer hears of a clip --- */

struct generate_text {
	float *x;			/* [n, width]; owned; NULL: none */
	int n;
};

struct generate_conditions {
	struct generate_text prompt, weak;	/* weak: by a weakened encoder */
	int32_t *id;			/* [ids] of the lyrics, or one 0; owned */
	int ids, mask;			/* mask: of all ids, 0 or 1 */
	float strength;			/* of what adapters add */
};

struct generate_conditioned {
	struct generate_conditions *clip;	/* [clips]; the last is the reference's where that is edited */
	int clips;
	struct generate_text negative;
	int width;			/* of texts */
};

/* Opens the tokenizers and the text encoder on d, and closes them. generate_conditioned_free in any case. */
enum status generate_encode(struct generate_conditioned *e, const struct generate_job *j, const struct generate_clips *c,
                            struct dev *d) ACE_NODISCARD;
void generate_conditioned_free(struct generate_conditioned *e);

/* --- generate_model.c: the transformer's part --- */

struct generate_model {
	struct dit *m;			/* borrowed */
	const struct generate_job *job;
	struct dev *dev;
	void *memory;			/* of the device, for inputs and a pass; owned, grows */
	struct arena act, lent;		/* lent: where it is large enough, memory of the caller's for the same (base NULL: none) */
	struct dit_input in;		/* of `branches` samples: conditions, text alone where there are three, none */
	struct tensor apart, apart_mask;	/* a negative prompt of another length; else rank 0 */
	struct tensor v, states;
	int branches;
	float strength, *scale;		/* of the clip; [modules] room for their own scales meanwhile, owned */
	const float *reference;		/* a latent as large as those to come, borrowed; NULL: none */
	const struct generation_options *loop;	/* borrowed; NULL: the job's */
	void (*shows)(void *me, int call, int calls);	/* NULL, or told before each call */
	enum status (*joins)(void *me, int passes);	/* NULL, or told before each call how often the blocks run in it; 0: not
							 * they, but the lyric encoder */
	void *me;
};

/* Open the transformer with the job's adapters; *modules: how many layers have one. */
enum status generate_open_dit(struct dit *m, const struct generate_job *j, struct dev *d, int *modules) ACE_NODISCARD;

/* Whether the run has guidance at all: more outputs than calls. */
bool generate_guides(const struct generate_job *j);

/* For runs of m, which stays open and is not trained meanwhile. ACE_ECONFIG when it cannot be weakened as the job asks. */
enum status generate_model_open(struct generate_model *g, const struct generate_job *j, struct dit *m) ACE_NODISCARD;
void generate_model_close(struct generate_model *g);

/* x [channels, rows, frames]: noise in, the latent out; fresh as for generation_run. ACE_ESTOPPED when a signal has asked. */
enum status generate_sample(struct generate_model *g, float *x, int64_t frames, const struct generate_conditions *c,
                            const struct generate_text *negative, const struct generation_noise *fresh) ACE_NODISCARD;

/* The same by editing the reference, which was says one thing of and g another. Both are of the same transformer. */
enum status generate_edited(struct generate_model *g, struct generate_model *was, float *x, int64_t frames,
                            const struct generate_conditions *c, const struct generate_conditions *source,
                            const struct generate_text *negative, struct rng fresh) ACE_NODISCARD;

/* --- generate_reference.c --- */

/* The job's reference as a latent *x [channels, rows, *frames], owned by the caller; NULL after a failure. Opens the autoencoder on d,
 * and closes it. */
enum status generate_reference(const struct generate_job *j, struct dev *d, float **x, int64_t *frames) ACE_NODISCARD;

/* --- generate_repaint.c: parts of a reference made anew, and what is added to it --- */

/* The options of it into the job, whose reference is known. */
enum status generate_fill_repaint(struct generate_job *j, const struct settings *s) ACE_NODISCARD;

/* Options of editing, the same way. */
enum status generate_fill_edit(struct generate_job *j, const struct settings *s) ACE_NODISCARD;

/* The reference *x [.., *frames] gets longer by what is added, zeros; *again [*frames]: which are made anew. Both are owned by the caller. */
enum status generate_repaint(const struct generate_job *j, float **x, int64_t *frames, bool **again) ACE_NODISCARD;

/* --- generate_write.c: files --- */

/* OUTPUT, or FOLDER/NAME.ENDING; owned by the caller, NULL when memory is out. */
char *generate_path(const struct generate_job *j, const struct generate_clip *c, const char *ending);

/* That the outputs can be written, before the work. */
enum status generate_check_output(const struct generate_job *j) ACE_NODISCARD;

enum status generate_write_latent(const struct generate_job *j, const struct generate_clip *c, const float *latent, int64_t frames)
	ACE_NODISCARD;

/* NAME.json of clip k. */
enum status generate_write_notes(const struct generate_job *j, const struct generate_clip *c, int k, int64_t frames) ACE_NODISCARD;
#endif
