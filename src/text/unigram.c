/* SPDX-License-Identifier: Apache-2.0 */
#include "text/unigram.h"

#include "base/file.h"
#include "text/chars.h"
#include "text/unigram_model.h"

#include <stdlib.h>
#include <string.h>

static void
free_model(struct unigram_model *m)
{
	if (!m)
		return;
	for (int i = 0; i < m->n_norm; i++) {
		charsmap_free(&m->norm[i].map);
		free(m->norm[i].pattern);
		free(m->norm[i].content);
	}
	trie_free(&m->added);
	trie_free(&m->pieces);
	free(m->score);
	free(m);
}

static enum status
read_any(struct unigram_model *m, const char *path)
{
	char *json = file_path("%s/tokenizer.json", path), *spiece = file_path("%s/spiece.model", path);
	char *added = file_path("%s/added_tokens.json", path);
	size_t n = strlen(path);
	enum status st;

	if (!json || !spiece || !added)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	else if (!file_is_dir(path))
		st = n > 6 && strcmp(path + n - 6, ".model") == 0 ? unigram_read_spiece(m, path, NULL)
								  : unigram_read_json(m, path);
	else if (file_exists(json) || !file_exists(spiece))
		st = unigram_read_json(m, json);
	else
		st = unigram_read_spiece(m, spiece, added);
	free(json);
	free(spiece);
	free(added);
	return st;
}

enum status
unigram_open(struct unigram *u, const char *path)
{
	struct unigram_model *m = calloc(1, sizeof *m);
	enum status st;

	u->m = NULL;
	if (!m || !trie_init(&m->added) || !trie_init(&m->pieces)) {
		free_model(m);
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	}
	st = read_any(m, path);
	if (st == ACE_OK)
		u->m = m;
	else
		free_model(m);
	return st;
}

void
unigram_close(struct unigram *u)
{
	if (u) {
		free_model(u->m);
		u->m = NULL;
	}
}

int
unigram_size(const struct unigram *u)
{
	return u->m->size;
}

/* How the best way to a place ends: with piece id, which begins at from (-1: no way yet). */
struct step {
	double score;
	int32_t from, id;
};

struct search {
	const struct unigram_model *m;
	struct step *step;		/* owned */
	size_t cap;
	struct numbers ids;		/* what is found so far */
	struct numbers back;		/* of one pre-token, last first: pairs of end and id */
	size_t enough;			/* ids that will do: the rest is cut off anyway */
};

static void
offer(struct step *to, double score, int32_t from, int32_t id)
{
	if (to->from < 0 || score > to->score)
		*to = (struct step){ score, from, id };
}

static void
find_ways(const struct unigram_model *m, struct step *step, const char *text, size_t len)
{
	for (size_t i = 0; i <= len; i++)
		step[i] = (struct step){ 0, -1, 0 };
	for (size_t i = 0, one; i < len; i += one) {
		int64_t node = TRIE_ROOT;
		bool known = false;
		one = utf8_len(text[i]);
		for (size_t j = i; j < len; j++) {
			int32_t id;
			node = trie_next(&m->pieces, (uint32_t)node, (unsigned char)text[j]);
			if (node < 0)
				break;
			id = trie_value(&m->pieces, (uint32_t)node);
			if (id < 0)
				continue;
			offer(&step[j + 1], m->score[id] + step[i].score, (int32_t)i, id);
			known |= j + 1 - i == one;
		}
		if (!known)
			offer(&step[i + one], m->unknown_score + step[i].score, (int32_t)i, m->unknown);
	}
}

/* A run of unknown characters: one token, or its bytes. */
static void
unknown_run(struct search *s, const char *text, size_t len)
{
	bool bytes = s->m->byte_fallback;
	int32_t id = trie_find(&s->m->pieces, text, len);

	for (size_t i = 0; bytes && i < len; i++)
		bytes = s->m->byte_id[(unsigned char)text[i]] >= 0;
	if (id >= 0 || !bytes) {
		numbers_add(&s->ids, id >= 0 ? id : s->m->unknown);
		return;
	}
	for (size_t i = 0; i < len; i++)
		numbers_add(&s->ids, s->m->byte_id[(unsigned char)text[i]]);
}

