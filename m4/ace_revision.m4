# SPDX-License-Identifier: Apache-2.0
# ACE_REVISION: the commit that --version names; empty outside a checkout
AC_DEFUN([ACE_REVISION], [
ace_commit=$(git -C "$srcdir" rev-parse --short=12 HEAD 2>/dev/null)
AC_DEFINE_UNQUOTED([ACE_COMMIT], ["$ace_commit"], [The commit that was configured, empty when unknown.])
])
