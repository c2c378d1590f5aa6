# SPDX-License-Identifier: Apache-2.0
# ACE_ARCHIVE: tar shards of data sets; loaded at run time, only the headers are needed to build
AC_DEFUN([ACE_ARCHIVE], [
ACE_PACKAGE([archive], [ARCHIVE], [libarchive], [want], [tar shards of data sets], [-larchive], [archive.h],
	[libarchive-dev], [libarchive-devel])
])
