# SPDX-License-Identifier: Apache-2.0
# ACE_NCCL: exchange between NVIDIA devices. --with-nccl[=DIR|yes|no]; after ACE_CUDA
#
# Only nccl.h is needed: in DIR/include, else where the compiler or CUDA has it. The library, libnccl.so.2, is loaded when several ranks
# train on GPUs (src/comm/nccl.c): by the loader's own path, else from DIR/lib or CUDA's.
# Sets NCCL_CFLAGS, ACE_NCCL_LIBDIR, HAVE_NCCL.
AC_DEFUN([ACE_NCCL], [
AC_ARG_WITH([nccl], [AS_HELP_STRING([--with-nccl@<:@=DIR|no@:>@], [exchange between NVIDIA devices; DIR holds include/nccl.h])], [], [with_nccl=auto])
ace_have_NCCL=no NCCL_CFLAGS= ace_nccl_lib=
AS_IF([test "x$with_nccl" != xno && test "x$ace_have_CUDA" = xyes], [
	AS_CASE([$with_nccl], [auto|yes], [ace_nccl_lib=$ace_cuda_lib], [
		NCCL_CFLAGS="-isystem $with_nccl/include" ace_nccl_lib=$with_nccl/lib
		AS_IF([test ! -d "$ace_nccl_lib" && test -d "$with_nccl/lib64"], [ace_nccl_lib=$with_nccl/lib64])])
	AC_MSG_CHECKING([for nccl.h])
	ace_save_CPPFLAGS=$CPPFLAGS
	CPPFLAGS="$CPPFLAGS $NCCL_CFLAGS $CUDA_CFLAGS"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM([@%:@include <nccl.h>], [ncclConfig_t how = NCCL_CONFIG_INITIALIZER; return how.blocking])],
		[ace_have_NCCL=yes])
	CPPFLAGS=$ace_save_CPPFLAGS
	AC_MSG_RESULT([$ace_have_NCCL])])
AS_IF([test $ace_have_NCCL = no], [NCCL_CFLAGS=
	AS_CASE([$with_nccl], [auto|no], [], [AC_MSG_ERROR([no NCCL (exchange between NVIDIA devices)
  it wants CUDA and nccl.h of 2.14 or later
  Debian, Ubuntu: apt-get install libnccl-dev, of NVIDIA's repository
  elsewhere:      --with-nccl=DIR, where DIR holds include/nccl.h])])])
AS_IF([test $ace_have_NCCL = yes], [
	AC_DEFINE([HAVE_NCCL], [1], [Define when nccl.h was found.])
	AC_DEFINE_UNQUOTED([ACE_NCCL_LIBDIR], ["$ace_nccl_lib"], [Where libnccl.so.2 is looked for after the loader's own path.])])
AM_CONDITIONAL([HAVE_NCCL], [test $ace_have_NCCL = yes])
AC_SUBST([NCCL_CFLAGS])
ACE_SUMMARY_LINE([nccl], [$ace_have_NCCL], [exchange between NVIDIA devices])
])
