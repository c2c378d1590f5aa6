/* SPDX-License-Identifier: Apache-2.0 */
/* A hub of the test's own that cuts, lies, refuses and is slow. */
#include "support/test.h"

#include "base/file.h"
#include "jobs/fetch.h"
#include "net/digest.h"
#include "net/hub_store.h"
#include "net/wheel.h"
#include "support/golden.h"
#include "support/server.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

enum { BIG = 300000, SMALL = 700, FILES = 6 };
static const char *const commits[] = { "1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222" };

/* The hub, whose second file is large and lies with the storage; and what it does wrong. */
static struct hub_play {
	struct server *base, *storage;
	char *big, *bad, small[SMALL], list[8000], info[200];
	char etag[65], small_etag[65];
	int64_t cut;		/* the storage closes after so many bytes of each answer; -1: never */
	bool no_ranges;		/* answers 200 with the whole */
	int damage_first;	/* one byte is another in that many first answers */
	int longer;		/* bytes too many */
	int64_t claim;		/* Content-Length; -1: the truth */
	int fail_first, code;	/* that many first answers of the storage are code, with Retry-After: 0 */
	int gets;		/* of the storage */
	bool moved;		/* the branch has moved on after the list was read */
	const char *stray;	/* one more path in the list */
	int64_t hold;		/* the storage is silent behind so many bytes of the file; 0: never */
} play;

static char dir[300], printed[600];
static struct fetch_job job;

static void
etag_of(const char *data, size_t size, bool large, char hex[65])
{
	char none[65];
	struct digest d;

	memset(none, 'a', 64);
	none[large ? 64 : 40] = 0;
	digest_init(&d, none, (int64_t)size);
	digest_add(&d, data, size);
	digest_hex(&d, hex);
}

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static void
hub_answer(void *me, const struct server_request *q, struct server_reply *a)
{
	const char *commit = commits[play.moved];

	(void)me;
	if (strstr(q->path, "/revision/")) {
		a->code = 200;
		snprintf(play.info, sizeof play.info, "{\"sha\":\"%s\"}", commit);
		a->body = play.info;
		a->size = strlen(play.info);
	} else if (strstr(q->path, "/tree/")) {
		char *at = play.list;
		at += sprintf(at, "[{\"type\":\"file\",\"path\":\"big.bin\",\"size\":%d,\"oid\":\"%040d\",\"lfs\":{\"oid\":\"%s\",\"size\":%d}}",
		              BIG, 0, play.etag, BIG);
		for (int i = 1; i < FILES; i++)
			at += sprintf(at, ",{\"type\":\"file\",\"path\":\"part%d/small.txt\",\"size\":%d,\"oid\":\"%s\"}", i, SMALL,
			              play.small_etag);
		if (play.stray)
			at += sprintf(at, ",{\"type\":\"file\",\"path\":\"%s\",\"size\":1,\"oid\":\"%s\"}", play.stray, play.small_etag);
		sprintf(at, "]");
		a->code = 200;
		a->body = play.list;
		a->size = strlen(play.list);
	} else if (ends_with(q->path, "big.bin")) {
		a->code = 302;
		snprintf(a->head, sizeof a->head, "X-Repo-Commit: %s\r\nLocation: %s/blob?signature=secret\r\n", commit,
		         server_url(play.storage));
	} else {
		a->code = 200;
		snprintf(a->head, sizeof a->head, "X-Repo-Commit: %s\r\nETag: \"%s\"\r\n", commit, play.small_etag);
		a->body = play.small;
		a->size = SMALL;
	}
}

static void
storage_answer(void *me, const struct server_request *q, struct server_reply *a)
{
	int64_t from = q->from > 0 && !play.no_ranges ? q->from : 0;

	(void)me;
	play.gets++;
	if (play.gets <= play.fail_first) {
		a->code = play.code;
		snprintf(a->head, sizeof a->head, "Retry-After: 0\r\n");
		return;
	}
	if (from >= BIG) {
		a->code = 416;
		return;
	}
	a->code = from > 0 ? 206 : 200;
	if (from > 0)
		snprintf(a->head, sizeof a->head, "Content-Range: bytes %lld-%d/%d\r\n", (long long)from, BIG - 1, BIG);
	a->body = (play.gets <= play.damage_first ? play.bad : play.big) + from;
	a->size = (size_t)(BIG - from + play.longer);
	a->cut = play.cut;
	a->hold = play.hold > from ? play.hold - from : 0;
	a->claim = play.claim;
}

