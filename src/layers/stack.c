/* SPDX-License-Identifier: Apache-2.0 */
#include "layers/stack.h"

static bool
recomputed(const struct stack *s, int i)
{
	return s->interval > 0 && i % s->interval == 0;
}

static void
call(void (*hook)(void *me, int block, bool backward), const struct stack *s, int i, bool backward)
{
	if (hook)
		hook(s->hooks.me, i, backward);
}

void
stack_forward(struct ctx *c, struct stack *s)
{
	struct tensor other[2];

	if (!c->training)
		for (int i = 0; i < 2; i++)
			other[i] = arena_like(c->act, s->x[0]);
	for (int i = 0; i < s->n; i++) {
		size_t mark;
		s->x[i + 1] = c->training ? arena_like(c->act, s->x[i]) : other[i % 2];
		mark = arena_mark(c->act);
		call(s->hooks.before, s, i, false);
		s->forward(c, s->me, i, s->x[i + 1], s->x[i]);
		call(s->hooks.after, s, i, false);
		if (!c->training || recomputed(s, i))
			arena_release(c->act, mark);
	}
}

void
stack_backward(struct ctx *c, struct stack *s, struct tensor dx, int first)
{
	for (int i = s->n - 1; i >= first; i--) {
		size_t mark = arena_mark(c->act);
		call(s->hooks.before, s, i, true);
		if (recomputed(s, i))
			s->forward(c, s->me, i, (struct tensor){ 0 }, s->x[i]);
		s->backward(c, s->me, i, dx, s->x[i]);
		call(s->hooks.after, s, i, true);
		arena_release(c->act, mark);
	}
}
