/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged, foreign and unfitting checkpoints are refused; where one cannot be written, the one before stays. */
#include "train/checkpoint_run.h"

#include "base/file.h"
#include "num/rng.h"
#include "support/golden.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
spoil(const char *path, const char *file, const char *how)
{
	char *p = file_path("%s/%s", path, file), *data;
	size_t size;

	if (strcmp(how, "gone") == 0) {
		assert_int_equal(unlink(p), 0);
	} else if (strcmp(how, "short") == 0) {
		assert_int_equal(truncate(p, file_size(p) / 2), 0);
	} else if (strcmp(how, "flip") == 0) {
		assert_ok(file_read(p, 1 << 24, &data, &size));
		data[size / 2] ^= 1;
		assert_ok(file_write(p, data, size));
		free(data);
	} else {
		assert_ok(file_write(p, how, strlen(how)));
	}
	free(p);
}

static void
damaged_ones_are_passed_over(void **state)
{
	static const struct {
		const char *file, *how, *words;
	} t[] = {
		{ CHECKPOINT_GUARD, "gone", "unfinished" },
		{ CHECKPOINT_GUARD, "half\n", "damaged" },
		{ CHECKPOINT_MANIFEST, "gone", "missing" },
		{ CHECKPOINT_MANIFEST, "{", "cannot be read" },
		{ CHECKPOINT_MANIFEST, "{\"version\": 1}", "lacks" },
		{ CHECKPOINT_MANIFEST, "{\"version\": 1, \"checkpoint\": \"checkpoint-2\", \"files\": [{\"name\": \"../x\"}]}", "entry" },
		{ CHECKPOINT_MANIFEST, "{\"version\": 1, \"checkpoint\": \"checkpoint-9\", \"files\": []}", "checkpoint-9" },
		{ CHECKPOINT_OPTIMIZER, "short", " bytes" },
		{ ADAPTER_FILE, "gone", "missing" },
		{ CHECKPOINT_SAMPLER, "more than was there", " bytes" },
	};
	struct run r;

	(void)state;
	run_open_filled(&r, 1);
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		const char *dir = golden_tmp();
		char *good = run_save_now(&r, dir, 1, NULL), *bad = run_save_now(&r, dir, 2, NULL), *latest;
		struct checkpoint c;
		spoil(bad, t[i].file, t[i].how);
		assert_int_equal(checkpoint_verify(bad, false), ACE_EDATA);
		if (!strstr(ace_message(), t[i].words) || strncmp(ace_message(), bad, strlen(bad)) != 0)
			fail_msg("%s", ace_message());
		assert_int_equal(checkpoint_open(&c, bad, false), ACE_EDATA);
		assert_ok(checkpoint_latest(dir, i % 2, &latest));
		assert_string_equal(latest, good);
		assert_int_equal(file_exists(bad), i % 2 == 0);
		assert_ok(file_remove_tree(dir));
		free(good);
		free(bad);
		free(latest);
	}
	run_close(&r);
}

static void
digests_find_a_flipped_bit(void **state)
{
	const char *dir = golden_tmp();
	struct run r;
	char *path;

	(void)state;
	run_open_filled(&r, 1);
	path = run_save_now(&r, dir, 1, NULL);
	spoil(path, CHECKPOINT_OPTIMIZER, "flip");
	assert_ok(checkpoint_verify(path, false));
	assert_int_equal(checkpoint_verify(path, true), ACE_EDATA);
	assert_non_null(strstr(ace_message(), CHECKPOINT_OPTIMIZER));
	run_close(&r);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
a_checkpoint_that_does_not_fit_is_refused(void **state)
{
	const char *dir = golden_tmp();
	struct checkpoint c;
	struct run r, b;
	char *path, *inside;

	(void)state;
	run_open_filled(&r, 1);
	path = run_save_now(&r, dir, 1, NULL);
	assert_int_equal(checkpoint_open(&c, path, true), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "model_type=lora"));
	assert_int_equal(checkpoint_open(&c, "/nonexistent/checkpoint-1", false), ACE_ENOINPUT);
	assert_ok(checkpoint_open(&c, path, false));
	run_open(&b);
	b.layer[1].w.value.dim[1]++;
	assert_int_equal(checkpoint_make_adapters(&c, &b.ps, 0.f, NULL), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "blocks.1.to_q"));
	run_close(&b);
	run_open(&b);
	b.ps.n_modules--;
	assert_int_equal(checkpoint_make_adapters(&c, &b.ps, 0.f, NULL), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "linear_k"));
	run_close(&b);
	checkpoint_close(&c);
	inside = file_path("%s/checkpoint-9", dir);
	assert_ok(file_mkdirs(inside));
	free(inside);
	inside = file_path("%s/checkpoint-9/optimizer.bin", dir);
	assert_ok(file_write(inside, "x", 1));
	*strrchr(inside, '/') = 0;
	assert_int_equal(checkpoint_open(&c, inside, false), ACE_ECONFIG);
	assert_non_null(strstr(ace_message(), "another program"));
	free(inside);
	run_close(&r);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
