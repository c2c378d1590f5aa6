/* SPDX-License-Identifier: Apache-2.0 */
/* Bad and hostile sets: what is wrong is named, the rest goes on, nothing outside is touched; and runs that are killed */
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "base/json.h"
#include "data/csv.h"
#include "data/hf_filter.h"
#include "data/hf_parts.h"
#include "jobs/import_hf.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[300];

static int
enter(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	return file_remove_tree(dir) != ACE_OK;
}

static void
put(const char *name, const void *data, size_t size)
{
	char path[700], *slash;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	slash = strrchr(path, '/');
	*slash = 0;
	assert_ok(file_mkdirs(path));
	*slash = '/';
	assert_ok(file_write(path, data, size));
}

static void
put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static enum status
import(const char *source, const char *to, struct import_report *r)
{
	char from[700], folder[700];
	struct import_job job = { .source = from, .folder = folder, .max_bad = 100, .max_bad_percent = true };

	snprintf(from, sizeof from, "%s/%s", dir, source);
	snprintf(folder, sizeof folder, "%s/%s", dir, to);
	return import_hf_run(&job, r);
}

/* How often code stands in DST/failures.jsonl. */
static int
failures(const char *to, const char *code)
{
	char path[700], want[100], *text;
	size_t size;
	int n = 0;

	snprintf(path, sizeof path, "%s/%s/failures.jsonl", dir, to);
	snprintf(want, sizeof want, "\"code\":\"%s\"", code);
	if (!file_exists(path))
		return 0;
	assert_ok(file_read(path, 1u << 24, &text, &size));
	for (const char *p = text; (p = strstr(p, want)); p++)
		n++;
	free(text);
	return n;
}

static int
entries(const char *folder)
{
	char command[800];
	FILE *f;
	int n = -1;

	snprintf(command, sizeof command, "find '%s/%s' -type f | wc -l", dir, folder);
	f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &n), 1);
	pclose(f);
	return n;
}

/* --- rows --- */

static void
paths_that_leave_the_set_are_refused(void **state)
{
	char link[700], target[700];
	struct import_report r;

	(void)state;
	put_text("outside/secret.wav", "RIFF secret");
	put_text("set/clips/good.wav", "RIFF good");
	snprintf(target, sizeof target, "%s/outside/secret.wav", dir);
	snprintf(link, sizeof link, "%s/set/clips/link.wav", dir);
	assert_int_equal(symlink(target, link), 0);
	snprintf(link, sizeof link, "%s/set/way", dir);
	assert_int_equal(symlink("../outside", link), 0);
	char rows[2000];
	snprintf(rows, sizeof rows,
	         "{\"file_name\": \"clips/good.wav\", \"prompt\": \"p\"}\n"
	         "{\"file_name\": \"../outside/secret.wav\", \"prompt\": \"p\"}\n"
	         "{\"file_name\": \"clips/../../outside/secret.wav\", \"prompt\": \"p\"}\n"
	         "{\"file_name\": \"%s\", \"prompt\": \"p\"}\n"
	         "{\"file_name\": \"clips/link.wav\", \"prompt\": \"p\"}\n"
	         "{\"file_name\": \"way/secret.wav\", \"prompt\": \"p\"}\n"
	         "{\"file_name\": \"/etc/passwd\", \"prompt\": \"p\"}\n"
	         "{\"file_name\": \"\", \"prompt\": \"p\"}\n", target);
	put_text("set/metadata.jsonl", rows);
	assert_ok(import("set", "to", &r));
	assert_int_equal(r.fresh, 1);
	assert_int_equal(r.failed, 7);
	assert_int_equal(failures("to", "path_outside"), 7);
	assert_int_equal(entries("to"), 4);		/* sound, caption, index, failures */
}

