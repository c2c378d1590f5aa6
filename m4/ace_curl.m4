# SPDX-License-Identifier: Apache-2.0
# ACE_CURL: HTTP, for ace-fetch alone
AC_DEFUN([ACE_CURL], [
ACE_PACKAGE([curl], [CURL], [libcurl], [want], [ace-fetch], [-lcurl], [curl/curl.h],
	[libcurl4-openssl-dev], [libcurl-devel])
])
