/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"

#include "base/file.h"
#include "base/msg.h"
#include "data/captions.h"
#include "data/dataset_settings.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct dataset_defaults plain = { 0 };

static enum status
parse(struct dataset_list *l, const char *text)
{
	return dataset_list_parse(l, text, strlen(text), "list.json", &plain);
}

/* One audio entry with these members besides id, type and folder. */
static enum status
parse_with(struct dataset_list *l, const char *members)
{
	char *text = file_path("[{\"id\": \"a\", \"dataset_type\": \"audio\", \"type\": \"local\", "
			       "\"instance_data_dir\": \"songs\"%s%s},"
			       "{\"id\": \"t\", \"dataset_type\": \"text_embeds\", \"default\": true, \"cache_dir\": "
			       "\"c/{model_family}\"}]",
			       *members ? ", " : "", members);
	enum status st = parse(l, text);

	free(text);
	return st;
}

/* The list is refused with this code, and the message has all of the words. */
static void
refused(const char *text, bool whole, enum status code, const char *word, const char *word2)
{
	struct dataset_list l;
	enum status st = whole ? parse(&l, text) : parse_with(&l, text);

	if (st != code)
		fail_msg("%s: status %d, wanted %d (%s)", text, st, code, st ? ace_message() : "accepted");
	if (!strstr(ace_message(), "list.json") || !strstr(ace_message(), word) || !strstr(ace_message(), word2))
		fail_msg("%s: \"%s\" lacks \"%s\" or \"%s\"", text, ace_message(), word, word2);
	assert_null(l.entry);
}

static void
the_list_of_the_guide_is_read(void **state)
{
	static const char text[] =
		"[{\"id\": \"my-audio-dataset\", \"type\": \"local\", \"dataset_type\": \"audio\", "
		"\"instance_data_dir\": \"datasets/my_audio_files\","
		" \"caption_strategy\": \"textfile\", \"metadata_backend\": \"discovery\", \"disabled\": false},"
		" {\"id\": \"text-embeds\", \"dataset_type\": \"text_embeds\", \"default\": true, \"type\": "
		"\"local\","
		" \"cache_dir\": \"cache/text/{model_family}\"}]";
	struct dataset_list l;
	const struct dataset *a;

	(void)state;
	assert_ok(parse(&l, text));
	assert_int_equal(l.n, 2);
	a = &l.entry[0];
	assert_string_equal(a->id, "my-audio-dataset");
	assert_int_equal(a->kind, DATASET_AUDIO);
	assert_string_equal(a->folder, "datasets/my_audio_files");
	assert_string_equal(a->store, "output/cache/audio/vae/ace_step/my-audio-dataset");
	assert_int_equal(a->captions, CAPTION_TEXTFILE);
	assert_int_equal(a->max_samples, -1);
	assert_int_equal(a->batch_size, 1);
	assert_true(a->interval == 3 && a->probability == 1 && a->max_seconds == 0);
	assert_string_equal(l.entry[1].store, "cache/text/ace_step");
	assert_ptr_equal(dataset_texts(&l, a), &l.entry[1]);
	dataset_list_free(&l);
}

static void
every_spelling_of_a_key_means_the_same(void **state)
{
	static const char *const spellings[] = {
		"\"audio\": {\"max_duration_seconds\": 30, \"duration_interval\": 5, \"truncation_mode\": \"end\", "
		"\"channels\": 2, "
		"\"sample_rate\": 48000, \"bucket_strategy\": \"duration\"}",
		"\"audio_max_duration_seconds\": 30, \"audio_duration_interval\": 5, \"audio_truncation_mode\": "
		"\"end\"",
		"\"audio_max_duration_seconds\": 30, \"audio_duration_interval_seconds\": 5, \"truncation_mode\": "
		"\"end\", \"audio\": {\"channels\": 2}",
		"\"audio\": {\"max_duration_seconds\": 30}, \"audio_max_duration_seconds\": 30.0, "
		"\"audio_bucket_interval\": 5, \"truncation_mode\": \"end\"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
		struct dataset_list l;
		assert_ok(parse_with(&l, spellings[i]));
		assert_true(l.entry[0].max_seconds == 30 && l.entry[0].interval == 5);
		assert_int_equal(l.entry[0].truncation, TRUNCATE_END);
		dataset_list_free(&l);
	}
	refused("\"audio\": {\"max_duration_seconds\": 30}, \"audio_max_duration_seconds\": 40", false, ACE_ECONFIG,
	        "audio_max_duration_seconds", "different");
}

