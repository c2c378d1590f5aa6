/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder that misbehaves: this program's sf_open stands before the library's. */
#include "audio/decode.h"

#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"

#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum { ABORT, OVERFLOW, EXIT } way;

SNDFILE *
sf_open(const char *path, int mode, SF_INFO *info)
{
	(void)path, (void)mode, (void)info;
	switch (way) {
	case ABORT:
		abort();
	case OVERFLOW:
		__builtin_trap();
	case EXIT:
		exit(0);
	}
	return NULL;
}

static void
a_decoder_that_dies_costs_one_clip(void **state)
{
	static const char wav[] = "RIFF\x24\0\0\0WAVEfmt \x10\0\0\0";
	const char *dir = golden_tmp();
	char path[400];
	struct clip c;

	(void)state;
	snprintf(path, sizeof path, "%s/a.wav", dir);
	assert_ok(file_write(path, wav, sizeof wav));
	for (int i = 0; i < 3; i++) {
		way = i == 0 ? ABORT : i == 1 ? OVERFLOW : EXIT;
		assert_int_equal(audio_decode(path, &c), ACE_EDATA);
		assert_int_equal(c.reason, AUDIO_DECODE_FAILED);
		assert_non_null(strstr(ace_message(), "a.wav: its decoder died"));
		assert_null(c.data);
	}
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_decoder_that_dies_costs_one_clip) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