the_optimisers_state_must_be_the_same(void **state)
{
	const char *dir = golden_tmp(), *words = NULL;
	struct checkpoint c;
	struct run r, b;
	char *path;

	(void)state;
	run_open_filled(&r, 1);
	path = run_save_now(&r, dir, 1, NULL);
	assert_ok(checkpoint_open(&c, path, false));
	for (int i = 0; i < 5; i++) {
		run_open(&b);
		run_adapters(&b);
		run_optim(&b);
		switch (i) {
		case 0: b.o.item[2].state[1].name = "max_exp_avg_sq"; words = "max_exp_avg_sq"; break;
		case 1: b.o.item[1].state[2].name = NULL; words = ".shift"; break;
		case 2: b.o.item[0].state[2].value.dtype = F16; words = "BF16"; break;
		case 3: b.o.n--; words = "lora_B"; break;
		case 4: b.o.scalar[1].name = "d"; words = "main/d"; break;
		}
		assert_int_equal(checkpoint_restore_optim(&c, run_groups, &b.o), ACE_ECONFIG);
		if (!strstr(ace_message(), words))
			fail_msg("%d: %s", i, ace_message());
		run_close(&b);
	}
	checkpoint_close(&c);
	run_close(&r);
	assert_ok(file_remove_tree(dir));
	free(path);
}

static void
a_full_disk_leaves_the_one_before(void **state)
{
	const char *dir = golden_tmp();
	struct checkpoint_writer *w;
	struct rlimit old, little;
	char *good, *latest, *optimizer;
	struct run r;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	run_open_filled(&r, 1);
	good = run_save_now(&r, dir, 1, NULL);
	optimizer = file_path("%s/%s", good, CHECKPOINT_OPTIMIZER);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	for (int background = 0; background < 2; background++)
		for (int64_t limit = 1; limit <= file_size(optimizer); limit = 3 * limit) {
			enum status st;
			little = old;
			little.rlim_cur = (rlim_t)limit;
			assert_ok(checkpoint_writer_open(&w, dir, background));
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
			st = checkpoint_commit(w, run_save(&r, 2), &(struct checkpoint_rule){ .limit = 1 });
			if (st == ACE_OK)
				st = checkpoint_wait(w);
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
			assert_int_equal(st, ACE_EIO);
			assert_non_null(strstr(ace_message(), "checkpoint-2"));
			assert_ok(checkpoint_writer_close(w));
			assert_ok(checkpoint_latest(dir, false, &latest));
			assert_string_equal(latest, good);
			assert_ok(checkpoint_verify(good, true));
			free(latest);
			latest = run_listing(dir);
			assert_null(strstr(latest, "tmp"));
			free(latest);
		}
	run_close(&r);
	assert_ok(file_remove_tree(dir));
	free(good);
	free(optimizer);
}

