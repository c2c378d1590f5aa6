/* SPDX-License-Identifier: Apache-2.0 */
/* step.h - training, one micro step and one update at a time (training.md sections 1 to 4)
 *
 * A micro step takes a batch: conditions are dropped, a time and noise drawn for each clip, and the gradients of its loss are
 * added up. An update takes the mean over all clips, on all ranks, clips it, moves the weights and clears it. Every draw is keyed
 * by seed, the batch's place in the course of the data (epoch, number) and the clip, so that a run does not depend on threads,
 * ranks, recomputing or on being stopped.
 *
 * Nothing is allocated in a step: the arena is as large as a run of the same code on the dry device says.
 *
 * On a cuda device nothing waits for it in a step either, where the rule of the optimiser allows (optim_is_whole): passes and
 * updates are recorded by shape, what changes between two of them is read from its memory, and a loss or gradient that is not
 * finite stops the update there. */
#ifndef ACE_TRAIN_STEP_H
#define ACE_TRAIN_STEP_H

#include "data/batch.h"
#include "flow/conditions.h"
#include "flow/noise.h"
#include "flow/rollout.h"
#include "flow/timestep.h"
#include "models/dit.h"
#include "train/clip.h"
#include "train/ema.h"
#include "train/exchange.h"
#include "train/groups.h"
#include "train/optim.h"
#include "train/recorded.h"
#include "train/scaler.h"
#include "train/schedule.h"

struct step_options {
	uint64_t seed;
	struct flow_options flow;
	struct flow_form form;
	struct flow_dropout dropout;
	int64_t accumulation;		/* micro steps of an update, >= 1 */
	struct clip_options clip;
	struct optim_settings optim;
	struct schedule schedule;
	struct groups_options groups;	/* zero: one rule and one rate for all */
	struct ema_options ema;		/* interval 0: no average is kept */
	struct rollout_options rollout;	/* longest 0: off; else with FLOW_X0 only, and its reflex with FLOW_L2 */
	struct scaler scaler;		/* fp16: how it begins; scale 0: losses are not scaled */
	int64_t nonfinite;		/* updates in a row that losses or gradients that are not finite may cost; 0: the first is a failure */
	bool one_by_one;		/* cuda: nothing is recorded */
	struct exchange *exchange;	/* the ranks that train together; NULL: this one alone. Borrowed */
};

struct step_shape {
	int64_t B, T, S, Y;		/* clips, frames, text rows, lyric tokens */
};

/* What the batch looks like on the device, and in the same layout on the host, so that one copy brings it over. */
struct step_inputs {
	struct tensor x0;				/* [B, 8, 16, T] */
	struct tensor frame_mask, text_mask, lyric_mask;	/* [B, T], [B, S], [B, Y] */
	struct tensor text, speaker, lyric_ids;		/* [B, S, W], [B, V], [B, Y] I32 */
	struct tensor timestep, sigma, weight;		/* [B] */
	struct tensor start;				/* [B]: the sigma that is noised at; sigma's, unless rolled out */
	struct tensor stream;				/* [B, 2] I64, of the noise */
	struct tensor drops;				/* [2] I64, of dropping inside the layers */
};

/* Instead of drawn: for tests against other implementations. Host memory; NULL: drawn as ever. */
struct step_given {
	const float *noise;		/* [B, 8, 16, T] */
	const float *sigma, *timestep;	/* [B] */
};

/* Micro steps of an update. */
struct step_round {
	int64_t micro;			/* that are done */
	int64_t samples;		/* clips in them, on this rank */
	int64_t together;		/* on all ranks, once the update is asked for later */
	double audio;			/* seconds of music in them, on this rank */
	const char **name;		/* [accumulation, room.B], borrowed from the data; NULL behind a batch's end */
	double rate, lyrics_rate;	/* of the update, once it is asked for */
};

struct step_report {			/* of all ranks */
	double loss;			/* mean over the clips */
	double last_loss;		/* over those of the last micro step */
	double grad_norm;		/* before clipping */
	double grad_absmax;
	double ema_decay;		/* of the average; -1: it was not its turn, or there is none */
	double rate, lyrics_rate;	/* learning rates of this update: the main one; the lyrics embedder's, where it is a group */
	double loss_scale;		/* that its gradients were made with; 0: none */
	bool skipped;			/* a gradient or loss was not finite: no value was changed */
	const char *why;		/* of a skipped one that no loss scale mends: what was found; the step's. NULL: none */
	int64_t samples;
	double audio;			/* seconds */
};

