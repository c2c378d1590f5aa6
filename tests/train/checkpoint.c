/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint folders: their files, exact restoring, writing beside the run. What is refused: checkpoint_refused.c; kills:
 * checkpoint_kills.c. */
#include "train/checkpoint_run.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "support/golden.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SET "checkpoint-layout"

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of a list of the fixture, as run_listing writes them. */
static char *
listing_of(const cJSON *list)
{
	const char *name[64];
	int n = cJSON_GetArraySize(list);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_in_range(n, 1, 64);
	for (int i = 0; i < n; i++)
		name[i] = cJSON_GetArrayItem(list, i)->valuestring;
	qsort(name, (size_t)n, sizeof *name, by_text);
	for (int i = 0; i < n; i++)
		fprintf(out, "%s\n", name[i]);
	fclose(out);
	return text;
}

static void
a_lora_checkpoint_has_the_files_of_the_layout(void **state)
{
	cJSON *all = golden_json(SET, "listing.json"), *m, *t;
	const cJSON *example = cJSON_GetObjectItem(all, "training_state_example"), *e;
	const char *dir = golden_tmp();
	char *want = listing_of(cJSON_GetObjectItem(cJSON_GetObjectItem(all, "product"), "lora")), *have, *path, *p, hex[65];
	int files = 0, i = 0;
	struct run r;

	(void)state;
	run_open_filled(&r, 1);
	path = run_save_now(&r, dir, 500, NULL);
	have = run_listing(path);
	assert_string_equal(have, want);
	p = file_path("%s/%s", path, CHECKPOINT_MANIFEST);
	assert_ok(json_read(p, 1 << 20, &m));
	free(p);
	assert_int_equal(cJSON_GetObjectItem(m, "version")->valueint, 1);
	assert_string_equal(cJSON_GetObjectItem(m, "checkpoint")->valuestring, "checkpoint-500");
	assert_string_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(m, "metadata"), "model_type")->valuestring, "lora");
	cJSON_ArrayForEach(e, cJSON_GetObjectItem(m, "files")) {
		p = file_path("%s/%s", path, cJSON_GetObjectItem(e, "name")->valuestring);
		assert_int_equal(file_size(p), (int64_t)cJSON_GetObjectItem(e, "size")->valuedouble);
		assert_ok(sha256_file(p, hex));
		assert_string_equal(hex, cJSON_GetObjectItem(e, "sha256")->valuestring);
		free(p);
		files++;
	}
	for (const char *c = want; *c; c++)	/* all but the manifest and the guard */
		files -= *c == '\n';
	assert_int_equal(files, -2);
	p = file_path("%s/%s", path, CHECKPOINT_TRAINING);
	assert_ok(json_read(p, 1 << 20, &t));
	free(p);
	assert_int_equal(cJSON_GetArraySize(t), cJSON_GetArraySize(example));
	cJSON_ArrayForEach(e, example) {
		const cJSON *mine = cJSON_GetArrayItem(t, i++);
		assert_string_equal(mine->string, e->string);
		assert_int_equal(mine->type, e->type);
	}
	assert_int_equal(cJSON_GetObjectItem(t, "global_step")->valueint, 500);
	cJSON_Delete(t);
	cJSON_Delete(m);
	cJSON_Delete(all);
	run_close(&r);
	assert_ok(file_remove_tree(dir));
	free(want);
	free(have);
	free(path);
}

static void
what_is_saved_is_restored_bit_for_bit(void **state)
{
	const char *dir = golden_tmp();
	struct checkpoint c;
	struct run a, b;
	char *path;
	int modules;

	(void)state;
	run_open_filled(&a, 7);
	path = run_save_now(&a, dir, 42, NULL);
	assert_ok(checkpoint_verify(path, true));
	run_fill(&a, 8);
	run_open(&b);
	assert_ok(checkpoint_open(&c, path, false));
	assert_int_equal(c.global_step, 42);
	assert_int_equal(c.epoch_step, 100);
	assert_int_equal(c.epoch, 5);
	assert_string_equal(checkpoint_fact(&c, "model_type"), "lora");
	assert_true(checkpoint_has(&c, CHECKPOINT_RNG) && !checkpoint_has(&c, "ema/state.json"));
	assert_ok(checkpoint_make_adapters(&c, &b.ps, 0.25f, &modules));
	assert_int_equal(modules, RUN_MODULES);
	assert_true(b.layer[1].dropout == 0.25f);
	run_optim(&b);
	assert_ok(checkpoint_restore_optim(&c, run_groups, &b.o));
	run_is(&b, 7);
	checkpoint_close(&c);
	run_close(&a);
	run_close(&b);
	assert_ok(file_remove_tree(dir));
	free(path);
}

