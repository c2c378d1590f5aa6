/* SPDX-License-Identifier: Apache-2.0 */
/* charsmap.h - the character map of a Precompiled normaliser (text.md section 2.2)
 *
 * A double-array trie of UTF-8 keys (S. Yata's Darts-clone units, as SentencePiece writes them) in front of a blob of
 * replacement texts that end in 0. */
#ifndef ACE_TEXT_CHARSMAP_H
#define ACE_TEXT_CHARSMAP_H

#include "base/status.h"
#include "text/buffer.h"

#include <stdint.h>

struct charsmap {
	uint32_t *unit;			/* owned */
	size_t n_units;
	char *blob;			/* owned; 0 behind its end */
	size_t blob_size;
};

/* From the file's bytes, or from their base64. name: the file, for messages. */
enum status charsmap_init(struct charsmap *m, const char *name, const void *data, size_t size) ACE_NODISCARD;
enum status charsmap_init_base64(struct charsmap *m, const char *name, const char *text) ACE_NODISCARD;
void charsmap_free(struct charsmap *m);

/* Append text (valid UTF-8) with its characters mapped to out: per extended grapheme cluster (UAX #29), the
 * shortest key that begins a cluster of less than 6 bytes replaces the whole cluster, else each code point is
 * looked up alone. */
enum status charsmap_apply(const struct charsmap *m, const char *text, size_t len, struct buffer *out) ACE_NODISCARD;
#endif
