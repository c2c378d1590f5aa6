/* SPDX-License-Identifier: Apache-2.0 */
/* adapters.h - low-rank adapters that lie beside their weights; formulas and shapes stand in kernels/list_adapter.h */
#ifndef ACE_OPS_ADAPTERS_H
#define ACE_OPS_ADAPTERS_H

#include "dev/dev.h"
#include "kernels/list_adapter.h"
#include "num/tensor.h"

void adapters_spread(struct dev *d, struct tensor table, int64_t n, int64_t most);
void adapters_down(struct dev *d, struct tensor h, struct tensor x, struct tensor a, const struct adapters *m);
void adapters_back(struct dev *d, struct tensor dh, struct tensor dy, struct tensor bt, const struct adapters *m);
/* da[k] or db[k] of rank 0: that module's is not wanted. */
void adapters_grads(struct dev *d, const struct tensor da[], const struct tensor db[], struct tensor dh, struct tensor h,
                    struct tensor x, struct tensor dy, const struct adapters *m);
void adapters_dx(struct dev *d, struct tensor dx, struct tensor dh, struct tensor a, const struct adapters *m);
#endif
