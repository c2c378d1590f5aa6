/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/json.h"
#include "models/adapter_parts.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERN_LENGTH = 256, PATTERN_DEPTH = 8, PATTERNS = 4096 };

static const char literal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

/* name [of n bytes] is the pattern's text, in which a dot is any byte. */
static bool
same(const char *pattern, const char *name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pattern[i] != name[i] && pattern[i] != '.')
			return false;
	return true;
}

/* A pattern of letters and dots, as writers make them, perhaps between ^ and $. */
static bool
plain_matches(const char *pattern, size_t n, bool from_start, const char *module)
{
	size_t len = strlen(module);

	if (len < n || !same(pattern, module + len - n, n))
		return false;
	return len == n || (!from_start && module[len - n - 1] == '.');
}

/* The reference's expressions are Python's; POSIX has most of them by the same sign. What could make the matcher run wild
 * (repetition counts, back references, deep nesting) is not taken. */
static bool
translate(const char *pattern, char out[2 * PATTERN_LENGTH])
{
	size_t n = 0;
	int depth = 0;

	for (const char *p = pattern; *p; p++) {
		if (*p == '(' && ++depth > PATTERN_DEPTH)
			return false;
		depth -= *p == ')';
		if (*p == '{' || (*p == '\\' && (p[1] == 0 || strchr("123456789bBAZ<>`'", p[1]))))
			return false;
		if (*p == '(' && p[1] == '?') {
			if (p[2] != ':')
				return false;
			p += 2;
			out[n++] = '(';
		} else if (*p == '\\' && p[1] == 'd') {
			memcpy(out + n, "[0-9]", 5);
			n += 5;
			p++;
		} else if (*p == '\\') {
			out[n++] = *p++;
			out[n++] = *p;
		} else {
			out[n++] = *p;
		}
		if (n + 8 > 2 * PATTERN_LENGTH)
			return false;
	}
	out[n] = 0;
	return depth == 0;
}

enum status
adapter_pattern(const char *pattern, const char *module, bool *matches)
{
	bool from_start = *pattern == '^';
	size_t n = strspn(pattern + from_start, literal);
	const char *end = pattern + from_start + n;
	char text[2 * PATTERN_LENGTH], *whole;
	regex_t re;
	int bad;

	*matches = false;
	if (n > 0 && (*end == 0 || (*end == '$' && end[1] == 0))) {
		*matches = plain_matches(pattern + from_start, n, from_start, module);
		return ACE_OK;
	}
	if (strlen(pattern) >= PATTERN_LENGTH || !translate(pattern, text))
		return ace_fail(ACE_EDATA, "pattern \"%.80s\" is not one that is understood", pattern);
	whole = file_path("^(.*\\.)?(%s)$", text);
	if (!whole)
		return ace_fail(ACE_ENOMEM, "no memory for a pattern");
	bad = regcomp(&re, whole, REG_EXTENDED | REG_NOSUB);
	free(whole);
	if (bad)
		return ace_fail(ACE_EDATA, "pattern \"%.80s\" is not one that is understood", pattern);
	*matches = regexec(&re, module, 0, NULL, 0) == 0;
	regfree(&re);
	return ACE_OK;
}

/* A member by its name, or by its name below a pipeline's part. */
static const cJSON *
member(const cJSON *root, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(root, key);
	char *long_name;

	if (v)
		return v;
	long_name = file_path("transformer.%s", key);
	v = long_name ? cJSON_GetObjectItemCaseSensitive(root, long_name) : NULL;
	free(long_name);
	return v;
}

static enum status
read_fields(struct adapter_meta *m, const char *path)
{
	const cJSON *alpha = member(m->root, "lora_alpha"), *type = member(m->root, "peft_type"), *p;

	if (!cJSON_IsObject(m->root))
		return ace_fail(ACE_EDATA, "%s: lora_adapter_metadata is not an object", path);
	if (type && !cJSON_IsNull(type) && (!cJSON_IsString(type) || strcmp(type->valuestring, "LORA") != 0))
		return ace_fail(ACE_EDATA, "%s: an adapter of type %s; only LORA is supported", path,
		                cJSON_IsString(type) ? type->valuestring : "?");
	if (cJSON_IsTrue(member(m->root, "use_dora")))
		return ace_fail(ACE_EDATA, "%s: its metadata says use_dora; DoRA is not supported", path);
	if (alpha && !cJSON_IsNull(alpha)) {
		if (!cJSON_IsNumber(alpha) || !isfinite(alpha->valuedouble))
			return ace_fail(ACE_EDATA, "%s: lora_alpha of its metadata is not a number", path);
		m->alpha = alpha->valuedouble;
	}
	m->rslora = cJSON_IsTrue(member(m->root, "use_rslora"));
	m->pattern = member(m->root, "alpha_pattern");
	if (!m->pattern || cJSON_IsNull(m->pattern)) {
		m->pattern = NULL;
		return ACE_OK;
	}
	if (!cJSON_IsObject(m->pattern) || cJSON_GetArraySize(m->pattern) > PATTERNS)
		return ace_fail(ACE_EDATA, "%s: alpha_pattern of its metadata is not an object of at most %d numbers", path, PATTERNS);
	cJSON_ArrayForEach(p, m->pattern)
		if (!cJSON_IsNumber(p) || !isfinite(p->valuedouble))
			return ace_fail(ACE_EDATA, "%s: alpha_pattern \"%.80s\" is not a number", path, p->string);
	return ACE_OK;
}

enum status
adapter_meta_read(struct adapter_meta *m, const struct st_file *f)
{
	const char *text = st_meta(f, "lora_adapter_metadata");
	enum status st;
	char *name;

	*m = (struct adapter_meta){ .alpha = NAN };
	if (!text)
		return ACE_OK;
	name = file_path("%s: lora_adapter_metadata", f->path);
	if (!name)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->path);
	st = json_parse(text, strlen(text), name, &m->root);
	free(name);
	ACE_TRY(st);
	st = read_fields(m, f->path);
	if (st != ACE_OK)
		adapter_meta_free(m);
	return st;
}

void
adapter_meta_free(struct adapter_meta *m)
{
	cJSON_Delete(m->root);
	*m = (struct adapter_meta){ .alpha = NAN };
}

enum status
adapter_meta_scale(const struct adapter_meta *m, const char *path, const char *module, int64_t r, float *s)
{
	double alpha = m->alpha;
	const cJSON *p;
	bool hit = false;

	cJSON_ArrayForEach(p, m->pattern) {
		enum status st = adapter_pattern(p->string, module, &hit);
		if (st != ACE_OK)
			return ace_fail_prefix(st, "%s: alpha_pattern: ", path);
		if (hit) {
			alpha = p->valuedouble;
			break;
		}
	}
	*s = isnan(alpha) ? 1.f : (float)(m->rslora ? alpha / sqrt((double)r) : alpha / (double)r);
	return ACE_OK;
}