static void
placeholders_are_filled_in(void **state)
{
	struct dataset_list l;

	(void)state;
	assert_ok(parse_with(&l, "\"cache_dir_vae\": \"cache/vae/{model_family}/{id}/{other}\", \"audio\": "
	                         "{\"lyrics_filename_format\": \"{filename}_{id}.txt\"}"));
	assert_string_equal(l.entry[0].store, "cache/vae/ace_step/a/{other}");
	assert_string_equal(l.entry[0].lyrics_format, "{filename}_a.txt");
	dataset_list_free(&l);
}

#define HUB(more) "[{\"id\": \"h\", \"type\": \"huggingface\", \"dataset_type\": \"audio\"" more "}]"

static void
hub_entries_take_their_columns_from_three_places(void **state)
{
	struct dataset_list l;
	const struct dataset_hub *h;

	(void)state;
	assert_ok(parse(&l, HUB(", \"dataset_name\": \"a/{id}\", \"caption_strategy\": \"huggingface\", \"metadata_backend\": "
	                        "\"huggingface\", \"lyrics_column\": \"words\", \"config\": {\"audio_caption_fields\": [\"tags\", "
	                        "\"mood\"], \"lyrics_column\": \"words\"}, \"huggingface\": {\"audio_column\": \"sound\"}")));
	h = l.entry[0].hub;
	assert_non_null(h);
	assert_null(l.entry[0].folder);
	assert_int_equal(l.entry[0].captions, CAPTION_ROW);
	assert_string_equal(h->name, "a/h");
	assert_string_equal(h->lyrics, "words");
	assert_string_equal(h->fields, "tags,mood");
	assert_string_equal(h->audio, "sound");
	assert_null(h->split);
	dataset_list_free(&l);
	refused(HUB(", \"dataset_name\": \"a\", \"lyrics_column\": \"x\", \"config\": {\"lyrics_column\": \"y\"}"), true, ACE_ECONFIG,
	        "config.lyrics_column", "another place");
	refused(HUB(""), true, ACE_ECONFIG, "\"h\"", "dataset_name is missing");
	refused(HUB(", \"dataset_name\": \"a\", \"streaming\": true"), true, ACE_ECONFIG, "streaming", "ace-fetch");
	refused(HUB(", \"dataset_name\": \"a\", \"caption_strategy\": \"textfile\""), true, ACE_ECONFIG, "caption_strategy", "wanted huggingface");
	refused("\"caption_strategy\": \"huggingface\"", false, ACE_ECONFIG, "caption_strategy", "this entry is local");
}

static void
what_is_not_built_is_refused_by_name(void **state)
{
	(void)state;
	refused("[{\"id\": \"h\", \"type\": \"parquet\", \"dataset_type\": \"audio\"}]", true, ACE_ECONFIG, "parquet.path",
		"row for each song");
	refused("[{\"id\": \"h\", \"type\": \"csv\", \"dataset_type\": \"audio\"}]", true, ACE_ECONFIG, "csv_file", "row for each song");
	refused("[{\"id\": \"h\", \"type\": \"aws\", \"dataset_type\": \"audio\"}]", true, ACE_ECONFIG, "aws", "copy");
	refused("[{\"id\": \"h\", \"type\": \"loacl\", \"dataset_type\": \"audio\"}]", true, ACE_ECONFIG, "loacl",
		"wanted local");
	refused("\"vae_cache_clear_each_epoch\": true", false, ACE_ECONFIG, "vae_cache_clear_each_epoch", "not built yet");
	refused("\"caption_strategy\": \"parquet\"", false, ACE_ECONFIG, "parquet.path", "row for each song");
	refused("\"metadata_backend\": \"parquet\", \"parquet\": {\"path\": \"x\", \"identifier_includes_extension\": 1}", false,
		ACE_ECONFIG, "parquet.identifier_includes_extension", "true or false");
	refused("\"metadata_backend\": \"parquet\", \"parquet\": {\"path\": \"x\"}, \"caption_strategy\": \"textfile\"", false,
		ACE_ECONFIG, "caption_strategy textfile", "of local folders");
	refused("\"metadata_backend\": \"huggingface\"", false, ACE_ECONFIG, "metadata_backend", "this entry is local");
	refused("\"end_step\": 100", false, ACE_ECONFIG, "end_step", "end_epoch");
	refused("\"start_step\": 100", false, ACE_ECONFIG, "start_step", "start_epoch");
	refused("\"timestep_sampling_offset\": 0.5", false, ACE_ECONFIG, "timestep_sampling_offset", "not built yet");
	refused("\"audio\": {\"resampler\": \"soxr\"}", false, ACE_ECONFIG, "audio.resampler", "soxr is not built yet");
}

