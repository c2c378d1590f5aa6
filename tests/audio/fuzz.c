/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged files: whatever the bytes, a clip or one line that says why, and never longer than what was asked for. */
#include "audio/decode.h"

#include "base/file.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 1 << 17 };

/* Flip bytes, mostly near the head; cut; repeat or drop a piece. Returns the new size, at most 2 * size. */
static size_t
damage(unsigned char *b, size_t size, struct rng r)
{
	uint64_t i = 0, kind = rng_below(r, i++, 4);
	size_t flips = 1 + (size_t)rng_below(r, i++, 24);

	if (kind == 0)
		size = 1 + (size_t)rng_below(r, i++, size);
	if (kind == 1 && size > 64) {
		size_t from = (size_t)rng_below(r, i++, size / 2), n = (size_t)rng_below(r, i++, size / 4);
		memmove(b + from, b + from + n, size - from - n);
		size -= n;
	}
	if (kind == 2) {
		size_t n = (size_t)rng_below(r, i++, size);
		memmove(b + size, b, n);
		size += n;
	}
	while (flips--) {
		size_t head = size < 256 ? size : 256;
		size_t at = (size_t)(rng_below(r, i++, 3) ? rng_below(r, i, head) : rng_below(r, i, size));
		i++;
		b[at] = (unsigned char)rng_below(r, i++, 256);
		if (rng_below(r, i++, 4) == 0)
			b[at] = 0xff;
	}
	return size;
}

static void
one_file(const char *source, const char *name, const char *dir, int *decoded, int *refused)
{
	char path[700], *data;
	const char *dot = strrchr(name, '.');
	unsigned char *b;
	size_t size;
	int rounds = test_rounds("ACE_FUZZ", 24);

	assert_ok(file_read(source, 1u << 26, &data, &size));
	size = size > FILE_BYTES ? FILE_BYTES : size;
	b = malloc(2 * size + 1);
	assert_non_null(b);
	for (int k = 0; k < rounds && size > 1; k++) {
		struct clip c;
		memcpy(b, data, size);
		size_t n = damage(b, size, rng_stream((uint64_t)k, RNG_TEST, size, (uint64_t)name[0]));
		snprintf(path, sizeof path, "%s/damaged%s", dir, dot ? dot : "");
		FILE *f = fopen(path, "wb");
		assert_non_null(f);
		assert_int_equal(fwrite(b, 1, n, f), n);
		assert_int_equal(fclose(f), 0);
		if (audio_decode(path, &c) == ACE_OK) {
			assert_non_null(c.data);
			assert_true(c.n > 0 && c.channels > 0 && c.rate > 0 && c.n <= (int64_t)AUDIO_MAX_SECONDS * c.rate);
			++*decoded;
		} else {
			assert_null(c.data);
			assert_int_not_equal(c.reason, AUDIO_OK);
			assert_true(*ace_message() != 0);
			++*refused;
		}
		clip_free(&c);
	}
	free(b);
	free(data);
}

static void
damaged_files_never_do_harm(void **state)
{
	cJSON *expected = golden_json("local-audio", "expected.json"), *item;
	const char *folder = cJSON_GetObjectItemCaseSensitive(expected, "instance_data_dir")->valuestring;
	char dir[300], source[1600], done[4096] = "";
	int decoded = 0, refused = 0;

	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(expected, "items")) {
		const cJSON *codec = cJSON_GetObjectItemCaseSensitive(item, "codec");
		char mark[64];
		if (!cJSON_IsString(codec))
			continue;
		snprintf(mark, sizeof mark, "(%s)", codec->valuestring);	/* one file of each codec */
		if (strstr(done, mark))
			continue;
		strncat(done, mark, sizeof done - strlen(done) - 1);
		const char *name = cJSON_GetObjectItemCaseSensitive(item, "file")->valuestring;
		snprintf(source, sizeof source, "%s/%s", golden_path("local-audio", folder), name);
		one_file(source, name, dir, &decoded, &refused);
	}
	print_message("# %d damaged files decoded, %d refused\n", decoded, refused);
	assert_true(decoded > 0 && refused > 0);
	assert_ok(file_remove_tree(dir));
	cJSON_Delete(expected);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(damaged_files_never_do_harm) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
