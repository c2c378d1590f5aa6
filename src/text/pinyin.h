/* SPDX-License-Identifier: Apache-2.0 */
/* pinyin.h - Chinese characters as syllables with tone digits: "shui3hu2" (text.md section 3.6) */
#ifndef ACE_TEXT_PINYIN_H
#define ACE_TEXT_PINYIN_H

#include "base/status.h"
#include "text/buffer.h"

/* Readings of characters, and of the phrases that read otherwise or keep characters together. Read once, then only read. */
struct pinyin;

/* The file pinyin.txt (datasets/text/README.md). ACE_EDATA names file and line. On failure *p is NULL. */
enum status pinyin_open(struct pinyin **p, const char *path) ACE_NODISCARD;
void pinyin_close(struct pinyin *p);

/* Every Chinese character of text (valid UTF-8) by its syllable, glued together; all else stays. In place. */
void pinyin_write(const struct pinyin *p, struct buffer *text, struct buffer *spare);
#endif
