/* SPDX-License-Identifier: Apache-2.0 */
/* captions.h - what a song's captions say, by the entry's strategy (datasets.md section 2) */
#ifndef ACE_DATA_CAPTIONS_H
#define ACE_DATA_CAPTIONS_H

#include "data/dataset.h"
#include "data/discover.h"

enum caption_reason { CAPTION_OK, CAPTION_MISSING, CAPTION_EMPTY, CAPTION_NOT_UTF8, CAPTION_UNREADABLE };

/* "ok", "caption_missing", "caption_empty", "caption_not_utf8", "caption_unreadable": what reports say. */
const char *caption_reason_name(enum caption_reason r);

enum { CAPTIONS_MOST = 4096 };		/* of one song; what is more is left */

struct captions {
	char **text;			/* UTF-8, not empty, each once; owned */
	int n;
	bool upstream;			/* they came from NAME_prompt.txt, as upstream's converter names it */
	enum caption_reason reason;
};

/* Captions of the song at path. textfile: the lines of NAME.txt, or all of it as one (disable_multiline_split); where there
 * is none, of NAME_prompt.txt. filename: the name with blanks for "_". instanceprompt: the prompts. Then prefixes are put in
 * front and shuffled variants are added, which ones depends on the seed and the caption alone; at last what caption_filter_list
 * names is taken out.
 *
 * None: ACE_EDATA and a line that names the file; to holds only the reason then. */
enum status captions_read(struct captions *to, const struct dataset *d, const char *path) ACE_NODISCARD;

/* The same of a row of a data set (discover.h): what it says in place of files; NULL: a file. */
enum status captions_of(struct captions *to, const struct dataset *d, const char *path, const struct song_row *row) ACE_NODISCARD;
void captions_free(struct captions *c);
#endif