/* A file whose writing waits until it is let go. */
struct gate {
	int pipe[2];
	enum status st;
	int done;
};

static enum status
wait_at(void *me, const char *path)
{
	struct gate *g = me;
	char c;

	while (read(g->pipe[0], &c, 1) < 0 && errno == EINTR)
		;
	return g->st == ACE_OK ? file_write(path, "gate\n", 5) : ace_fail(g->st, "%s: no such luck", path);
}

static void
count_done(void *me)
{
	((struct gate *)me)->done++;
}

static void
let_go(struct gate *g)
{
	assert_int_equal(write(g->pipe[1], "x", 1), 1);
}

static void *
let_go_later(void *me)
{
	usleep(50 * 1000);
	let_go(me);
	return NULL;
}

static struct checkpoint_save *
gated(const struct run *r, int64_t step, struct gate *g)
{
	struct checkpoint_save *s = run_save(r, step);

	assert_ok(checkpoint_add_written(s, "ema/slow.txt", wait_at, count_done, g));
	return s;
}

static void
a_step_waits_only_for_the_copy(void **state)
{
	const char *dir = golden_tmp();
	struct gate g = { .st = ACE_OK };
	struct checkpoint_writer *w;
	struct checkpoint_report report;
	struct checkpoint c;
	struct run r, b;
	char *path = file_path("%s/checkpoint-1", dir), *slow = file_path("%s/ema/slow.txt", path);
	bool done;

	(void)state;
	assert_int_equal(pipe(g.pipe), 0);
	run_open_filled(&r, 3);
	assert_ok(checkpoint_writer_open(&w, dir, true));
	assert_ok(checkpoint_commit(w, gated(&r, 1, &g), NULL));
	run_fill(&r, 4);			/* the run goes on */
	assert_ok(checkpoint_poll(w, &done, &report));
	assert_false(done);
	assert_false(file_exists(path));
	let_go(&g);
	assert_ok(checkpoint_wait(w));
	assert_ok(checkpoint_poll(w, &done, &report));
	assert_true(done && report.step == 1);
	assert_string_equal(report.name, "checkpoint-1");
	assert_int_equal(g.done, 1);
	assert_true(file_exists(slow));
	assert_ok(checkpoint_writer_close(w));
	run_open(&b);
	assert_ok(checkpoint_open(&c, path, false));
	assert_ok(checkpoint_make_adapters(&c, &b.ps, 0.f, NULL));
	run_optim(&b);
	assert_ok(checkpoint_restore_optim(&c, run_groups, &b.o));
	run_is(&b, 3);
	checkpoint_close(&c);
	run_close(&r);
	run_close(&b);
	assert_ok(file_remove_tree(dir));
	free(path);
	free(slow);
}

static void
one_save_is_in_flight_at_a_time(void **state)
{
	const char *dir = golden_tmp();
	struct gate g = { .st = ACE_OK };
	struct checkpoint_writer *w;
	struct checkpoint_report report;
	char *first = file_path("%s/checkpoint-1", dir);
	pthread_t helper;
	struct run r;
	bool done;

	(void)state;
	assert_int_equal(pipe(g.pipe), 0);
	run_open_filled(&r, 3);
	assert_ok(checkpoint_writer_open(&w, dir, true));
	assert_ok(checkpoint_commit(w, gated(&r, 1, &g), NULL));
	assert_int_equal(pthread_create(&helper, NULL, let_go_later, &g), 0);
	assert_ok(checkpoint_commit(w, run_save(&r, 2), NULL));	/* comes back when the first is through */
	assert_ok(checkpoint_verify(first, true));
	assert_ok(checkpoint_poll(w, &done, &report));
	assert_true(done && report.step == 1);
	assert_ok(checkpoint_wait(w));
	assert_ok(checkpoint_poll(w, &done, &report));
	assert_true(done && report.step == 2 && report.waited > 0);
	assert_int_equal(pthread_join(helper, NULL), 0);
	assert_ok(checkpoint_writer_close(w));
	run_close(&r);
	assert_ok(file_remove_tree(dir));
	free(first);
}

