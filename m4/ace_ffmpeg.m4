# SPDX-License-Identifier: Apache-2.0
# ACE_FFMPEG: every other audio format; loaded at run time, only the headers are needed to build
AC_DEFUN([ACE_FFMPEG], [
ACE_PACKAGE([ffmpeg], [FFMPEG], [libavformat libavcodec libavutil], [want], [m4a aac alac wma mp4 in],
	[-lavformat -lavcodec -lavutil], [libavformat/avformat.h],
	[libavformat-dev libavcodec-dev libavutil-dev], [ffmpeg-free-devel])
])
