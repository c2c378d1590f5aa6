/* SPDX-License-Identifier: Apache-2.0 */
/* same-stores LATENTS LATENTS TEXTS TEXTS: whether two stores of clips, and two of captions, hold the same, however many parts they
 * are in. Says the first difference, and ends with 1. */
#include "store/latents.h"
#include "store/texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
differ(const char *what, const char *name)
{
	printf("%s of %s\n", what, name);
	return 1;
}

static bool
same_item(const struct latent_item *a, const struct latent_item *b)
{
	return strcmp(a->key, b->key) == 0 && strcmp(a->source, b->source) == 0 && a->source_mtime == b->source_mtime &&
	       strcmp(a->source_sha256, b->source_sha256) == 0 && strcmp(a->audio_sha256, b->audio_sha256) == 0 &&
	       a->samples == b->samples && a->channels == b->channels && a->rows == b->rows && a->frames == b->frames &&
	       a->seconds == b->seconds && a->bucket == b->bucket && a->captions == b->captions &&
	       memcmp(a->caption, b->caption, (size_t)a->captions * 65) == 0 && strcmp(a->lyrics_sha256, b->lyrics_sha256) == 0 &&
	       a->lyrics == b->lyrics && a->lyric_lines == b->lyric_lines && a->lyric_unknown == b->lyric_unknown;
}

static int
compare_clip(struct latents *a, struct latents *b, int64_t i)
{
	const struct latent_item *it = latents_item(a, i);
	size_t n = (size_t)(it->channels * it->rows * it->frames), m = (size_t)it->lyrics;
	float *x = malloc(2 * n * sizeof *x);
	int32_t *id = malloc(2 * m * sizeof *id);
	uint8_t *mask = malloc(2 * m);
	bool same = x && id && mask && latents_read(a, i, x) == ACE_OK && latents_read(b, i, x + n) == ACE_OK &&
		    memcmp(x, x + n, n * sizeof *x) == 0 && latents_read_lyrics(a, i, id, mask) == ACE_OK &&
		    latents_read_lyrics(b, i, id + m, mask + m) == ACE_OK && memcmp(id, id + m, m * sizeof *id) == 0 &&
		    memcmp(mask, mask + m, m) == 0;

	free(x);
	free(id);
	free(mask);
	return same ? 0 : differ("numbers", it->key);
}

static int
compare_clips(const char *one, const char *other)
{
	struct latents *a = NULL, *b = NULL;
	int bad = latents_open(&a, one, NULL) != ACE_OK || latents_open(&b, other, NULL) != ACE_OK;

	if (!bad && (latents_count(a) != latents_count(b) || latents_damaged(a) || latents_damaged(b)))
		bad = differ("number of clips", other);
	for (int64_t i = 0; !bad && i < latents_count(a); i++)
		bad = same_item(latents_item(a, i), latents_item(b, i)) ? compare_clip(a, b, i)
		                                                         : differ("facts", latents_item(a, i)->key);
	latents_close(a);
	latents_close(b);
	return bad;
}

static int
compare_captions(const char *one, const char *other)
{
	struct texts *a = NULL, *b = NULL;
	int bad = texts_open(&a, one, NULL) != ACE_OK || texts_open(&b, other, NULL) != ACE_OK;

	if (!bad && (texts_count(a) != texts_count(b) || texts_width(a) != texts_width(b)))
		bad = differ("number of captions", other);
	for (int64_t i = 0; !bad && i < texts_count(a); i++) {
		const struct text_item *x = texts_item(a, i), *y = texts_item(b, i);
		size_t n = (size_t)(x->rows * texts_width(a));
		float *v = malloc(2 * n * sizeof *v);
		if (!v || strcmp(x->key, y->key) != 0 || x->rows != y->rows || texts_read(a, i, v) != ACE_OK ||
		    texts_read(b, i, v + n) != ACE_OK || memcmp(v, v + n, n * sizeof *v) != 0)
			bad = differ("numbers", x->key);
		free(v);
	}
	texts_close(a);
	texts_close(b);
	return bad;
}

int
main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: same-stores LATENTS LATENTS TEXTS TEXTS\n");
		return 64;
	}
	return compare_clips(argv[1], argv[2]) || compare_captions(argv[3], argv[4]);
}
