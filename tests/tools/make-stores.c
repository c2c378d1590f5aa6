/* SPDX-License-Identifier: Apache-2.0 */
/* make-stores FOLDER CLIPS FRAMES VARY TEXT_WIDTH TEXT_ROWS LYRICS VOCAB: small stores of random numbers (support/stores.h), so that
 * programs can be tried without audio. The rows of a caption and the lyrics of a clip go up to the numbers given. */
#include "support/stores.h"

#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char **argv)
{
	struct stores_options o = { .captions = 2, .channels = 8, .rows = 16, .dtype = F32, .seed = 11 };

	if (argc != 9) {
		fprintf(stderr, "usage: make-stores FOLDER CLIPS FRAMES VARY TEXT_WIDTH TEXT_ROWS LYRICS VOCAB\n");
		return 64;
	}
	o.clips = atoi(argv[2]);
	o.frames = atoi(argv[3]);
	o.vary = atoi(argv[4]);
	o.text_width = atoi(argv[5]);
	o.text_rows = atoi(argv[6]);
	o.lyrics = atoi(argv[7]);
	o.lyric_vocab = atoi(argv[8]);
	free(stores_make(argv[1], &o));
	return 0;
}
