/* SPDX-License-Identifier: Apache-2.0 */
/* sparse.h - models of the full size for measurements: their files are holes, their weights are made on the device */
#ifndef ACE_TESTS_BENCH_SPARSE_H
#define ACE_TESTS_BENCH_SPARSE_H

#include "models/dit.h"

enum { SPARSE_BLOCK = 1 << 22 };

/* Ends the program when st is a failure. */
void sparse_ok(enum status st, const char *what);

/* A transformer's folder of a preset, with so many layers (0: as the preset has). */
void sparse_model(const char *folder, const char *preset, int layers);

struct tensor sparse_room(struct dev *d, enum dtype t, int rank, const int64_t dim[]);
#define ROOM(d, t, ...) sparse_room(d, t, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / 8), (const int64_t[TENSOR_RANK]){ __VA_ARGS__ })

/* SPARSE_BLOCK normal numbers; x = scale times numbers of such a block, from another place each time; all of m's weights. */
struct tensor sparse_normal(struct dev *d);
void sparse_randomize(struct dev *d, struct tensor x, struct tensor block, float scale);
void sparse_fill(struct dit *m, struct tensor block);
#endif
