/* SPDX-License-Identifier: Apache-2.0 */
/* segment.h - a text into stretches of one language each (text.md section 4)
 *
 * The rules are those of the reference, whose identifier (langid.h) is only one of them: scripts, quotes, numbers and tags such
 * as <en>...</en> are cut out first, and what is too short for an answer waits for its neighbour. */
#ifndef ACE_TEXT_SEGMENT_H
#define ACE_TEXT_SEGMENT_H

#include "text/buffer.h"
#include "text/langid.h"

enum { SEGMENT_LANG = 4 };	/* bytes of a code that is kept, its 0 counted */

struct segment {
	char lang[SEGMENT_LANG];	/* a label of the identifier; "" of the tag <>, "a" or "f" of the tags <a> and <f> */
	size_t from, len;		/* bytes of segments.text */
	double score;			/* 0 ... 1 in thousandths */
};

struct segment_count {
	char lang[SEGMENT_LANG];
	int64_t chars;			/* code points, twice for Chinese */
};

/* All zeros at first; used again from text to text. Owned: segments_free. */
struct segments {
	struct buffer text;		/* of all segments, end to end; English has blanks put in (text.md 4.5) */
	struct segment *seg;
	int n, cap;
	struct segment_count *count;	/* falling; equal ones in order of appearance; at least one after a success */
	int counts, cap_counts;
	struct segment_work *work;
};
void segments_free(struct segments *s);

/* Fill *s from len bytes of UTF-8, any code points. Time is linear in len. ACE_EDATA: the reference fails on such a text (a
 * marker of its own kind typed into the text, a currency tag with digits of another script), and what s holds then means
 * nothing; ACE_ENOMEM. */
enum status segments_of(const struct langid *l, const char *text, size_t len, struct segments *s) ACE_NODISCARD;
#endif
