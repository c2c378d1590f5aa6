/* SPDX-License-Identifier: Apache-2.0 */
/* arrow.h - tests that want Apache Arrow skip, and say so, where this build has none */
#ifndef ACE_TESTS_SUPPORT_ARROW_H
#define ACE_TESTS_SUPPORT_ARROW_H

#include "formats/arrow.h"

#define need_arrow()                                                                  \
	do {                                                                          \
		if (arrow_load() != ACE_OK) {                                         \
			print_message("# SKIP there is no Apache Arrow here\n");      \
			skip();                                                       \
		}                                                                     \
	} while (0)
#endif
