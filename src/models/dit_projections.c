/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_parts.h"
#include "ops/ends.h"
#include "ops/modulate.h"
#include "ops/rows.h"

#include <assert.h>

/* Sets in use: the shorter of what is given and what the model has. */
static int
n_sets(const struct dit *m)
{
	int n = m->in->projections ? m->in->projections->n : 0;

	assert(n == 0 || m->opt.projectors);
	return n < m->cfg.n_taps ? n : m->cfg.n_taps;
}

static const struct tensor *
features(const struct dit *m, int k)
{
	const struct tensor *f = m->in->projections->feature + (int64_t)k * m->in->latents.dim[0];

	return f->rank ? f : NULL;
}

static int
n_given(const struct dit *m)
{
	int given = 0;

	for (int k = 0; k < n_sets(m); k++)
		given += features(m, k) != NULL;
	return given;
}

/* loss [1] = mean over samples; p [B, T, W] */
static void
losses(struct ctx *c, struct tensor loss, struct tensor p, const struct tensor *f)
{
	int64_t B = p.dim[0];
	size_t mark = arena_mark(c->act);
	struct tensor one = arena_tensor(c->act, F32, 1, 1);

	rows_fill(c->dev, loss, 0.f);
	for (int64_t b = 0; b < B; b++) {
		ends_projection_loss(c->dev, one, tensor_at(p, b), f[b]);
		rows_axpy(c->dev, loss, one, 1.f / (float)B);
	}
	arena_release(c->act, mark);
}

void
dit_projections_forward(struct ctx *c, struct dit *m)
{
	for (int k = 0; k < n_sets(m); k++) {
		const struct tensor *f = features(m, k);
		struct tensor x = m->save.x[m->cfg.tap[k] + 1], act, loss = tensor_slice(m->in->projections->loss, k, 1);
		struct linear *l = m->projector[k];
		int64_t B = x.dim[0], T = x.dim[1];
		size_t mark;
		if (!f) {
			rows_fill(c->dev, loss, 0.f);
			continue;
		}
		m->save.p1[k] = arena_tensor(c->act, F32, 3, B, T, linear_out(&l[0]));
		m->save.p2[k] = arena_tensor(c->act, F32, 3, B, T, linear_out(&l[1]));
		m->save.p[k] = arena_tensor(c->act, F32, 3, B, T, linear_out(&l[2]));
		mark = arena_mark(c->act);
		act = arena_like(c->act, m->save.p1[k]);
		linear_forward(c, &l[0], NULL, m->save.p1[k], x);
		silu_forward(c->dev, act, m->save.p1[k]);
		linear_forward(c, &l[1], NULL, m->save.p2[k], act);
		silu_forward(c->dev, act, m->save.p2[k]);
		linear_forward(c, &l[2], NULL, m->save.p[k], act);
		arena_release(c->act, mark);
		losses(c, loss, m->save.p[k], f);
	}
}

static void
projector_backward(struct ctx *c, struct dit *m, int k, struct tensor dx)
{
	const struct tensor *f = features(m, k);
	struct dit_save *s = &m->save;
	struct linear *l = m->projector[k];
	size_t mark = arena_mark(c->act);
	struct tensor dp = arena_like(c->act, s->p[k]), h = arena_like(c->act, s->p2[k]), act = arena_like(c->act, s->p2[k]);
	float weight = m->in->projections->weight / (float)n_given(m) / (float)dp.dim[0];

	rows_fill(c->dev, dp, 0.f);
	for (int64_t b = 0; b < dp.dim[0]; b++)
		ends_projection_loss_backward(c->dev, tensor_at(dp, b), tensor_at(s->p[k], b), f[b], weight);
	silu_forward(c->dev, act, s->p2[k]);
	linear_backward(c, &l[2], NULL, h, dp, act, LINEAR_DX);
	silu_backward(c->dev, h, h, s->p2[k]);
	silu_forward(c->dev, act, s->p1[k]);
	struct tensor g = arena_like(c->act, s->p1[k]);
	linear_backward(c, &l[1], NULL, g, h, act, LINEAR_DX);
	silu_backward(c->dev, g, g, s->p1[k]);
	linear_backward(c, &l[0], NULL, dx, g, s->x[m->cfg.tap[k] + 1], LINEAR_DX_ADD);
	arena_release(c->act, mark);
}

void
dit_projections_backward(struct ctx *c, struct dit *m, int i, struct tensor dx)
{
	for (int k = 0; k < n_sets(m); k++)
		if (m->cfg.tap[k] == i && features(m, k))
			projector_backward(c, m, k, dx);
}
