/* SPDX-License-Identifier: Apache-2.0 */
/* segment_work.h - what the parts of segments_of share: recognisers, parts, add and save (text.md sections 4.3 to 4.5) */
#ifndef ACE_TEXT_SEGMENT_WORK_H
#define ACE_TEXT_SEGMENT_WORK_H

#include "text/chars.h"
#include "text/segment.h"

/* Kinds of marks, in the order in which they are looked for. */
enum mark_kind { MARK_TAG, MARK_KO, MARK_TH, MARK_RU, MARK_NUMBER, MARK_LATIN, MARK_QUOTE, MARK_BRACKET, MARK_KINDS };

/* A match: all of it, and what stands inside, both bytes of the stage's text. */
struct mark {
	size_t from, len;
	size_t in, in_len;		/* MARK_TAG: between the tags; MARK_QUOTE, MARK_BRACKET: between the quotes */
	size_t tag_len;			/* MARK_TAG: of the name, which begins one byte behind from */
};

struct marks {
	struct mark *mark;
	size_t n, cap;
	const char *text;		/* what the numbers point into: the line before this kind was looked for */
};

/* Whether a text is punctuation and digits only, told in steps. */
enum bare { BARE_EMPTY, BARE_DIGITS, BARE_SPACE /* behind digits */, BARE_NOT };

/* What is known of a segment while its line is read. */
struct tail {
	bool marked;
	enum bare bare;
	int64_t chars;
};

/* Language, text and score of what is not decided yet. */
struct waiting {
	bool there, marked;
	struct buffer lang, text;
	double score;
};

struct piece {
	size_t from, len;
	bool word;			/* has a word character */
};

struct segment_work {
	const struct langid *id;
	struct segments *out;
	struct langid_work count;
	struct buffer stage[MARK_KINDS + 1];	/* [0] the text without markers; [k + 1] the line, its marks up to kind k replaced */
	struct marks marks[MARK_KINDS];
	size_t *open;			/* a stack of brackets; owned */
	size_t cap_open;
	int first;			/* segment of the line */
	struct tail *tail;		/* of each segment; owned */
	int cap_tail;
	struct waiting waiting;
	struct buffer lang, before, english, squeezed, reading, mixed;
	struct piece *piece;		/* owned */
	size_t pieces, cap_pieces;
	bool last_part;			/* of the line */
	size_t total, visits;		/* markers of the line; looked up so far */
	int depth;			/* of quotes in quotes */
};

/* --- text --- */

/* Word characters only: every run of others is one blank, repeated characters count once, ends are trimmed. */
struct squeeze {
	struct buffer *to;
	uint32_t last;
	bool gap;
	size_t chars;			/* code points in to */
};
void squeeze_put(struct squeeze *q, const char *p, uint32_t c);
size_t squeeze(const char *text, size_t len, struct buffer *to);	/* gives the code points */

bool text_blank(const char *text, size_t len);				/* only space, or nothing */
bool buffer_has(const struct buffer *b, const char *text, size_t len);	/* text occurs in b */

/* Bytes of the marker that begins at p, a circled 6: as many "$" as there are, if dollars, digits, a circled 6; 0: none. */
size_t marker_at(const char *p, const char *end, bool dollars, int min_digits);

/* --- the parts --- */

/* Replace what each kind recognises in the line by markers; the result's place is given. */
enum status marks_find(struct segment_work *w, const char *line, size_t len, const char **text, size_t *text_len) ACE_NODISCARD;

/* The mark that a marker stands for; NULL: none. */
const struct mark *marks_get(const struct segment_work *w, const char *marker, size_t len, enum mark_kind *kind);

/* The line between its markers, each part by its kind. */
enum status parts_walk(struct segment_work *w, const char *text, size_t len, bool root) ACE_NODISCARD;

/* What a tag that is no language does with its content: digits as Chinese reads them. ACE_EDATA: the reference fails. */
enum status reading_of(const char *tag, size_t tag_len, const char *text, size_t len, struct buffer *out, bool *chinese) ACE_NODISCARD;

/* Append to the line's segments, or to what waits. lang: any text; "zh|ja" and "zh|ja|..." are undecided. */
enum status segment_add(struct segment_work *w, const char *lang, size_t lang_len, const char *text, size_t len, double score,
			bool marked) ACE_NODISCARD;

/* The language of the line's last segment; NULL: it has none yet. */
const char *segment_last(const struct segment_work *w);
#endif
