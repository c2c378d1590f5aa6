/* SPDX-License-Identifier: Apache-2.0 */
/* device.h - what computes */
#ifndef ACE_JOBS_DEVICE_H
#define ACE_JOBS_DEVICE_H

#include "base/settings.h"
#include "dev/dev.h"

/* Of the option device. auto: cuda where a device is at hand, else cpu. */
enum dev_kind device_kind(const struct settings *s);

/* Open it with its kernels; threads: of ref and cpu; number: of the cuda device, among those that are visible (ranks_device). */
enum status device_open(struct dev *d, enum dev_kind kind, int threads, int number) ACE_NODISCARD;

/* "cpu, 2 threads", "ref", "cuda:0": the first that is visible. text holds 32; returns text. */
const char *device_text(const struct dev *d, char text[32]);
#endif
