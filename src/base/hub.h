/* SPDX-License-Identifier: Apache-2.0 */
/* hub.h - models and data sets in the cache of the Hugging Face hub, as its own tools lay it out; nothing is fetched here
 *
 * CACHE/{models,datasets}--OWNER--NAME/{refs/REVISION, snapshots/COMMIT/...} (ecosystem.md section 4). */
#ifndef ACE_BASE_HUB_H
#define ACE_BASE_HUB_H

#include "base/status.h"

/* $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub; owned by the caller,
 * NULL when memory is out. It need not exist. */
char *hub_cache(void);

/* The folder of a model: name itself when it is a folder, else OWNER/NAME in the cache at a revision (branch, tag or commit;
 * NULL: main). *folder is owned by the caller. ACE_ENOINPUT with what to do when it is neither. */
enum status hub_model(const char *name, const char *revision, char **folder) ACE_NODISCARD;

/* The same of a data set: a folder, be it one of the cache (CACHE/datasets--OWNER--NAME), or OWNER/NAME. */
enum status hub_dataset(const char *name, const char *revision, char **folder) ACE_NODISCARD;

/* Where the lyric vocabulary is looked for when no option says it: MODEL/lyric_vocab.json, else the user's copy, which ace-fetch
 * writes; the first when neither is there. hub_own_vocab is the latter: $XDG_CACHE_HOME/ace-toolchain/lyric_vocab.json, else below
 * ~/.cache. Owned by the caller, NULL when memory is out. */
char *hub_lyric_vocab(const char *model);
char *hub_own_vocab(void);
#endif
