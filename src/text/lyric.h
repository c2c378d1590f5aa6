/* SPDX-License-Identifier: Apache-2.0 */
/* lyric.h - whole lyrics -> ids of the transformer's lyric encoder (text.md section 5)
 *
 * Two variants. Per line: each line in the language that most of it is in; what the published inference does. Per song: in the
 * language that most of the song is in, cut into segments; what the published training did. A structure line ("[verse]") is
 * English in both. Lines that cannot be encoded are left out and counted. */
#ifndef ACE_TEXT_LYRIC_H
#define ACE_TEXT_LYRIC_H

#include "base/status.h"
#include "text/langid.h"
#include "text/line.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LYRIC_NONE = 0,			/* padding, and the one id of a song without lyrics */
	LYRIC_MAX = 4096,		/* default of lyrics_max_tokens */
	LYRIC_BYTES_MAX = 16 << 20,	/* longer lyrics are an error */
};

struct segments;

struct lyric {
	struct lines *lines;		/* owned; text/line.h */
	struct langid langid;		/* owned */
	bool per_song;			/* open sets false; the caller may change it */
	int max_tokens;			/* open sets LYRIC_MAX; the caller may change it to >= 1 */
	int32_t start;			/* id of "[START]", first in every song; 261 as published */
	int32_t blank;			/* of "[SPACE]": a blank, and the end of a line; 2 */
	int32_t unknown;		/* of the model's unk_token; 1 */
};

struct lyric_ids {
	int32_t *id;			/* owned */
	int n;				/* >= 1 */
	bool none;			/* there are no lyrics: id is [0] */
	int mask;			/* of every id: 1; without lyrics 0 per line, 1 per song. Not to be told from the ids */
	int lines;			/* lines that are not blank; per song: of segments */
	int structure;			/* of these, structure lines */
	int unknown;			/* ids that are the unknown token's */
	int skipped;			/* lines left out */
	int *skipped_line;		/* their numbers, from 1, rising; per song among the lines of segments; owned */
	char why[200];			/* what is wrong with the first of them */
	bool cut;			/* there were more than max_tokens ids */
};

enum lyric_fault {
	LYRIC_GOOD,
	LYRIC_NOT_UTF8,
	LYRIC_TOO_LONG,
	LYRIC_LANGUAGE,			/* per song: most of it is in a language that the tokenizer does not know */
	LYRIC_FAILED,			/* memory, a bug */
};

/* from->vocab is a "tokenizers" JSON with a BPE model (vocab, merges, unk_token), pre-tokenizer Whitespace, and added_tokens,
 * among them [SPACE], [START] and [en]. Merges may be an empty list. from->tables is also where langid.safetensors is. ACE_EDATA
 * names file, what was found, what was wanted. */
enum status lyric_open(struct lyric *l, const struct lines_from *from) ACE_NODISCARD;
void lyric_close(struct lyric *l);

/* A song. Without lyrics are empty text (per song also blank text) and the texts that say "write a ... song that genre is". A
 * text that cannot be used as a whole is ACE_EDATA with the reason in *fault, naming the line or language; *out holds nothing
 * then. Lines end at U+000A; a line longer than LINE_BYTES_MAX is one that cannot be encoded. Linear in len but for the sort of
 * merges. Several threads may ask the same l. */
enum status lyric_encode(const struct lyric *l, const char *text, size_t len, struct lyric_ids *out,
			 enum lyric_fault *fault) ACE_NODISCARD;
void lyric_ids_free(struct lyric_ids *out);

/* The same, and each line is shown as it passes; all is borrowed for the call. */
enum lyric_kind { LYRIC_BLANK, LYRIC_STRUCTURE, LYRIC_SUNG, LYRIC_SKIPPED };
struct lyric_shown {
	int line;			/* number, from 1 */
	enum lyric_kind kind;
	const char *text;		/* what was encoded */
	size_t len;
	const struct segments *segments;	/* per line, not blank: what it was split into; NULL when that failed. Per song: those of
						 * the song */
	int segment;			/* per song: which one the line is of; per line 0 */
	const char *detected;		/* the language that was found; "" of a blank line */
	const char *used;		/* the one that it was encoded in */
	const char *clean;		/* the cleaned text, "" when skipped or blank */
	size_t clean_len;
	const int32_t *id;		/* its ids, without the line's end */
	int n;
	const char *why;		/* of a skipped line */
};
typedef enum status lyric_watch(void *me, const struct lyric_shown *s);
enum status lyric_encode_watched(const struct lyric *l, const char *text, size_t len, struct lyric_ids *out,
				 enum lyric_fault *fault, lyric_watch *watch, void *me) ACE_NODISCARD;

/* Say on stderr which lines of the file path were skipped, and why; nothing when none was. */
void lyric_warn(const struct lyric_ids *ids, const char *path);

/* The share of unknown tokens, 0 ... 1; and above which one a warning is due. */
double lyric_unknown_share(const struct lyric_ids *ids);
#define LYRIC_UNKNOWN_MOST 0.05

/* The vocabulary's text of an id, "?" when it has none; borrowed. */
const char *lyric_token(const struct lyric *l, int32_t id);

/* One past the largest id of the vocabulary: what the transformer's table must hold. */
int lyric_size(const struct lyric *l);

/* SHA-256 of the vocabulary file: what a cache records; borrowed. */
const char *lyric_hash(const struct lyric *l);
#endif
