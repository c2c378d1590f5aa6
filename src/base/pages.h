/* SPDX-License-Identifier: Apache-2.0 */
/* pages.h - much memory that is filled once and given back whole: pages of its own, large ones where the system has them */
#ifndef ACE_BASE_PAGES_H
#define ACE_BASE_PAGES_H

#include <stddef.h>

/* At least so many bytes, all zero, at the begin of a page; NULL: memory is out. */
void *pages_take(size_t bytes);

/* p NULL: nothing. bytes as it was taken. */
void pages_give(void *p, size_t bytes);
#endif
