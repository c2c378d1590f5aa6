/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/report.h"

#include "base/file.h"
#include "jobs/report_parts.h"
#include "support/golden.h"
#include "support/test.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char dir[300];

static char *
at(const char *name)
{
	return file_path("%s/%s", dir, name);
}

static void
write_text(const char *name, const char *text)
{
	char *path = at(name);

	assert_ok(file_write(path, text, strlen(text)));
	free(path);
}

static int
enter(void **state)
{
	char *logs;

	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	logs = at("logs");
	assert_ok(file_mkdirs(logs));
	free(logs);
	return 0;
}

static int
leave(void **state)
{
	(void)state;
	return file_remove_tree(dir) != ACE_OK;
}

static void
reads(struct report_metrics *m, const char *text)
{
	char *path = at("logs/metrics.jsonl");

	write_text("logs/metrics.jsonl", text);
	assert_ok(report_read(m, path));
	free(path);
}

static void
each_update_is_read(void **state)
{
	struct report_metrics m;

	(void)state;
	reads(&m, "{\"step\":1,\"time\":\"2026-11-23T12:00:00Z\",\"train_loss\":0.5,\"learning_"
		  "rate\":1e-4,\"grad_norm\":2,"
		  "\"step_s\":0.5,\"audio_s\":6,\"mem_gb\":1.5}\n"
		  "{\"step\":2,\"time\":\"2026-11-23T12:00:01Z\",\"train_loss\":0.25,\"grad_"
		  "absmax\":3}\n");
	assert_int_equal(m.n, 2);
	assert_int_equal(m.step[1], 2);
	assert_float_equal(m.v[REPORT_LOSS][0], 0.5, 0);
	assert_float_equal(m.v[REPORT_RATE][0], 1e-4, 0);
	assert_float_equal(m.v[REPORT_NORM][1], 3, 0);
	assert_float_equal(m.v[REPORT_SPEED][0], 12, 0);
	assert_true(isnan(m.v[REPORT_RATE][1]) && isnan(m.v[REPORT_SPEED][1]));
	assert_true(m.time[1] - m.time[0] == 1);
	assert_float_equal(m.memory, 1.5, 0);
	assert_float_equal(m.audio, 6, 0);
	assert_int_equal(m.bad, 0);
	assert_int_equal(m.events, 0);
	report_metrics_free(&m);
}

static void
bad_lines_are_counted_and_passed_over(void **state)
{
	struct report_metrics m;

	(void)state;
	reads(&m, "{\"step\":1,\"train_loss\":1}\nno "
		  "json\n[1]\n{\"train_loss\":2}\n{\"step\":-1,\"train_loss\":2}\n\n"
		  "{\"step\":2,\"step\":3,\"train_loss\":2}\n{\"step\":\"3\"}\n{\"step\":4,\"train_"
		  "loss\":null}\n"
		  "{\"step\":5,\"train_loss\":3}\n{\"step\":6,\"train_lo");
	assert_int_equal(m.n, 3);
	assert_int_equal(m.bad, 7);
	assert_int_equal(m.nonfinite, 1);
	assert_int_equal(m.step[2], 5);
	report_metrics_free(&m);
}

static void
a_step_that_comes_again_takes_the_place_of_the_first(void **state)
{
	struct report_metrics m;

	(void)state;
	reads(&m, "{\"step\":1,\"train_loss\":1}\n{\"step\":2,\"train_loss\":2}\n{\"step\":3,"
		  "\"train_loss\":3}\n"
		  "{\"step\":2,\"train_loss\":20}\n{\"step\":3,\"train_loss\":30}\n");
	assert_int_equal(m.n, 3);
	assert_float_equal(m.v[REPORT_LOSS][1], 20, 0);
	assert_float_equal(m.v[REPORT_LOSS][2], 30, 0);
	assert_int_equal(m.events, 1);
	assert_string_equal(m.event[0].text, "went back from step 3");
	assert_int_equal(m.event[0].step, 2);
	report_metrics_free(&m);
}

