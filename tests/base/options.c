/* SPDX-License-Identifier: Apache-2.0 */
/* The option table is the specification's (options.json, where it is at hand), and is sound in itself. */
#include "support/test.h"

#include "base/file.h"
#include "base/json.h"
#include "base/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static cJSON *
specification(void)
{
	const char *top = getenv("top_srcdir"), *design = getenv("ACE_DESIGN");
	char *path = design ? file_path("%s/options.json", design) : file_path("%s/../shared/design/options.json", top ? top : ".");
	cJSON *root = NULL;

	if (!file_exists(path)) {
		free(path);
		skip();
		return NULL;
	}
	assert_ok(json_read(path, 1 << 24, &root));
	free(path);
	return root;
}

static const char *
text_of(const cJSON *o, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static void
same_text(const char *name, const char *what, const char *got, const char *want)
{
	if (!got != !want || (got && strcmp(got, want) != 0))
		fail_msg("%s: %s is \"%s\", specified as \"%s\"", name, what, got ? got : "-", want ? want : "-");
}

static void
same_number(const char *name, const char *what, const char *got, double want)
{
	char *end;

	if (!got || strtod(got, &end) != want || *end)
		fail_msg("%s: %s is \"%s\", specified as %g", name, what, got ? got : "-", want);
}

static void
same_default(const struct option *o, const cJSON *v)
{
	if (cJSON_IsNull(v))
		same_text(o->name, "default", o->initial, NULL);
	else if (cJSON_IsBool(v))
		same_text(o->name, "default", o->initial, cJSON_IsTrue(v) ? "true" : "false");
	else if (cJSON_IsNumber(v))
		same_number(o->name, "default", o->initial, v->valuedouble);
	else
		same_text(o->name, "default", o->initial, cJSON_GetStringValue(v));
}

static void
same_range(const struct option *o, const cJSON *v)
{
	const cJSON *low = cJSON_GetArrayItem(v, 0), *high = cJSON_GetArrayItem(v, 1);
	const char *dots = o->range ? strstr(o->range, "..") : NULL;
	char text[40];

	assert_true(!v == !dots);
	if (!v)
		return;
	snprintf(text, sizeof text, "%.*s", (int)(dots - o->range), o->range);
	if (cJSON_IsNull(low))
		same_text(o->name, "lower bound", text, "");
	else
		same_number(o->name, "lower bound", text, low->valuedouble);
	if (cJSON_IsNull(high))
		same_text(o->name, "upper bound", dots + 2, "");
	else
		same_number(o->name, "upper bound", dots + 2, high->valuedouble);
}

static int
count_words(const char *list)
{
	int n = list && *list;

	for (; list && *list; list++)
		n += *list == ' ';
	return n;
}

static void
same_allowed(const struct option *o, const cJSON *v)
{
	const cJSON *item;
	int n = 0;

	cJSON_ArrayForEach(item, v) {
		char text[64];
		if (cJSON_IsNumber(item))
			snprintf(text, sizeof text, "%g", item->valuedouble);
		else
			snprintf(text, sizeof text, "%s", item->valuestring);
		if (!*text)
			continue;	/* an empty text stands for "no value" */
		n++;
		if (!option_has_word(o->allowed, text))
			fail_msg("%s: %s is not allowed here", o->name, text);
	}
	if (n != count_words(o->allowed))
		fail_msg("%s: allows \"%s\", %d values are specified", o->name, o->allowed ? o->allowed : "", n);
}

static void
knows_aliases(const struct option *o, const cJSON *v)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, v) {
		char name[64];
		bool opposite, inverse = strstr(item->valuestring, " (inverse)") != NULL;
		snprintf(name, sizeof name, "%.*s", (int)strcspn(item->valuestring, " "), item->valuestring);
		if (option_find(name, &opposite) != o || opposite != inverse)
			fail_msg("%s: does not go by %s", o->name, item->valuestring);
	}
}

static const char *
type_of(const struct option *o)
{
	switch (o->type) {
	case OPT_BOOL: return "bool";
	case OPT_INT: return "int";
	case OPT_FLOAT: return "float";
	case OPT_ENUM: return "enum";
	case OPT_STRING: return "string";
	case OPT_PATH: return "path";
	case OPT_JSON: return "json";
	case OPT_BOOL_OR_STRING: return "bool|string";
	}
	return "";
}

static void
every_specified_option_is_a_row_as_specified(void **state)
{
	cJSON *root = specification();
	const cJSON *x, *list = cJSON_GetObjectItemCaseSensitive(root, "options");

	(void)state;
	assert_true(cJSON_GetArraySize(list) > 0);
	cJSON_ArrayForEach(x, list) {
		const char *name = text_of(x, "name"), *env = text_of(x, "env");
		const struct option *o = option_find(name, NULL);
		if (!o || strcmp(o->name, name) != 0)
			fail_msg("%s has no row", name);
		same_text(name, "type", type_of(o), text_of(x, "type"));
		same_text(name, "category", o->category, text_of(x, "category"));
		same_text(name, "upstream", o->upstream, text_of(x, "upstream"));
		if (text_of(x, "error"))
			same_text(name, "error", o->error, text_of(x, "error"));
		assert_int_equal(o->foreign, strcmp(text_of(x, "required"), "not-applicable") == 0);
		assert_true(!env || option_has_word(o->env, env));
		same_default(o, cJSON_GetObjectItemCaseSensitive(x, "default"));
		same_range(o, cJSON_GetObjectItemCaseSensitive(x, "range"));
		same_allowed(o, cJSON_GetObjectItemCaseSensitive(x, "allowed"));
		knows_aliases(o, cJSON_GetObjectItemCaseSensitive(x, "aliases"));
	}
	cJSON_Delete(root);
}

