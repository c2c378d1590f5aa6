/* SPDX-License-Identifier: Apache-2.0 */
/* test.h - cmocka with what it wants included first */
#ifndef ACE_TESTS_SUPPORT_TEST_H
#define ACE_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
/* cmocka.h follows those */
#include <cmocka.h>

/* A status that must be ACE_OK; says why when it is not. */
#define assert_ok(call)                                                          \
	do {                                                                     \
		if ((call) != ACE_OK)                                            \
			fail_msg("%s: %s", #call, ace_message());                \
	} while (0)

/* How many times a random test tries: what env says ("ACE_KILLS", make check-long sets it), else the usual number. */
static inline int
test_rounds(const char *env, int usual)
{
	const char *wanted = getenv(env);
	int n = wanted ? atoi(wanted) : 0;

	return n > 0 ? n : usual;
}
#endif
