# SPDX-License-Identifier: Apache-2.0
# ACE_CUDA: NVIDIA devices. --with-cuda[=DIR|yes|no], --with-cuda-arch=LIST, --with-cudnn[=DIR|no]
#
# nvcc is taken from DIR/bin or from PATH. The run-time library is linked statically; cuBLASLt, which is large, is loaded when
# a cuda device is opened (src/kernels/cuda/lt.c), so a program without one starts as fast as it would without CUDA.
# Sets NVCC, NVCCFLAGS, CUDA_CFLAGS, CUDA_LIBS, HAVE_CUDA.
AC_DEFUN([ACE_CUDA], [
AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda@<:@=DIR|no@:>@], [kernels for NVIDIA devices; DIR holds bin/nvcc])], [], [with_cuda=auto])
AC_ARG_WITH([cuda-arch], [AS_HELP_STRING([--with-cuda-arch=LIST],
	[what they are built for, "80 90a" and PTX by default; "90a" alone builds fastest])], [], [with_cuda_arch="80 90a ptx90"])
AC_ARG_WITH([cudnn], [AS_HELP_STRING([--with-cudnn@<:@=DIR|no@:>@],
	[convolutions of the autoencoder in bf16 by cuDNN; DIR holds include/cudnn.h])], [], [with_cudnn=auto])
AC_ARG_VAR([NVCC], [CUDA compiler])
ace_have_CUDA=no
AS_IF([test "x$with_cuda" != xno], [
	AS_CASE([$with_cuda],
		[auto|yes], [AC_PATH_PROG([NVCC], [nvcc])],
		[NVCC=$with_cuda/bin/nvcc])
	AC_MSG_CHECKING([for CUDA])
	ace_cuda_dir=
	AS_IF([test -x "$NVCC"], [
		ace_cuda_dir=$(dirname "$(dirname "$(readlink -f "$NVCC")")")
		for ace_dir in lib64 lib targets/x86_64-linux/lib; do
			AS_IF([test -f "$ace_cuda_dir/$ace_dir/libcudart_static.a"], [ace_cuda_lib=$ace_cuda_dir/$ace_dir; break])
		done
		AS_IF([test -n "$ace_cuda_lib" && test -f "$ace_cuda_dir/include/cublasLt.h"], [ace_have_CUDA=yes])])
	AC_MSG_RESULT([$ace_have_CUDA $ace_cuda_dir])
	AS_IF([test "x$ace_have_CUDA:$with_cuda" != xno:auto && test "x$ace_have_CUDA" = xno],
		[AC_MSG_ERROR([no CUDA: nvcc, libcudart_static.a and cublasLt.h are needed; give --with-cuda=DIR])])
])
AS_IF([test "x$ace_have_CUDA" = xyes], [
	AC_DEFINE([HAVE_CUDA], [1], [Define when kernels for NVIDIA devices are built.])
	AC_DEFINE_UNQUOTED([ACE_CUDA_LIBDIR], ["$ace_cuda_lib"], [Where libcublasLt.so is looked for after the loader's own path.])
	AS_CASE([" $with_cuda_arch "], [*\ 90a\ *], [AC_DEFINE([ACE_CUDA_90A], [1], [Define when Hopper's own instructions are built for.])])
	ace_gencode=
	for ace_arch in $with_cuda_arch; do
		AS_CASE([$ace_arch],
			[ptx*], [ace_arch=${ace_arch@%:@ptx}; ace_gencode="$ace_gencode -gencode arch=compute_$ace_arch,code=compute_$ace_arch"],
			[ace_gencode="$ace_gencode -gencode arch=compute_$ace_arch,code=sm_$ace_arch"])
	done
	AS_CASE([$CC], [ccache\ *], [NVCC="ccache $NVCC"])
	NVCCFLAGS="-std=c++17 -O3$ace_gencode -Xcompiler -Wall,-Wextra,-Wno-unused-parameter,-fno-exceptions,-fno-threadsafe-statics,-fno-rtti"
	AS_IF([test "x$enable_werror" = xyes], [NVCCFLAGS="$NVCCFLAGS -Werror all-warnings"])
	CUDA_CFLAGS="-isystem $ace_cuda_dir/include"
	CUDA_LIBS="$ace_cuda_lib/libcudart_static.a -lrt"])
# cuDNN is loaded like cuBLASLt: only its headers are needed here
ace_have_CUDNN=no
ace_cudnn_dir=
AS_IF([test "x$ace_have_CUDA" = xyes && test "x$with_cudnn" != xno], [
	AC_MSG_CHECKING([for cuDNN's headers])
	AS_CASE([$with_cudnn], [auto|yes], [ace_cudnn_dir=$ace_cuda_dir], [ace_cudnn_dir=$with_cudnn])
	AS_IF([test -f "$ace_cudnn_dir/include/cudnn.h"], [ace_have_CUDNN=yes])
	AC_MSG_RESULT([$ace_have_CUDNN])])
AS_IF([test "x$with_cudnn" != xauto && test "x$with_cudnn" != xno && test "x$ace_have_CUDNN" = xno],
	[AC_MSG_ERROR([no cuDNN: CUDA and include/cudnn.h are needed; give --with-cudnn=DIR])])
AS_IF([test "x$ace_have_CUDNN" = xyes], [
	AC_DEFINE([HAVE_CUDNN], [1], [Define when convolutions by cuDNN are built.])
	AC_DEFINE_UNQUOTED([ACE_CUDNN_LIBDIR], ["$ace_cudnn_dir/lib"], [Where libcudnn.so is looked for after the loader's own path.])
	AS_IF([test "x$ace_cudnn_dir" != "x$ace_cuda_dir"], [CUDA_CFLAGS="$CUDA_CFLAGS -isystem $ace_cudnn_dir/include"])])
AM_CONDITIONAL([HAVE_CUDA], [test "x$ace_have_CUDA" = xyes])
AC_SUBST([NVCCFLAGS])
AC_SUBST([CUDA_CFLAGS])
AC_SUBST([CUDA_LIBS])
AS_IF([test "x$ace_have_CUDA" = xyes], [ace_cuda_words="yes $with_cuda_arch"], [ace_cuda_words=no])
ACE_SUMMARY_LINE([cuda], [$ace_cuda_words], [NVIDIA devices])
])
