/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings are: for people and for the next run. */
#include "base/settings_parts.h"

#include "base/clock.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The categories in the order in which they are shown. */
static const char *const categories[] = {
	"program", "inspect", "generation", "model", "data", "text", "cache", "lora", "lyrics_embedder", "schedule", "optimizer",
	"precision", "ema", "objective", "scheduled_sampling", "checkpoint", "reporting", "validation", "publishing",
	"distributed", "image_only",
};

static bool
is_shown(const struct settings *s, const struct option *o)
{
	if (!(o->programs & (s->program->bit | s->program->also)))
		return false;
	return option_state(o) == OPT_BUILT || settings_at(s, o)->source != FROM_DEFAULT;
}

static bool
is_bare(const struct option *o, const char *text)
{
	if (o->type == OPT_BOOL_OR_STRING)
		return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
	return *text && (o->type == OPT_BOOL || o->type == OPT_INT || o->type == OPT_FLOAT) && !o->foreign;
}

/* A TOML string. */
static void
print_text(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", out);
		else if (c < ' ' || c == 0x7f)
			fprintf(out, "\\u%04X", (unsigned)c);
		else
			putc(c, out);
	}
	putc('"', out);
}

static void
print_one(const struct settings *s, const struct option *o, FILE *out)
{
	const struct setting *v = settings_at(s, o);
	const char *text = v->text ? v->text : "";

	fprintf(out, "%s = ", o->name);
	if (is_bare(o, text))
		fputs(text, out);
	else
		print_text(out, text);
	fprintf(out, "  # %s%s\n", settings_where(s, o->name), !*text ? " (unset)" : "");
}

void
settings_print(const struct settings *s, FILE *out)
{
	fprintf(out, "# %s\n", s->program->name);
	for (size_t c = 0; c < sizeof categories / sizeof *categories; c++) {
		bool first = true;
		for (int i = 0; i < options_count(); i++) {
			const struct option *o = option_at(i);
			if (strcmp(o->category, categories[c]) != 0 || !is_shown(s, o))
				continue;
			if (first)
				fprintf(out, "\n# %s\n", categories[c]);
			first = false;
			print_one(s, o, out);
		}
	}
}

/* The value of o as JSON; NULL: memory ran out. */
static cJSON *
json_value(const struct option *o, const struct setting *v)
{
	if (!v->text)
		return cJSON_CreateNull();
	if (o->foreign)
		return cJSON_CreateString(v->text);
	switch (o->type) {
	case OPT_BOOL:
		return cJSON_CreateBool(v->truth);
	case OPT_INT: case OPT_FLOAT:
		return cJSON_CreateRaw(v->text);	/* as exact as it was given */
	case OPT_BOOL_OR_STRING:
		if (is_bare(o, v->text))
			return cJSON_CreateBool(v->truth);
		return cJSON_CreateString(v->text);
	case OPT_ENUM: case OPT_STRING: case OPT_PATH: case OPT_JSON:
		break;
	}
	return cJSON_CreateString(v->text);
}

enum status
settings_write_effective(const struct settings *s, const char *path)
{
	cJSON *root = cJSON_CreateObject(), *note = cJSON_AddObjectToObject(root, "_effective"), *from;
	char text[4096];
	bool whole = root && note;
	enum status st;

	clock_utc(text, sizeof text);
	whole = whole && cJSON_AddStringToObject(note, "program", s->program->name) &&
		cJSON_AddStringToObject(note, "version", PACKAGE_VERSION) &&
		cJSON_AddStringToObject(note, "written", text);
	if (getcwd(text, sizeof text))
		whole = whole && cJSON_AddStringToObject(note, "folder", text);
	from = cJSON_AddObjectToObject(note, "from");
	for (int i = 0; i < options_count() && whole; i++) {
		const struct option *o = option_at(i);
		const struct setting *v = settings_at(s, o);
		/* what a program is asked to do this once is no part of a run */
		if (!is_shown(s, o) || strcmp(o->category, "program") == 0 || option_has_word("env example config_path "
		    "config_backend preset resume_from_checkpoint lora_config_path", o->name))
			continue;
		whole = cJSON_AddItemToObject(root, o->name, json_value(o, v)) &&
			cJSON_AddStringToObject(from, o->name, v->source == FROM_DEFAULT ? "default" :
						settings_where(s, o->name));
	}
	st = whole ? json_write(path, root) : ace_fail(ACE_ENOMEM, "%s: no memory", path);
	cJSON_Delete(root);
	return st;
}
