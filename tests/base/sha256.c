/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sha256.h"

#include "base/file.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static void
digest(const void *data, size_t size, bool plain, size_t piece, char hex[65])
{
	struct sha256 s;

	sha256_init(&s);
	s.plain = plain;
	for (size_t at = 0; at < size; at += piece)
		sha256_add(&s, (const char *)data + at, size - at < piece ? size - at : piece);
	sha256_hex(&s, hex);
}

/* The examples of FIPS 180-4 and of its predecessor. */
static void
known_values_come_out(void **state)
{
	static const char *const t[][2] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	char hex[65], *million = malloc(1000000);

	(void)state;
	memset(million, 'a', 1000000);
	for (int plain = 0; plain < 2; plain++) {
		for (int i = 0; i < 3; i++) {
			digest(t[i][0], strlen(t[i][0]), plain, 1000, hex);
			assert_string_equal(hex, t[i][1]);
		}
		digest(million, 1000000, plain, 1000000, hex);
		assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	}
	free(million);
}

static void
pieces_and_ways_give_the_same(void **state)
{
	unsigned char x[700];
	struct rng r = rng_stream(1, RNG_TEST, 0, 0);
	const char *dir = golden_tmp();
	char *path = file_path("%s/x", dir), a[65], b[65];

	(void)state;
	for (size_t i = 0; i < sizeof x; i++)
		x[i] = (unsigned char)rng_u32(r, i);
	for (size_t size = 0; size <= sizeof x; size += 7) {
		digest(x, size, true, sizeof x, a);
		for (size_t piece = 1; piece < 200; piece += 13) {
			digest(x, size, false, piece, b);
			assert_string_equal(a, b);
		}
		sha256_of(x, size, b);
		assert_string_equal(a, b);
	}
	assert_ok(file_write(path, x, sizeof x));
	assert_ok(sha256_file(path, b));
	assert_string_equal(a, b);
	assert_ok(file_remove_tree(dir));
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values_come_out),
		cmocka_unit_test(pieces_and_ways_give_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
