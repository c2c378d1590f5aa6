/* SPDX-License-Identifier: Apache-2.0 */
/* analyser.h - Japanese words found by MeCab with a UniDic dictionary (text.md section 3.8)
 *
 * libmecab is loaded when a dictionary is opened, so that programs start and run without it. */
#ifndef ACE_TEXT_ANALYSER_H
#define ACE_TEXT_ANALYSER_H

#include "base/status.h"
#include "text/romaji.h"

struct analyser;

/* dir: the folder of a compiled UniDic (sys.dic, matrix.bin, ...). ACE_ENOINPUT: no such folder, or it is none; ACE_ECONFIG: this
 * build, or this machine, has no MeCab. On failure *a is NULL. */
enum status analyser_open(struct analyser **a, const char *dir) ACE_NODISCARD;
void analyser_close(struct analyser *a);

/* The dictionary's own name and version, for stores: "unidic 316489 entries 17"; borrowed. */
const char *analyser_name(const struct analyser *a);

/* One thread's place of work: made by the first analyse into *lattice (NULL at first). */
void analyser_lattice_free(const struct analyser *a, void *lattice);

/* The words of text (valid UTF-8, no U+0000); owned by the caller (free), its slices borrowed until the next call with the same
 * lattice. */
enum status analyser_read(const struct analyser *a, void **lattice, const char *text, size_t len,
			  struct ja_node **node, size_t *n) ACE_NODISCARD;
#endif
