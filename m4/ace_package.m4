# SPDX-License-Identifier: Apache-2.0
# ACE_PACKAGE(NAME, VAR, PKG-CONFIG MODULES, need|want, WHAT FALLS AWAY, LIBS WITHOUT PKG-CONFIG, HEADER)
#
# One dependency found by pkg-config, else by header and library; --with-NAME[=DIR|yes|no].
# need: missing is an error. want: missing drops a feature, unless --with-NAME asked for it.
# Sets VAR_CFLAGS, VAR_LIBS, the conditional HAVE_VAR, and a line of the summary.
AC_DEFUN([ACE_PACKAGE], [
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1@<:@=DIR|no@:>@], [$5])], [], [with_$1=auto])
ace_have_$2=no
AS_IF([test "x$with_$1" != xno], [
	AS_CASE([$with_$1], [auto|yes], [], [
		PKG_CONFIG_PATH="$with_$1/lib/pkgconfig:$with_$1/lib64/pkgconfig:$PKG_CONFIG_PATH"
		export PKG_CONFIG_PATH])
	PKG_CHECK_MODULES([$2], [$3], [ace_have_$2=yes], [
		AS_CASE([$with_$1], [auto|yes], [], [
			$2_CFLAGS="-I$with_$1/include"
			$2_LIBS="-L$with_$1/lib -Wl,-rpath,$with_$1/lib"])
		ace_save_CPPFLAGS=$CPPFLAGS; ace_save_LIBS=$LIBS
		CPPFLAGS="$CPPFLAGS $$2_CFLAGS"; LIBS="$$2_LIBS $6 $LIBS"
		AC_MSG_CHECKING([for $1 without pkg-config])
		AC_LINK_IFELSE([AC_LANG_PROGRAM([@%:@include <$7>], [])],
			[ace_have_$2=yes; $2_LIBS="$$2_LIBS $6"])
		AC_MSG_RESULT([$ace_have_$2])
		CPPFLAGS=$ace_save_CPPFLAGS; LIBS=$ace_save_LIBS])
])
AS_IF([test "x$ace_have_$2" = xno && { test "x$4" = xneed || test "x$with_$1" != xauto; } && test "x$4:$with_$1" != xwant:no],
	[AC_MSG_ERROR([$1 is missing: install its development package or give --with-$1=DIR])])
AS_IF([test "x$ace_have_$2" = xyes], [AC_DEFINE([HAVE_$2], [1], [Define when $1 was found.])
	ace_version_$2=$($PKG_CONFIG --modversion m4_car(m4_unquote(m4_split([$3]))) 2>/dev/null)])
AM_CONDITIONAL([HAVE_$2], [test "x$ace_have_$2" = xyes])
AC_SUBST([$2_CFLAGS])
AC_SUBST([$2_LIBS])
ace_summary="$ace_summary
  $1: $ace_have_$2 $ace_version_$2 ($5)"
])
