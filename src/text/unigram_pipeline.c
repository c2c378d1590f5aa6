/* SPDX-License-Identifier: Apache-2.0 */
/* reading tokenizer.json: the pipeline around the pieces; what is not known is refused by name */
#include "base/json.h"
#include "text/chars.h"
#include "text/unigram_model.h"

#include <stdlib.h>
#include <string.h>

static const char *
type_of(const cJSON *o)
{
	const cJSON *t = cJSON_GetObjectItemCaseSensitive(o, "type");

	return cJSON_IsString(t) ? t->valuestring : "of no type";
}

static enum status
flag(const cJSON *o, const char *path, const char *what, const char *key, bool fallback, bool *v)
{
	const cJSON *f = cJSON_GetObjectItemCaseSensitive(o, key);

	*v = fallback;
	if (!f || cJSON_IsNull(f))
		return ACE_OK;
	if (!cJSON_IsBool(f))
		return ace_fail(ACE_EDATA, "%s: %s of %s is neither true nor false", path, key, what);
	*v = cJSON_IsTrue(f);
	return ACE_OK;
}

/* The members of o are type and those named in known, separated by blanks. */
static enum status
only(const cJSON *o, const char *path, const char *what, const char *known)
{
	const cJSON *v;

	cJSON_ArrayForEach(v, o) {
		const char *at = strcmp(v->string, "type") == 0 ? "" : NULL;
		size_t n = strlen(v->string);
		for (const char *p = known; !at && (p = strstr(p, v->string)); p += n)
			if (n > 0 && (p == known || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
				at = p;
			else if (n == 0)
				break;
		if (!at)
			return ace_fail(ACE_EDATA, "%s: member %s of %s is not known", path, v->string, what);
	}
	return ACE_OK;
}

static enum status
read_replace(struct norm_step *s, const char *path, const cJSON *o)
{
	const cJSON *pattern = cJSON_GetObjectItemCaseSensitive(o, "pattern");
	const cJSON *regex = cJSON_GetObjectItemCaseSensitive(pattern, "Regex");
	const cJSON *string = cJSON_GetObjectItemCaseSensitive(pattern, "String");
	const cJSON *content = cJSON_GetObjectItemCaseSensitive(o, "content");

	ACE_TRY(only(o, path, "normalizer Replace", "pattern content"));
	if (!cJSON_IsString(content))
		return ace_fail(ACE_EDATA, "%s: content of normalizer Replace is not a text", path);
	if (cJSON_IsString(regex) && !string) {
		if (strcmp(regex->valuestring, " {2,}") != 0)
			return ace_fail(
				ACE_EDATA,
				"%s: normalizer Replace has the pattern \"%s\", wanted \" {2,}\" or a String",
				path, regex->valuestring);
		s->kind = NORM_RUNS;
	} else if (cJSON_IsString(string) && !regex && string->valuestring[0]) {
		s->kind = NORM_REPLACE;
		s->pattern = strdup(string->valuestring);
	} else {
		return ace_fail(ACE_EDATA, "%s: pattern of normalizer Replace is neither a Regex nor a String", path);
	}
	s->content = strdup(content->valuestring);
	if (!s->content || (s->kind == NORM_REPLACE && !s->pattern))
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	return ACE_OK;
}

static enum status
read_norm(struct unigram_model *m, const char *path, const cJSON *o)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "normalizers"), *v;
	const char *type = type_of(o);
	struct norm_step *s;

	if (!o || cJSON_IsNull(o))
		return ACE_OK;
	if (strcmp(type, "Sequence") == 0) {
		ACE_TRY(only(o, path, "normalizer Sequence", "normalizers"));
		if (!cJSON_IsArray(list))
			return ace_fail(ACE_EDATA, "%s: normalizer Sequence has no list normalizers", path);
		cJSON_ArrayForEach(v, list)
			ACE_TRY(read_norm(m, path, v));
		return ACE_OK;
	}
	if (m->n_norm == UNIGRAM_STEPS)
		return ace_fail(ACE_EDATA, "%s: more than %d normalizers", path, UNIGRAM_STEPS);
	s = &m->norm[m->n_norm++];		/* counted before it is read: what it holds is freed with the rest */
	if (strcmp(type, "Precompiled") == 0) {
		const cJSON *map = cJSON_GetObjectItemCaseSensitive(o, "precompiled_charsmap");
		s->kind = NORM_CHARSMAP;
		ACE_TRY(only(o, path, "normalizer Precompiled", "precompiled_charsmap"));
		if (!cJSON_IsString(map))
			return ace_fail(ACE_EDATA, "%s: normalizer Precompiled has no precompiled_charsmap", path);
		return charsmap_init_base64(&s->map, path, map->valuestring);
	}
	if (strcmp(type, "Strip") == 0) {
		s->kind = NORM_STRIP;
		ACE_TRY(only(o, path, "normalizer Strip", "strip_left strip_right"));
		ACE_TRY(flag(o, path, "normalizer Strip", "strip_left", true, &s->left));
		return flag(o, path, "normalizer Strip", "strip_right", true, &s->right);
	}
	if (strcmp(type, "Replace") == 0)
		return read_replace(s, path, o);
	return ace_fail(
		ACE_EDATA,
		"%s: normalizer %s is not built, wanted Precompiled, Strip, Replace or a Sequence of them",
		path, type);
}

