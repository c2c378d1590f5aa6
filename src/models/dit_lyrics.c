/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_parts.h"
#include "ops/rows.h"

enum status
dit_lyrics_open(struct dit *m)
{
	(void)m;
	return ACE_OK;
}

void
dit_lyrics_close(struct dit *m)
{
	(void)m;
}

bool
dit_lyrics_train(const struct dit *m)
{
	(void)m;
	return false;
}

void
dit_lyrics_forward(struct ctx *c, struct dit *m, struct tensor y)
{
	if (m->lyric_states)
		rows_copy(c->dev, y, *m->lyric_states);
}

void
dit_lyrics_backward(struct ctx *c, struct dit *m, struct tensor dy)
{
	(void)c, (void)m, (void)dy;
}
