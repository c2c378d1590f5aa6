/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, decimals and amounts in words, of all languages, beside the reference's; and the steps of cleaning, each alone. */
#include "text/words.h"

#include "base/datadir.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"
#include "text/clean.h"
#include "text/pinyin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tables tables;
static struct pinyin *pinyin;

static int
open_tables(void **state)
{
	char *folder = datadir_find("text"), path[1024];

	(void)state;
	assert_non_null(folder);
	assert_ok(tables_open(&tables, folder));
	snprintf(path, sizeof path, "%s/pinyin.txt", folder);
	assert_ok(pinyin_open(&pinyin, path));
	free(folder);
	return 0;
}

static int
close_tables(void **state)
{
	(void)state;
	tables_close(&tables);
	pinyin_close(pinyin);
	return 0;
}

/* said: what the function said; want: the reference's words, or "!..." when it failed. */
static void
same(const char *lang, const char *what, bool said, const struct buffer *got, const char *want)
{
	if (*want == '!') {
		if (said)
			fail_msg("%s %s: \"%s\", where the reference fails (%s)", lang, what, got->data, want);
	} else if (!said) {
		fail_msg("%s %s: nothing, wanted \"%s\"", lang, what, want);
	} else if (strcmp(got->data ? got->data : "", want) != 0) {
		fail_msg("%s %s: \"%s\", wanted \"%s\"", lang, what, got->data, want);
	}
}

static void
check_list(const char *code, const cJSON *list, int *cases)
{
	static const char *const currency[] = { "currency_GBP", "currency_USD", "currency_EUR" };
	enum language lang = language_of(code);
	const cJSON *v;

	cJSON_ArrayForEach(v, list) {
		const cJSON *in = cJSON_GetArrayItem(v, 0);
		const char *want = cJSON_GetArrayItem(v, 1)->valuestring;
		struct buffer b = { 0 };
		char text[64];
		bool said;
		int c = 0;
		if (cJSON_IsNumber(in))
			snprintf(text, sizeof text, "%.0f", in->valuedouble);
		else
			snprintf(text, sizeof text, "%s", in->valuestring);
		while (c < 3 && strcmp(list->string, currency[c]) != 0)
			c++;
		if (c < 3)
			said = words_currency(&tables, lang, &b, strtod(text, NULL), (enum currency)c);
		else if (strcmp(list->string, "decimal") == 0)
			said = words_decimal(&tables, lang, &b, strtod(text, NULL));
		else if (strcmp(list->string, "ordinal") == 0)
			said = words_ordinal(&tables, lang, &b, text, strlen(text));
		else
			said = words_cardinal(&tables, lang, &b, text, strlen(text));
		same(code, text, said, &b, want);
		buffer_free(&b);
		++*cases;
	}
}

static void
numbers_decimals_and_amounts_are_the_reference_s(void **state)
{
	cJSON *root = golden_json("numbers", "numbers.json"), *lang, *list;
	int cases = 0;

	(void)state;
	cJSON_ArrayForEach(lang, root)
		cJSON_ArrayForEach(list, lang)
			check_list(lang->string, list, &cases);
	print_message("# %d numbers\n", cases);
	assert_true(cases > 0);
	cJSON_Delete(root);
}

static void
numbers_below_1000_are_the_table_s(void **state)
{
	const char *path = golden_data("number_words.tsv");
	char line[1024];
	int lines = 0;
	FILE *f;

	(void)state;
	if (!path) {
		print_message("# SKIP number_words.tsv is not there\n");
		skip();
		return;
	}
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		char *at[4] = { line }, *p = line;
		line[strcspn(line, "\n")] = 0;
		for (int i = 1; i < 4; i++) {
			p = strchr(p, '\t');
			assert_non_null(p);
			*p++ = 0;
			at[i] = p;
		}
		for (int k = 0; k < 2; k++) {
			struct buffer b = { 0 };
			bool said = (k ? words_ordinal : words_cardinal)(&tables, language_of(at[0]), &b, at[1],
									 strlen(at[1]));
			same(at[0], at[1], said, &b, at[2 + k]);
			buffer_free(&b);
		}
		lines++;
	}
	fclose(f);
	assert_true(lines > 0);
}