static int
enter(void **state)
{
	(void)state;
	play = (struct hub_play){ .cut = -1, .claim = -1, .code = 503 };
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	play.big = malloc(BIG + 100);
	for (int i = 0; i < BIG + 100; i++)
		play.big[i] = (char)(i * 2654435761u >> 13);
	play.bad = malloc(BIG + 100);
	memcpy(play.bad, play.big, BIG + 100);
	play.bad[BIG / 2] ^= 1;
	memset(play.small, 'x', SMALL);
	etag_of(play.big, BIG, true, play.etag);
	etag_of(play.small, SMALL, false, play.small_etag);
	play.storage = server_start(storage_answer, NULL);
	play.base = server_start(hub_answer, NULL);
	setenv("HF_ENDPOINT", server_url(play.base), 1);
	setenv("HF_HUB_CACHE", dir, 1);
	setenv("HF_TOKEN", "hf_secret", 1);
	unsetenv("HF_HUB_OFFLINE");
	job = (struct fetch_job){ .connections = 3, .retries = 2, .timeout = 60, .pause = 0.01 };
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	server_stop(play.base);
	server_stop(play.storage);
	free(play.big);
	free(play.bad);
	return file_remove_tree(dir) != ACE_OK;
}

static enum status
fetch(const char *word)
{
	FILE *out = fmemopen(printed, sizeof printed, "w");
	enum status st = fetch_repository(&job, word, out);

	fclose(out);
	return st;
}

static char *
big_path(const char *behind)
{
	return file_path("%s/models--a--b/blobs/%s%s", dir, play.etag, behind);
}

static void
check_big(void)
{
	char *path = file_path("%s/models--a--b/snapshots/%s/big.bin", dir, commits[play.moved]), hex[65];

	assert_ok(sha256_file(path, hex));
	assert_string_equal(hex, play.etag);
	free(path);
	path = big_path(".incomplete");
	assert_false(file_exists(path));
	free(path);
}

static void
put_part(const char *data, size_t size)
{
	char *path = file_path("%s/models--a--b/blobs", dir);

	assert_ok(file_mkdirs(path));
	free(path);
	path = big_path(".incomplete");
	assert_ok(file_write(path, data, size));
	free(path);
}

static void
a_cut_connection_goes_on_behind_the_last_byte(void **state)
{
	int64_t at = 0;

	(void)state;
	play.cut = 70001;
	assert_ok(fetch("a/b"));
	check_big();
	assert_true(server_asked(play.storage) >= 5);
	for (int i = 0; i < server_asked(play.storage); i++) {
		struct server_request q = server_request(play.storage, i);
		assert_int_equal(q.from, i == 0 ? -1 : at);
		at += play.cut;
	}
}

static void
a_server_without_ranges_gives_the_whole(void **state)
{
	(void)state;
	put_part(play.big, 1000);
	play.no_ranges = true;
	assert_ok(fetch("a/b"));
	check_big();
}

static void
what_was_there_and_is_wrong_is_fetched_anew(void **state)
{
	char junk[5000];

	(void)state;
	memset(junk, 7, sizeof junk);
	put_part(junk, sizeof junk);
	assert_ok(fetch("a/b"));
	check_big();
	assert_int_equal(server_request(play.storage, 0).from, 5000);
	assert_int_equal(server_request(play.storage, 1).from, -1);
}

static void
a_part_that_is_whole_is_only_checked(void **state)
{
	(void)state;
	put_part(play.big, BIG);
	assert_ok(fetch("a/b"));
	check_big();
	assert_int_equal(server_asked(play.storage), 0);
}

static void
bytes_damaged_once_are_fetched_again(void **state)
{
	(void)state;
	play.damage_first = 1;
	assert_ok(fetch("a/b"));
	check_big();
	assert_int_equal(play.gets, 2);
}

static void
bytes_that_stay_damaged_are_refused_and_leave_no_file(void **state)
{
	char *path = big_path("");

	(void)state;
	play.etag[0] = play.etag[0] == '0' ? '1' : '0';
	free(path);
	path = big_path("");
	assert_int_equal(fetch("a/b"), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "big.bin"));
	assert_non_null(strstr(ace_message(), "checksum"));
	assert_false(file_exists(path));
	assert_int_equal(server_asked(play.storage), 2);
	free(path);
	path = file_path("%s/models--a--b/refs/main", dir);
	assert_false(file_exists(path));	/* nobody takes the rest for the whole */
	free(path);
}

