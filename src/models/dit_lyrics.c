/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_parts.h"

#include "models/lyric_encoder.h"
#include "ops/rows.h"

#include <stdlib.h>

enum status
dit_lyrics_open(struct dit *m)
{
	m->lyric = calloc(1, sizeof *m->lyric);
	if (!m->lyric)
		return ace_fail(ACE_ENOMEM, "%s: no memory for the lyric encoder", m->weights.path);
	return lyric_encoder_open(m->lyric, &m->params, m->cfg.lyric_vocab, m->cfg.lyric_dim, m->opt.lyric_dropout,
	                          m->opt.checkpoint_interval);
}

void
dit_lyrics_close(struct dit *m)
{
	lyric_encoder_close(m->lyric);
	free(m->lyric);
	m->lyric = NULL;
}

bool
dit_lyrics_train(const struct dit *m)
{
	return !m->lyric_states && lyric_encoder_trains(m->lyric);
}

void
dit_lyrics_forward(struct ctx *c, struct dit *m, struct tensor y)
{
	if (m->lyric_states)
		rows_copy(c->dev, y, *m->lyric_states);
	else
		lyric_encoder_forward(c, m->lyric, y, m->in->lyric_ids, m->in->lyric_mask);
}

void
dit_lyric_states(struct ctx *c, struct dit *m, struct tensor y, struct tensor ids, struct tensor mask)
{
	c->half = dit_half(m);
	params_spread(&m->params, c->dev);
	dit_front_begins(m, DIT_TOKENS, false);
	lyric_encoder_forward(c, m->lyric, y, ids, mask);
	dit_front_ends(m, DIT_TOKENS, false);
}

void
dit_lyrics_backward(struct ctx *c, struct dit *m, struct tensor dy)
{
	lyric_encoder_backward(c, m->lyric, dy);
}
