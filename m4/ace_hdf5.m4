# SPDX-License-Identifier: Apache-2.0
# ACE_HDF5: stores; Debian installs serial and Open MPI builds side by side, either works
AC_DEFUN([ACE_HDF5], [
ACE_PACKAGE([hdf5], [HDF5], [hdf5], [need], [stores of latents, texts and lyrics], [-lhdf5], [hdf5.h],
	[libhdf5-dev], [hdf5-devel])
])
