/* SPDX-License-Identifier: Apache-2.0 */
/* text.h - fixtures of texts: JSON whose strings may hold U+0000, at which cJSON's end */
#ifndef ACE_TESTS_SUPPORT_TEXT_H
#define ACE_TESTS_SUPPORT_TEXT_H

#include "base/json.h"

/* As golden_json, with U+0000 kept: a stand-in in the strings, which text_of turns back. */
cJSON *text_json(const char *set, const char *file);

/* The bytes of a string, *len of them; owned by the caller. Fails the test when v is none. */
char *text_of(const cJSON *v, size_t *len);

/* A file of text in the test's folder; static, overwritten by the next call. */
const char *text_file(const char *dir, const char *name, const char *text);

/* Numbers of a JSON list; owned by the caller. Fails the test when v is none. */
int32_t *text_numbers(const cJSON *v, int *n);

/* Fails naming what, unless n numbers are the same. */
void text_same_numbers(const char *what, const int32_t *got, int n_got, const int32_t *want, int n_want);
#endif
