/* SPDX-License-Identifier: Apache-2.0 */
#include "data/dataset.h"

#include "base/sha256.h"
#include "num/rng.h"

#include <stdlib.h>
#include <string.h>

const struct dataset *
dataset_texts(const struct dataset_list *l, const struct dataset *audio)
{
	const struct dataset *any = NULL;

	for (int i = 0; i < l->n; i++) {
		const struct dataset *e = &l->entry[i];
		if (e->kind != DATASET_TEXTS)
			continue;
		if (audio->texts_id ? strcmp(e->id, audio->texts_id) == 0 : e->is_default)
			return e;
		if (!any && !audio->texts_id)
			any = e;
	}
	return any;
}

/* The first 64 bits of SHA-256 of both, the 0 between them with it. */
uint64_t
dataset_sample_id(const char *dataset, const char *key)
{
	char hex[65];
	struct sha256 s;

	sha256_init(&s);
	sha256_add(&s, dataset, strlen(dataset) + 1);
	sha256_add(&s, key, strlen(key));
	sha256_hex(&s, hex);
	hex[16] = 0;
	return strtoull(hex, NULL, 16);
}

uint64_t
dataset_chance(uint64_t seed, const char *dataset, const char *key)
{
	struct rng r = rng_sub(rng_stream(seed, RNG_DATASET, UINT64_MAX, 0), dataset_sample_id(dataset, key));

	return (uint64_t)rng_u32(r, 0) << 32 | rng_u32(r, 1);
}