static void
ordinals_above_999_are_the_reference_s(void **state)
{
	static const char *const said[][3] = {
	    {"en", "1200", "one thousand, two hundredth"},
	    {"de", "1100", "eintausendeinhundertste"},
	    {"de", "2000000", "zweimillionste"},
	    {"fr", "2001", "deux mille unième"},
	    {"fr", "2000", "deux millième"},
	    {"nl", "1942", "duizendnegenhonderdtweeënveertigste"},
	    {"es", "12100000", "docemillonésimo cienmilésimo"},
	    {"pt", "2001000001", "segundo milésimo milionésimo primeiro milionésimo primeiro"},
	    {"it", "1103", "millecentotreesimo"},
	    {"it", "2000", "duemillesimo"},
	    {"it", "1026", "milleventiseiesimo"},
	    {"hu", "1002", "ezerkétik"},
	    {"hu", "2024", "kétezer-huszonnegyedik"},
	    {"hu", "2000000", "kétmmilliomodik"},
	    {"tr", "2170", "ikibinyüzyetmişinci"},
	    {"tr", "3000000000", "üçmilyarıncı"},
	    {"pl", "1000", "tysięczny"},
	    {"pl", "121000", "sto dwudziesty pierwszytysięczny"},
	    {"pl", "101000", "!"},
	    {"ru", "20005000", "двадцатый миллионов пятитысячный"},
	    {"ru", "1001", "тысяча первый"},
	    {"ko", "12345", "만 이천삼백 마흔다섯 번째"},
	    {"ko", "350000", "서른오만 번째"},
	    {"ko", "1001", "!"},
	    {"ar", "2000", "ألفا"},
	    {"cs", "5", "!"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
		struct buffer b = { 0 };
		bool good = words_ordinal(&tables, language_of(said[i][0]), &b, said[i][1], strlen(said[i][1]));
		same(said[i][0], said[i][1], good, &b, said[i][2]);
		buffer_free(&b);
	}
}

/* A step alone, on a copy; what it must give is a field of v. */
static void
check_step(const cJSON *v, const char *field, enum language lang)
{
	const char *text = cJSON_GetObjectItem(v, "text")->valuestring,
		   *want = cJSON_GetObjectItem(v, field)->valuestring;
	struct buffer b = { 0 }, spare = { 0 };

	buffer_str(&b, text);
	if (strcmp(field, "abbreviations") == 0) {
		clean_abbreviations(&tables, lang, &b, &spare);
	} else if (strcmp(field, "symbols") == 0) {
		clean_symbols(&tables, lang, &b, &spare);
	} else if (!(lang == LANG_ZH ? clean_numbers_zh(&tables, &b, &spare)
				     : clean_numbers(&tables, lang, &b, &spare))) {
		buffer_clear(&b);
		buffer_str(&b, text);
	}
	if (strcmp(b.data, want) != 0)
		fail_msg("%s: %s of \"%s\" is \"%s\", wanted \"%s\"", language_code(lang), field, text, b.data, want);
	buffer_free(&b);
	buffer_free(&spare);
}

static void
each_step_alone_is_the_reference_s(void **state)
{
	cJSON *root = text_json("numbers", "expansion.json"), *v;
	int cases = 0;

	(void)state;
	cJSON_ArrayForEach(v, root) {
		enum language lang = language_of(cJSON_GetObjectItem(v, "lang")->valuestring);
		if (*cJSON_GetObjectItem(v, "expanded")->valuestring != '!')
			check_step(v, "expanded", lang);
		check_step(v, "abbreviations", lang);
		check_step(v, "symbols", lang);
		cases++;
	}
	assert_true(cases > 0);
	cJSON_Delete(root);
}

static void
chinese_numbers_and_pinyin_are_the_reference_s(void **state)
{
	cJSON *root = text_json("numbers", "zh.json"), *v;
	int cases = 0;

	(void)state;
	cJSON_ArrayForEach(v, root) {
		const char *text = cJSON_GetArrayItem(v, 0)->valuestring,
			   *want = cJSON_GetArrayItem(v, 1)->valuestring;
		struct buffer b = { 0 }, spare = { 0 };
		bool said;
		buffer_str(&b, text);
		said = clean_numbers_zh(&tables, &b, &spare);
		same("zh", text, said, &b, want);
		if (!said) {
			buffer_clear(&b);
			buffer_str(&b, text);
		}
		clean_abbreviations(&tables, LANG_ZH, &b, &spare);
		clean_symbols(&tables, LANG_ZH, &b, &spare);
		clean_spaces(&b, &spare);
		pinyin_write(pinyin, &b, &spare);
		same("zh", text, true, &b, cJSON_GetArrayItem(v, 2)->valuestring);
		buffer_free(&b);
		buffer_free(&spare);
		cases++;
	}
	assert_true(cases > 0);
	cJSON_Delete(root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_below_1000_are_the_table_s),
		cmocka_unit_test(numbers_decimals_and_amounts_are_the_reference_s),
		cmocka_unit_test(ordinals_above_999_are_the_reference_s),
		cmocka_unit_test(each_step_alone_is_the_reference_s),
		cmocka_unit_test(chinese_numbers_and_pinyin_are_the_reference_s),
	};

	return cmocka_run_group_tests(tests, open_tables, close_tables);
}
