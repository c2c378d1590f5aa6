# SPDX-License-Identifier: Apache-2.0
# ACE_ZLIB: what is in a wheel, for ace-fetch alone
AC_DEFUN([ACE_ZLIB], [
ACE_PACKAGE([zlib], [ZLIB], [zlib], [want], [the lyric vocabulary by ace-fetch], [-lz], [zlib.h],
	[zlib1g-dev], [zlib-devel])
])