#define FILTERED(list, more)                                                                                                         \
	"[{\"id\": \"a\", \"dataset_type\": \"audio\", \"instance_data_dir\": \"songs\"" more "}, {\"id\": \"t\", \"dataset_type\": "       \
	"\"text_embeds\", \"default\": true, \"cache_dir\": \"t\", \"caption_filter_list\": " list "}]"

/* As the Python trainer reads items: texts, expressions, and exchanges. */
static void
captions_lose_what_the_list_of_their_text_store_names(void **state)
{
	static const struct { const char *list, *caption, *left; } all[] = {
		{ "[\"lofi, \"]", "lofi, jazz, lofi, piano", "jazz, piano" },
		{ "[\"s/rock/pop/\", \"s/hard /soft \"]", "hard rock and rock", "soft pop and pop" },
		{ "[\"[0-9]+ ?bpm,? *\"]", "120 bpm, house, 90bpm", "house," },
		{ "[\"\\\\d+\\\\s*[\\\\w]+$\"]", "jazz 12 beats", "jazz" },
		{ "[\"s/(a)(b)/\\\\2\\\\1\"]", "ab aab", "ba aba" },
		{ "[\"^.\"]", "\xc3\xa4ther", "ther" },
		{ "[\"x*\"]", "\xc3\xa4xxb", "\xc3\xa4" "b" },
		{ "[\"\", \"\\\\bof\\\\b\"]", "of offs of", "offs" },
	};
	struct dataset_list l;
	struct captions c;
	char text[600];

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		const struct song_row row = { .shard = (char *)"s", .captions = 1, .caption = (char *[]){ (char *)all[i].caption } };
		snprintf(text, sizeof text, FILTERED("%s", ""), all[i].list);
		assert_ok(parse(&l, text));
		assert_ok(captions_of(&c, &l.entry[0], "row", &row));
		assert_int_equal(c.n, 1);
		assert_string_equal(c.text[0], all[i].left);
		captions_free(&c);
		dataset_list_free(&l);
	}
	assert_ok(parse(&l, FILTERED("[\".*\"]", ", \"text_embeds\": \"t\"")));
	assert_int_equal(captions_of(&c, &l.entry[0], "row", &(struct song_row){ .shard = (char *)"s", .captions = 1, .caption = (char *[]){ (char *)"x" } }),
	                 ACE_EDATA);
	assert_int_equal(c.reason, CAPTION_EMPTY);
	dataset_list_free(&l);
	refused(FILTERED("[\"a(\"]", ""), true, ACE_ECONFIG, "caption_filter_list: \"a(\"", "\"t\"");
	refused(FILTERED("[\"a.*?b\"]", ""), true, ACE_ECONFIG, "caption_filter_list", "lazy");
	refused(FILTERED("[\"[\\\\W]\"]", ""), true, ACE_ECONFIG, "caption_filter_list", "\\W within");
	refused(FILTERED("[1]", ""), true, ACE_ECONFIG, "caption_filter_list", "a list of texts");
	refused(FILTERED("\"no/such/file.txt\"", ""), true, ACE_ECONFIG, "no/such/file.txt", "no such file");
}