static void
an_error_is_told_once_and_leaves_nothing(void **state)
{
	const char *dir = golden_tmp();
	struct gate g = { .st = ACE_EIO };
	struct checkpoint_writer *w;
	struct checkpoint_report report;
	char *listing;
	struct run r;
	bool done;

	(void)state;
	assert_int_equal(pipe(g.pipe), 0);
	run_open_filled(&r, 3);
	assert_ok(checkpoint_writer_open(&w, dir, true));
	for (int how = 0; how < 3; how++) {
		enum status st = ACE_OK;
		let_go(&g);
		assert_ok(checkpoint_commit(w, gated(&r, 5, &g), NULL));
		if (how == 0)
			st = checkpoint_wait(w);
		if (how == 1)
			st = checkpoint_commit(w, run_save(&r, 6), NULL);
		for (int i = 0; how == 2 && i < 120000 && st == ACE_OK; i++) {
			usleep(1000);
			st = checkpoint_poll(w, &done, &report);
		}
		assert_int_equal(st, ACE_EIO);
		assert_non_null(strstr(ace_message(), "no such luck"));
		assert_ok(checkpoint_wait(w));
		assert_ok(checkpoint_poll(w, &done, &report));
		assert_false(done);
		assert_int_equal(g.done, how + 1);
		listing = run_listing(dir);
		assert_string_equal(listing, "");
		free(listing);
	}
	assert_ok(checkpoint_writer_close(w));
	run_close(&r);
	assert_ok(file_remove_tree(dir));
}

static void
the_same_step_again_takes_the_others_place(void **state)
{
	const struct checkpoint_rule rule = { .limit = 2 };
	const char *dir = golden_tmp();
	struct checkpoint c;
	struct run r, b;
	char *path, *tmp, *old;

	(void)state;
	run_open_filled(&r, 1);
	free(run_save_now(&r, dir, 3, &rule));
	run_fill(&r, 2);
	path = run_save_now(&r, dir, 3, &rule);
	tmp = file_path("%s-tmp", path);
	old = file_path("%s-old-tmp", path);
	assert_false(file_exists(tmp) || file_exists(old));
	run_open(&b);
	assert_ok(checkpoint_open(&c, path, false));
	assert_ok(checkpoint_make_adapters(&c, &b.ps, 0.f, NULL));
	run_optim(&b);
	assert_ok(checkpoint_restore_optim(&c, run_groups, &b.o));
	run_is(&b, 2);
	checkpoint_close(&c);
	run_close(&r);
	run_close(&b);
	assert_ok(file_remove_tree(dir));
	free(path);
	free(tmp);
	free(old);
}

static void
older_ones_go_when_the_new_one_is_there(void **state)
{
	const struct checkpoint_rule rule = { .limit = 2, .keep_every = 20 };
	const char *dir = golden_tmp();
	struct run r;
	char *path;

	(void)state;
	run_open_filled(&r, 1);
	for (int64_t step = 10; step <= 60; step += 10)
		free(run_save_now(&r, dir, step, &rule));
	for (int64_t step = 10; step <= 60; step += 10) {
		path = file_path("%s/checkpoint-%lld", dir, (long long)step);
		assert_int_equal(file_exists(path), step >= 30 || step % 20 == 0);
		free(path);
	}
	run_close(&r);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lora_checkpoint_has_the_files_of_the_layout),
		cmocka_unit_test(what_is_saved_is_restored_bit_for_bit),
		cmocka_unit_test(a_step_waits_only_for_the_copy),
		cmocka_unit_test(one_save_is_in_flight_at_a_time),
		cmocka_unit_test(an_error_is_told_once_and_leaves_nothing),
		cmocka_unit_test(the_same_step_again_takes_the_others_place),
		cmocka_unit_test(older_ones_go_when_the_new_one_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