static enum status
encode_piece(void *me, const char *text, size_t len)
{
	struct search *s = me;
	int32_t at = (int32_t)len;

	if (s->ids.len > s->enough)
		return ACE_OK;
	if (len >= INT32_MAX / 8)
		return ace_fail(ACE_EDATA, "a text of %zu bytes is too long", len);
	if (len + 1 > s->cap) {
		struct step *more = realloc(s->step, 2 * (len + 1) * sizeof *more);
		if (!more)
			return ace_fail(ACE_ENOMEM, "no memory for a text of %zu bytes", len);
		s->step = more;
		s->cap = 2 * (len + 1);
	}
	find_ways(s->m, s->step, text, len);
	s->back.len = 0;
	for (int32_t from; at > 0; at = from) {
		int32_t id = s->step[at].id, end = at;
		from = s->step[at].from;
		while (id == s->m->unknown && from > 0 && s->step[from].id == id)
			from = s->step[from].from;
		numbers_add(&s->back, end);
		numbers_add(&s->back, id);
	}
	for (size_t i = s->back.len; i >= 2; i -= 2) {
		size_t from = i < s->back.len ? (size_t)s->back.data[i] : 0, end = (size_t)s->back.data[i - 2];
		if (s->back.data[i - 1] == s->m->unknown)
			unknown_run(s, text + from, end - from);
		else
			numbers_add(&s->ids, s->back.data[i - 1]);
	}
	return s->back.bad || s->ids.bad
		       ? ace_fail(ACE_ENOMEM, "no memory for the ids of a text of %zu bytes", len)
		       : ACE_OK;
}

static enum status
encode_stretch(struct search *s, struct buffer *b, const char *text, size_t len, bool first)
{
	if (len == 0 || s->ids.len > s->enough)
		return ACE_OK;
	ACE_TRY(unigram_norm(s->m, text, len, b));
	return unigram_split(s->m, b->data, b->len, first, encode_piece, s);
}

static enum status
encode_text(struct search *s, const char *text, size_t len)
{
	struct buffer b = { 0 };
	enum status st = ACE_OK;
	size_t from = 0, n;

	for (size_t i = 0; i < len && st == ACE_OK; i += n) {
		int32_t id;
		n = trie_longest(&s->m->added, text + i, len - i, &id);
		if (n > 0) {
			st = encode_stretch(s, &b, text + from, i - from, from == 0);
			numbers_add(&s->ids, id);
			from = i + n;
		} else {
			n = 1;
		}
	}
	if (st == ACE_OK)
		st = encode_stretch(s, &b, text + from, len - from, from == 0);
	if (st == ACE_OK && s->ids.bad)
		st = ace_fail(ACE_ENOMEM, "no memory for the ids of a text of %zu bytes", len);
	buffer_free(&b);
	return st;
}

static enum status
check_text(const char *text, size_t len)
{
	size_t good = utf8_valid(text, len);

	return good == len ? ACE_OK : ace_fail(ACE_EDATA, "the text is not UTF-8 at byte %zu", good);
}

enum status
unigram_encode(const struct unigram *u, const char *text, size_t len, int32_t *ids, int cap, int *n)
{
	const struct unigram_model *m = u->m;
	int room = cap - m->n_before - m->n_after;
	struct search s = { .m = m };
	enum status st;

	*n = 0;
	ACE_TRY(check_text(text, len));
	s.enough = room > 0 ? (size_t)room : 0;
	st = encode_text(&s, text, len);
	if (st == ACE_OK) {
		for (int i = 0; i < m->n_before && *n < cap - m->n_after; i++)
			ids[(*n)++] = m->before[i];
		for (int i = 0; i < room && (size_t)i < s.ids.len; i++)
			ids[(*n)++] = s.ids.data[i];
		for (int i = 0; i < m->n_after && *n < cap; i++)
			ids[(*n)++] = m->after[i];
	}
	numbers_free(&s.ids);
	numbers_free(&s.back);
	free(s.step);
	return st;
}

static enum status
give(struct buffer *b, char **out, size_t *out_len)
{
	if (!buffer_done(b)) {
		buffer_free(b);
		return ace_fail(ACE_ENOMEM, "no memory for a text");
	}
	*out = b->data;
	*out_len = b->len;
	return ACE_OK;
}

enum status
unigram_normalized(const struct unigram *u, const char *text, size_t len, char **out, size_t *out_len)
{
	struct buffer b = { 0 };
	enum status st;

	*out = NULL;
	*out_len = 0;
	ACE_TRY(check_text(text, len));
	st = unigram_norm(u->m, text, len, &b);
	if (st == ACE_OK)
		return give(&b, out, out_len);
	buffer_free(&b);
	return st;
}

static enum status
join_piece(void *me, const char *piece, size_t len)
{
	struct buffer *b = me;

	if (b->len > 0)
		buffer_char(b, '\n');
	buffer_add(b, piece, len);
	return ACE_OK;
}

enum status
unigram_pretokens(const struct unigram *u, const char *text, size_t len, char **out, size_t *out_len)
{
	struct buffer norm = { 0 }, b = { 0 };
	enum status st;

	*out = NULL;
	*out_len = 0;
	ACE_TRY(check_text(text, len));
	st = unigram_norm(u->m, text, len, &norm);
	if (st == ACE_OK)
		st = unigram_split(u->m, norm.data, norm.len, true, join_piece, &b);
	buffer_free(&norm);
	if (st == ACE_OK)
		return give(&b, out, out_len);
	buffer_free(&b);
	return st;
}