/* One item a line, or a JSON list; what is written in a list means the same. */
static void
a_filter_may_lie_in_a_file(void **state)
{
	static const char lines[] = "lofi\r\n\ns/rock/pop/\n[0-9]+", json[] = "[\"lofi\", \"s/rock/pop/\", \"[0-9]+\"]";
	const struct song_row row = { .shard = (char *)"s", .captions = 1, .caption = (char *[]){ (char *)"lofi rock 90" } };
	char folder[] = "/tmp/ace-filter-XXXXXX", path[60], text[600];
	struct dataset_list l;
	struct captions c;

	(void)state;
	assert_non_null(mkdtemp(folder));
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/filter%s", folder, i ? ".json" : ".txt");
		assert_ok(file_write(path, i ? json : lines, strlen(i ? json : lines)));
		snprintf(text, sizeof text, FILTERED("\"%s\"", ""), path);
		assert_ok(parse(&l, text));
		if (i == 2) {
			assert_ok(dataset_list_write(&l, path));
			dataset_list_free(&l);
			assert_ok(dataset_list_read(&l, path, &(struct dataset_defaults){ 0 }));
		}
		assert_ok(captions_of(&c, &l.entry[0], "row", &row));
		assert_string_equal(c.text[0], "pop");
		captions_free(&c);
		dataset_list_free(&l);
	}
	assert_ok(file_remove_tree(folder));
}

static void
what_can_not_be_meant_is_refused(void **state)
{
	(void)state;
	refused("\"disable_vae_cache\": true", false, ACE_ECONFIG, "disable_vae_cache", "vae_cache_disable");
	refused("\"is_regularisation_data\": true", false, ACE_ECONFIG, "is_regularisation_data", "lycoris");
	refused("\"audio\": {\"channels\": 1}", false, ACE_ECONFIG, "audio.channels is 1", "stereo");
	refused("\"audio\": {\"auto_split\": true}", false, ACE_ECONFIG, "audio.auto_split", "films");
	refused("\"audio\": {\"min_duration_seconds\": 9, \"max_duration_seconds\": 3}", false, ACE_ECONFIG, "9",
		"no clip is left");
	refused("\"repeats\": -1", false, ACE_ECONFIG, "repeats is -1", "whole number");
	refused("\"repeats\": 1.5", false, ACE_ECONFIG, "repeats is 1.5", "whole number");
	refused("\"repeats\": \"2\"", false, ACE_ECONFIG, "repeats is \"2\"", "whole number");
	refused("\"truncation_mode\": \"middle\"", false, ACE_ECONFIG, "middle", "beginning, end, random");
	refused("\"only_instance_prompt\": true", false, ACE_ECONFIG, "instance_prompt is missing", "only_instance_prompt");
	refused("\"caption_strategy\": \"instanceprompt\"", false, ACE_ECONFIG, "instance_prompt", "instanceprompt");
	refused("\"start_epoch\": 4, \"end_epoch\": 2", false, ACE_ECONFIG, "end_epoch 2", "start_epoch 4");
	refused("\"start_epoch\": 2", false, ACE_ECONFIG, "start_epoch", "active");
	refused("\"text_embeds\": \"nowhere\"", false, ACE_ECONFIG, "nowhere", "text_embeds");
	refused("\"lyrics_filename_format\": \"{filname}.txt\"", false, ACE_ECONFIG, "{filname}", "{filename}");
	refused("\"caption_shuffle\": {\"enabled\": true}", false, ACE_ECONFIG, "caption_shuffle.enabled", "enable");
	refused("\"audio\": 3", false, ACE_ECONFIG, "audio is 3", "object");
	refused("[]", true, ACE_ECONFIG, "audio", "");
	refused("{}", true, ACE_ECONFIG, "array", "");
	refused("[1]", true, ACE_ECONFIG, "entry 1", "object");
	refused("[{\"dataset_type\": \"audio\"}]", true, ACE_ECONFIG, "entry 1", "id is missing");
	refused("[{\"id\": \"../../x\", \"dataset_type\": \"audio\"}]", true, ACE_ECONFIG, "../../x", "leads out");
	refused("[{\"id\": \"x\"}]", true, ACE_ECONFIG, "\"x\"", "dataset_type is missing");
	refused("[{\"id\": \"x\", \"dataset_type\": \"image\"}]", true, ACE_ECONFIG, "image", "audio");
	refused("[{\"id\": \"x\", \"dataset_type\": \"audio\"}]", true, ACE_ECONFIG, "instance_data_dir", "folder");
	refused("[{\"id\": \"x\", \"id\": \"y\"}]", true, ACE_EDATA, "\"id\"", "twice");
	refused("[{\"id\": \"x\"", true, ACE_EDATA, "JSON", "");
	refused("[\"\xff\"]", true, ACE_EDATA, "UTF-8", "");
}