static void
every_bad_row_is_named_and_the_rest_goes_on(void **state)
{
	static const char rows[] =
		"{\"file_name\": \"a.wav\", \"prompt\": \"one\", \"key\": \"../../x/y\"}\n"
		"not json\n"
		"{\"file_name\": \"a.wav\", \"prompt\": \"two\"\n"
		"[1, 2]\n"
		"{\"file_name\": \"a.wav\"}\n"
		"{\"file_name\": \"a.wav\", \"prompt\": \"  \"}\n"
		"{\"file_name\": \"gone.wav\", \"prompt\": \"p\"}\n"
		"{\"file_name\": \"empty.wav\", \"prompt\": \"p\"}\n"
		"{\"file_name\": \"text\", \"prompt\": \"p\"}\n"
		"{\"prompt\": \"p\"}\n"
		"{\"file_name\": \"a.wav\", \"prompt\": \"a\\u0000b\"}\n"
		"{\"file_name\": \"a.wav\", \"prompt\": \"bad \xff utf\"}\n"
		"{\"file_name\": 7, \"prompt\": \"p\"}\n"
		"\n"
		"{\"file_name\": \"a.wav\", \"prompt\": \"last\\nline\", \"lyrics\": \"la\"}";
	static const struct { const char *code; int n; } want[] = { { "bad_row", 5 }, { "caption_missing", 2 },
		{ "audio_missing", 3 }, { "empty_file", 1 }, { "not_audio", 1 } };
	struct import_report r;
	char *text, path[700];
	size_t n;

	(void)state;
	put_text("bad/a.wav", "RIFF a");
	put_text("bad/empty.wav", "");
	put_text("bad/text", "only words");
	put("bad/metadata.jsonl", rows, sizeof rows - 1);
	assert_ok(import("bad", "bad-to", &r));
	assert_int_equal(r.rows, 14);
	assert_int_equal(r.fresh, 2);
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		assert_int_equal(failures("bad-to", want[i].code), want[i].n);
	snprintf(path, sizeof path, "%s/bad-to/000013-a.txt", dir);
	assert_ok(file_read(path, 1000, &text, &n));
	assert_string_equal(text, "last line\n");	/* a caption a line */
	free(text);
	snprintf(path, sizeof path, "%s/bad-to/000000-.._.._x_y.wav", dir);
	assert_true(file_exists(path));
	assert_int_equal(import("bad", "bad-to", &r), ACE_OK);	/* bad rows are tried again, good ones not */
	assert_int_equal(r.kept, 2);
	assert_int_equal(r.failed, 12);
	assert_int_equal(r.fresh, 0);
}

static void
a_table_that_breaks_off_loses_its_rest_and_says_so(void **state)
{
	struct import_report r;

	(void)state;
	put_text("csv/a.wav", "RIFF a");
	put_text("csv/metadata.csv", "\xef\xbb\xbf" "file_name,prompt\r\na.wav,\"a, \"\"b\"\"\nc\"\r\na.wav,x,too many\r\n\r\na.wav,ok\n"
	         "a.wav,\"never closed\n");
	assert_int_equal(import("csv", "csv-to", &r), ACE_EDATA);
	assert_int_equal(r.fresh, 2);
	assert_int_equal(failures("csv-to", "bad_row"), 1);
	assert_int_equal(failures("csv-to", "bad_file"), 1);
	assert_int_equal(r.lost_files, 1);
}

/* --- archives --- */

static size_t
octal(char *at, size_t n, unsigned long x)
{
	snprintf(at, n, "%0*lo", (int)n - 1, x);
	return n;
}

/* One member in ustar format behind at; returns its end. */
static size_t
member(char *tar, size_t at, const char *name, char type, const char *link, const char *data, size_t declared)
{
	char *h = tar + at;
	size_t n = data ? strlen(data) : 0, sum = 0;

	memset(h, 0, 512);
	snprintf(h, 100, "%s", name);
	octal(h + 100, 8, 0644);
	octal(h + 108, 8, 0);
	octal(h + 116, 8, 0);
	octal(h + 124, 12, declared);
	octal(h + 136, 12, 0);
	h[156] = type;
	snprintf(h + 157, 100, "%s", link);
	memcpy(h + 257, "ustar\00000", 8);
	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06zo", sum);
	h[155] = ' ';
	memset(h + 512, 0, 512);
	memcpy(h + 512, data ? data : "", n);
	return at + 512 + (n > 0 ? 512 : 0);
}

static void
hostile_members_of_archives_are_refused(void **state)
{
	static char tar[1 << 16];
	struct import_report r;
	size_t at = 0;

	(void)state;
	if (import("none", "none-to", &r) != ACE_ENOINPUT)
		fail();
	at = member(tar, at, "good.wav", '0', "", "RIFF good", 9);
	at = member(tar, at, "good.txt", '0', "", "caption", 7);
	at = member(tar, at, "link.wav", '2', "/etc/passwd", NULL, 0);
	at = member(tar, at, "link.txt", '0', "", "caption", 7);
	at = member(tar, at, "hard.wav", '1', "good.wav", NULL, 0);
	at = member(tar, at, "/abs.wav", '0', "", "RIFF", 4);
	at = member(tar, at, "../up.wav", '0', "", "RIFF", 4);
	at = member(tar, at, "pipe.wav", '6', "", NULL, 0);
	at = member(tar, at, "a/b.c.wav", '0', "", "RIFF two dots", 13);
	at = member(tar, at, "a/b.json", '0', "", "{\"caption\": \"from json\", \"lyrics\": \"la\"}", 40);
	at = member(tar, at, "broken.wav", '0', "", "RIFF", 4);
	at = member(tar, at, "broken.json", '0', "", "{\"caption\": ", 12);
	at = member(tar, at, "silent.txt", '0', "", "caption", 7);
	at += 1024;
	put("tar/shard.tar", tar, at);
	enum status st = import("tar", "tar-to", &r);
	if (st == ACE_EDEVICE) {
		print_message("# SKIP there is no libarchive here\n");
		skip();
	}
	assert_int_equal(st, ACE_OK);
	assert_int_equal(r.fresh, 2);
	assert_int_equal(failures("tar-to", "bad_member"), 5);
	assert_int_equal(failures("tar-to", "bad_row"), 1);
	assert_int_equal(failures("tar-to", "audio_missing"), 1);

	at = member(tar, 0, "bomb.wav", '0', "", "RIFF", (unsigned long)7 << 30);	/* says 7 GiB, holds nothing */
	put("bomb/shard.tar", tar, at);
	assert_int_equal(import("bomb", "bomb-to", &r), ACE_EDATA);
	assert_int_equal(r.fresh, 0);
}

