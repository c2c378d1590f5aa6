/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

#include "num/rng.h"
#include "support/test.h"

#include <string.h>

/* RFC 3720, appendix B.4, and the check value of the polynomial. */
static void
known_values_come_out(void **state)
{
	unsigned char x[32];

	(void)state;
	for (int plain = 0; plain < 2; plain++) {
		uint32_t (*sum)(uint32_t, const void *, size_t) = plain ? crc32c_plain : crc32c;
		assert_int_equal(sum(0, "123456789", 9), 0xe3069283u);
		assert_int_equal(sum(0, "", 0), 0);
		memset(x, 0, sizeof x);
		assert_int_equal(sum(0, x, 32), 0x8a9136aau);
		memset(x, 255, sizeof x);
		assert_int_equal(sum(0, x, 32), 0x62a8ab43u);
		for (int i = 0; i < 32; i++)
			x[i] = (unsigned char)i;
		assert_int_equal(sum(0, x, 32), 0x46dd794eu);
		for (int i = 0; i < 32; i++)
			x[i] = (unsigned char)(31 - i);
		assert_int_equal(sum(0, x, 32), 0x113fdb5cu);
	}
}

static void
pieces_make_the_whole(void **state)
{
	unsigned char x[301];
	struct rng r = rng_stream(1, RNG_TEST, 0, 0);

	(void)state;
	for (size_t i = 0; i < sizeof x; i++)
		x[i] = (unsigned char)rng_u32(r, i);
	for (size_t cut = 0; cut <= sizeof x; cut++) {
		uint32_t c = crc32c(crc32c(0, x, cut), x + cut, sizeof x - cut);
		assert_int_equal(c, crc32c_plain(0, x, sizeof x));
		assert_int_equal(c, crc32c_plain(crc32c_plain(0, x, cut), x + cut, sizeof x - cut));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values_come_out),
		cmocka_unit_test(pieces_make_the_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
