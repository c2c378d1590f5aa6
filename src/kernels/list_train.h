/* SPDX-License-Identifier: Apache-2.0 */
/* list_train.h - kernels of the objective and the optimisers (training.md sections 1 to 4) */
#ifndef ACE_KERNELS_LIST_TRAIN_H
#define ACE_KERNELS_LIST_TRAIN_H

#define KERNELS_TRAIN(K)
#endif
