/* SPDX-License-Identifier: Apache-2.0 */
/* dit_fixture.h - the tiny transformer of the fixtures, its batch, and a step on it */
#ifndef ACE_TESTS_MODELS_DIT_FIXTURE_H
#define ACE_TESTS_MODELS_DIT_FIXTURE_H

#include "models/dit.h"
#include "support/golden.h"

#define DIT_SET "transformer-tiny"

struct dit_fixture {
	struct dev dev;
	struct arena act;
	struct ctx c;
	struct dit m;
	struct dit_input in;		/* from batch.safetensors, frame mask of ones */
	struct tensor ragged;		/* the ragged frame mask */
	struct tensor clean, sigma;	/* [B, 8, 16, T], [B] */
	struct tensor v, dv;		/* [B, 8, 16, T] */
	struct st_file batch;
	struct tensor states;		/* lyric encoder's states of forward.safetensors */
	cJSON *manifest;
	void **on_device;		/* cuda: the gradients' own places, while p->grad shows copies of them */
};

/* With ACE_TEST_DEVICE=cuda every device of a fixture is cuda's first: its inputs, arena and results are then host memory that the
 * device reads and writes itself, and after a step gradients are copies.
 *
 * Open everything on a device of this kind; skips the test when the set is absent. given_states: the lyric encoder is
 * replaced by its stored states. o may be NULL: F32, masks, nothing else. */
void dit_fixture_open(struct dit_fixture *f, enum dev_kind kind, int threads, const struct dit_options *o, bool given_states);
void dit_fixture_close(struct dit_fixture *f);

/* x's memory, of malloc, as host and device share it; and giving it back. */
void dit_fixture_share(struct dit_fixture *f, struct tensor *x);
void dit_fixture_unshare(struct dit_fixture *f, void *p);

/* Run forward; training keeps what backward wants. */
void dit_fixture_forward(struct dit_fixture *f, bool training);

/* The loss of section 4.7 of v under the frame mask in use; dv gets its gradient. */
double dit_fixture_loss(struct dit_fixture *f);

/* Zero the gradients, forward, loss, backward; returns the loss. */
double dit_fixture_step(struct dit_fixture *f);

/* Adapters with the values of lora/pytorch_lora_weights.safetensors; scale 0: as the manifest says. */
void dit_fixture_lora(struct dit_fixture *f, double scale);

/* A number of the manifest; fails when absent. */
double dit_fixture_number(const struct dit_fixture *f, const char *key);
#endif