static enum status
read_metaspace(struct pre_step *s, const char *path, const cJSON *o)
{
	static const char *const names[] = { "always", "first", "never" };
	const cJSON *mark = cJSON_GetObjectItemCaseSensitive(o, "replacement");
	const cJSON *scheme = cJSON_GetObjectItemCaseSensitive(o, "prepend_scheme");
	bool prefix;
	int i = 0;

	ACE_TRY(only(o, path, "pre_tokenizer Metaspace", "replacement prepend_scheme add_prefix_space split str_rep"));
	if (!cJSON_IsString(mark) || !mark->valuestring[0] || strlen(mark->valuestring) >= sizeof s->mark ||
	    utf8_valid(mark->valuestring, strlen(mark->valuestring)) != strlen(mark->valuestring) ||
	    utf8_len(mark->valuestring[0]) != strlen(mark->valuestring))
		return ace_fail(ACE_EDATA, "%s: replacement of pre_tokenizer Metaspace is not one character", path);
	strcpy(s->mark, mark->valuestring);
	if (scheme && !cJSON_IsNull(scheme)) {
		while (i < 3 && !(cJSON_IsString(scheme) && strcmp(scheme->valuestring, names[i]) == 0))
			i++;
		if (i == 3)
			return ace_fail(
				ACE_EDATA,
				"%s: prepend_scheme of pre_tokenizer Metaspace is %s, wanted always, first or never",
				path, cJSON_IsString(scheme) ? scheme->valuestring : "no text");
	}
	s->prepend = (enum prepend)i;
	ACE_TRY(flag(o, path, "pre_tokenizer Metaspace", "add_prefix_space", true, &prefix));
	if (!prefix && s->prepend == PREPEND_FIRST)
		return ace_fail(
			ACE_EDATA,
			"%s: pre_tokenizer Metaspace has add_prefix_space false beside prepend_scheme first",
			path);
	if (!prefix)
		s->prepend = PREPEND_NEVER;
	return flag(o, path, "pre_tokenizer Metaspace", "split", true, &s->split);
}

static enum status
read_pre(struct unigram_model *m, const char *path, const cJSON *o)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(o, "pretokenizers"), *v;
	const char *type = type_of(o);
	struct pre_step *s;

	if (!o || cJSON_IsNull(o))
		return ACE_OK;
	if (strcmp(type, "Sequence") == 0) {
		ACE_TRY(only(o, path, "pre_tokenizer Sequence", "pretokenizers"));
		if (!cJSON_IsArray(list))
			return ace_fail(ACE_EDATA, "%s: pre_tokenizer Sequence has no list pretokenizers", path);
		cJSON_ArrayForEach(v, list)
			ACE_TRY(read_pre(m, path, v));
		return ACE_OK;
	}
	if (m->n_pre == UNIGRAM_STEPS)
		return ace_fail(ACE_EDATA, "%s: more than %d pre_tokenizers", path, UNIGRAM_STEPS);
	s = &m->pre[m->n_pre++];
	if (strcmp(type, "WhitespaceSplit") == 0) {
		s->kind = PRE_WHITESPACE;
		return only(o, path, "pre_tokenizer WhitespaceSplit", "");
	}
	s->kind = PRE_METASPACE;
	if (strcmp(type, "Metaspace") == 0)
		return read_metaspace(s, path, o);
	return ace_fail(
		ACE_EDATA,
		"%s: pre_tokenizer %s is not built, wanted WhitespaceSplit, Metaspace or a Sequence of them",
		path, type);
}

