# SPDX-License-Identifier: Apache-2.0
# ACE_SNDFILE
AC_DEFUN([ACE_SNDFILE], [
ACE_PACKAGE([sndfile], [SNDFILE], [sndfile], [need], [wav flac aiff ogg opus mp3 in and out], [-lsndfile], [sndfile.h],
	[libsndfile1-dev], [libsndfile-devel])
])