/* --- what a folder may hold --- */

static void
the_target_must_be_new_empty_or_the_same_import(void **state)
{
	struct import_report r;
	char from[700], to[700];
	struct import_job job = { .source = from, .folder = to, .max_bad = 0 };

	(void)state;
	put_text("t/a.wav", "RIFF a");
	put_text("t/metadata.csv", "file_name,prompt,year\na.wav,one,1990\na.wav,two,1995\na.wav,three,2000\n");
	put_text("taken/something", "else");
	assert_int_equal(import("t", "taken", &r), ACE_ECREATE);
	snprintf(from, sizeof from, "%s/t", dir);
	snprintf(to, sizeof to, "%s/t-to", dir);
	job.filter = "year>=1995, prompt!=three";
	assert_ok(import_hf_run(&job, &r));
	assert_int_equal(r.fresh, 1);
	assert_int_equal(r.filtered, 2);
	job.filter = "year>=1995";
	assert_int_equal(import_hf_run(&job, &r), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "year>=1995, prompt!=three"));
	job.filter = "year >> 3";
	assert_int_equal(import_hf_run(&job, &r), ACE_EUSAGE);
	job.filter = NULL;
	job.splits = "validation";
	assert_int_equal(import_hf_run(&job, &r), ACE_ENOINPUT);
	job.splits = NULL;
	job.limit = 2;
	snprintf(to, sizeof to, "%s/t-two", dir);
	assert_ok(import_hf_run(&job, &r));
	assert_int_equal(r.fresh, 2);
}

static void
saved_sets_that_lead_elsewhere_are_refused(void **state)
{
	struct import_report r;

	(void)state;
	put_text("s1/state.json", "{\"_data_files\": [{\"filename\": \"../x.arrow\"}]}");
	assert_int_equal(import("s1", "s-to", &r), ACE_EDATA);
	put_text("s2/state.json", "{\"_data_files\": [{\"filename\": \"none.arrow\"}]}");
	assert_int_equal(import("s2", "s-to", &r), ACE_ENOINPUT);
	put_text("s3/state.json", "{\"_data_files\": [], \"_indices_files\": [{\"filename\": \"i.arrow\"}]}");
	assert_int_equal(import("s3", "s-to", &r), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "flatten the indices first"));
	put_text("s4/dataset_dict.json", "{\"splits\": [\"../s1\"]}");
	assert_int_equal(import("s4", "s-to", &r), ACE_EDATA);
	put_text("s5/README.md", "---\nconfigs:\n- config_name: a\n  data_files: ../../etc/*\n---\n");
	assert_int_equal(import("s5", "s-to", &r), ACE_EDATA);
	put_text("s6/song.wav", "RIFF");
	assert_int_equal(import("s6", "s-to", &r), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "takes it as it is"));
}

/* --- cards and tables --- */

