# SPDX-License-Identifier: Apache-2.0
# ACE_PACKAGE(NAME, VAR, PKG-CONFIG MODULES, need|want, WHAT IT IS FOR, LIBS WITHOUT PKG-CONFIG, HEADER, DEBIAN, FEDORA)
#
# One dependency, by pkg-config, else by header and library; --with-NAME[=DIR|yes|no]. With DIR only DIR counts.
# need: missing is an error that names the packages to install. want: missing drops a feature, unless --with-NAME asked.
# Sets VAR_CFLAGS, VAR_LIBS, the conditional HAVE_VAR, and a line of the summary.
AC_DEFUN([ACE_PACKAGE], [
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1@<:@=DIR|no@:>@], [$5])], [], [with_$1=auto])
AS_IF([test "x$4:$with_$1" = xneed:no], [AC_MSG_ERROR([nothing works without $1 ($5): leave out --without-$1])])
ace_have_$2=no; ace_version_$2=
AS_IF([test "x$with_$1" != xno], [
	ace_dir= ace_pc=yes ace_save_PCP=$PKG_CONFIG_PATH
	AS_CASE([$with_$1], [auto|yes], [], [
		ace_dir=$with_$1 ace_pc=no
		for ace_d in "$ace_dir"/lib/pkgconfig "$ace_dir"/lib64/pkgconfig "$ace_dir"/lib/*/pkgconfig; do
			AS_IF([test -f "$ace_d/m4_car(m4_unquote(m4_split([$3]))).pc"], [ace_pc=yes
				PKG_CONFIG_PATH="$ace_d${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"])
		done
		export PKG_CONFIG_PATH])
	AS_IF([test $ace_pc = yes], [PKG_CHECK_MODULES([$2], [$3], [ace_have_$2=yes
		ace_version_$2=$($PKG_CONFIG --modversion m4_car(m4_unquote(m4_split([$3]))) 2>/dev/null)], [:])])
	AS_IF([test $ace_have_$2 = no], [
		ace_save_CPPFLAGS=$CPPFLAGS; ace_save_LIBS=$LIBS
		$2_LIBS="$6"
		AS_IF([test "x$ace_dir" != x], [
			$2_CFLAGS="-I$ace_dir/include"
			$2_LIBS="-L$ace_dir/lib -Wl,-rpath,$ace_dir/lib $6"])
		CPPFLAGS="$CPPFLAGS $$2_CFLAGS"; LIBS="$$2_LIBS $LIBS"
		AC_MSG_CHECKING([for $1 by $7 and $6])
		AS_IF([test "x$ace_dir" = x || test -f "$ace_dir/include/$7"],
			[AC_LINK_IFELSE([AC_LANG_PROGRAM([@%:@include <$7>], [])], [ace_have_$2=yes])])
		AC_MSG_RESULT([$ace_have_$2])
		CPPFLAGS=$ace_save_CPPFLAGS; LIBS=$ace_save_LIBS])
	PKG_CONFIG_PATH=$ace_save_PCP
])
AS_IF([test $ace_have_$2 = no], [
	$2_CFLAGS= $2_LIBS=
	AS_CASE([$4:$with_$1], [need:auto|need:yes|want:yes],
		[AC_MSG_ERROR([$1 is missing ($5)
  Debian, Ubuntu: apt-get install $8
  Fedora, RHEL:   dnf install $9
  elsewhere:      --with-$1=DIR, where DIR holds include/ and lib/])],
		[*:auto|*:no], [], [AC_MSG_ERROR([$1 is not in $with_$1 ($7 and $6 were looked for)])])])
AS_IF([test $ace_have_$2 = yes], [AC_DEFINE([HAVE_$2], [1], [Define when $1 was found.])])
AM_CONDITIONAL([HAVE_$2], [test $ace_have_$2 = yes])
AC_SUBST([$2_CFLAGS])
AC_SUBST([$2_LIBS])
ACE_SUMMARY_LINE([$1], [$ace_have_$2 $ace_version_$2], [$5])
])
