# SPDX-License-Identifier: Apache-2.0
# ACE_OPENMP: threads of the cpu device; --disable-openmp runs it on one
AC_DEFUN([ACE_OPENMP], [
AC_OPENMP
# the kernels' parallel loops are all that reads their device: without them gcc and clang warn
AS_IF([test "x$OPENMP_CFLAGS" = x], [ACE_CFLAGS="$ACE_CFLAGS -Wno-unknown-pragmas -Wno-unused-parameter"])
ACE_SUMMARY_LINE([openmp], [${OPENMP_CFLAGS:-no}], [threads of the cpu device])
])
