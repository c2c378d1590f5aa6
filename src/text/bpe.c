/* SPDX-License-Identifier: Apache-2.0 */
#include "text/bpe.h"

#include "text/bpe_merges.h"
#include "text/chars.h"

#include <stdlib.h>

/* A run's symbols, a list; id < 0: merged into its left neighbour. */
struct symbol {
	int32_t id, before, after;	/* neighbours' places, -1: none */
};

/* A merge that was possible when it was noted; the least rank first, then the leftmost place. */
struct chance {
	int32_t rank, at, into;
};

struct run {
	struct symbol *symbol;
	struct chance *heap;
	size_t n_symbols, n_heap;
};

static bool
sooner(struct chance a, struct chance b)
{
	return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void
push(struct run *r, struct chance c)
{
	size_t i = r->n_heap++;

	for (; i > 0 && sooner(c, r->heap[(i - 1) / 2]); i = (i - 1) / 2)
		r->heap[i] = r->heap[(i - 1) / 2];
	r->heap[i] = c;
}

static struct chance
pop(struct run *r)
{
	struct chance top = r->heap[0], c = r->heap[--r->n_heap];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < r->n_heap) {
		if (k + 1 < r->n_heap && sooner(r->heap[k + 1], r->heap[k]))
			k++;
		if (!sooner(r->heap[k], c))
			break;
		r->heap[i] = r->heap[k];
		i = k;
	}
	r->heap[i] = c;
	return top;
}

/* Note the merge of the symbol at `at` with the one behind it, when there is one. Unknown symbols never merge. */
static void
note(const struct bpe *b, struct run *r, int32_t at)
{
	const struct bpe_merge *m;
	int32_t after = at < 0 ? -1 : r->symbol[at].after;

	if (after < 0 || r->symbol[at].id == b->unknown || r->symbol[after].id == b->unknown)
		return;
	m = bpe_slot(b, r->symbol[at].id, r->symbol[after].id);
	if (m->rank >= 0)
		push(r, (struct chance){ m->rank, at, m->into });
}

static void
merge_all(const struct bpe *b, struct run *r)
{
	for (size_t i = 0; i < r->n_symbols; i++)
		note(b, r, (int32_t)i);
	while (r->n_heap > 0) {
		struct chance c = pop(r);
		struct symbol *s = &r->symbol[c.at], *t;
		const struct bpe_merge *m;
		if (s->id < 0 || s->after < 0)
			continue;
		t = &r->symbol[s->after];
		m = bpe_slot(b, s->id, t->id);
		if (m->rank != c.rank)		/* a neighbour has changed since */
			continue;
		s->id = c.into;
		t->id = -1;
		s->after = t->after;
		if (s->after >= 0)
			r->symbol[s->after].before = c.at;
		note(b, r, s->before);
		note(b, r, c.at);
	}
}

static enum status
encode_run(const struct bpe *b, const char *text, size_t len, struct numbers *ids)
{
	/* each merge notes at most two chances, and there are fewer merges than symbols */
	struct run r = { .symbol = malloc(len * sizeof *r.symbol), .heap = malloc(3 * len * sizeof *r.heap) };

	if (!r.symbol || !r.heap || len > INT32_MAX / 4) {
		free(r.symbol);
		free(r.heap);
		return ace_fail(ACE_ENOMEM, "no memory for a word of %zu bytes", len);
	}
	for (size_t i = 0, n; i < len; i += n) {
		int32_t k = (int32_t)r.n_symbols++, id;
		n = utf8_len(text[i]);
		id = trie_find(&b->vocab, text + i, n);
		r.symbol[k] = (struct symbol){ id < 0 ? b->unknown : id, k - 1, i + n < len ? k + 1 : -1 };
	}
	merge_all(b, &r);
	for (int32_t i = 0; i >= 0; i = r.symbol[i].after)
		numbers_add(ids, r.symbol[i].id);
	free(r.symbol);
	free(r.heap);
	return ACE_OK;
}

/* A stretch without special tokens: runs of word characters, runs of others; blanks only separate. */
static enum status
encode_stretch(const struct bpe *b, const char *text, size_t len, struct numbers *ids)
{
	size_t i = 0;

	while (i < len) {
		size_t from = i;
		uint32_t c = utf8_at(text + i);
		bool word = char_is_token_word(c);
		if (char_is_white(c)) {
			i += utf8_len(text[i]);
			continue;
		}
		while (i < len && char_is_token_word(c = utf8_at(text + i)) == word && !char_is_white(c))
			i += utf8_len(text[i]);
		ACE_TRY(encode_run(b, text + from, i - from, ids));
	}
	return ACE_OK;
}

enum status
bpe_encode(const struct bpe *b, const char *text, size_t len, struct numbers *ids)
{
	size_t from = 0, n;

	for (size_t i = 0; i < len; i += n) {
		int32_t id;
		n = trie_longest(&b->special, text + i, len - i, &id);
		if (n > 0) {
			ACE_TRY(encode_stretch(b, text + from, i - from, ids));
			numbers_add(ids, id);
			from = i + n;
		} else {
			n = 1;
		}
	}
	ACE_TRY(encode_stretch(b, text + from, len - from, ids));
	return ids->bad ? ace_fail(ACE_ENOMEM, "no memory for the ids of a text of %zu bytes", len) : ACE_OK;
}
