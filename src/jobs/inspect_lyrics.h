/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_lyrics.h - what the model will read of a lyrics file: lines, their cleaned text, tokens, what is unknown */
#ifndef ACE_JOBS_INSPECT_LYRICS_H
#define ACE_JOBS_INSPECT_LYRICS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdio.h>

/* Write to out, as text or as one JSON object, how the lyrics file path (UTF-8, at most 16 MiB) is read with
 * the vocabulary file vocab and cut to max_tokens ids (0: the default). Control characters are written as \xNN.
 */
enum status inspect_lyrics(FILE *out, const char *path, const char *vocab, int max_tokens, bool json) ACE_NODISCARD;
#endif