static void
more_bytes_than_listed_are_refused(void **state)
{
	(void)state;
	play.longer = 10;
	assert_int_equal(fetch("a/b"), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "more than"));
}

static void
a_length_that_never_comes_ends_after_the_tries(void **state)
{
	(void)state;
	play.claim = BIG + 5000;
	play.cut = 0;
	assert_int_equal(fetch("a/b"), ACE_ERANK);
	assert_int_equal(server_asked(play.storage), job.retries + 1);
	assert_null(strstr(ace_message(), "secret"));
}

static void
a_busy_server_is_tried_again_and_given_up_at_last(void **state)
{
	char *path;

	(void)state;
	play.fail_first = 2;
	assert_ok(fetch("a/b"));
	check_big();
	server_stop(play.storage);
	play.storage = server_start(storage_answer, NULL);
	play.gets = 0;
	play.fail_first = 1000;
	play.code = 429;
	job.revision = "other";
	path = big_path("");
	assert_int_equal(unlink(path), 0);
	free(path);
	assert_int_equal(fetch("a/b"), ACE_ERANK);
	assert_int_equal(server_asked(play.storage), job.retries + 1);
	assert_non_null(strstr(ace_message(), "429"));
}

static void
the_token_goes_to_the_hub_alone(void **state)
{
	char text[200];

	(void)state;
	assert_ok(fetch("a/b"));
	for (int i = 0; i < server_asked(play.base); i++) {
		struct server_request q = server_request(play.base, i);
		assert_non_null(server_header(&q, "authorization", text, sizeof text));
		assert_string_equal(text, "Bearer hf_secret");
	}
	assert_true(server_asked(play.storage) > 0);
	for (int i = 0; i < server_asked(play.storage); i++) {
		struct server_request q = server_request(play.storage, i);
		assert_null(server_header(&q, "authorization", text, sizeof text));
		assert_null(strstr(q.head, "hf_secret"));
	}
	setenv("HF_TOKEN", "two words", 1);
	assert_int_equal(fetch("a/b"), ACE_ECONFIG);
	assert_null(strstr(ace_message(), "two words"));
}

/* The branch moves between the list and the file: what was listed would be mixed with what is there now. */
static void
moving_answer(void *me, const struct server_request *q, struct server_reply *a)
{
	hub_answer(me, q, a);
	if (strstr(q->path, "/tree/") && !play.moved)
		play.moved = true;
}

static void
a_branch_that_moves_meanwhile_is_looked_at_again(void **state)
{
	char *path, *text;
	size_t size;

	(void)state;
	server_stop(play.base);
	play.base = server_start(moving_answer, NULL);
	setenv("HF_ENDPOINT", server_url(play.base), 1);
	assert_ok(fetch("a/b"));
	check_big();
	path = file_path("%s/models--a--b/refs/main", dir);
	assert_ok(file_read(path, 100, &text, &size));
	assert_string_equal(text, commits[1]);
	free(text);
	free(path);
}

static void
a_path_that_leaves_the_folder_is_refused(void **state)
{
	static const char *const bad[] = { "../x", "/etc/x", "a/../../x", "a//b", "." };

	(void)state;
	for (int i = 0; i < 5; i++) {
		play.stray = bad[i];
		assert_int_equal(fetch("a/b"), ACE_EDATA);
	}
	assert_int_equal(server_asked(play.storage), 0);
}

static int
small_ones(void)
{
	int n = 0;

	for (int i = 1; i < FILES; i++) {
		char *path = file_path("%s/models--a--b/snapshots/%s/part%d/small.txt", dir, commits[0], i);
		n += file_size(path) == SMALL;
		free(path);
	}
	return n;
}

static void
patterns_choose_the_files(void **state)
{
	(void)state;
	job.include = "part1/, part[23]/*";
	job.exclude = "part2*";
	assert_ok(fetch("a/b"));
	assert_int_equal(small_ones(), 2);
	assert_int_equal(server_asked(play.storage), 0);
	job.include = "nothing*";
	assert_int_equal(fetch("a/b"), ACE_ENOINPUT);
}

