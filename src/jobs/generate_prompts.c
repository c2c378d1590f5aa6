/* SPDX-License-Identifier: Apache-2.0 */
/* The clips that were asked for: their names, prompts and lyrics. */
#include "jobs/generate_parts.h"

#include "base/file.h"
#include "base/json.h"
#include "data/text_file.h"
#include "text/chars.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* len bytes of text without the blanks around them; NULL when memory is out. */
static char *
stripped(const char *text, size_t len)
{
	chars_strip(&text, &len, true, true, char_is_space);
	return strndup(text, len);
}

static enum status
no_memory(void)
{
	return ace_fail(ACE_ENOMEM, "no memory for prompts");
}

/* A word without blanks, and with a dot or a slash, is meant as the name of a file. */
static bool
looks_like_a_file(const char *text)
{
	return !strpbrk(text, " \t\n[") && strpbrk(text, "./");
}

/* lyrics=FILE or lyrics=TEXT. *to: owned, NULL when there is nothing to sing. */
static enum status
take_lyrics(const char *text, char **to)
{
	char *read = NULL;
	size_t len = strlen(text);

	*to = NULL;
	if (file_exists(text)) {
		ACE_TRY(text_file_read(text, &read, &len));
		if (!text_file_good(read, len)) {
			free(read);
			return ace_fail(ACE_EDATA, "%s: lyrics are not UTF-8 text", text);
		}
	} else if (looks_like_a_file(text)) {
		return ace_fail(ACE_ENOINPUT, "lyrics=%s: no such file", text);
	}
	*to = stripped(read ? read : text, len);
	free(read);
	if (!*to)
		return no_memory();
	if (!**to) {
		free(*to);
		*to = NULL;
	}
	return ACE_OK;
}

enum status
generate_add(struct generate_clips *c, const char *name, const char *prompt, size_t n, const char *lyrics)
{
	struct generate_clip *at;

	if (c->n == GENERATE_PROMPTS)
		return ace_fail(ACE_EDATA, "more than %d prompts", GENERATE_PROMPTS);
	at = realloc(c->clip, (size_t)(c->n + 1) * sizeof *at);
	if (!at)
		return no_memory();
	c->clip = at;
	at += c->n++;
	*at = (struct generate_clip){ strdup(name), stripped(prompt, n), lyrics && *lyrics ? strdup(lyrics) : NULL, 1 };
	return at->name && at->prompt && (at->lyrics || !lyrics || !*lyrics) ? ACE_OK : no_memory();
}

static const char *
member(const cJSON *o, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
}

/* A name becomes a file's: no folders, nothing hidden, no control characters. */
static bool
good_name(const char *name)
{
	if (!*name || *name == '.' || strlen(name) > 120)
		return false;
	for (; *name; name++)
		if ((unsigned char)*name < ' ' || *name == '/' || *name == '\\' || *name == 0x7f)
			return false;
	return true;
}

static enum status
add_entry(struct generate_clips *c, const char *path, const cJSON *e, const char *lyrics)
{
	static const char *const keys[] = { "prompt", "caption", "tags" };
	const cJSON *strength = cJSON_GetObjectItemCaseSensitive(e, "adapter_strength");
	const char *prompt = cJSON_GetStringValue(e), *own = member(e, "lyrics");

	if (!good_name(e->string))
		return ace_fail(ACE_EDATA, "%s: \"%.60s\" cannot be the name of a file", path, e->string);
	for (int i = 0; i < 3 && !prompt; i++)
		prompt = member(e, keys[i]);
	if (strength && !(cJSON_IsNumber(strength) && fabs(strength->valuedouble) <= 100))
		return ace_fail(ACE_EDATA, "%s: adapter_strength of \"%s\": wanted a number from -100 to 100", path, e->string);
	if (!prompt)
		return ace_fail(ACE_EDATA, "%s: \"%s\" has no prompt; wanted a text, or an object with prompt, caption or tags", path,
		                e->string);
	ACE_TRY(generate_add(c, e->string, prompt, strlen(prompt), own ? own : lyrics));
	if (strength)
		c->clip[c->n - 1].strength = (float)strength->valuedouble;
	return ACE_OK;
}