#define AUDIO(id, more) "{\"id\": \"" id "\", \"dataset_type\": \"audio\", \"instance_data_dir\": \"s\"" more "}"
#define TEXTS(id, more) "{\"id\": \"" id "\", \"dataset_type\": \"text_embeds\", \"cache_dir\": \"c\"" more "}"

static void
entries_must_fit_together(void **state)
{
	struct dataset_list l;

	(void)state;
	refused("[" AUDIO("a", "") "," AUDIO("a", "") "]", true, ACE_ECONFIG, "two entries", "\"a\"");
	refused("[" AUDIO("a", ", \"cache_dir_vae\": \"v\"") "," AUDIO("b", ", \"cache_dir_vae\": \"v\"") "]", true,
		ACE_ECONFIG, "both keep", "{id}");
	refused("[" AUDIO("a", "") "," TEXTS("t", ", \"default\": true") "," TEXTS("u", ", \"default\": true") "]",
		true, ACE_ECONFIG, "both", "default");
	refused("[" AUDIO("a", "") "," TEXTS("t", "") "," TEXTS("u", "") "]", true, ACE_ECONFIG, "none of 2", "default");
	refused("[" AUDIO("a", ", \"disabled\": true") "]", true, ACE_ECONFIG, "no entry", "disabled");
	msg_setup("test", MSG_QUIET, PROGRESS_NONE, 1);
	assert_ok(parse(&l, "[" AUDIO("a", "") "," TEXTS("t", "") "]"));
	assert_true(l.entry[1].is_default);
	dataset_list_free(&l);
	assert_ok(parse(&l, "[" AUDIO("a", ", \"text_embeds\": \"u\"") "," TEXTS(
				    "t", ", \"default\": true") "," TEXTS("u", "") "]"));
	assert_string_equal(dataset_texts(&l, &l.entry[0])->id, "u");
	dataset_list_free(&l);
}

static void
a_missing_text_store_is_added(void **state)
{
	const struct dataset_defaults d = { .cache_dir_text = "mine", .cache_dir = "root" };
	static const char text[] = "[" AUDIO("a", "") "]";
	struct dataset_list l;

	(void)state;
	assert_ok(parse(&l, text));
	assert_int_equal(l.n, 2);
	assert_string_equal(dataset_texts(&l, &l.entry[0])->store, "cache/ace_step");
	dataset_list_free(&l);
	assert_ok(dataset_list_parse(&l, text, strlen(text), "list.json", &d));
	assert_string_equal(dataset_texts(&l, &l.entry[0])->store, "mine/ace_step");
	assert_string_equal(l.entry[0].store, "root/vae/ace_step/a");
	dataset_list_free(&l);
}

static void
disabled_entries_are_passed_over_before_any_check(void **state)
{
	struct dataset_list l;

	(void)state;
	assert_ok(parse(&l, "[{\"disable\": true, \"type\": \"huggingface\", \"id\": 3}, " AUDIO("a", "") "," TEXTS(
				    "t", ", \"default\": true") "]"));
	assert_int_equal(l.n, 2);
	dataset_list_free(&l);
	refused("[{\"disabled\": \"yes\"}]", true, ACE_ECONFIG, "disabled", "true or false");
}

