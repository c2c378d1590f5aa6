# SPDX-License-Identifier: Apache-2.0
# ACE_CJSON
AC_DEFUN([ACE_CJSON], [
ACE_PACKAGE([cjson], [CJSON], [libcjson], [need], [configuration and model files], [-lcjson], [cjson/cJSON.h],
	[libcjson-dev], [cjson-devel])
])