static enum status
read_library(struct generate_clips *c, const char *path, const char *text, size_t len, const char *lyrics)
{
	cJSON *root = NULL;
	const cJSON *e;
	enum status st = json_parse(text, len, path, &root);

	if (st == ACE_OK && !cJSON_IsObject(root))
		st = ace_fail(ACE_EDATA, "%s: wanted an object, NAME: prompt", path);
	cJSON_ArrayForEach(e, root)
		if (st == ACE_OK)
			st = add_entry(c, path, e, lyrics);
	cJSON_Delete(root);
	return st;
}

static enum status
read_lines(struct generate_clips *c, const char *text, const char *lyrics)
{
	char name[24];

	for (int line = 1; *text; line++) {
		size_t n = strcspn(text, "\n");
		const char *from = text;
		size_t len = n;
		chars_strip(&from, &len, true, true, char_is_space);
		snprintf(name, sizeof name, "%d", line);
		if (len > 0)
			ACE_TRY(generate_add(c, name, from, len, lyrics));
		text += n + (text[n] == '\n');
	}
	return ACE_OK;
}

enum status
generate_read(struct generate_clips *c, const char *path, const char *lyrics)
{
	char *text;
	size_t len;
	enum status st;

	if (!file_exists(path))
		return ace_fail(ACE_ENOINPUT, "%s: no such file; wanted a list of prompts", path);
	ACE_TRY(text_file_read(path, &text, &len));
	if (!text_file_good(text, len))
		st = ace_fail(ACE_EDATA, "%s: prompts are not UTF-8 text", path);
	else if (text[strspn(text, " \t\r\n")] == '{')
		st = read_library(c, path, text, len, lyrics);
	else
		st = read_lines(c, text, lyrics);
	free(text);
	if (st == ACE_OK && c->n == 0)
		st = ace_fail(ACE_EDATA, "%s: there is no prompt in it", path);
	return st;
}

/* What the reference is, behind the others. */
static enum status
add_source(struct generate_clips *c, const char *prompt, const char *text)
{
	char *lyrics = NULL;
	enum status st = text && *text ? take_lyrics(text, &lyrics) : ACE_OK;

	if (st == ACE_OK)
		st = generate_add(c, "", prompt, strlen(prompt), lyrics);
	if (st == ACE_OK) {
		c->n--;
		c->edits = true;
	}
	free(lyrics);
	return st;
}

enum status
generate_clips_of(struct generate_clips *c, const struct settings *s)
{
	const char *prompt = settings_str(s, "prompt"), *text = settings_str(s, "lyrics"), *path = settings_str(s, "prompts");
	char *lyrics = NULL;
	enum status st = ACE_OK;

	*c = (struct generate_clips){ 0 };
	if (prompt && path)
		return ace_fail(ACE_EUSAGE, "prompt and prompts exclude each other; give one of them");
	if (!path && !prompt && !(text && *text))
		return ace_fail(ACE_EUSAGE, "what shall it be? wanted prompt=TEXT, lyrics=FILE or prompts=FILE");
	if (text && *text)
		st = take_lyrics(text, &lyrics);
	if (st == ACE_OK && path)
		st = generate_read(c, path, lyrics);
	else if (st == ACE_OK)
		st = generate_add(c, "", prompt ? prompt : "", prompt ? strlen(prompt) : 0, lyrics);
	free(lyrics);
	if (st == ACE_OK && settings_has(s, "source_prompt"))
		st = add_source(c, settings_str(s, "source_prompt"), settings_has(s, "source_lyrics") ? settings_str(s, "source_lyrics") : text);
	return st;
}

void
generate_clips_free(struct generate_clips *c)
{
	for (int i = 0; i < c->n + c->edits; i++) {
		free(c->clip[i].name);
		free(c->clip[i].prompt);
		free(c->clip[i].lyrics);
	}
	free(c->clip);
	*c = (struct generate_clips){ 0 };
}
