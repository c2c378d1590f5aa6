# SPDX-License-Identifier: Apache-2.0
# ACE_OPENMP: threads of the cpu device; --disable-openmp runs it on one
AC_DEFUN([ACE_OPENMP], [
AC_OPENMP
ace_summary="$ace_summary
  openmp: ${OPENMP_CFLAGS:-no} (threads of the cpu device)"
])
