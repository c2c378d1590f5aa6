/* SPDX-License-Identifier: Apache-2.0 */
/* codec_fixture.h - the autoencoder of dcae-tiny against its reference, and the model folder of codec-pipeline */
#ifndef ACE_TESTS_MODELS_CODEC_FIXTURE_H
#define ACE_TESTS_MODELS_CODEC_FIXTURE_H

#include "models/dcae.h"

#include "support/golden.h"

/* A member of a manifest; fails the test when it is not there. */
const cJSON *fixture_part(const cJSON *o, const char *key);

/* A fresh folder of links to the parts that a manifest names; its path is kept until the next call, the caller removes it. */
const char *fixture_folder(const cJSON *manifest);

/* |got - want| <= tol for each of n numbers. */
void fixture_close(const char *what, const float *got, const float *want, int64_t n, double tol);

/* dcae_encode or dcae_decode: y from x. */
typedef void fixture_pass(struct ctx *c, struct dcae *m, struct tensor y, struct tensor x);

/* y, without memory yet, of x on d; the dry device must have measured exactly what that takes. The result is the caller's to free. */
struct tensor fixture_run(struct dcae *m, struct dev *d, fixture_pass *pass, struct tensor y, struct tensor x);

/* Compares each intermediate that the file has, relative to its largest entry: for the tap of a model. */
struct fixture_watch {
	struct st_file *f;
	int seen;
	double worst;
};
void fixture_compare(void *me, const char *name, struct tensor x);

/* All intermediates of the file whose names begin so have been seen. */
void fixture_all_seen(const struct fixture_watch *w, const char *prefix);
#endif