static void
events_and_pauses_are_told(void **state)
{
	struct report_metrics m;

	(void)state;
	reads(&m, "{\"step\":1,\"time\":\"2026-11-23T12:00:00Z\",\"train_loss\":1,\"step_s\":1}\n"
		  "{\"step\":2,\"time\":\"2026-11-23T12:00:50Z\",\"train_loss\":1,\"step_s\":45,"
		  "\"event\":\"nonfinite\"}\n"
		  "{\"step\":2,\"time\":\"2026-11-23T12:00:51Z\",\"event\":\"save\"}\n"
		  "{\"step\":3,\"time\":\"2026-11-23T12:10:51Z\",\"train_loss\":1,\"step_s\":1}\n");
	assert_int_equal(m.n, 3);
	assert_int_equal(m.events, 3);
	assert_string_equal(m.event[0].text, "nonfinite");
	assert_string_equal(m.event[1].text, "save");
	assert_string_equal(m.event[2].text, "no update for 10:00");
	report_metrics_free(&m);
}

static void
a_file_without_an_update_is_bad_data(void **state)
{
	struct report_metrics m;
	char *path = at("logs/metrics.jsonl");

	(void)state;
	write_text("logs/metrics.jsonl", "{\"event\":\"save\",\"step\":1}\nbad\n");
	assert_int_equal(report_read(&m, path), ACE_EDATA);
	assert_non_null(strstr(ace_message(), "1 lines could not"));
	report_metrics_free(&m);
	assert_ok(file_remove_tree(dir));
	assert_int_equal(report_read(&m, path), ACE_ENOINPUT);
	report_metrics_free(&m);
	assert_ok(file_mkdirs(dir));
	free(path);
}

static void
bins_keep_mean_and_ends(void **state)
{
	struct report_metrics m = { .n = 1000 };
	struct report_curve c;
	double sum = 0;

	(void)state;
	m.step = calloc(1000, sizeof *m.step);
	m.time = calloc(1000, sizeof *m.time);
	for (int k = 0; k < REPORT_COLUMNS; k++)
		m.v[k] = calloc(1000, sizeof *m.v[k]);
	for (int i = 0; i < 1000; i++) {
		m.step[i] = 10 + i;
		m.v[REPORT_LOSS][i] = i;
		m.v[REPORT_NORM][i] = NAN;
	}
	report_curve_make(&c, &m, REPORT_LOSS, 10);
	assert_int_equal(c.bins, 10);
	for (int k = 0; k < 10; k++) {
		assert_float_equal(c.low[k], 100.0 * k, 0);
		assert_float_equal(c.high[k], 100.0 * k + 99, 0);
		assert_float_equal(c.mean[k], 100.0 * k + 49.5, 1e-9);
		sum += c.mean[k];
	}
	assert_float_equal(sum / 10, report_mean(&m, REPORT_LOSS, 0, 1), 1e-9);
	assert_float_equal(report_mean(&m, REPORT_LOSS, 0, .25), 124.5, 1e-9);
	assert_float_equal(report_mean(&m, REPORT_LOSS, .75, 1), 874.5, 1e-9);
	report_curve_make(&c, &m, REPORT_NORM, 10);
	assert_int_equal(c.bins, 0);
	report_metrics_free(&m);
}

/* Every tag of a text is closed, in order; self-closing and <!..> ones, and HTML's empty ones, count for nothing. */
static void
is_well_formed(const char *t)
{
	char open[64][16];
	int depth = 0;

	while ((t = strchr(t, '<'))) {
		const char *end = strchr(t, '>');
		char name[16] = "";
		assert_non_null(end);
		if (t[1] == '!' || end[-1] == '/' || strncmp(t, "<meta", 5) == 0) {
			t = end;
			continue;
		}
		sscanf(t[1] == '/' ? t + 2 : t + 1, "%15[a-z0-9]", name);
		assert_true(*name != 0);
		if (t[1] == '/') {
			assert_true(depth > 0);
			assert_string_equal(open[--depth], name);
		} else {
			assert_true(depth < 64);
			snprintf(open[depth++], 16, "%s", name);
		}
		t = end;
	}
	assert_int_equal(depth, 0);
}

