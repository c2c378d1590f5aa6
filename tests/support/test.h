/* SPDX-License-Identifier: Apache-2.0 */
/* test.h - cmocka with what it wants included first */
#ifndef ACE_TESTS_SUPPORT_TEST_H
#define ACE_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h follows those */
#include <cmocka.h>

/* A status that must be ACE_OK; says why when it is not. */
#define assert_ok(call)                                                          \
	do {                                                                     \
		if ((call) != ACE_OK)                                            \
			fail_msg("%s: %s", #call, ace_message());                \
	} while (0)
#endif
