/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/device.h"

#include "kernels/kernels.h"

#include <stdio.h>
#include <string.h>

enum dev_kind
device_kind(const struct settings *s)
{
	const char *name = settings_str(s, "device");

	if (name && strcmp(name, "ref") == 0)
		return DEV_REF;
	if (name && strcmp(name, "cuda") == 0)
		return DEV_CUDA;
	return name && strcmp(name, "auto") == 0 && dev_cuda_count() > 0 ? DEV_CUDA : DEV_CPU;
}

enum status
device_open(struct dev *d, enum dev_kind kind, int threads, int number)
{
	ACE_TRY(dev_open(d, kind, kind == DEV_CUDA ? number : threads));
	kernels_attach(d);
	return ACE_OK;
}

const char *
device_text(const struct dev *d, char text[32])
{
	if (d->kind == DEV_CPU)
		snprintf(text, 32, "cpu, %d thread%s", d->threads, d->threads == 1 ? "" : "s");
	else if (d->kind == DEV_CUDA)
		snprintf(text, 32, "cuda:%d", dev_number(d));
	else
		snprintf(text, 32, "ref");
	return text;
}
