/* SPDX-License-Identifier: Apache-2.0 */
#include "text/words_en.h"

#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"
#include "support/text.h"
#include "text/clean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
same(const char *what, const struct buffer *got, const char *want)
{
	if (strcmp(got->data ? got->data : "", want) != 0)
		fail_msg("%s: \"%s\", wanted \"%s\"", what, got->data, want);
}

static void
numbers_below_1000_are_the_table_s(void **state)
{
	const char *path = golden_data("number_words.tsv");
	int lines = 0;
	size_t size;
	char *text;

	(void)state;
	if (!path) {
		print_message("# SKIP number_words.tsv is not there\n");
		skip();
		return;
	}
	assert_ok(file_read(path, 1 << 26, &text, &size));
	for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *tab, *lang = strtok_r(line, "\t", &tab), *n = strtok_r(NULL, "\t", &tab);
		char *cardinal = strtok_r(NULL, "\t", &tab), *ordinal = strtok_r(NULL, "\t", &tab);
		struct buffer b = { 0 };
		if (!ordinal || strcmp(lang, "en") != 0)
			continue;
		assert_true(words_en_cardinal(&b, n, strlen(n)));
		same(n, &b, cardinal);
		buffer_clear(&b);
		assert_true(words_en_ordinal(&b, n, strlen(n)));
		same(n, &b, ordinal);
		buffer_free(&b);
		lines++;
	}
	assert_true(lines > 0);
	free(text);
}

static void
larger_numbers_decimals_and_amounts_are_the_reference_s(void **state)
{
	static const char *const currency[] = { "currency_GBP", "currency_USD", "currency_EUR" };
	cJSON *root = golden_json("numbers", "numbers.json"), *en = cJSON_GetObjectItem(root, "en"), *v;
	struct buffer b = { 0 };
	int cases = 0;

	(void)state;
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(en, "cardinal")) {
		char digits[40];
		snprintf(digits, sizeof digits, "%.0f", cJSON_GetArrayItem(v, 0)->valuedouble);
		buffer_clear(&b);
		assert_true(words_en_cardinal(&b, digits, strlen(digits)));
		same(digits, &b, cJSON_GetArrayItem(v, 1)->valuestring);
		cases++;
	}
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(en, "decimal")) {
		const char *text = cJSON_GetArrayItem(v, 0)->valuestring;
		buffer_clear(&b);
		assert_true(words_en_decimal(&b, strtod(text, NULL)));
		same(text, &b, cJSON_GetArrayItem(v, 1)->valuestring);
		cases++;
	}
	for (int c = CURRENCY_GBP; c <= CURRENCY_EUR; c++)
		cJSON_ArrayForEach(v, cJSON_GetObjectItem(en, currency[c])) {
			const char *text = cJSON_GetArrayItem(v, 0)->valuestring;
			buffer_clear(&b);
			assert_true(words_en_currency(&b, strtod(text, NULL), (enum currency)c));
			same(text, &b, cJSON_GetArrayItem(v, 1)->valuestring);
			cases++;
		}
	assert_true(cases > 0);
	buffer_free(&b);
	cJSON_Delete(root);
}

static void
the_number_step_alone_is_the_reference_s(void **state)
{
	cJSON *root = text_json("numbers", "expansion.json"), *v;
	int cases = 0;

	(void)state;
	cJSON_ArrayForEach(v, root) {
		const char *text = cJSON_GetObjectItem(v, "text")->valuestring;
		struct buffer b = { 0 };
		if (strcmp(cJSON_GetObjectItem(v, "lang")->valuestring, "en") != 0)
			continue;
		buffer_str(&b, text);
		if (!clean_numbers_en(&b)) {
			buffer_clear(&b);
			buffer_str(&b, text);
		}
		same(text, &b, cJSON_GetObjectItem(v, "expanded")->valuestring);
		buffer_free(&b);
		cases++;
	}
	assert_true(cases > 0);
	cJSON_Delete(root);
}

static void
check(const char *text, const char *want)
{
	struct buffer b = { 0 };

	assert_ok(clean_line(clean_rules_of("en", 2), text, strlen(text), &b));
	same(text, &b, want);
	buffer_free(&b);
}

static void
a_failing_amount_keeps_the_currencies_before_it(void **state)
{
	(void)state;
	check("\xc2\xa3"
	      "2 and $1.2.3 and 5\xe2\x82\xac",
	      "two pounds sterling and dollar one point two.three and five\xe2\x82\xac");
}

static void
a_number_beyond_words_undoes_the_whole_step(void **state)
{
	char text[400], want[420];

	(void)state;
	memset(text, '9', 320);
	strcpy(text + 320, " 1,000 $5");
	snprintf(want, sizeof want, "%.320s 1,000 dollar 5", text);
	check(text, want);
}

static void
thousands_lose_their_comma_only_in_whole_numbers(void **state)
{
	(void)state;
	check("1,234 1234,567 a1,234 1,23 12,345,678",
	      "one thousand, two hundred and thirty-four one thousand, two hundred and "
	      "thirty-four point five six seven aone point two three four one point two three twelve million, three hundred and "
	      "forty-five thousand, six hundred and seventy-eight");
}

static void
abbreviations_want_a_boundary_and_go_in_order(void **state)
{
	(void)state;
	check("Mr. X, hamr. co.st. st.co.", "mister x, hamr. companysaint saintco.");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_below_1000_are_the_table_s),
		cmocka_unit_test(larger_numbers_decimals_and_amounts_are_the_reference_s),
		cmocka_unit_test(the_number_step_alone_is_the_reference_s),
		cmocka_unit_test(a_failing_amount_keeps_the_currencies_before_it),
		cmocka_unit_test(a_number_beyond_words_undoes_the_whole_step),
		cmocka_unit_test(thousands_lose_their_comma_only_in_whole_numbers),
		cmocka_unit_test(abbreviations_want_a_boundary_and_go_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
