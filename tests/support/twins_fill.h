/* SPDX-License-Identifier: Apache-2.0 */
/* twins_fill.h - the numbers of a case's tensor; for twins*.c alone */
#ifndef ACE_TESTS_SUPPORT_TWINS_FILL_H
#define ACE_TESTS_SUPPORT_TWINS_FILL_H

#include "support/twins.h"

/* Tensor number index of a case, in host memory. */
void twins_fill(struct tensor x, enum twin_fill how, int below, uint64_t index);
#endif