static void
yaml_of_cards_is_read(void **state)
{
	static const char text[] = "configs:\n- config_name: a  # the first\n  default: true\n  data_files:\n  - split: train\n    path:\n"
		"    - \"x/*.parquet\"\n    - y/**/z.csv\n  - {split: test, path: [t.csv, 'u.csv']}\n- config_name: b\n  data_files: one.jsonl\n";
	static const char *const bad[] = { "a: b: c\n d", "- a\nb: c\n", "a: [1, 2\n", "a: {b\n", "a: |\n  text\n", "\t- a\n" };
	cJSON *v = hf_yaml(text, sizeof text - 1);
	char *got;

	(void)state;
	assert_non_null(v);
	got = cJSON_PrintUnformatted(v);
	assert_string_equal(got, "{\"configs\":[{\"config_name\":\"a\",\"default\":\"true\",\"data_files\":[{\"split\":\"train\",\"path\":"
	                    "[\"x/*.parquet\",\"y/**/z.csv\"]},{\"split\":\"test\",\"path\":[\"t.csv\",\"u.csv\"]}]},"
	                    "{\"config_name\":\"b\",\"data_files\":\"one.jsonl\"}]}");
	free(got);
	cJSON_Delete(v);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		v = hf_yaml(bad[i], strlen(bad[i]));
		cJSON_Delete(v);
	}
	assert_true(hf_glob("data/train-*", "data/train-0.parquet"));
	assert_false(hf_glob("data/train-*", "data/train-0/x.parquet"));
	assert_true(hf_glob("**/x.csv", "x.csv") && hf_glob("**/x.csv", "a/b/x.csv"));
	assert_true(hf_glob("a?[0-9].csv", "ab7.csv") && !hf_glob("a?[!0-9].csv", "ab7.csv"));
	assert_false(hf_glob("*a*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
}

/* --- runs that are killed --- */

enum { ROWS = 300 };

/* Import in a process of its own that is killed after a while; true: it came to its end. */
static bool
killed(const char *from, const char *to, unsigned after)
{
	struct import_job job = { .source = from, .folder = to, .max_bad = 0 };
	struct import_report r;
	pid_t child = fork();
	int how;

	assert_true(child >= 0);
	if (child == 0)
		_exit(import_hf_run(&job, &r) == ACE_OK ? 0 : 1);
	usleep(after);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &how, 0), child);
	assert_true(WIFSIGNALED(how) || (WIFEXITED(how) && WEXITSTATUS(how) == 0));
	return WIFEXITED(how);
}

static void
a_run_that_is_killed_goes_on_and_does_nothing_twice(void **state)
{
	static char rows[ROWS * 80];
	char from[700], to[700], path[800], *text;
	struct import_job job = { .source = from, .folder = to, .max_bad = 0 };
	struct import_report r;
	int at = 0, kills = 0, seen[ROWS] = { 0 }, rounds = test_rounds("ACE_KILLS", 8);
	size_t n;

	(void)state;
	put_text("k/a.wav", "RIFF the sound of it");
	for (int i = 0; i < ROWS; i++)
		at += snprintf(rows + at, sizeof rows - (size_t)at, "{\"file_name\": \"a.wav\", \"prompt\": \"song %d\"}\n", i);
	put_text("k/metadata.jsonl", rows);
	snprintf(from, sizeof from, "%s/k", dir);
	snprintf(to, sizeof to, "%s/k-to", dir);
	for (int k = 0; k < rounds && !killed(from, to, 1000 + 700u * (unsigned)(k % 7)); k++)
		kills++;
	assert_ok(import_hf_run(&job, &r));
	assert_int_equal(r.rows, ROWS);
	assert_int_equal(r.fresh + r.kept, ROWS);
	snprintf(path, sizeof path, "%s/index.jsonl", to);
	assert_ok(file_read(path, 1u << 22, &text, &n));
	for (char *p = text; (p = strstr(p, "{\"row\":")); p++)
		seen[atoi(p + 7)]++;
	free(text);
	for (int i = 0; i < ROWS; i++) {
		assert_int_equal(seen[i], 1);
		snprintf(path, sizeof path, "%s/%06d-a.wav", to, i);
		assert_int_equal(file_size(path), 20);
		snprintf(path, sizeof path, "%s/%06d-a.txt", to, i);
		assert_true(file_size(path) > 0);
	}
	assert_int_equal(entries("k-to"), 2 * ROWS + 1);		/* no .part is left */
	print_message("# %d times killed, %lld rows done in the last run\n", kills, (long long)r.fresh);
	snprintf(path, sizeof path, "%s/000007-a.wav", to);
	assert_int_equal(unlink(path), 0);
	assert_ok(import_hf_run(&job, &r));		/* what is missing is made again */
	assert_int_equal(r.fresh, 1);
	assert_int_equal(file_size(path), 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_that_leave_the_set_are_refused),
		cmocka_unit_test(every_bad_row_is_named_and_the_rest_goes_on),
		cmocka_unit_test(a_table_that_breaks_off_loses_its_rest_and_says_so),
		cmocka_unit_test(hostile_members_of_archives_are_refused),
		cmocka_unit_test(the_target_must_be_new_empty_or_the_same_import),
		cmocka_unit_test(saved_sets_that_lead_elsewhere_are_refused),
		cmocka_unit_test(yaml_of_cards_is_read),
		cmocka_unit_test(a_run_that_is_killed_goes_on_and_does_nothing_twice),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
