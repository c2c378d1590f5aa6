/* SPDX-License-Identifier: Apache-2.0 */
/* lyrics FILE VOCAB [rounds [unidic]]: how fast whole lyrics become ids, on one core. FILE is a list of objects with a text "lyrics"
 * (the fixture songs.json), or any text, which is one song then. Prints one line of numbers: songs, bytes, ids, then seconds of
 * opening and, for each variant, seconds of one round and MB/s, by processor time. */
#include "text/lyric.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct song {
	char *text;
	size_t len;
};

static double
processor(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int
read_songs(const char *path, struct song **songs)
{
	cJSON *root, *v;
	char *text;
	size_t len;
	int n = 0;

	if (file_read(path, 1u << 30, &text, &len) != ACE_OK)
		return -1;
	if (strlen(path) < 5 || strcmp(path + strlen(path) - 5, ".json") != 0) {
		*songs = malloc(sizeof **songs);
		**songs = (struct song){ text, len };
		return 1;
	}
	if (json_parse(text, len, path, &root) != ACE_OK)
		return -1;
	*songs = calloc((size_t)cJSON_GetArraySize(root) + 1, sizeof **songs);
	cJSON_ArrayForEach(v, root) {
		const char *lyrics = cJSON_GetStringValue(cJSON_GetObjectItem(v, "lyrics"));
		if (lyrics)
			(*songs)[n++] = (struct song){ strdup(lyrics), strlen(lyrics) };
	}
	return n;
}

int
main(int argc, char **argv)
{
	int rounds = argc > 3 ? atoi(argv[3]) : 20, n;
	struct song *songs = NULL;
	struct lyric l;
	size_t bytes = 0;
	double opened, t;
	int64_t ids = 0;

	if (argc < 3 || rounds < 1)
		return fprintf(stderr, "lyrics FILE VOCAB [rounds [unidic]]\n"), 64;
	n = read_songs(argv[1], &songs);
	t = processor();
	if (n < 0 || lyric_open(&l, &(struct lines_from){ .vocab = argv[2], .unidic = argc > 4 ? argv[4] : NULL }) != ACE_OK)
		return fprintf(stderr, "%s\n", ace_message()), 66;
	opened = processor() - t;
	for (int i = 0; i < n; i++)
		bytes += songs[i].len;
	for (int song = 0; song < 2; song++) {
		double spent;
		ids = song ? ids : 0;
		l.per_song = song;
		t = processor();
		for (int r = 0; r < rounds; r++)
			for (int i = 0; i < n; i++) {
				enum lyric_fault fault;
				struct lyric_ids out;
				if (lyric_encode(&l, songs[i].text, songs[i].len, &out, &fault) == ACE_OK)
					ids += song ? 0 : out.n;
				lyric_ids_free(&out);
			}
		spent = (processor() - t) / rounds;
		if (!song)
			printf("%d songs  %zu bytes  %lld ids  opened in %.4f s", n, bytes, (long long)(ids / rounds), opened);
		printf("  %s %.6f s %.2f MB/s", song ? "per-song" : "per-line", spent, (double)bytes / spent / 1e6);
	}
	printf("\n");
	return 0;
}
