/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_lyrics.h"

#include "base/file.h"
#include "base/json.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"

#include <stdlib.h>
#include <string.h>

static const char vocab[] =
	"{\"added_tokens\": [{\"id\": 1, \"content\": \"[UNK]\"}, {\"id\": 2, \"content\": \"[SPACE]\"}, {\"id\": 3, \"content\": \"[START]\"}, "
	"{\"id\": 4, \"content\": \"[en]\"}, {\"id\": 5, \"content\": \"[verse]\"}], \"pre_tokenizer\": {\"type\": \"Whitespace\"}, "
	"\"model\": {\"type\": \"BPE\", \"unk_token\": \"[UNK]\", \"vocab\": {\"[UNK]\": 1, \"a\": 6, \"b\": 7, \"ab\": 8}, \"merges\": [\"a b\"]}}";

/* The whole output for a lyrics file of that text; owned by the caller. NULL when it failed. */
static char *
inspect(const char *text, bool json)
{
	const char *dir = golden_tmp();
	char *where = file_path("%s", dir), *song, *path = file_path("%s/vocab.json", where), *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);
	enum status st;

	text_file(where, "vocab.json", vocab);
	song = file_path("%s", text_file(where, "song.lyrics", text));
	st = inspect_lyrics(f, song, &(struct inspect_lyrics){ .from.vocab = path, .json = json });
	assert_int_equal(fclose(f), 0);
	assert_ok(file_remove_tree(where));
	free(song);
	free(path);
	free(where);
	if (st == ACE_OK)
		return out;
	free(out);
	return NULL;
}

static void
a_song_is_shown_line_by_line(void **state)
{
	char *out = inspect("\xef\xbb\xbf[verse]\n\n[verse]AB a zb\nThe moon \xe2\x80\xae is a lantern\n[]a\x1b[J\n", false);

	(void)state;
	assert_non_null(out);
	assert_non_null(strstr(out, "song.lyrics: lyrics read per line, 4 lines (3 structure, 0 skipped), "));
	assert_non_null(strstr(out, "    3  structure en <"));
	assert_non_null(strstr(out, " 8        1  [verse]ab a zb\n"));
	assert_non_null(strstr(out, "[en] [verse] ab _ a _ ? b\n"));
	assert_non_null(strstr(out, "the moon \\xe2\\x80\\xae is a lantern\n"));
	assert_non_null(strstr(out, "more than 5 % of the tokens are unknown"));
	assert_non_null(strstr(out, "a\\x1b[j"));
	assert_null(strchr(out, 0x1b));
	free(out);
}

static void
json_holds_the_same_as_numbers(void **state)
{
	char *out = inspect("[verse]ab\n[verse]?", true);
	cJSON *root, *line;

	(void)state;
	assert_non_null(out);
	assert_ok(json_parse(out, strlen(out), "output", &root));
	assert_int_equal(cJSON_GetObjectItem(root, "tokens")->valueint, 9);
	assert_int_equal(cJSON_GetObjectItem(root, "unknown_tokens")->valueint, 1);
	line = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "content"), 0);
	assert_int_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(line, "ids"), 2)->valueint, 8);
	cJSON_Delete(root);
	free(out);
}

static void
no_lyrics_say_so(void **state)
{
	char *out = inspect("", false);

	(void)state;
	assert_non_null(out);
	assert_non_null(strstr(out, "no lyrics"));
	free(out);
}

static void
a_bad_file_is_named(void **state)
{
	(void)state;
	assert_null(inspect("a\n\xff", false));
	assert_non_null(strstr(ace_message(), "song.lyrics: line 2 is not UTF-8"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_song_is_shown_line_by_line),
		cmocka_unit_test(json_holds_the_same_as_numbers),
		cmocka_unit_test(no_lyrics_say_so),
		cmocka_unit_test(a_bad_file_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