static void
keys_that_mean_nothing_here_do_no_harm(void **state)
{
	struct dataset_list l;

	(void)state;
	assert_ok(parse_with(
		&l, "\"resolution\": 512, \"crop\": true, \"crop_style\": \"center\", \"minimum_image_size\": 0, "
		    "\"hash_filenames\": true, \"write_batch_size\": 9, \"parquet\": {\"path\": \"x\"}, "
		    "\"nonsense\": [1], "
		    "\"audio\": {\"lenght\": 3, \"auto_split\": false, \"duration_interval\": -1}, "
		    "\"vae_cache_ondemand\": false, "
		    "\"default\": true, \"repeats\": null, \"instance_prompt\": null"));
	assert_true(l.entry[0].interval == 3);
	dataset_list_free(&l);
}

static void
a_bundled_example_is_read(void **state)
{
	char *path = file_path("%s/datasets/ace_step-v1-0.peft-lora/acestep-audio.json",
			       getenv("top_srcdir") ? getenv("top_srcdir") : ".");
	struct dataset_list l;

	(void)state;
	assert_ok(dataset_list_read(&l, path, &plain));
	assert_string_equal(l.entry[0].hub->name, "Yi3852/ACEStep-Songs");
	assert_true(l.entry[0].max_seconds == 30);
	dataset_list_free(&l);
	free(path);
}

static void
the_golden_entries_are_read(void **state)
{
	static const char *const names[] = { "backend", "backend_custom_lyrics" };
	cJSON *expected = golden_json("local-audio", "expected.json");

	(void)state;
	for (int i = 0; i < 2; i++) {
		const cJSON *o = cJSON_GetObjectItemCaseSensitive(expected, names[i]);
		char *one = cJSON_Print(o), *text = file_path("[%s]", one);
		struct dataset_list l;
		assert_ok(parse(&l, text));
		assert_string_equal(l.entry[0].folder,
				    cJSON_GetObjectItemCaseSensitive(o, "instance_data_dir")->valuestring);
		assert_int_equal(l.entry[0].lyrics_format != NULL, i == 1);
		dataset_list_free(&l);
		free(one);
		free(text);
	}
	cJSON_Delete(expected);
}

static char *
read_text(const char *path)
{
	char *text;
	size_t size;

	assert_ok(file_read(path, 1 << 20, &text, &size));
	return text;
}

static void
what_is_written_reads_as_the_same_list(void **state)
{
	const struct dataset_defaults other = { .caption_strategy = CAPTION_FILENAME,
						.min_seconds = 1,
						.max_seconds = 99,
						.interval = 7,
						.truncation = TRUNCATE_END,
						.length_mode = LENGTH_PAD,
						.batch_size = 9,
						.prompt = "p",
						.prepend_prompt = true,
						.whole_file = true,
						.seed = 5,
						.output_dir = "o",
						.cache_dir = "q" };
	const char *dir = golden_tmp();
	char *first = file_path("%s/1.json", dir), *second = file_path("%s/2.json", dir), *a, *b;
	struct dataset_list l;

	(void)state;
	assert_ok(parse(
		&l,
		"[" AUDIO(
			"a",
			", \"instance_prompt\": [\"one\", \"two\"], \"prepend_instance_prompt\": true, \"repeats\": "
			"3, "
			"\"max_num_samples\": 10, \"probability\": 0.5, \"end_epoch\": 4, \"train_batch_size\": 2, "
			"\"caption_shuffle\": {\"enable\": true, \"count\": 2, \"split_on\": \"period\"}, \"audio\": "
			"{\"truncation_mode\": "
			"\"random\", \"lyrics_suffix\": \"_x\"}") "," AUDIO("b",
									    "") ", {\"id\": \"e\", \"dataset_type\": "
										"\"eval\", "
										"\"instance_data_dir\": "
										"\"f\"}," TEXTS(
											"t",
											", \"default\": true") "]"));
	assert_ok(dataset_list_write(&l, first));
	dataset_list_free(&l);
	assert_ok(dataset_list_read(&l, first, &other));
	assert_int_equal(l.entry[0].prompts, 2);
	assert_int_equal(l.entry[1].prompts, 0);
	assert_ok(dataset_list_write(&l, second));
	dataset_list_free(&l);
	a = read_text(first);
	b = read_text(second);
	assert_string_equal(a, b);
	free(a);
	free(b);
	free(first);
	free(second);
	assert_ok(file_remove_tree(dir));
}

