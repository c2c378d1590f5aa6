# SPDX-License-Identifier: Apache-2.0
# ACE_CMOCKA: unit tests
AC_DEFUN([ACE_CMOCKA], [
ACE_PACKAGE([cmocka], [CMOCKA], [cmocka], [want], [unit tests of make check], [-lcmocka], [cmocka.h],
	[libcmocka-dev], [libcmocka-devel])
])
