/* SPDX-License-Identifier: Apache-2.0 */
/* recorded.h - sequences of kernels that come again: asked for one by one the first time, recorded by the device the second, and
 * from then on launched as one (dev.h). On devices that do not record they are always asked for one by one. */
#ifndef ACE_TRAIN_RECORDED_H
#define ACE_TRAIN_RECORDED_H

#include "dev/dev.h"

/* The first so many are recorded. No other takes their place: where more shapes than these come in turn, recording each anew would
 * cost more than it saves. */
enum { RECORDED = 256, RECORDED_KEY = 5 };

struct recorded_item {
	int64_t key[RECORDED_KEY];
	struct dev_graph *g;
};

struct recorded {
	bool off;			/* nothing is recorded */
	int n;
	struct recorded_item item[RECORDED];
};

/* ask(me): sequence key, in whole; it must be the same calls on the same memory each time. A failure shows in d->status. */
void recorded_run(struct recorded *r, struct dev *d, const int64_t key[RECORDED_KEY], void (*ask)(void *me), void *me);
void recorded_free(struct recorded *r, struct dev *d);
#endif
