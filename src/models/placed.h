/* SPDX-License-Identifier: Apache-2.0 */
/* placed.h - weights of a model that only runs forward, on the device that runs it */
#ifndef ACE_MODELS_PLACED_H
#define ACE_MODELS_PLACED_H

#include "dev/dev.h"

struct placed {
	void **owned;
	int n, cap;
};

/* x's numbers move to d's memory, kept by p; on a device that reads the host's nothing is done. */
enum status placed_take(struct placed *p, struct dev *d, const char *name, struct tensor *x) ACE_NODISCARD;
/* The same, copied on every device: x's numbers are the caller's to free. */
enum status placed_copy(struct placed *p, struct dev *d, const char *name, struct tensor *x) ACE_NODISCARD;
void placed_free(struct placed *p, struct dev *d);
#endif