static void
every_name_of_other_models_is_recognised(void **state)
{
	cJSON *root = specification();
	const cJSON *x, *list = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, "recognised_elsewhere"), "names");

	(void)state;
	assert_true(cJSON_GetArraySize(list) > 0);
	cJSON_ArrayForEach(x, list)
		if (!option_is_elsewhere(x->valuestring) && !option_find(x->valuestring, NULL))
			fail_msg("%s is not recognised", x->valuestring);
	cJSON_Delete(root);
}

static void
no_spelling_means_two_options(void **state)
{
	(void)state;
	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		const char *lists[] = { o->name, o->aliases, o->flag };
		for (int l = 0; l < 3; l++) {
			for (const char *p = lists[l]; p && *p;) {
				int n = (int)strcspn(p, " ");
				char word[64];
				bool opposite;
				snprintf(word, sizeof word, "%.*s", n - (*p == '!'), p + (*p == '!'));
				if (option_find(word, &opposite) != o || option_is_elsewhere(word))
					fail_msg("%s is also something else than %s", word, o->name);
				p += n + (p[n] == ' ');
			}
		}
	}
}

static void
each_row_is_complete(void **state)
{
	(void)state;
	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		if (!o->name || !o->help || !o->category || !o->programs)
			fail_msg("row %d (%s) lacks something", i, o->name ? o->name : "?");
		if (o->foreign && !o->error)
			fail_msg("%s has no error text", o->name);
	}
}

static void
what_is_built_is_in_the_table_and_allows_its_default(void **state)
{
	static const struct {
		const char *name, *values;
	} built[] = {
#define BUILT(name, values) { #name, values },
#include "base/options/built.h"
#undef BUILT
	};
	(void)state;
	for (size_t i = 0; i < sizeof built / sizeof *built; i++) {
		const struct option *o = option_find(built[i].name, NULL);
		if (!o || strcmp(o->name, built[i].name) != 0 || o->foreign || option_state(o) != OPT_BUILT)
			fail_msg("%s is no option that can be built", built[i].name);
		for (const char *p = built[i].values; p && *p;) {
			int n = (int)strcspn(p, " ");
			char word[64];
			snprintf(word, sizeof word, "%.*s", n, p);
			if (!option_has_word(o->allowed, word))
				fail_msg("%s=%s is built but not allowed", o->name, word);
			p += n + (p[n] == ' ');
		}
		if (o->initial && built[i].values && !option_has_word(built[i].values, o->initial))
			fail_msg("%s: its default %s is not built", o->name, o->initial);
	}
}

static void
every_default_lies_in_its_range(void **state)
{
	struct settings s;

	(void)state;
	assert_ok(settings_init(&s, program_named("ace-train")));
	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		assert_int_equal(settings_is_set(&s, o->name), 0);
		assert_int_equal(settings_has(&s, o->name), o->initial && *o->initial);
	}
	settings_free(&s);
}

static void
dashes_and_underscores_are_one(void **state)
{
	(void)state;
	assert_ptr_equal(option_find("--learning-rate", NULL), option_find("learning_rate", NULL));
	assert_ptr_equal(option_find("learning-rate", NULL), option_find("--learning_rate", NULL));
	assert_non_null(option_find("learning_rate", NULL));
}

static void
upstream_flags_and_legacy_names_find_their_option(void **state)
{
	static const char *const pairs[][2] = {
		{ "num_nodes", "num_machines" }, { "devices", "num_processes" }, { "shift", "flow_schedule_shift" },
		{ "num_workers", "dataloader_num_workers" }, { "epochs", "num_train_epochs" }, { "max_steps", "max_train_steps" },
		{ "every_n_train_steps", "checkpoint_step_interval" }, { "dataset_path", "dataset_path" },
		{ "exp_name", "tracker_run_name" }, { "precision", "mixed_precision" },
		{ "accumulate_grad_batches", "gradient_accumulation_steps" }, { "logger_dir", "logging_dir" },
		{ "ckpt_path", "resume_from_checkpoint" }, { "checkpoint_dir", "pretrained_model_name_or_path" },
		{ "gradient_clip_val", "max_grad_norm" }, { "gradient_clip_algorithm", "grad_clip_method" },
		{ "every_plot_step", "validation_step_interval" }, { "val_check_interval", "eval_steps_interval" },
		{ "lora_config_path", "lora_config_path" }, { "validation_steps", "validation_step_interval" },
		{ "checkpointing_steps", "checkpoint_step_interval" }, { "save_total_limit", "checkpoints_total_limit" },
		{ "model", "pretrained_model_name_or_path" }, { "config", "config_path" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		const struct option *o = option_find(pairs[i][0], NULL);
		if (!o || strcmp(o->name, pairs[i][1]) != 0)
			fail_msg("%s finds %s", pairs[i][0], o ? o->name : "nothing");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_specified_option_is_a_row_as_specified),
		cmocka_unit_test(every_name_of_other_models_is_recognised),
		cmocka_unit_test(no_spelling_means_two_options),
		cmocka_unit_test(each_row_is_complete),
		cmocka_unit_test(what_is_built_is_in_the_table_and_allows_its_default),
		cmocka_unit_test(every_default_lies_in_its_range),
		cmocka_unit_test(dashes_and_underscores_are_one),
		cmocka_unit_test(upstream_flags_and_legacy_names_find_their_option),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