static void
a_folder_is_a_list_of_one(void **state)
{
	const struct dataset_defaults d = { .output_dir = "out" };
	struct dataset_list l;

	(void)state;
	assert_ok(dataset_list_folder(&l, "some/songs//", &d));
	assert_int_equal(l.n, 2);
	assert_string_equal(l.entry[0].id, "songs");
	assert_string_equal(l.entry[0].store, "out/cache/audio/vae/ace_step/songs");
	assert_string_equal(dataset_texts(&l, &l.entry[0])->store, "out/cache/text/ace_step");
	assert_string_equal(l.path, "");
	dataset_list_free(&l);
	assert_ok(dataset_list_folder(&l, "..", &d));
	assert_string_not_equal(l.entry[0].id, "..");
	dataset_list_free(&l);
}

static void
options_are_the_defaults_of_entries(void **state)
{
	const char *dir = golden_tmp();
	char *path = file_path("%s/list.json", dir);
	static const char text[] = "[" AUDIO("a", "") "," AUDIO("b", ", \"caption_strategy\": \"textfile\"") "]";
	struct settings s;
	struct dataset_list l;

	(void)state;
	assert_ok(settings_init(&s, program_named("ace-preprocess")));
	assert_int_equal(dataset_list_settings(&l, &s), ACE_EUSAGE);
	assert_ok(file_write(path, text, strlen(text)));
	assert_ok(settings_set(&s, "data_backend_config", path, "test"));
	assert_ok(settings_set(&s, "caption_strategy", "filename", "test"));
	assert_ok(settings_set(&s, "audio_length_mode", "pad", "test"));
	assert_ok(settings_set(&s, "audio_max_duration_seconds", "12", "test"));
	assert_ok(settings_set(&s, "cache_dir_vae", "v/{id}", "test"));
	assert_ok(dataset_list_settings(&l, &s));
	assert_int_equal(l.entry[0].captions, CAPTION_FILENAME);
	assert_int_equal(l.entry[1].captions, CAPTION_TEXTFILE);
	assert_int_equal(l.entry[0].length_mode, LENGTH_PAD);
	assert_true(l.entry[0].max_seconds == 12);
	assert_string_equal(l.entry[1].store, "v/b");
	dataset_list_free(&l);
	assert_ok(settings_set(&s, "dataset", "songs", "test"));
	assert_int_equal(dataset_list_settings(&l, &s), ACE_EUSAGE);
	assert_non_null(strstr(ace_message(), "both"));
	settings_free(&s);
	free(path);
	assert_ok(file_remove_tree(dir));
}

/* Captions of rows, by an option, are of entries that have rows. */
static void
an_option_of_rows_is_not_of_folders(void **state)
{
	static const char *const words[] = { "huggingface", "parquet", "csv" };
	const char *dir = golden_tmp();
	char *path = file_path("%s/list.json", dir);
	static const char rows[] = "[{\"id\": \"h\", \"type\": \"huggingface\", \"dataset_type\": \"audio\", \"dataset_name\": \"a/b\"}, "
		AUDIO("b", ", \"caption_strategy\": \"filename\"") "]";
	static const char folder[] = "[" AUDIO("a", "") "]";
	struct dataset_list l;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct settings s;
		assert_ok(settings_init(&s, program_named("ace-preprocess")));
		assert_ok(settings_set(&s, "data_backend_config", path, "test"));
		assert_ok(settings_set(&s, "caption_strategy", words[i], "test"));
		assert_ok(file_write(path, rows, strlen(rows)));
		assert_ok(dataset_list_settings(&l, &s));
		assert_int_equal(l.entry[0].captions, CAPTION_ROW);
		assert_int_equal(l.entry[1].captions, CAPTION_FILENAME);
		dataset_list_free(&l);
		assert_ok(file_write(path, folder, strlen(folder)));
		assert_int_equal(dataset_list_settings(&l, &s), ACE_ECONFIG);
		assert_non_null(strstr(ace_message(), "caption_strategy is of data sets with rows"));
		settings_free(&s);
	}
	free(path);
	assert_ok(file_remove_tree(dir));
}

