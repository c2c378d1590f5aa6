/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_memory.h - ace-inspect --memory: what a training run will need, by a dry run of its own code (layout.md section 4) */
#ifndef ACE_JOBS_INSPECT_MEMORY_H
#define ACE_JOBS_INSPECT_MEMORY_H

#include "base/settings.h"

#include <stdio.h>

/* Plan a run of ace-train with these settings and write the parts to out, as lines or, with json, as one object. The largest
 * batch is that of the stores; where there are none yet, that of the options: audio_max_duration_seconds (240 s), lyrics_max_tokens,
 * tokenizer_max_length, train_batch_size. What the program, its libraries and the open stores take by
 * themselves is stated apart, as this process has it.
 * ACE_ENOMEM, after all has been written, when this machine is too small. */
enum status inspect_memory(FILE *out, const struct settings *s) ACE_NODISCARD;
#endif
