/* SPDX-License-Identifier: Apache-2.0 */
/* langid.h - which of 97 languages a text is in: byte automaton and naive Bayes (text.md section 4.1)
 *
 * M. Lui, T. Baldwin, langid.py: An Off-the-shelf Language Identification Tool, 2012; the model of py3langid 0.3.0. */
#ifndef ACE_TEXT_LANGID_H
#define ACE_TEXT_LANGID_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read once, then only read: any number of threads may use one. */
struct langid {
	char (*label)[4];		/* of each class, in the file's order; owned */
	int n_classes;
	char *joined;			/* "af-am-an-..."; owned */
	uint16_t *row;			/* [states]: its row of next, which states without children have from others; owned */
	uint16_t *next;			/* [rows, 256]: the state behind a byte; owned */
	uint16_t *first;		/* [states + 1] into feature: what entering a state counts; owned */
	uint16_t *feature;		/* owned */
	float *log_ptc;			/* [features, stride], zeros behind n_classes; owned */
	float *log_pc;			/* [n_classes]; owned */
	int n_features, n_states, stride;
};

/* path: a file that datasets/text/langid.py made; NULL: that of datasets/text (base/datadir.h). ACE_ENOINPUT, ACE_EDATA name
 * it. On failure nothing is kept. */
enum status langid_open(struct langid *l, const char *path) ACE_NODISCARD;
void langid_close(struct langid *l);

/* What a thread counts in, used again from text to text. All zeros at first. */
struct langid_work {
	uint32_t *count;		/* [n_features], zeros between calls; owned */
	uint16_t *seen;			/* features that are not 0, in order of appearance; owned */
	double *score;			/* [stride]; owned */
};
void langid_work_free(struct langid_work *w);

struct langid_guess {
	int class;			/* of the label; the first among equals */
	float p;			/* its probability */
	double score;			/* p rounded to 3 decimals, half to even */
};

/* Of len bytes, whatever they are. ACE_ENOMEM. */
enum status langid_guess(const struct langid *l, struct langid_work *w, const char *text, size_t len,
			 struct langid_guess *out) ACE_NODISCARD;

/* Whether lang is one of the labels. */
bool langid_has(const struct langid *l, const char *lang);
#endif
