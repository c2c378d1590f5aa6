# SPDX-License-Identifier: Apache-2.0
# ACE_BLAS: OpenBLAS (or another cblas) for the cpu device's matrix products
AC_DEFUN([ACE_BLAS], [
ACE_PACKAGE([blas], [BLAS], [openblas], [need], [matrix products of the cpu device], [-lopenblas], [cblas.h],
	[libopenblas-dev], [openblas-devel])
])