/* In a child without privileges, for root may write everywhere. */
static int
save_unprivileged(const struct run *r, const char *dir)
{
	struct checkpoint_writer *w;
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		if (geteuid() == 0 && setuid(65534) != 0)
			_exit(77);
		if (checkpoint_writer_open(&w, dir, true) != ACE_OK)
			_exit(1);
		if (checkpoint_commit(w, run_save(r, 9), NULL) != ACE_OK)
			_exit(2);
		_exit(checkpoint_writer_close(w) == ACE_ECREATE && strstr(ace_message(), "checkpoint-9-tmp") ? 0 : 3);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
a_folder_that_cannot_be_written_to_is_named(void **state)
{
	const char *dir = golden_tmp();
	struct run r;
	char *out = file_path("%s/out", dir);
	int code;

	(void)state;
	run_open_filled(&r, 1);
	assert_ok(file_mkdirs(out));
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(chmod(out, 0555), 0);
	code = save_unprivileged(&r, out);
	assert_int_equal(chmod(out, 0755), 0);
	run_close(&r);
	assert_ok(file_remove_tree(dir));
	free(out);
	if (code == 77)
		skip();
	assert_int_equal(code, 0);
}

static void
names_that_leave_the_folder_are_bugs(void **state)
{
	static const char *const bad[] = { "", "/etc/x", "../x", "a/../b", "a//b", "./a", "a/", CHECKPOINT_GUARD, CHECKPOINT_MANIFEST,
		"twice" };
	struct checkpoint_save *s;

	(void)state;
	assert_ok(checkpoint_begin(&s, 1, "best"));
	assert_ok(checkpoint_add_bytes(s, "twice", "x", 1));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(checkpoint_add_bytes(s, bad[i], "x", 1), ACE_EBUG);
	checkpoint_save_free(s);
	assert_int_equal(checkpoint_begin(&s, 1, "tmp"), ACE_EBUG);
	assert_int_equal(checkpoint_begin(&s, 1, "a-tmp"), ACE_EBUG);
	assert_int_equal(checkpoint_begin(&s, -1, NULL), ACE_EBUG);
	assert_int_equal(checkpoint_begin(&s, 1, "a/b"), ACE_EBUG);
}

/* Bytes of the small files changed at random, sizes kept: nothing crashes, and what is read is what the form allows. */
static void
broken_manifests_never_do_harm(void **state)
{
	static const char *const file[] = { CHECKPOINT_MANIFEST, CHECKPOINT_TRAINING, CHECKPOINT_MANIFEST, CHECKPOINT_OPTIMIZER };
	struct rng rng = rng_stream(5, RNG_TEST, 0, 0);
	const char *dir = golden_tmp();
	int refused = 0, read = 0;
	struct run r;
	char *path;

	(void)state;
	run_open_filled(&r, 1);
	path = run_save_now(&r, dir, 1, NULL);
	for (uint64_t i = 0; i < 300; i++) {
		char *p = file_path("%s/%s", path, file[i % 4]), *data, *was;
		struct checkpoint c;
		struct run b;
		size_t size;
		assert_ok(file_read(p, 1 << 24, &data, &size));
		was = malloc(size);
		memcpy(was, data, size);
		for (uint64_t k = 0; k < 1 + i % 3; k++)
			data[rng_below(rng, 8 * i + 2 * k, size < 2000 ? size : 2000)] = (char)(32 + rng_below(rng, 8 * i + 2 * k + 1, 95));
		assert_ok(file_write(p, data, size));
		run_open(&b);
		if (checkpoint_open(&c, path, false) == ACE_OK) {
			if (checkpoint_make_adapters(&c, &b.ps, 0.f, NULL) == ACE_OK) {
				run_optim(&b);
				read += checkpoint_restore_optim(&c, run_groups, &b.o) == ACE_OK;
			} else {
				refused++;
			}
			checkpoint_close(&c);
		} else {
			refused++;
		}
		run_close(&b);
		assert_ok(file_write(p, was, size));
		free(data);
		free(was);
		free(p);
	}
	assert_ok(checkpoint_verify(path, true));
	assert_true(refused > 100 && read > 10);
	run_close(&r);
	assert_ok(file_remove_tree(dir));
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_ones_are_passed_over),
		cmocka_unit_test(digests_find_a_flipped_bit),
		cmocka_unit_test(a_checkpoint_that_does_not_fit_is_refused),
		cmocka_unit_test(the_optimisers_state_must_be_the_same),
		cmocka_unit_test(a_full_disk_leaves_the_one_before),
		cmocka_unit_test(a_folder_that_cannot_be_written_to_is_named),
		cmocka_unit_test(names_that_leave_the_folder_are_bugs),
		cmocka_unit_test(broken_manifests_never_do_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
