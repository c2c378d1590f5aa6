/* SPDX-License-Identifier: Apache-2.0 */
/* inspect.h - ace-inspect: what a thing is in one line, then a table; or JSON, one object a thing (ux.md, layout.md
 * 5) */
#ifndef ACE_JOBS_INSPECT_H
#define ACE_JOBS_INSPECT_H

#include "base/settings.h"

/* Show every word of s to out: stores and their parts, .safetensors files, adapters, checkpoints, runs, models and
 * their parts, configurations, data sets, lyrics. system: the machine instead. A thing that cannot be shown does
 * not keep the others from being shown: the code is that of the first failure. A damaged thing is shown as far as
 * it goes, then ACE_EDATA. */
enum status inspect_run(struct settings *s, FILE *out) ACE_NODISCARD;
#endif