static void
curves_of_any_kind_give_a_whole_picture(void **state)
{
	static const char *const texts[] = {
		"{\"step\":1,\"train_loss\":1}\n",
		"{\"step\":1,\"train_loss\":0}\n{\"step\":2,\"train_loss\":0}\n",
		"{\"step\":1,\"train_loss\":1e300}\n{\"step\":2,\"train_loss\":-1e300}\n",
		"{\"step\":1,\"train_loss\":null}\n",
		"{\"step\":5,\"train_loss\":1}\n{\"step\":9000000000,\"train_loss\":2}\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct report_metrics m;
		struct report_curve c;
		struct buffer b = { 0 };
		reads(&m, texts[i]);
		report_curve_make(&c, &m, REPORT_LOSS, REPORT_BINS);
		report_svg(&b, &c);
		assert_true(buffer_done(&b));
		assert_null(strstr(b.data, "nan"));
		assert_null(strstr(b.data, "inf"));
		assert_true(b.len < 20000);
		is_well_formed(b.data);
		buffer_clear(&b);
		report_bars(&b, &c, false);
		assert_int_equal(b.len, c.bins);
		buffer_free(&b);
		report_metrics_free(&m);
	}
}

/* ace-report's job with these arguments, its output away. */
static enum status
report(const char *word, const char *page)
{
	char name[] = "ace-report", *argv[4] = { name, NULL, NULL, NULL };
	struct settings s;
	enum status st;
	int saved = dup(1), null = open("/dev/null", O_WRONLY);

	argv[1] = file_path("%s", word);
	argv[2] = page ? file_path("report_file=%s", page) : NULL;
	assert_ok(settings_load(&s, program_named("ace-report"), page ? 3 : 2, argv));
	fflush(stdout);
	dup2(null, 1);
	st = report_run(&s);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	close(null);
	settings_free(&s);
	free(argv[1]);
	free(argv[2]);
	return st;
}

static void
the_page_holds_all_and_needs_nothing(void **state)
{
	char *path, *text, *hit;
	size_t size;

	(void)state;
	write_text("logs/metrics.jsonl",
		   "{\"step\":1,\"train_loss\":1,\"learning_rate\":1e-3}\nbad\n"
		   "{\"step\":2,\"train_loss\":2,\"learning_rate\":1e-3,\"event\":\"<b>&\"}\n");
	write_text("run.json", "{\"device\":\"cpu\",\"threads\":2}");
	write_text("effective.json",
		   "{\"learning_rate\":0.001,\"seed\":42,\"dataset\":\"a\\\"<i>\",\"_effective\":{"
		   "\"from\":"
		   "{\"learning_rate\":\"command "
		   "line\",\"seed\":\"default\",\"dataset\":\"config/x.json\"}}}");
	assert_ok(report(dir, NULL));
	path = at("report.html");
	assert_ok(file_read(path, 1 << 20, &text, &size));
	free(path);
	is_well_formed(strstr(text, "<html"));
	assert_non_null(strstr(text, "<td>learning_rate</td><td>0.001</td><td>command line</td>"));
	assert_non_null(strstr(text, "<td>a&quot;&lt;i&gt;</td><td>config/x.json</td>"));
	assert_null(strstr(text, "<td>seed</td>"));
	assert_non_null(strstr(text, "&lt;b&gt;&amp;"));
	assert_non_null(strstr(text, "passed over: 1"));
	assert_non_null(strstr(text, "<td>device</td><td>cpu</td>"));
	for (hit = text; (hit = strstr(hit, "http"));
	     hit += 4) /* names of XML, not addresses that are fetched */
		assert_int_equal(strncmp(hit, "http://www.w3.org/2000/svg", 26), 0);
	free(text);
	path = at("loss.svg");
	assert_true(file_size(path) > 500);
	free(path);
	path = at("speed.svg");
	assert_false(file_exists(path)); /* the metrics say nothing of it */
	free(path);
}

