/* SPDX-License-Identifier: Apache-2.0 */
#include "train/groups.h"

#include "kernels/kernels.h"
#include "models/lyrics_file.h"

const char *const groups_main[OPTIM_GROUPS] = { "main", "lyrics" };
const char *const groups_own[OPTIM_GROUPS] = { "lyrics", NULL };

static enum status
take(struct optim *o, const struct exchange_item *it, int group)
{
	if (it->whole)
		return optim_add_part(o, it->p, group, it->number, it->first, it->whole);
	ACE_TRY(optim_add(o, it->p, group, it->number, it->first));
	if (it->p->train)
		o->item[o->n - 1].turn = it->turn;
	return ACE_OK;
}

struct both {
	struct groups *g;
	struct optim *main;
};

static bool
has_own(const struct groups *g, const char *name)
{
	return g->o.lyrics && g->o.own && lyrics_file_holds(name);
}

/* A rule that looks at whole tensors has them whole. */
static bool
is_whole(const void *me, const char *name)
{
	const struct both *b = me;

	return !optim_parts(has_own(b->g, name) ? b->g->o.optim.rule : b->main->set.rule);
}

static void
begin(void *me, int turn)
{
	struct both *b = me;

	if (turn == 0)
		return;			/* optim_alloc has */
	optim_begin(b->main, turn);
	if (b->g->optim.dev)
		optim_begin(&b->g->optim, turn);
}

enum status
groups_open(struct groups *g, struct optim *main, struct exchange *x, struct dit *m, const struct groups_options *o)
{
	struct both both = { g, main };
	struct exchange_item it;

	*g = (struct groups){ .o = *o };
	if (o->lyrics && o->own)
		optim_init(&g->optim, main->dev, &o->optim, main->seed);
	main->leaves_grads = g->optim.leaves_grads = exchange_parted(x);	/* they begin anew otherwise (exchange_forget) */
	ACE_TRY(exchange_keep(x, is_whole, &both));
	for (int i = 0; exchange_item(x, m, i, &it); i++) {
		bool lyrics = o->lyrics && lyrics_file_holds(it.p->name);
		if (has_own(g, it.p->name))
			ACE_TRY(take(&g->optim, &it, GROUP_MAIN));
		else
			ACE_TRY(take(main, &it, lyrics ? GROUP_LYRICS : GROUP_MAIN));
	}
	ACE_TRY(optim_alloc(main));
	if (g->optim.dev)
		ACE_TRY(optim_alloc(&g->optim));
	return dev_is_dry(main->dev) ? ACE_OK : exchange_turns(x, false, false, begin, &both);
}

void
groups_free(struct groups *g)
{
	if (g->optim.dev)
		optim_free(&g->optim);
	*g = (struct groups){ 0 };
}

double
groups_rate(const struct optim_settings *o, const struct schedule *s, int64_t k)
{
	return optim_follows_schedule(o->rule) ? schedule_rate(s, k) : s->rate;
}

static void
limit(struct optim *o, struct tensor limits, struct tensor measured, struct clip_options clip, float scale)
{
	if (!optim_clips(o->set.rule))
		clip.max = 0;
	clip_limits(o->dev, limits, measured, &clip, scale);
}

struct update {
	struct both both;
	struct tensor limits, measured;
	const struct clip_options *clip;
	float scale;
};

static void
update_one(const struct update *u, struct optim *o, int turn)
{
	limit(o, u->limits, u->measured, *u->clip, u->scale);
	if (turn == 0)
		optim_ask(o, u->limits);
	else
		optim_turn(o, u->limits, turn);
}

static void
update(void *me, int turn)
{
	const struct update *u = me;

	update_one(u, u->both.main, turn);
	if (u->both.g->optim.dev)
		update_one(u, &u->both.g->optim, turn);
}

static enum status
learn(struct exchange *x, struct optim *o)
{
	double sums[2];

	if (!o->dev || !optim_learns(o))
		return ACE_OK;
	optim_sums(o, sums);
	ACE_TRY(exchange_part_sums(x, sums, 2));
	optim_learn(o, sums);
	return ACE_OK;
}

enum status
groups_step(struct groups *g, struct optim *main, struct exchange *x, double rate, double lyrics, struct tensor limits,
            struct tensor measured, const struct clip_options *clip, float scale, int64_t step)
{
	struct update u = { { g, main }, limits, measured, clip, scale };

	groups_prepare(g, main, rate, lyrics, step);
	ACE_TRY(exchange_turns(x, true, true, update, &u));
	ACE_TRY(learn(x, main));
	return learn(x, &g->optim);
}

bool
groups_are_whole(const struct groups *g, const struct optim *main)
{
	return optim_is_whole(main) && (!g->optim.dev || optim_is_whole(&g->optim));
}

void
groups_prepare(struct groups *g, struct optim *main, double rate, double lyrics, int64_t step)
{
	const double rates[OPTIM_GROUPS] = { [GROUP_MAIN] = rate, [GROUP_LYRICS] = lyrics };
	const double own[OPTIM_GROUPS] = { [GROUP_MAIN] = lyrics };

	optim_prepare(main, rates, step);
	if (g->optim.dev)
		optim_prepare(&g->optim, own, step);
}

void
groups_ask(struct groups *g, struct optim *main, struct tensor limits, struct tensor measured, struct tensor losses,
           struct tensor scaling, const struct clip_options *clip, float scale)
{
	limit(main, limits, measured, *clip, scale);
	if (scaling.rank)
		main->dev->k->loss_limits(main->dev, limits, scaling);
	clip_guard(main->dev, limits, measured, losses);
	optim_ask(main, limits);
	if (!g->optim.dev)
		return;
	limit(&g->optim, limits, measured, *clip, scale);
	if (scaling.rank)
		main->dev->k->loss_limits(main->dev, limits, scaling);
	clip_guard(main->dev, limits, measured, losses);
	optim_ask(&g->optim, limits);
}

void
groups_take_back(struct groups *g, struct optim *main)
{
	optim_take_back(main);
	if (g->optim.dev)
		optim_take_back(&g->optim);
}
