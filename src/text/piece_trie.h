/* SPDX-License-Identifier: Apache-2.0 */
/* piece_trie.h - texts -> numbers, found by walking byte by byte: a trie whose edges lie in one hash table
 *
 * One table of (node, byte) -> node keeps loading a quarter of a million pieces to one pass without sorting. */
#ifndef ACE_TEXT_PIECE_TRIE_H
#define ACE_TEXT_PIECE_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRIE_ROOT = 0, TRIE_NODES_MAX = (1 << 24) - 1 };

struct trie_edge {
	uint32_t key;			/* (node << 8 | byte) + 1; 0: free */
	uint32_t node;
};

struct trie {
	struct trie_edge *edge;		/* owned; a power of two of them */
	size_t cap, n_edges;
	int32_t *value;			/* of each node, -1: none; owned */
	size_t n_nodes, cap_nodes;
};

bool trie_init(struct trie *t);		/* false: memory ran out */
void trie_free(struct trie *t);

/* Give text the number value >= 0, in place of an earlier one. false: memory ran out, or more than
 * TRIE_NODES_MAX nodes. */
bool trie_add(struct trie *t, const char *text, size_t len, int32_t value);

/* The node behind byte c of node, -1 when there is none; the number of a node, -1 when it is no end of a text. */
int64_t trie_next(const struct trie *t, uint32_t node, unsigned char c);
static inline int32_t
trie_value(const struct trie *t, uint32_t node)
{
	return t->value[node];
}

/* The number of the whole text, -1 when absent. */
int32_t trie_find(const struct trie *t, const char *text, size_t len);

/* The longest start of text that has a number: its length (0: none) and number. */
size_t trie_longest(const struct trie *t, const char *text, size_t len, int32_t *value);
#endif