static void
clips_can_be_listened_to_in_their_order(void **state)
{
	char *path, *text, *elsewhere = at("sub");
	const char *two, *ten, *other;
	size_t size;

	(void)state;
	write_text("logs/metrics.jsonl", "{\"step\":1,\"train_loss\":1}\n");
	assert_ok(report(dir, NULL));
	path = at("report.html");
	assert_ok(file_read(path, 1 << 20, &text, &size));
	assert_null(strstr(text, "<audio"));
	free(text);
	free(path);
	path = at("validation_audio");
	assert_ok(file_mkdirs(path));
	free(path);
	write_text("validation_audio/step_10_a b&_0.wav", "x");
	write_text("validation_audio/step_2_a b&_0.wav", "x");
	write_text("validation_audio/step_2_a b&_0.json", "{\"prompt\": \"jazz <loud>\"}");
	write_text("validation_audio/step_2_zebra_0.wav", "x");
	write_text("validation_audio/step_x_0.wav", "x");
	write_text("validation_audio/step_3_a.wav.part", "x");
	assert_ok(report(dir, NULL));
	path = at("report.html");
	assert_ok(file_read(path, 1 << 20, &text, &size));
	is_well_formed(strstr(text, "<html"));
	two = strstr(text, "src=\"validation_audio/step_2_a%20b%26_0.wav\"");
	ten = strstr(text, "src=\"validation_audio/step_10_a%20b%26_0.wav\"");
	other = strstr(text, "src=\"validation_audio/step_2_zebra_0.wav\"");
	assert_true(two && ten && other && two < ten && ten < other);
	assert_non_null(strstr(text, "jazz &lt;loud&gt;"));
	assert_null(strstr(text, "step_x"));
	assert_null(strstr(text, ".part"));
	free(text);
	free(path);
	assert_ok(file_mkdirs(elsewhere));
	free(elsewhere);
	elsewhere = at("sub/page.html");
	assert_ok(report(dir, elsewhere));
	assert_ok(file_read(elsewhere, 1 << 20, &text, &size));
	assert_null(strstr(text, "src=\"validation_audio"));
	assert_non_null(strstr(text, "/validation_audio/step_2_zebra_0.wav"));
	free(text);
	free(elsewhere);
}

static void
the_page_goes_where_it_is_told(void **state)
{
	char *page = at("elsewhere.html"), *metrics = at("logs/metrics.jsonl"),
	     *nowhere = at("no/such/folder.html"), *none = at("none");

	(void)state;
	write_text("logs/metrics.jsonl", "{\"step\":1,\"train_loss\":1}\n");
	assert_ok(report(metrics, page));
	assert_true(file_size(page) > 500);
	assert_int_equal(report(dir, nowhere), ACE_ECREATE);
	assert_int_equal(report(none, NULL), ACE_ENOINPUT);
	free(page);
	free(metrics);
	free(nowhere);
	free(none);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		T(each_update_is_read),
		T(clips_can_be_listened_to_in_their_order),
		T(bad_lines_are_counted_and_passed_over),
		T(a_step_that_comes_again_takes_the_place_of_the_first),
		T(events_and_pauses_are_told),
		T(a_file_without_an_update_is_bad_data),
		T(bins_keep_mean_and_ends),
		T(curves_of_any_kind_give_a_whole_picture),
		T(the_page_holds_all_and_needs_nothing),
		T(the_page_goes_where_it_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
