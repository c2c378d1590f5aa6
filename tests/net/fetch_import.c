/* SPDX-License-Identifier: Apache-2.0 */
/* ace-import-hf --fetch: from a hub of the test's own to a folder of songs, in one command */
#include "support/test.h"

#include "base/file.h"
#include "net/digest.h"
#include "support/golden.h"
#include "support/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char commit[] = "1111111111111111111111111111111111111111";
static const char info[] = "{\"sha\":\"1111111111111111111111111111111111111111\"}";
static const struct { const char *name, *data; } files[] = {
	{ "train/metadata.jsonl", "{\"file_name\": \"a.wav\", \"prompt\": \"slow jazz\", \"lyrics\": \"rain\"}\n" },
	{ "train/a.wav", "RIFF and what a wav file has" },
};
enum { FILES = sizeof files / sizeof *files };

static char list[2000];

static void
etag(int i, char hex[65])
{
	size_t n = strlen(files[i].data);
	struct digest d;

	digest_init(&d, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", (int64_t)n);
	digest_add(&d, files[i].data, n);
	digest_hex(&d, hex);
}

static void
answer(void *me, const struct server_request *q, struct server_reply *a)
{
	char hex[65];
	int at = 0;

	(void)me;
	a->code = 404;
	if (strstr(q->path, "/api/datasets/a/b/revision/")) {
		a->code = 200;
		a->body = info;
	} else if (strstr(q->path, "/tree/")) {
		for (int i = 0; i < FILES; i++) {
			etag(i, hex);
			at += snprintf(list + at, sizeof list - (size_t)at, "%s{\"type\":\"file\",\"path\":\"%s\",\"size\":%zu,\"oid\":\"%s\"}",
			               i ? "," : "[", files[i].name, strlen(files[i].data), hex);
		}
		snprintf(list + at, sizeof list - (size_t)at, "]");
		a->code = 200;
		a->body = list;
	}
	for (int i = 0; i < FILES; i++)
		if (strstr(q->path, "/datasets/a/b/resolve/") && strstr(q->path, files[i].name)) {
			etag(i, hex);
			snprintf(a->head, sizeof a->head, "X-Repo-Commit: %s\r\nETag: \"%s\"\r\n", commit, hex);
			a->code = 200;
			a->body = files[i].data;
		}
	a->size = a->body ? strlen(a->body) : 0;
}

static void
a_data_set_of_the_hub_becomes_songs_in_one_command(void **state)
{
	struct server *hub = server_start(answer, NULL);
	char dir[300], command[1200], path[400], *text;
	size_t size;
	int asked;

	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	setenv("HF_ENDPOINT", server_url(hub), 1);
	snprintf(path, sizeof path, "%s/cache", dir);
	setenv("HF_HUB_CACHE", path, 1);
	unsetenv("HF_HUB_OFFLINE");
	snprintf(command, sizeof command, "'%s/src/tools/ace-import-hf' a/b '%s/songs' --fetch > '%s/out' 2> '%s/said'", getenv("top_builddir"), dir,
	         dir, dir);
	assert_int_equal(WEXITSTATUS(system(command)), 0);
	snprintf(path, sizeof path, "%s/songs/000000-a.txt", dir);
	assert_ok(file_read(path, 100, &text, &size));
	assert_string_equal(text, "slow jazz\n");
	free(text);
	snprintf(path, sizeof path, "%s/songs/000000-a.wav", dir);
	assert_ok(file_read(path, 100, &text, &size));
	assert_string_equal(text, files[1].data);
	free(text);
	snprintf(path, sizeof path, "%s/out", dir);
	assert_int_equal(file_size(path), 0);			/* nothing of ace-fetch's */
	asked = server_asked(hub);
	assert_true(asked > 0);
	snprintf(command, sizeof command, "'%s/src/tools/ace-import-hf' a/none '%s/none' --fetch 2> '%s/said'", getenv("top_builddir"), dir, dir);
	assert_int_equal(WEXITSTATUS(system(command)), 66);
	snprintf(path, sizeof path, "%s/said", dir);
	assert_ok(file_read(path, 10000, &text, &size));
	assert_non_null(strstr(text, "ace-fetch did not bring it"));
	free(text);
	server_stop(hub);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_data_set_of_the_hub_becomes_songs_in_one_command),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