static void
of_an_ace_step_model_the_parts_that_are_used_come(void **state)
{
	(void)state;
	play.stray = "ace_step_transformer/config.json";
	assert_int_equal(fetch("a/b"), ACE_EDATA);	/* its size is not what the list says, which is another test's matter */
	assert_int_equal(server_asked(play.storage), 0);
	assert_int_equal(small_ones(), 0);
}

static void
a_dry_run_lists_and_touches_nothing(void **state)
{
	char *path = file_path("%s/models--a--b", dir);

	(void)state;
	job.dry = true;
	assert_ok(fetch("a/b"));
	assert_non_null(strstr(printed, "300000\twanted\tbig.bin\n"));
	assert_false(file_exists(path));
	free(path);
}

static void
offline_only_the_cache_is_looked_at(void **state)
{
	int before;

	(void)state;
	setenv("HF_HUB_OFFLINE", "1", 1);
	assert_int_equal(fetch("a/b"), ACE_ENOINPUT);
	assert_int_equal(server_asked(play.base), 0);
	unsetenv("HF_HUB_OFFLINE");
	assert_ok(fetch("a/b"));
	before = server_asked(play.base);
	setenv("HF_HUB_OFFLINE", "1", 1);
	assert_ok(fetch("a/b"));
	assert_non_null(strstr(printed, commits[0]));
	assert_int_equal(server_asked(play.base), before);
	unsetenv("HF_HUB_OFFLINE");
}

static void
verify_finds_a_damaged_file_and_brings_it_again(void **state)
{
	char *path, *text;
	size_t size;

	(void)state;
	assert_ok(fetch("a/b"));
	path = big_path("");
	assert_ok(file_read(path, BIG, &text, &size));
	text[5] ^= 1;
	assert_ok(file_write(path, text, size));
	assert_ok(fetch("a/b"));
	assert_int_equal(play.gets, 1);
	job.verify = true;
	assert_ok(fetch("a/b"));
	assert_int_equal(play.gets, 2);
	check_big();
	free(text);
	free(path);
}

/* --- another process at the same blob --- */

static void *
holder(void *me)
{
	struct timespec t = { .tv_nsec = 300000000 };
	char *path = big_path("");

	nanosleep(&t, NULL);
	assert_ok(file_write(path, play.big, BIG));
	free(path);
	hub_store_unlock(*(int *)me);
	return NULL;
}

static void
what_another_process_fetches_is_waited_for_and_taken(void **state)
{
	struct hub_repo r;
	struct hub_store s;
	pthread_t thread;
	int fd;

	(void)state;
	assert_ok(hub_repo_parse(&r, "a/b", false, "main"));
	assert_ok(hub_store_open(&s, &r));
	assert_ok(hub_store_lock(&s, play.etag, NULL, &fd));
	assert_int_equal(pthread_create(&thread, NULL, holder, &fd), 0);
	assert_ok(fetch("a/b"));
	pthread_join(thread, NULL);
	check_big();
	assert_int_equal(play.gets, 0);
	hub_store_close(&s);
	hub_repo_free(&r);
}

/* --- the program --- */

