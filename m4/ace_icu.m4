# SPDX-License-Identifier: Apache-2.0
# ACE_ICU: grapheme clusters, character classes, lower case
AC_DEFUN([ACE_ICU], [
ACE_PACKAGE([icu], [ICU], [icu-uc], [need], [Unicode rules of the tokenizers], [-licuuc], [unicode/ubrk.h],
	[libicu-dev], [libicu-devel])
])
