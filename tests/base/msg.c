/* SPDX-License-Identifier: Apache-2.0 */
/* What is said is a line that no name out of a file can bend. */
#include "support/test.h"

#include "base/msg.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What stderr gets of a warning with that text; static. */
static const char *
said(const char *text)
{
	static char got[1000];
	int fd[2], old = dup(2);
	ssize_t n;

	assert_int_equal(pipe(fd), 0);
	assert_true(dup2(fd[1], 2) == 2);
	msg_warn("%s", text);
	dup2(old, 2);
	close(old);
	close(fd[1]);
	n = read(fd[0], got, sizeof got - 1);
	close(fd[0]);
	assert_true(n > 0);
	got[n] = 0;
	return got;
}

static void
names_cannot_move_the_cursor_or_colour_the_screen(void **state)
{
	(void)state;
	assert_string_equal(said("a\033[31mb\rc\bd\177\a"), "ace-x: warning: a?[31mb?c?d??\n");
	assert_string_equal(said("a\xc2\x9b"
				 "31m"),
			    "ace-x: warning: a??31m\n");
}

static void
other_text_is_left_as_it_is(void **state)
{
	static const char text[] =
		"tab\there, \xc3\xa9\xc2\xa0\xe2\x94\x81\xe6\x9b\xb2, and\n       a second line";
	char want[200];

	(void)state;
	snprintf(want, sizeof want, "ace-x: warning: %s\n", text);
	assert_string_equal(said(text), want);
}

static void
ranks_behind_the_first_say_who_they_are_and_only_what_is_wrong(void **state)
{
	int fd[2], old = dup(2);
	char got[100];
	ssize_t n;

	(void)state;
	msg_ranks(3, "n07");
	assert_string_equal(said("slow"), "ace-x: [rank 3 n07] warning: slow\n");
	assert_int_equal(pipe(fd), 0);
	assert_true(dup2(fd[1], 2) == 2);
	msg_info("nothing");
	msg_progress("steps", 1, 1, "%s", "");
	msg_error("gone");
	msg_ranks(0, "n01");
	msg_error("bad");
	dup2(old, 2);
	close(old);
	close(fd[1]);
	n = read(fd[0], got, sizeof got - 1);
	close(fd[0]);
	got[n > 0 ? n : 0] = 0;
	assert_string_equal(got, "ace-x: [rank 3 n07] gone\nace-x: bad\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_behind_the_first_say_who_they_are_and_only_what_is_wrong),
		cmocka_unit_test(names_cannot_move_the_cursor_or_colour_the_screen),
		cmocka_unit_test(other_text_is_left_as_it_is),
	};

	msg_setup("ace-x", MSG_INFO, PROGRESS_NONE, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
