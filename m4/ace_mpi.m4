# SPDX-License-Identifier: Apache-2.0
# ACE_MPI: runs over many ranks. --with-mpi[=DIR|yes|no]
#
# In this order: DIR's pkg-config file or DIR/bin/mpicc; with no DIR the compiler itself (CC=mpicc, or one that knows MPI),
# pkg-config, mpicc of PATH (MPICC=...). An mpicc is only asked for its flags. The library is loaded by a program that was
# started as one of many ranks (src/comm/wire.c), by the name under which it would have been linked: others start without it,
# and where it is not installed.
# Sets MPI_CFLAGS, ACE_MPI_LIBRARY, ACE_MPI_LIBDIR, MPIEXEC (for tests), HAVE_MPI.
AC_DEFUN([_ACE_MPI_PROGRAM], [AC_LANG_PROGRAM([@%:@include <mpi.h>],
	[MPI_Comm node; return MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node)])])
AC_DEFUN([_ACE_MPI_TRY], [
AS_IF([test $ace_have_MPI = no], [
	ace_save_CPPFLAGS=$CPPFLAGS; ace_save_LIBS=$LIBS
	CPPFLAGS="$CPPFLAGS $1"; LIBS="$2 $LIBS"
	AC_LINK_IFELSE([_ACE_MPI_PROGRAM], [
		ace_so=$($READELF -d conftest$EXEEXT 2>/dev/null | $AWK '/NEEDED/ {
			n = $NF; gsub(/^.|.$/, "", n)
			if (n ~ /^lib.*mpi.*\.so/ && n !~ /cxx|mpifh|usempi/) { print n; exit } }')
		AS_IF([test "x$ace_so" != x], [ace_have_MPI=yes; MPI_CFLAGS="$1"; ace_mpi_libs="$2"])])
	CPPFLAGS=$ace_save_CPPFLAGS; LIBS=$ace_save_LIBS])
])
AC_DEFUN([ACE_MPI], [
AC_ARG_WITH([mpi], [AS_HELP_STRING([--with-mpi@<:@=DIR|no@:>@], [runs over many ranks])], [], [with_mpi=auto])
AC_ARG_VAR([MPICC], [compiler of MPI programs, asked for its flags])
AC_ARG_VAR([MPIEXEC], [starts MPI programs, for the tests])
AC_CHECK_TOOL([READELF], [readelf], [:])
ace_have_MPI=no; ace_version_MPI=; ace_so=; ace_mpi_libs=; ace_mpi_path=$PATH; ace_mpi_pc=$PKG_CONFIG_PATH
AS_IF([test "x$with_mpi" != xno], [
	AS_CASE([$with_mpi],
		[auto|yes], [AC_MSG_CHECKING([whether the compiler knows MPI])
			_ACE_MPI_TRY([], [])
			AC_MSG_RESULT([$ace_have_MPI])],
		[ace_mpi_path=$with_mpi/bin ace_mpi_pc=
		for ace_d in "$with_mpi"/lib/pkgconfig "$with_mpi"/lib64/pkgconfig "$with_mpi"/lib/*/pkgconfig; do
			ace_mpi_pc="$ace_mpi_pc${ace_mpi_pc:+:}$ace_d"
		done])
	for ace_m in ompi-c mpich mpi-c; do
		AS_IF([test $ace_have_MPI = no && test "x$PKG_CONFIG" != x], [
			AS_CASE([$with_mpi], [auto|yes], [ace_pc="env PKG_CONFIG_PATH=$ace_mpi_pc $PKG_CONFIG"],
				[ace_pc="env PKG_CONFIG_LIBDIR=$ace_mpi_pc $PKG_CONFIG"])
			AS_IF([$ace_pc --exists $ace_m 2>/dev/null], [
				AC_MSG_CHECKING([for MPI by $ace_m.pc])
				_ACE_MPI_TRY([$($ace_pc --cflags $ace_m)], [$($ace_pc --libs $ace_m)])
				AS_IF([test $ace_have_MPI = yes], [ace_version_MPI=$($ace_pc --modversion $ace_m)])
				AC_MSG_RESULT([$ace_have_MPI])])])
	done
	AS_IF([test $ace_have_MPI = no], [
		AC_PATH_PROG([MPICC], [mpicc], [], [$ace_mpi_path])
		AS_IF([test "x$MPICC" != x], [
			AC_MSG_CHECKING([for MPI by $MPICC])
			ace_cflags= ace_libs=
			for ace_w in $($MPICC -show 2>/dev/null || $MPICC --showme 2>/dev/null); do
				AS_CASE([$ace_w], [-I*|-D*], [ace_cflags="$ace_cflags $ace_w"],
					[-L*|-l*|-Wl,*|-pthread], [ace_libs="$ace_libs $ace_w"])
			done
			_ACE_MPI_TRY([$ace_cflags], [$ace_libs])
			AC_MSG_RESULT([$ace_have_MPI])])])
])
AS_IF([test $ace_have_MPI = no], [
	AS_CASE([$with_mpi], [auto|no], [], [AC_MSG_ERROR([mpi is missing (runs over many ranks)
  Debian, Ubuntu: apt-get install libopenmpi-dev openmpi-bin
  Fedora, RHEL:   dnf install openmpi-devel, then module load mpi
  elsewhere:      --with-mpi=DIR, where DIR holds bin/mpicc, or MPICC=...])])])
AS_IF([test $ace_have_MPI = yes], [
	AC_DEFINE([HAVE_MPI], [1], [Define when mpi was found.])
	ace_mpi_dir=
	for ace_w in $ace_mpi_libs; do
		AS_CASE([$ace_w], [-L*], [AS_IF([test -f "${ace_w@%:@-L}/$ace_so"], [ace_mpi_dir=${ace_w@%:@-L}])])
	done
	AC_DEFINE_UNQUOTED([ACE_MPI_LIBRARY], ["$ace_so"], [The library of MPI, as it would be linked.])
	AC_DEFINE_UNQUOTED([ACE_MPI_LIBDIR], ["$ace_mpi_dir"], [Where it is looked for after the loader's own path; "" nowhere.])
	AC_PATH_PROGS([MPIEXEC], [mpiexec mpirun], [], [$ace_mpi_path])])
AM_CONDITIONAL([HAVE_MPI], [test $ace_have_MPI = yes])
AC_SUBST([MPI_CFLAGS])
ACE_SUMMARY_LINE([mpi], [$ace_have_MPI $ace_version_MPI], [runs over many ranks])
])
