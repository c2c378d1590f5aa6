/* SPDX-License-Identifier: Apache-2.0 */
/* text_parts.h - what a part of the text store looks like; shared by its reader and its writer
 *
 *   items        one row a caption, columns below
 *   embeddings   [sum of rows, width] of all captions, BF16 or F32, unpadded; items say which rows are theirs
 *   captions     U8, the captions themselves one behind the other, for people */
#ifndef ACE_STORE_TEXT_PARTS_H
#define ACE_STORE_TEXT_PARTS_H

#include "store/parts.h"
#include "store/texts.h"

enum text_column { TC_KEY, TC_FIRST, TC_ROWS, TC_WIDTH, TC_CAPTION_FIRST, TC_CAPTION_SIZE, TC_COLUMNS };

enum { TEXT_ROWS = 1 << 20, TEXT_WIDTH = 1 << 16 };

extern const struct parts_kind text_parts;
#endif