/* Bytes changed, left out, doubled and cut at random. */
static void
no_mutation_of_a_list_crashes(void **state)
{
	static const char text[] = "[" AUDIO(
		"a",
		", \"type\": \"local\", \"instance_prompt\": [\"one\", \"two\"], \"repeats\": 3, "
		"\"caption_shuffle\": "
		"{\"enable\": true, \"count\": 2, \"split_on\": \"period\", \"seed\": 1}, \"audio\": "
		"{\"truncation_mode\": \"random\", "
		"\"duration_interval\": 2.5, \"lyrics_filename_format\": \"{stem}.txt\", \"channels\": 2}, "
		"\"text_embeds\": \"t\", \"max_num_samples\": 4,"
		"\"cache_dir_vae\": \"{id}/{model_family}\", \"crop\": true, \"x\": null") "," TEXTS("t",
												     ", \"default\": "
												     "true") "]";
	static const char spice[] = "{}[]\",:0123456789eE.-truefalsn\\u{id}\x80\xff\x01";
	enum { N = sizeof text - 1 };
	int accepted = 0;

	(void)state;
	for (uint64_t round = 0; round < 4000; round++) {
		struct rng r = rng_stream(7, RNG_TEST, 0, round);
		char *copy = malloc(2 * N);	/* its own size, so that a sanitizer sees what is read behind it */
		struct dataset_list l;
		size_t n = N;
		assert_non_null(copy);
		memcpy(copy, text, N);
		for (uint64_t k = 0; k < 1 + round % 4; k++) {
			size_t at = (size_t)rng_below(r, 3 * k, n), len = (size_t)rng_below(r, 3 * k + 1, 12);
			switch (rng_below(r, 3 * k + 2, 4)) {
			case 0: copy[at] = spice[rng_below(r, 3 * k + 1, sizeof spice - 1)]; break;
			case 1:
				len = len < n - at ? len : n - at - 1;
				memmove(copy + at, copy + at + len, n - at - len);
				n -= len;
				break;
			case 2:
				if (n + len < 2 * N && at + len < n) {
					memmove(copy + at + len, copy + at, n - at);
					n += len;
				}
				break;
			case 3: n = round % 8 == 0 ? at + 1 : n; break;
			}
		}
		if (dataset_list_parse(&l, copy, n, "list.json", &plain) == ACE_OK) {
			accepted++;
			assert_true(l.n >= 2 && l.entry[0].id && l.entry[0].store);
		}
		dataset_list_free(&l);
		free(copy);
	}
	print_message("# %d of 4000 mutated lists are still good\n", accepted);
	assert_true(accepted > 0 && accepted < 4000);
}

static int
quiet(void **state)
{
	(void)state;
	msg_setup("test", MSG_QUIET, PROGRESS_NONE, 1);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list_of_the_guide_is_read),
		cmocka_unit_test(every_spelling_of_a_key_means_the_same),
		cmocka_unit_test(placeholders_are_filled_in),
		cmocka_unit_test(hub_entries_take_their_columns_from_three_places),
		cmocka_unit_test(what_is_not_built_is_refused_by_name),
		cmocka_unit_test(captions_lose_what_the_list_of_their_text_store_names),
		cmocka_unit_test(a_filter_may_lie_in_a_file),
		cmocka_unit_test(what_can_not_be_meant_is_refused),
		cmocka_unit_test(entries_must_fit_together),
		cmocka_unit_test(a_missing_text_store_is_added),
		cmocka_unit_test(disabled_entries_are_passed_over_before_any_check),
		cmocka_unit_test(keys_that_mean_nothing_here_do_no_harm),
		cmocka_unit_test(a_bundled_example_is_read),
		cmocka_unit_test(the_golden_entries_are_read),
		cmocka_unit_test(what_is_written_reads_as_the_same_list),
		cmocka_unit_test(a_folder_is_a_list_of_one),
		cmocka_unit_test(options_are_the_defaults_of_entries),
		cmocka_unit_test(an_option_of_rows_is_not_of_folders),
		cmocka_unit_test(no_mutation_of_a_list_crashes),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
