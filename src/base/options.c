/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <stdio.h>
#include <string.h>

const char *
option_type_name(enum option_type t)
{
	switch (t) {
	case OPT_BOOL: return "true or false";
	case OPT_INT: return "whole number";
	case OPT_FLOAT: return "number";
	case OPT_ENUM: return "word";
	case OPT_STRING: return "text";
	case OPT_PATH: return "path";
	case OPT_JSON: return "JSON";
	case OPT_BOOL_OR_STRING: return "true, false or text";
	}
	return "";
}

/* "a b c" as "a, b or c". */
static void
words(const char *list, char *text, int size)
{
	int at = 0;

	text[0] = 0;
	for (const char *p = list; *p && at < size;) {
		int n = (int)strcspn(p, " ");
		const char *rest = p[n] ? p + n + 1 : "", *joint = "";
		if (p != list)
			joint = *rest ? ", " : " or ";
		at += snprintf(text + at, (size_t)(size - at), "%s%.*s", joint, n, p);
		p = rest;
	}
}

const char *
option_wanted(const struct option *o, char *text, int size)
{
	const char *what = o->type == OPT_INT ? "a whole number" : "a number", *dots;
	char low[32], list[800];

	if (o->allowed && (o->type == OPT_ENUM || o->type == OPT_INT)) {
		words(option_built_values(o), list, sizeof list);
		snprintf(text, (size_t)size, "%s", list);
		return text;
	}
	switch (o->type) {
	case OPT_BOOL:
		snprintf(text, (size_t)size, "true or false");
		return text;
	case OPT_JSON:
		snprintf(text, (size_t)size, "JSON, or a file that holds it");
		return text;
	case OPT_ENUM: case OPT_STRING: case OPT_PATH: case OPT_BOOL_OR_STRING:
		snprintf(text, (size_t)size, "%s", option_type_name(o->type));
		return text;
	case OPT_INT: case OPT_FLOAT:
		break;
	}
	dots = o->range ? strstr(o->range, "..") : NULL;
	if (!dots) {
		snprintf(text, (size_t)size, "%s", what);
		return text;
	}
	snprintf(low, sizeof low, "%.*s", (int)(dots - o->range), o->range);
	if (*low && dots[2])
		snprintf(text, (size_t)size, "%s from %s to %s", what, low, dots + 2);
	else if (*low)
		snprintf(text, (size_t)size, "%s of %s or more", what, low);
	else
		snprintf(text, (size_t)size, "%s of %s or less", what, dots + 2);
	return text;
}