struct step {
	struct dit *m;			/* borrowed */
	struct dev *dev;		/* m's */
	struct step_options o;
	struct optim optim;
	struct groups groups;		/* what follows another rate or rule */
	struct ema ema;
	struct rollout rollout;
	float *reflex;			/* a pass's loss is made in it, pinned; NULL: the device makes it */
	struct scaler scaler;		/* fp16: as it stands. step_scaler sets it */
	int64_t *way;			/* [2, room.B]: sources and targets of the batch under way; NULL: no rollouts */
	int64_t calls, calls_here;	/* of the network for that: of the rank that needs most, of this one */
	struct tensor grads;		/* of all that trains, or of this rank's part, one vector; the model's or the exchange's */
	struct step_shape room;		/* the largest batch there is room for */
	struct arena act;
	char *stage;			/* host side of the inputs, pinned */
	size_t stage_bytes;
	void *landing;			/* cuda: where they arrive, while the pass before still reads its own */
	struct tensor losses;		/* [accumulation, room.B + 1] */
	struct tensor loss;		/* cuda: [room.B + 1], of the pass under way */
	struct tensor checked;		/* with ranks, as losses: their sums over the ranks, which the device looks at */
	struct tensor measured, limits;	/* [2]: clip.h */
	struct tensor scaling;		/* [4] scale, good, interval, skipped, where the device tells of updates later; else rank 0 */
	void *memory;			/* of the five */
	size_t memory_bytes;
	float *host;			/* room for them here, pinned */
	int64_t updates;		/* done: the global step. May be set before the first */
	int64_t spoilt;			/* the last so many of them were skipped, within options.nonfinite; a checkpoint has it */
	char why[1024];			/* the last of those */
	struct step_round now;		/* of the update under way */
	struct step_round asked;	/* of the last update that was asked for */
	bool once;			/* the first pass of an update writes some gradients, which nothing clears (dit_mark_once) */
	bool later;			/* the device tells of updates later: step_ask */
	bool waiting;			/* for what it tells */
	struct step_report report;	/* of that update, when it is known at once */
	struct step_shape shape;	/* of the pass under way */
	struct recorded passes, rounds;	/* by shape; by number of clips */
	struct dev_event *done;		/* cuda: the last update that was asked for */
};

/* m's adapters are in place and what trains is chosen; gradients and the state of the optimiser are made here. room: no batch
 * will be larger in any of the four. On the dry device everything is measured and nothing can run. */
enum status step_open(struct step *s, struct dit *m, const struct step_options *o, struct step_shape room) ACE_NODISCARD;
void step_close(struct step *s);

/* What a micro step takes, found by running it on the dry device. */
struct step_needs {
	size_t arena;			/* bytes of activations */
	size_t workspace;		/* bytes that a cpu's kernels want for themselves */
	double flops;			/* operations of its products */
	int64_t calls;			/* of kernels */
};

/* For a batch of this shape. */
enum status step_measure(struct step *s, struct step_shape shape, struct step_needs *n) ACE_NODISCARD;

/* One micro step; at most accumulation of them between updates. given: NULL, or values that take the place of drawn ones. A batch
 * without clips (B = 0) is a turn of this rank without one: it only counts. */
enum status step_run(struct step *s, const struct batch *b, const struct step_given *given) ACE_NODISCARD;

/* The update after the micro steps. A loss or gradient that is not finite, on any rank: ACE_EDATA naming the clips of the batch, and
 * nothing is changed; or, up to options.nonfinite times in a row, the update is skipped by all ranks: values, states, averages and
 * schedule are those of a run without these batches, and the update counts. With a loss scale a gradient that is not finite halves
 * it, and the update is skipped in the same way.
 * Collective over the ranks of the exchange. */
enum status step_update(struct step *s, struct step_report *r) ACE_NODISCARD;

/* The same in two parts: step_ask asks for the update, step_result says what came of it; micro steps of the next update may be
 * asked for in between, so that the device does not wait for the host. Where s->later is not set all is done by step_ask. After
 * an ACE_EDATA that came later the course of the optimiser has counted the update nevertheless: the run is over. */
enum status step_ask(struct step *s) ACE_NODISCARD;
enum status step_result(struct step *s, struct step_report *r) ACE_NODISCARD;

/* The loss scale, on the device too: of a checkpoint, before the first update. Skipped updates count without a scale as well. */
void step_scaler(struct step *s, struct scaler to);

/* The learning rates of the next update; skipped ones did not count for the schedule. */
double step_rate(const struct step *s);
double step_lyrics_rate(const struct step *s);
#endif
