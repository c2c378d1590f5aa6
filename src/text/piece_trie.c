/* SPDX-License-Identifier: Apache-2.0 */
#include "text/piece_trie.h"

#include <stdlib.h>

static size_t
slot_of(uint32_t key, size_t cap)
{
	uint64_t h = (uint64_t)key * 0x9e3779b97f4a7c15u;

	return (size_t)(h >> 32) & (cap - 1);
}

static struct trie_edge *
find_slot(struct trie_edge *edge, size_t cap, uint32_t key)
{
	size_t i = slot_of(key, cap);

	while (edge[i].key && edge[i].key != key)
		i = (i + 1) & (cap - 1);
	return &edge[i];
}

static bool
grow_edges(struct trie *t)
{
	size_t cap = t->cap ? 2 * t->cap : 1024;
	struct trie_edge *edge = calloc(cap, sizeof *edge);

	if (!edge)
		return false;
	for (size_t i = 0; i < t->cap; i++)
		if (t->edge[i].key)
			*find_slot(edge, cap, t->edge[i].key) = t->edge[i];
	free(t->edge);
	t->edge = edge;
	t->cap = cap;
	return true;
}

static bool
add_node(struct trie *t)
{
	if (t->n_nodes >= TRIE_NODES_MAX)
		return false;
	if (t->n_nodes == t->cap_nodes) {
		size_t cap = t->cap_nodes ? 2 * t->cap_nodes : 1024;
		int32_t *value = realloc(t->value, cap * sizeof *value);
		if (!value)
			return false;
		t->value = value;
		t->cap_nodes = cap;
	}
	t->value[t->n_nodes++] = -1;
	return true;
}

bool
trie_init(struct trie *t)
{
	*t = (struct trie){ 0 };
	if (grow_edges(t) && add_node(t))
		return true;
	trie_free(t);
	return false;
}

void
trie_free(struct trie *t)
{
	free(t->edge);
	free(t->value);
	*t = (struct trie){ 0 };
}

bool
trie_add(struct trie *t, const char *text, size_t len, int32_t value)
{
	uint32_t node = TRIE_ROOT;

	for (size_t i = 0; i < len; i++) {
		uint32_t key = (node << 8 | (unsigned char)text[i]) + 1;
		struct trie_edge *e;
		if (2 * (t->n_edges + 1) > t->cap && !grow_edges(t))
			return false;
		e = find_slot(t->edge, t->cap, key);
		if (!e->key) {
			if (!add_node(t))
				return false;
			*e = (struct trie_edge){ key, (uint32_t)(t->n_nodes - 1) };
			t->n_edges++;
		}
		node = e->node;
	}
	t->value[node] = value;
	return true;
}

int64_t
trie_next(const struct trie *t, uint32_t node, unsigned char c)
{
	const struct trie_edge *e = find_slot(t->edge, t->cap, (node << 8 | c) + 1);

	return e->key ? (int64_t)e->node : -1;
}

int32_t
trie_find(const struct trie *t, const char *text, size_t len)
{
	int64_t node = TRIE_ROOT;

	for (size_t i = 0; i < len && node >= 0; i++)
		node = trie_next(t, (uint32_t)node, (unsigned char)text[i]);
	return node < 0 ? -1 : t->value[node];
}

size_t
trie_longest(const struct trie *t, const char *text, size_t len, int32_t *value)
{
	int64_t node = TRIE_ROOT;
	size_t best = 0;

	for (size_t i = 0; i < len; i++) {
		node = trie_next(t, (uint32_t)node, (unsigned char)text[i]);
		if (node < 0)
			break;
		if (t->value[node] >= 0) {
			best = i + 1;
			*value = t->value[node];
		}
	}
	return best;
}
