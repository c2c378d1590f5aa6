/* SPDX-License-Identifier: Apache-2.0 */
/* transformer.h - where the transformer of a run lies */
#ifndef ACE_JOBS_TRANSFORMER_H
#define ACE_JOBS_TRANSFORMER_H

#include "base/settings.h"

/* The folder of the transformer: its own option's, else a part of the model's; owned by the caller. *name, as it was asked for, is
 * borrowed from the settings. ACE_ENOINPUT when there is none. */
enum status transformer_find(const struct settings *s, const char **name, char **folder) ACE_NODISCARD;
#endif
