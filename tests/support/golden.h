/* SPDX-License-Identifier: Apache-2.0 */
/* golden.h - finding the reference's fixtures and comparing with them (fixtures/README.md)
 *
 * Roots: ACE_FIXTURES, ../shared/fixtures beside the checkout, tests/fixtures in it; a set that one root lacks is looked for
 * in the next. Data: ACE_DATA, ../data beside the fixture root, ../shared/data. */
#ifndef ACE_TESTS_SUPPORT_GOLDEN_H
#define ACE_TESTS_SUPPORT_GOLDEN_H

#include "base/json.h"
#include "formats/safetensors.h"

/* The folder of a set; borrowed, static; NULL when no root has it. */
const char *golden_set(const char *set);

/* "SET/FILE" of the root that has the set; static ring of 8 texts. Skips the running test (with the set's name) when none has,
 * and when it is the committed cut (tests/fixtures) and lacks the file. */
const char *golden_path(const char *set, const char *file);

/* A file of third-party data ("lyric_vocab.json"); NULL when absent. */
const char *golden_data(const char *file);

/* The set's safetensors or JSON file; skips when the set is absent, fails the test when the file is bad. */
void golden_open(struct st_file *f, const char *set, const char *file);
cJSON *golden_json(const char *set, const char *file);
/* The number that o has there; fails when there is none. */
double golden_number(const cJSON *o, const char *key);

/* A tensor that must be there, as F32 (widened when it is BF16, F16 or F64); owned by the caller (free(x.data)). */
struct tensor golden_f32(const struct st_file *f, const char *name);
/* As I64 (from I64, I32, U8, BOOL). Owned by the caller. */
struct tensor golden_i64(const struct st_file *f, const char *name);

/* Largest |got - want| over the largest |want| (or over 1e-30); NaN anywhere gives INFINITY. */
double golden_error(const float *got, const float *want, int64_t n);
/* ||got - want|| / ||want||. */
double golden_norm_error(const float *got, const float *want, int64_t n);

/* Fails naming what, the error found and the tolerance, when golden_error is above tol. */
void golden_close(const char *what, const float *got, const float *want, int64_t n, double tol);

/* A fresh private folder for this test; static, the caller removes it (file_remove_tree). */
const char *golden_tmp(void);
#endif
