# SPDX-License-Identifier: Apache-2.0
# ACE_MECAB: words of Japanese lyrics; loaded at run time, only the header is needed to build
AC_DEFUN([ACE_MECAB], [
ACE_PACKAGE([mecab], [MECAB], [mecab], [want], [Japanese lyrics (with a UniDic dictionary)], [-lmecab], [mecab.h],
	[libmecab-dev], [mecab-devel])
])
