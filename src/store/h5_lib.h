/* SPDX-License-Identifier: Apache-2.0 */
/* h5_lib.h - what the two files behind h5.h share: the library itself, its lock, failures; included by them alone */
#ifndef ACE_STORE_H5_LIB_H
#define ACE_STORE_H5_LIB_H

#include "store/h5.h"

#include <hdf5.h>

/* Around every use of the library. leave hands st on. */
void h5_enter(void);
enum status h5_leave(enum status st);

/* "PATH: damaged: cannot read WHAT NAME"; and what cannot be composed. */
enum status h5_bad(const struct h5 *f, const char *what, const char *name) ACE_NODISCARD;
enum status h5_unmade(const struct h5 *f, const char *name) ACE_NODISCARD;

/* A UTF-8 text of that many bytes (at least 1); the caller closes it. */
hid_t h5_text_type(size_t size, H5T_str_t pad);
herr_t h5_attach_text(hid_t to, const char *name, const char *text);
#endif
