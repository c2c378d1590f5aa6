# SPDX-License-Identifier: Apache-2.0
# ACE_COMPILER: the language, the warnings, and what can be switched on to find mistakes
AC_DEFUN([ACE_COMPILER], [
ACE_CFLAGS="-std=gnu17 -fno-math-errno -fno-trapping-math -ffp-contract=off -Wall -Wextra -Wshadow -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes"
ACE_LDFLAGS=
ace_checks=
ACE_ENABLE([werror], [warnings are errors], [-Werror], [])
ACE_ENABLE([asan], [build with the address sanitizer], [-fsanitize=address -fno-omit-frame-pointer], [-fsanitize=address])
ACE_ENABLE([ubsan], [build with the undefined behaviour sanitizer, which ends at the first finding],
	[-fsanitize=undefined -fno-sanitize-recover=undefined], [-fsanitize=undefined])
ACE_ENABLE([tsan], [build with the thread sanitizer], [-fsanitize=thread], [-fsanitize=thread])
ACE_ENABLE([coverage], [count which lines run, for gcov], [--coverage -fprofile-update=atomic], [--coverage])
AS_IF([test "x$enable_asan:$enable_tsan" = xyes:yes], [AC_MSG_ERROR([--enable-asan and --enable-tsan exclude each other])])
AC_SUBST([ACE_CFLAGS])
AC_SUBST([ACE_LDFLAGS])
])
# ACE_ENABLE(NAME, HELP, COMPILER FLAGS, LINKER FLAGS): flags are tried before they are taken
AC_DEFUN([ACE_ENABLE], [
AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [$2])])
AS_IF([test "x$enable_$1" = xyes], [
	ace_save_CFLAGS=$CFLAGS; ace_save_LDFLAGS=$LDFLAGS
	CFLAGS="$CFLAGS $3"; LDFLAGS="$LDFLAGS $4"
	AC_MSG_CHECKING([whether $CC takes $3])
	AC_LINK_IFELSE([AC_LANG_SOURCE([int main(void) { return 0; }])], [AC_MSG_RESULT([yes])],
		[AC_MSG_RESULT([no])
		AC_MSG_ERROR([--enable-$1: $CC cannot link with $3])])
	CFLAGS=$ace_save_CFLAGS; LDFLAGS=$ace_save_LDFLAGS
	ACE_CFLAGS="$ACE_CFLAGS $3"; ACE_LDFLAGS="$ACE_LDFLAGS $4"
	ace_checks="$ace_checks${ace_checks:+ }$1"])
])