/* The ids of the special token of a template's entry, appended. */
static enum status
template_ids(const char *path, const cJSON *specials, const cJSON *entry, int32_t *ids, int *n)
{
	const cJSON *id = cJSON_GetObjectItemCaseSensitive(entry, "id"), *list, *v;

	list = cJSON_GetObjectItemCaseSensitive(specials, cJSON_IsString(id) ? id->valuestring : "");
	list = cJSON_GetObjectItemCaseSensitive(list, "ids");
	if (!cJSON_IsString(id) || !cJSON_IsArray(list))
		return ace_fail(ACE_EDATA,
				"%s: post_processor TemplateProcessing has a special token without ids", path);
	cJSON_ArrayForEach(v, list) {
		if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble < INT32_MAX) ||
		    v->valuedouble != (double)(int32_t)v->valuedouble)
			return ace_fail(ACE_EDATA, "%s: an id of %s in the post_processor is no id", path,
					id->valuestring);
		if (*n == UNIGRAM_STEPS)
			return ace_fail(ACE_EDATA, "%s: post_processor adds more than %d tokens", path, UNIGRAM_STEPS);
		ids[(*n)++] = (int32_t)v->valuedouble;
	}
	return ACE_OK;
}

static enum status
read_post(struct unigram_model *m, const char *path, const cJSON *o)
{
	const cJSON *single = cJSON_GetObjectItemCaseSensitive(o, "single"), *v;
	const cJSON *specials = cJSON_GetObjectItemCaseSensitive(o, "special_tokens");
	int texts = 0;

	if (!cJSON_IsObject(o))
		return ace_fail(ACE_EDATA, "%s: no post_processor, wanted TemplateProcessing", path);
	if (strcmp(type_of(o), "TemplateProcessing") != 0)
		return ace_fail(ACE_EDATA, "%s: post_processor %s is not built, wanted TemplateProcessing",
				path, type_of(o));
	ACE_TRY(only(o, path, "post_processor TemplateProcessing", "single pair special_tokens"));
	cJSON_ArrayForEach(v, single) {
		const cJSON *special = cJSON_GetObjectItemCaseSensitive(v, "SpecialToken");
		if (special && texts == 0)
			ACE_TRY(template_ids(path, specials, special, m->before, &m->n_before));
		else if (special)
			ACE_TRY(template_ids(path, specials, special, m->after, &m->n_after));
		else
			texts += cJSON_GetObjectItemCaseSensitive(v, "Sequence") != NULL;
	}
	if (texts != 1)
		return ace_fail(ACE_EDATA, "%s: single of the post_processor has %d texts, wanted one", path, texts);
	for (int i = 0; i < m->n_before; i++)
		m->size = m->before[i] >= m->size ? m->before[i] + 1 : m->size;
	for (int i = 0; i < m->n_after; i++)
		m->size = m->after[i] >= m->size ? m->after[i] + 1 : m->size;
	return ACE_OK;
}

static enum status
read_added(struct unigram_model *m, const char *path, const cJSON *list)
{
	static const char *const flags[] = { "single_word", "lstrip", "rstrip", "normalized" };
	const cJSON *v;

	if (!list || cJSON_IsNull(list))
		return ACE_OK;
	if (!cJSON_IsArray(list))
		return ace_fail(ACE_EDATA, "%s: added_tokens is not a list", path);
	cJSON_ArrayForEach(v, list) {
		const cJSON *text = cJSON_GetObjectItemCaseSensitive(v, "content");
		int64_t id;
		bool on;
		if (!cJSON_IsString(text))
			return ace_fail(ACE_EDATA, "%s: an added token has no content", path);
		for (int i = 0; i < 4; i++) {
			ACE_TRY(flag(v, path, text->valuestring, flags[i], false, &on));
			if (on)
				return ace_fail(ACE_EDATA,
						"%s: the added token \"%s\" has %s true, which is not built",
						path, text->valuestring, flags[i]);
		}
		ACE_TRY(json_i64(v, path, "id", -1, &id));
		ACE_TRY(unigram_add_special(m, path, text->valuestring, strlen(text->valuestring), id));
	}
	return ACE_OK;
}

enum status
unigram_read_pipeline(struct unigram_model *m, const char *path, const cJSON *root)
{
	/* truncation and padding of the file are overruled by whoever encodes, and ids are never decoded */
	ACE_TRY(only(root, path, "the file",
		     "version truncation padding added_tokens normalizer pre_tokenizer post_processor "
		     "decoder model"));
	ACE_TRY(read_added(m, path, cJSON_GetObjectItemCaseSensitive(root, "added_tokens")));
	ACE_TRY(read_norm(m, path, cJSON_GetObjectItemCaseSensitive(root, "normalizer")));
	ACE_TRY(read_pre(m, path, cJSON_GetObjectItemCaseSensitive(root, "pre_tokenizer")));
	return read_post(m, path, cJSON_GetObjectItemCaseSensitive(root, "post_processor"));
}
