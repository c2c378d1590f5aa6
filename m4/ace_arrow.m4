# SPDX-License-Identifier: Apache-2.0
# ACE_ARROW: Apache Arrow C++, which reads Parquet and Arrow files. --with-arrow=auto|DIR|pyarrow|no
#
# auto: pkg-config (arrow, parquet), else the pyarrow package of PYTHON; pyarrow: only that; DIR: a prefix (include/, lib/),
# or the folder of a pyarrow package, which holds headers and libraries without a prefix's lib/. The C++ of it is one file,
# src/formats/arrow_shim.cc, made a shared object that is loaded at run time.
# Sets ARROW_CXXFLAGS, ARROW_LIBS, PYTHON, HAVE_ARROW.
AC_DEFUN([_ACE_ARROW_TRY], [
AS_IF([test $ace_have_ARROW = no], [
	for ace_std in c++20 c++17; do
		AS_IF([test $ace_have_ARROW = no], [
			AC_MSG_CHECKING([for Arrow C++ by $3, $ace_std])
			AC_LANG_PUSH([C++])
			ace_save_CXXFLAGS=$CXXFLAGS; ace_save_LIBS=$LIBS
			CXXFLAGS="$CXXFLAGS -std=$ace_std $1"; LIBS="$2"
			AC_LINK_IFELSE([AC_LANG_PROGRAM([
@%:@include <arrow/c/bridge.h>
@%:@include <arrow/util/config.h>
@%:@include <parquet/file_reader.h>
@%:@if ARROW_VERSION_MAJOR < 13
@%:@error too old
@%:@endif
], [arrow::Status st = arrow::ExportSchema(*arrow::schema({}), nullptr);
	return st.ok() + parquet::ParquetFileReader::OpenFile("")->metadata()->num_columns()])],
				[ace_have_ARROW=yes; ARROW_CXXFLAGS="-std=$ace_std $1"; ARROW_LIBS="$2"])
			CXXFLAGS=$ace_save_CXXFLAGS; LIBS=$ace_save_LIBS
			AC_LANG_POP([C++])
			AC_MSG_RESULT([$ace_have_ARROW])])
	done])
])
# _ACE_ARROW_FOLDER(FOLDER OF HEADERS, FOLDER OF LIBRARIES): libraries with or without a version behind .so
AC_DEFUN([_ACE_ARROW_FOLDER], [
ace_arrow_libs=
for ace_l in parquet arrow; do
	ace_f=
	for ace_g in "$2"/lib$ace_l.so "$2"/lib$ace_l.so.@<:@0-9@:>@*; do
		AS_IF([test "x$ace_f" = x && test -f "$ace_g"], [ace_f=$ace_g])
	done
	ace_arrow_libs="$ace_arrow_libs${ace_f:+ $ace_f}"
done
AS_IF([test -f "$1/arrow/api.h" && test "x$ace_arrow_libs" != x], [
	_ACE_ARROW_TRY([-isystem $1], [$ace_arrow_libs -Wl,-rpath,$2], [$2])])
])
AC_DEFUN([ACE_ARROW], [
AC_ARG_WITH([arrow], [AS_HELP_STRING([--with-arrow@<:@=DIR|pyarrow|no@:>@], [Parquet and Arrow files of data sets])], [],
	[with_arrow=auto])
AC_ARG_VAR([PYTHON], [interpreter whose pyarrow package is asked for, and that tests use])
AC_PATH_PROGS([PYTHON], [python3])
ace_have_ARROW=no; ace_version_arrow=; ARROW_CXXFLAGS=; ARROW_LIBS=
AS_CASE([$with_arrow],
	[no], [],
	[auto|yes|pyarrow], [
		AS_IF([test "x$with_arrow" != xpyarrow && test "x$PKG_CONFIG" != x && $PKG_CONFIG --exists arrow parquet 2>/dev/null], [
			_ACE_ARROW_TRY([$($PKG_CONFIG --cflags arrow parquet)], [$($PKG_CONFIG --libs parquet arrow)], [pkg-config])])
		AS_IF([test $ace_have_ARROW = no && test "x$PYTHON" != x], [
			ace_d=$($PYTHON -c 'import importlib.util as u; print(list(u.find_spec("pyarrow").submodule_search_locations)@<:@0@:>@)' 2>/dev/null)
			AS_IF([test "x$ace_d" != x], [_ACE_ARROW_FOLDER([$ace_d/include], [$ace_d])])])],
	[
		for ace_d in "$with_arrow" "$with_arrow/lib" "$with_arrow/lib64" "$with_arrow"/lib/*-linux-gnu; do
			_ACE_ARROW_FOLDER([$with_arrow/include], [$ace_d])
		done])
AS_IF([test $ace_have_ARROW = no], [
	AS_CASE([$with_arrow], [auto|no], [], [AC_MSG_ERROR([Arrow C++ was not found (Parquet and Arrow files of data sets; see config.log)
  Debian, Ubuntu: not packaged; ./quick-start arrow brings the pyarrow package of PyPI into the build folder
  Fedora:         dnf install libarrow-devel parquet-libs-devel
  elsewhere:      --with-arrow=DIR, where DIR holds include/ and lib/, or is the folder of a pyarrow package])])])
AS_IF([test $ace_have_ARROW = yes], [
	AC_DEFINE([HAVE_ARROW], [1], [Define when Arrow C++ was found.])
	ace_version_arrow=$(printf '@%:@include <arrow/util/config.h>\nARROW_VERSION_STRING\n' |
		$CXX $ARROW_CXXFLAGS -E -P -x c++ - 2>/dev/null | tail -n 1 | tr -d '" ')])
AM_CONDITIONAL([HAVE_ARROW], [test $ace_have_ARROW = yes])
AC_SUBST([ARROW_CXXFLAGS])
AC_SUBST([ARROW_LIBS])
ACE_SUMMARY_LINE([arrow], [$ace_have_ARROW $ace_version_arrow], [Parquet and Arrow files of data sets])
])
