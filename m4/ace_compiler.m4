# SPDX-License-Identifier: Apache-2.0
# ACE_COMPILER: the language, the warnings, --enable-werror, --enable-asan
AC_DEFUN([ACE_COMPILER], [
AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors (used by CI)])])
AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan], [build with address and undefined-behaviour sanitizers])])
ACE_CFLAGS="-std=gnu17 -fno-math-errno -fno-trapping-math -ffp-contract=off -Wall -Wextra -Wshadow -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes"
ACE_LDFLAGS=
AS_IF([test "x$enable_werror" = xyes], [ACE_CFLAGS="$ACE_CFLAGS -Werror"])
AS_IF([test "x$enable_asan" = xyes], [
	ACE_CFLAGS="$ACE_CFLAGS -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined"
	ACE_LDFLAGS="-fsanitize=address,undefined"])
AC_SUBST([ACE_CFLAGS])
AC_SUBST([ACE_LDFLAGS])
])