static pid_t
start_program(const char *log)
{
	const char *top = getenv("top_builddir");
	char *program = file_path("%s/src/tools/ace-fetch", top ? top : "."), word[] = "a/b", tries[] = "retries=1";
	char *argv[] = { program, word, tries, NULL };
	posix_spawn_file_actions_t files;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0666);
	posix_spawn_file_actions_adddup2(&files, 1, 2);
	assert_int_equal(posix_spawn(&pid, program, &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
	free(program);
	return pid;
}

/* Until so much of the large file is there; false: it took five minutes. */
static bool
wait_for_bytes(int64_t n)
{
	struct timespec t = { .tv_nsec = 5000000 };
	char *path = big_path(".incomplete");
	int tries = 60000;

	while (tries-- > 0 && file_size(path) < n)
		nanosleep(&t, NULL);
	free(path);
	return tries > 0;
}

static void
a_killed_or_stopped_program_goes_on_where_it_was(void **state)
{
	static const int signals[] = { SIGKILL, SIGTERM };
	char *log = file_path("%s/log", dir), *text;
	int status, last;
	size_t size;

	(void)state;
	for (int i = 0; i < 2; i++) {
		pid_t pid;
		play.hold = 80000 + 80000 * i;		/* so that it is still at it */
		pid = start_program(log);
		assert_true(wait_for_bytes(60000 + 60000 * i));
		kill(pid, signals[i]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (i == 0)
			assert_true(WIFSIGNALED(status));
		else
			assert_int_equal(WEXITSTATUS(status), 75);
	}
	play.hold = 0;
	assert_int_equal(waitpid(start_program(log), &status, 0) > 0, 1);
	assert_int_equal(WEXITSTATUS(status), 0);
	check_big();
	last = server_asked(play.storage) - 1;
	assert_int_equal(last, 2);
	assert_true(server_request(play.storage, 1).from >= 60000);
	assert_true(server_request(play.storage, 2).from >= 120000);
	assert_ok(file_read(log, 1 << 20, &text, &size));
	assert_non_null(strstr(text, "goes on from here"));
	assert_null(strstr(text, "hf_secret"));
	assert_null(strstr(text, "signature"));
	free(text);
	free(log);
}

static void
the_program_ends_with_the_code_of_what_failed(void **state)
{
	char *log = file_path("%s/log", dir);
	int status;

	(void)state;
	play.fail_first = 1000;
	assert_true(waitpid(start_program(log), &status, 0) > 0);
	assert_int_equal(WEXITSTATUS(status), 76);
	setenv("HF_ENDPOINT", server_url(play.storage), 1);
	play.fail_first = 1000;
	play.code = 404;
	assert_true(waitpid(start_program(log), &status, 0) > 0);
	assert_int_equal(WEXITSTATUS(status), 66);
	free(log);
}

/* --- the lyric vocabulary --- */

static void
put16(char **at, unsigned v)
{
	*(*at)++ = (char)v;
	*(*at)++ = (char)(v >> 8);
}

static void
put32(char **at, unsigned long v)
{
	put16(at, v & 65535);
	put16(at, (unsigned)(v >> 16));
}

static size_t
make_wheel(char *to, const char *name, const char *packed, size_t n_packed, size_t n, unsigned long crc, int method)
{
	char *at = to, *directory;
	unsigned n_name = (unsigned)strlen(name);

	for (int central = 0; central < 2; central++) {
		directory = at;
		put32(&at, central ? 0x02014b50 : 0x04034b50);
		if (central)
			put16(&at, 20);
		put16(&at, 20), put16(&at, 0), put16(&at, (unsigned)method), put32(&at, 0), put32(&at, crc);
		put32(&at, n_packed), put32(&at, n), put16(&at, n_name), put16(&at, 0);
		if (central)
			put16(&at, 0), put16(&at, 0), put16(&at, 0), put32(&at, 0), put32(&at, 0);
		memcpy(at, name, n_name);
		at += n_name;
		if (!central) {
			memcpy(at, packed, n_packed);
			at += n_packed;
		}
	}
	put32(&at, 0x06054b50), put16(&at, 0), put16(&at, 0), put16(&at, 1), put16(&at, 1);
	{
		unsigned long size = (unsigned long)(at - directory - 12), where = (unsigned long)(directory - to);
		put32(&at, size), put32(&at, where), put16(&at, 0);
	}
	return (size_t)(at - to);
}

static const char *index_page;
static char *wheel_data;
static size_t wheel_size;

static void
index_answer(void *me, const struct server_request *q, struct server_reply *a)
{
	(void)me;
	if (strcmp(q->path, "/simple/simpletuner/") == 0) {
		a->code = 200;
		a->body = index_page;
		a->size = strlen(index_page);
	} else if (strcmp(q->path, "/files/simpletuner-3.1.6-py3-none-any.whl") == 0) {
		a->code = 200;
		a->body = wheel_data;
		a->size = wheel_size;
	}
}

static void
the_lyric_vocabulary_comes_out_of_the_published_package(void **state)
{
#ifdef HAVE_ZLIB
	const char *data = golden_data("lyric_vocab.json");
	char *text, *packed, *index, *path = file_path("%s/new/vocab.json", dir), *got;
	struct server *s;
	z_stream z = { 0 };
	size_t size, n;

	(void)state;
	if (!data)
		skip();
	assert_ok(file_read(data, 1 << 22, &text, &size));
	packed = malloc(size + 1000);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)text, z.avail_in = (uInt)size, z.next_out = (unsigned char *)packed, z.avail_out = (uInt)size;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	wheel_data = malloc(size + 2000);
	wheel_size = make_wheel(wheel_data, "p/ace_step/lyrics_utils/vocab.json", packed, z.total_out, size,
	                        crc32(0, (unsigned char *)text, (uInt)size), 8);
	deflateEnd(&z);
	index_page = "<a href=\"../../files/simpletuner-3.1.5-py3-none-any.whl#sha256=1\">x</a>"
		"<a href=\"../../files/simpletuner-3.1.6-py3-none-any.whl#sha256=2\">y</a>";
	s = server_start(index_answer, NULL);
	index = file_path("%s/simple/", server_url(s));
	setenv("PIP_INDEX_URL", index, 1);
	job.lyric_vocab = path;
	assert_ok(fetch_lyric_vocab(&job, stderr));
	assert_ok(file_read(path, 1 << 22, &got, &n));
	assert_int_equal(n, size);
	assert_memory_equal(got, text, n);
	assert_int_equal(server_asked(s), 2);
	assert_ok(fetch_lyric_vocab(&job, stderr));
	assert_int_equal(server_asked(s), 2);
	wheel_data[200] ^= 1;
	assert_ok(file_remove_tree(path));
	assert_int_equal(fetch_lyric_vocab(&job, stderr), ACE_EDATA);
	assert_false(file_exists(path));
	server_stop(s);
	unsetenv("PIP_INDEX_URL");
	free(got);
	free(index);
	free(wheel_data);
	free(packed);
	free(text);
	free(path);
#else
	(void)state;
	skip();
#endif
}

static void
a_cut_or_changed_archive_is_refused(void **state)
{
#ifdef HAVE_ZLIB
	char body[] = "vocabulary, stored", wheel[400], *text;
	size_t n = make_wheel(wheel, "a/vocab.json", body, sizeof body, sizeof body, crc32(0, (unsigned char *)body, sizeof body), 0), m;
	int refused = 0;

	(void)state;
	assert_ok(wheel_member(wheel, n, "w", "/vocab.json", 100, &text, &m));
	assert_memory_equal(text, body, m);
	free(text);
	assert_int_equal(wheel_member(wheel, n, "w", "/other.json", 100, &text, &m), ACE_EDATA);
	assert_int_equal(wheel_member(wheel, n, "w", "/vocab.json", 5, &text, &m), ACE_EDATA);
	for (size_t cut = 0; cut < n; cut++) {
		char *copy = malloc(cut + 1);	/* exactly as long, for the sanitizer */
		memcpy(copy, wheel, cut);
		assert_int_equal(wheel_member(copy, cut, "w", "/vocab.json", 100, &text, &m), ACE_EDATA);
		free(copy);
	}
	for (size_t i = 0; i < n * 255; i++) {
		char keep = wheel[i % n];
		wheel[i % n] = (char)(keep + 1 + i / n);
		if (wheel_member(wheel, n, "w", "/vocab.json", 100, &text, &m) == ACE_OK) {
			assert_memory_equal(text, body, m);
			free(text);
		} else {
			refused++;
		}
		wheel[i % n] = keep;
	}
	assert_true(refused > 0);
#else
	(void)state;
	skip();
#endif
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		T(a_cut_connection_goes_on_behind_the_last_byte),
		T(a_server_without_ranges_gives_the_whole),
		T(what_was_there_and_is_wrong_is_fetched_anew),
		T(a_part_that_is_whole_is_only_checked),
		T(bytes_damaged_once_are_fetched_again),
		T(bytes_that_stay_damaged_are_refused_and_leave_no_file),
		T(more_bytes_than_listed_are_refused),
		T(a_length_that_never_comes_ends_after_the_tries),
		T(a_busy_server_is_tried_again_and_given_up_at_last),
		T(the_token_goes_to_the_hub_alone),
		T(a_branch_that_moves_meanwhile_is_looked_at_again),
		T(a_path_that_leaves_the_folder_is_refused),
		T(patterns_choose_the_files),
		T(of_an_ace_step_model_the_parts_that_are_used_come),
		T(a_dry_run_lists_and_touches_nothing),
		T(offline_only_the_cache_is_looked_at),
		T(verify_finds_a_damaged_file_and_brings_it_again),
		T(what_another_process_fetches_is_waited_for_and_taken),
		T(a_killed_or_stopped_program_goes_on_where_it_was),
		T(the_program_ends_with_the_code_of_what_failed),
		T(the_lyric_vocabulary_comes_out_of_the_published_package),
		T(a_cut_or_changed_archive_is_refused),
	};
#ifndef HAVE_CURL
	puts("1..0 # SKIP built without libcurl");
	return 0;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
