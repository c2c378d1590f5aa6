/* SPDX-License-Identifier: Apache-2.0 */
/* hub.h - models in the cache of the Hugging Face hub, as its own tools lay it out; nothing is fetched here
 *
 * CACHE/models--OWNER--NAME/{refs/REVISION, snapshots/COMMIT/...} (ecosystem.md section 4). */
#ifndef ACE_BASE_HUB_H
#define ACE_BASE_HUB_H

#include "base/status.h"

/* $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub; owned by the caller,
 * NULL when memory is out. It need not exist. */
char *hub_cache(void);

/* The folder of a model: name itself when it is a folder, else OWNER/NAME in the cache at a revision (branch, tag or commit;
 * NULL: main). *folder is owned by the caller. ACE_ENOINPUT with what to do when it is neither. */
enum status hub_model(const char *name, const char *revision, char **folder) ACE_NODISCARD;
#endif
