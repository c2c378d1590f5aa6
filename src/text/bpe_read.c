/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"
#include "text/bpe_merges.h"
#include "text/chars.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 64 << 20, TOKENS = 1 << 20 };

/* Token id of text: known by its trie, and by its id. */
static enum status
add_token(struct bpe *b, struct trie *t, const char *path, const char *text, const cJSON *number)
{
	double d = cJSON_IsNumber(number) ? number->valuedouble : -1;
	int32_t id = d >= 0 && d < TOKENS ? (int32_t)d : -1;

	if (id < 0 || d != (double)id)
		return ace_fail(ACE_EDATA, "%s: the id of token \"%s\" is none of 0 ... %d", path, text, TOKENS - 1);
	if (!*text || utf8_valid(text, strlen(text)) != strlen(text))
		return ace_fail(ACE_EDATA, "%s: token %d is empty or not UTF-8", path, id);
	if (id >= b->size) {
		int32_t size = id + 1 > 2 * b->size ? id + 1 : 2 * b->size;
		char **more = realloc(b->token, (size_t)size * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "%s: no memory for %d tokens", path, size);
		memset(more + b->size, 0, (size_t)(size - b->size) * sizeof *more);
		b->token = more;
		b->size = size;
	}
	if (b->token[id] && strcmp(b->token[id], text) != 0)
		return ace_fail(ACE_EDATA, "%s: tokens \"%s\" and \"%s\" have the same id %d", path,
				b->token[id], text, id);
	if (!b->token[id])
		b->token[id] = strdup(text);
	if (!b->token[id] || !trie_add(t, text, strlen(text), id))
		return ace_fail(ACE_ENOMEM, "%s: no memory for token %d", path, id);
	return ACE_OK;
}

/* "left right", or ["left", "right"]. */
static bool
sides(const cJSON *v, const char **left, size_t *n, const char **right)
{
	const cJSON *l = cJSON_GetArrayItem(v, 0), *r = cJSON_GetArrayItem(v, 1);

	if (cJSON_IsString(v)) {
		const char *blank = strchr(v->valuestring, ' ');
		*left = v->valuestring;
		*n = blank ? (size_t)(blank - *left) : 0;
		*right = blank ? blank + 1 : "";
		return *n > 0 && **right && !strchr(*right, ' ');
	}
	if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 2 || !cJSON_IsString(l) || !cJSON_IsString(r))
		return false;
	*left = l->valuestring;
	*n = strlen(*left);
	*right = r->valuestring;
	return true;
}

static enum status
read_merges(struct bpe *b, const char *path, const cJSON *list)
{
	struct buffer text = { 0 };
	enum status st = ACE_OK;
	int32_t rank = 0;
	const cJSON *v;

	if (!cJSON_IsArray(list))
		return ace_fail(ACE_EDATA, "%s: the model has no list merges", path);
	for (b->cap = 16; b->cap < 2 * (size_t)cJSON_GetArraySize(list);)
		b->cap *= 2;
	b->merge = malloc(b->cap * sizeof *b->merge);
	if (!b->merge)
		return ace_fail(ACE_ENOMEM, "%s: no memory for the merges", path);
	for (size_t i = 0; i < b->cap; i++)
		b->merge[i].rank = -1;
	cJSON_ArrayForEach(v, list) {
		const char *left, *right;
		struct bpe_merge m = { .rank = rank++ };
		size_t n;
		if (!sides(v, &left, &n, &right)) {
			st = ace_fail(ACE_EDATA, "%s: merge %d is not two tokens", path, m.rank);
			break;
		}
		buffer_clear(&text);
		buffer_add(&text, left, n);
		buffer_str(&text, right);
		m.left = trie_find(&b->vocab, left, n);
		m.right = trie_find(&b->vocab, right, strlen(right));
		m.into = trie_find(&b->vocab, text.data ? text.data : "", text.len);
		if (m.left < 0 || m.right < 0 || m.into < 0) {
			st = ace_fail(ACE_EDATA, "%s: merge %d has a token that is not in the vocab", path, m.rank);
			break;
		}
		*bpe_slot(b, m.left, m.right) = m;	/* of equal pairs the later rank counts, as in a map */
	}
	if (st == ACE_OK && text.bad)
		st = ace_fail(ACE_ENOMEM, "%s: no memory for the merges", path);
	buffer_free(&text);
	return st;
}

static bool
off(const cJSON *v)
{
	return !v || cJSON_IsNull(v) || cJSON_IsFalse(v) || (cJSON_IsString(v) && !v->valuestring[0]) ||
	       (cJSON_IsNumber(v) && v->valuedouble == 0);
}

