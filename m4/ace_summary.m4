# SPDX-License-Identifier: Apache-2.0
# ACE_SUMMARY: what was found, printed last
AC_DEFUN([ACE_SUMMARY], [
AS_ECHO(["
$PACKAGE_STRING
  compiler: $CC $CFLAGS$ace_summary
  cuda: no (the cpu device is built; CUDA kernels are not part of this release)
  prefix: $prefix
"])
])
