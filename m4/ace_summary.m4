# SPDX-License-Identifier: Apache-2.0
# ACE_SUMMARY_LINE(NAME, FOUND, WHAT FOR): one line of the table; ACE_SUMMARY prints it, last
AC_DEFUN([ACE_SUMMARY_LINE], [
ace_summary="$ace_summary
$(printf '  %-10s %-22s %s' "$1" "$2" "$3")"
])
AC_DEFUN([ACE_SUMMARY], [
AS_ECHO(["
$PACKAGE_STRING
$(printf '  %-10s %s' compiler "$CC $CFLAGS")
$(printf '  %-10s %s' checks "${ace_checks:-none (--enable-werror, -asan, -ubsan, -tsan, -coverage)}")$ace_summary
$(printf '  %-10s %s' prefix "$prefix")
"])
])