static enum status
read_model(struct bpe *b, const char *path, const cJSON *model)
{
	static const char *const none[] = { "dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
		                            "byte_fallback", "ignore_merges" };
	const cJSON *type = cJSON_GetObjectItemCaseSensitive(model, "type");
	const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(model, "vocab");
	const cJSON *unknown = cJSON_GetObjectItemCaseSensitive(model, "unk_token"), *v;

	if (!cJSON_IsObject(model) || !cJSON_IsString(type) || strcmp(type->valuestring, "BPE") != 0)
		return ace_fail(ACE_EDATA, "%s: the model's type is %s, wanted BPE", path,
		                cJSON_IsString(type) ? type->valuestring : "not given");
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (!off(cJSON_GetObjectItemCaseSensitive(model, none[i])))
			return ace_fail(ACE_EDATA, "%s: the model's %s is set, which is not built", path, none[i]);
	if (!cJSON_IsObject(vocab) || !vocab->child)
		return ace_fail(ACE_EDATA, "%s: the model has no vocab", path);
	cJSON_ArrayForEach(v, vocab)
		ACE_TRY(add_token(b, &b->vocab, path, v->string, v));
	b->unknown = cJSON_IsString(unknown)
			     ? trie_find(&b->vocab, unknown->valuestring, strlen(unknown->valuestring))
			     : -1;
	if (b->unknown < 0)
		return ace_fail(ACE_EDATA, "%s: the model's unk_token is not in its vocab", path);
	return read_merges(b, path, cJSON_GetObjectItemCaseSensitive(model, "merges"));
}

static enum status
read_added(struct bpe *b, const char *path, const cJSON *list)
{
	static const char *const flags[] = { "single_word", "lstrip", "rstrip", "normalized" };
	const cJSON *v;

	if (!cJSON_IsArray(list))
		return ace_fail(ACE_EDATA, "%s: no list added_tokens", path);
	cJSON_ArrayForEach(v, list) {
		const cJSON *text = cJSON_GetObjectItemCaseSensitive(v, "content");
		if (!cJSON_IsString(text))
			return ace_fail(ACE_EDATA, "%s: an added token has no content", path);
		for (int i = 0; i < 4; i++)
			if (!off(cJSON_GetObjectItemCaseSensitive(v, flags[i])))
				return ace_fail(ACE_EDATA,
						"%s: the added token \"%s\" has %s set, which is not built",
						path, text->valuestring, flags[i]);
		ACE_TRY(add_token(b, &b->special, path, text->valuestring, cJSON_GetObjectItemCaseSensitive(v, "id")));
	}
	return ACE_OK;
}

static enum status
read_root(struct bpe *b, const char *path, const cJSON *root)
{
	const cJSON *norm = cJSON_GetObjectItemCaseSensitive(root, "normalizer");
	const cJSON *post = cJSON_GetObjectItemCaseSensitive(root, "post_processor");
	const cJSON *pre = cJSON_GetObjectItemCaseSensitive(
		cJSON_GetObjectItemCaseSensitive(root, "pre_tokenizer"), "type");

	if (!off(norm) || !off(post))
		return ace_fail(ACE_EDATA, "%s: has a %s, which is not built for lyrics", path,
				off(norm) ? "post_processor" : "normalizer");
	if (!cJSON_IsString(pre) || strcmp(pre->valuestring, "Whitespace") != 0)
		return ace_fail(ACE_EDATA, "%s: the pre_tokenizer is %s, wanted Whitespace", path,
		                cJSON_IsString(pre) ? pre->valuestring : "not given");
	ACE_TRY(read_model(b, path, cJSON_GetObjectItemCaseSensitive(root, "model")));
	return read_added(b, path, cJSON_GetObjectItemCaseSensitive(root, "added_tokens"));
}

enum status
bpe_open(struct bpe *b, const char *path)
{
	enum status st;
	cJSON *root;

	*b = (struct bpe){ 0 };
	ACE_TRY(json_read(path, FILE_LIMIT, &root));
	if (trie_init(&b->vocab) && trie_init(&b->special))
		st = read_root(b, path, root);
	else
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	cJSON_Delete(root);
	if (st != ACE_OK) {
		bpe_close(b);
		return st;
	}
	while (b->size > 0 && !b->token[b->size - 1])
		b->size--;
	return ACE_OK;
}

void
bpe_close(struct bpe *b)
{
	for (int32_t i = 0; i < b->size; i++)
		free(b->token[i]);
	free(b->token);
	free(b->merge);
	trie_free(&b->special);
	trie_free(&b->vocab);
	*b = (struct bpe){ 0 };
}
