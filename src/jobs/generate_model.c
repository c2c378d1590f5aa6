/* SPDX-License-Identifier: Apache-2.0 */
/* The transformer as the network of a run: its branches in one batch, weakened where they shall hear less (sampling.md section 4).
 *
 * Samples of a batch: 0 has the conditions, the last none, and between them, where there are three, is the text alone. A call without
 * guidance takes the first one only. A negative prompt of another length goes by itself: filled up to the same length, it would move the
 * places of the lyrics behind it, or of those of the others. */
#include "jobs/generate_parts.h"

#include "base/file.h"
#include "base/stop.h"
#include "kernels/kernels.h"
#include "models/adapter.h"
#include "models/lyric_encoder.h"
#include "models/lyrics_file.h"

#include <stdlib.h>
#include <string.h>

/* --- opening --- */

/* A folder of a run that has trained the lyrics embedder as well. */
static enum status
lyrics_beside(struct dit *m, const char *lora)
{
	char *path = file_path("%s/" LYRICS_FILE, lora);
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a path");

	if (st == ACE_OK && file_exists(path)) {
		st = dit_train(m, DIT_LYRICS);
		if (st == ACE_OK)
			st = lyrics_file_read(&m->params, path);
	}
	free(path);
	return st;
}

static enum status
add_adapters(struct dit *m, const struct generate_job *j, int *modules)
{
	struct adapter_file f[GENERATE_LORAS] = { 0 };
	float strength[GENERATE_LORAS];
	enum status st = ACE_OK;
	int n = 0;

	*modules = 0;
	for (; n < j->loras && st == ACE_OK; n += st == ACE_OK) {
		strength[n] = j->lora[n].strength;
		st = adapter_file_open(&f[n], j->lora[n].path, &m->params);
	}
	if (st == ACE_OK && n > 0)
		st = adapter_join(&m->params, f, strength, n, modules);
	while (n > 0)
		adapter_file_close(&f[--n]);
	for (int i = 0; i < j->loras && st == ACE_OK; i++)
		st = lyrics_beside(m, j->lora[i].path);
	return st;
}

enum status
generate_open_dit(struct dit *m, const struct generate_job *j, struct dev *d, int *modules)
{
	enum status st;

	ACE_TRY(dit_open(m, j->transformer, &j->dit, d));
	st = add_adapters(m, j, modules);
	if (st == ACE_OK)
		st = dit_prepare(m);
	if (st != ACE_OK)
		dit_close(m);
	return st;
}

bool
generate_guides(const struct generate_job *j)
{
	int calls, outputs;

	return generation_cost(&j->loop, &calls, &outputs) && outputs > calls;
}

static const struct weakening nothing;

static struct weakening
weak_layers(const struct generate_model *g)
{
	return g->branches > 1 ? g->job->layers : nothing;
}

static struct weakening
weak_blocks(const struct generate_model *g)
{
	struct weakening w = g->branches > 1 ? g->job->blocks : nothing;

	w.clip = g->branches - 1;
	return w;
}

enum status
generate_model_open(struct generate_model *g, const struct generate_job *j, struct dit *m)
{
	struct weakening layers, blocks;

	*g = (struct generate_model){ .m = m, .job = j, .dev = m->dev };
	g->branches = !generate_guides(j) ? 1 : guidance_double(&j->loop.guidance) ? 3 : 2;
	g->scale = malloc((size_t)(m->params.n_modules + 1) * sizeof *g->scale);
	if (!g->scale)
		return ace_fail(ACE_ENOMEM, "no memory for the scales of adapters");
	layers = weak_layers(g);
	blocks = weak_blocks(g);
	if (layers.to > m->lyric->n)
		return ace_fail(ACE_ECONFIG, "erg_lyric weakens the layers %d to %d of the lyric encoder, and it has %d\nerg_lyric=false turns "
		                "it off, erg_lyric_layers=FIRST-LAST names others", layers.from, layers.to - 1, m->lyric->n);
	if (blocks.to > m->cfg.layers)
		return ace_fail(ACE_ECONFIG, "erg_diffusion weakens the blocks %d to %d, and the model has %lld\nerg_diffusion=false turns "
		                "it off, erg_diffusion_blocks=FIRST-LAST names others", blocks.from, blocks.to - 1, (long long)m->cfg.layers);
	return ACE_OK;
}

void
generate_model_close(struct generate_model *g)
{
	if (g->memory)
		g->dev->m->free(g->dev, g->memory);
	free(g->scale);
	*g = (struct generate_model){ 0 };
}

/* --- room --- */

/* apart: rows of the last sample's own text, 0 where it is as long as the others. */
static void
lay(struct generate_model *g, struct arena *a, int64_t frames, int64_t S, int64_t Y, int64_t apart)
{
	const struct dit_config *cfg = &g->m->cfg;
	int64_t B = g->branches;

	g->in = (struct dit_input){
		.latents = arena_tensor(a, F32, 4, B, DIT_CHANNELS, DIT_ROWS, frames),
		.frame_mask = arena_tensor(a, F32, 2, B, frames),
		.text = arena_tensor(a, F32, 3, B, S, cfg->text_dim),
		.text_mask = arena_tensor(a, F32, 2, B, S),
		.speaker = arena_tensor(a, F32, 2, B, cfg->speaker_dim),
		.lyric_ids = arena_tensor(a, I32, 2, B, Y),
		.lyric_mask = arena_tensor(a, F32, 2, B, Y),
		.timestep = arena_tensor(a, F32, 1, B),
	};
	g->apart = g->apart_mask = (struct tensor){ 0 };
	if (apart > 0) {
		g->apart = arena_tensor(a, F32, 3, 1, apart, cfg->text_dim);
		g->apart_mask = arena_tensor(a, F32, 2, 1, apart);
	}
	g->v = arena_like(a, g->in.latents);
	g->states = arena_tensor(a, dit_half(g->m), 3, B, Y, cfg->lyric_dim);
}

static struct ctx
ctx_of(struct dev *d, struct arena *a, const struct dit *m)
{
	return (struct ctx){ .dev = d, .act = a, .half = dit_half(m) };
}

/* While a clip is heard, adapters are as strong as it wants them; then their scales are their own again, to the bit. */
static void
adapt(struct generate_model *g, bool on)
{
	struct params *ps = &g->m->params;

	for (int i = 0; on && i < ps->n_modules; i++)
		g->scale[i] = ps->module[i].l->scale;
	for (int i = 0; !on && i < ps->n_modules; i++)
		ps->module[i].l->scale = g->scale[i];
	if (on)
		adapter_strength(ps, g->strength);
}

/* Lyric states of sample b, from its ids and mask. */
static void
make_states(struct generate_model *g, struct ctx *c, int b)
{
	size_t mark = arena_mark(c->act);

	dit_lyric_states(c, g->m, tensor_slice(g->states, b, 1), tensor_slice(g->in.lyric_ids, b, 1),
	                 tensor_slice(g->in.lyric_mask, b, 1));
	arena_release(c->act, mark);
}

/* A pass over n samples. */
static void
pass(struct generate_model *g, struct ctx *c, int from, int n)
{
	struct tensor states = tensor_slice(g->states, from, n);
	bool alone = g->apart.rank && from > 0;
	struct dit_input in = {
		.latents = tensor_slice(g->in.latents, from, n), .frame_mask = tensor_slice(g->in.frame_mask, from, n),
		.text = alone ? g->apart : tensor_slice(g->in.text, from, n),
		.text_mask = alone ? g->apart_mask : tensor_slice(g->in.text_mask, from, n),
		.speaker = tensor_slice(g->in.speaker, from, n), .lyric_ids = tensor_slice(g->in.lyric_ids, from, n),
		.lyric_mask = tensor_slice(g->in.lyric_mask, from, n), .timestep = tensor_slice(g->in.timestep, from, n),
	};
	size_t mark = arena_mark(c->act);

	g->m->weak = weak_blocks(g);
	g->m->weak.clip -= from;
	g->m->lyric_states = &states;
	dit_forward(c, g->m, tensor_slice(g->v, from, n), &in);
	g->m->lyric_states = NULL;
	arena_release(c->act, mark);
}

/* Whether the last one of n branches goes by itself. */
static bool
parts(const struct generate_model *g, int n)
{
	return g->apart.rank && n == g->branches && n > 1;
}

/* What n branches take. */
static void
passes(struct generate_model *g, struct ctx *c, int n)
{
	bool alone = parts(g, n);

	pass(g, c, 0, alone ? n - 1 : n);
	if (alone)
		pass(g, c, n - 1, 1);
}

/* The arena, with inputs in front, large enough for a pass: measured by the same calls on the dry device, for which no rank puts anything
 * together. */
static enum status
make_room(struct generate_model *g, int64_t frames, int64_t S, int64_t Y, int64_t apart)
{
	const struct stack_hooks hooks = g->m->stack.hooks, front = g->m->front;
	struct arena measured = { 0 };
	struct dev dry;
	struct ctx c;

	ACE_TRY(dev_open(&dry, DEV_DRY, 1));
	dry.as = dev_like(g->dev);
	kernels_attach(&dry);
	c = ctx_of(&dry, &measured, g->m);
	lay(g, &measured, frames, S, Y, apart);
	g->m->stack.hooks = g->m->front = (struct stack_hooks){ 0 };
	make_states(g, &c, 0);
	passes(g, &c, g->branches);
	g->m->stack.hooks = hooks;
	g->m->front = front;
	dev_close(&dry);
	if (measured.peak <= g->lent.size) {
		g->act = g->lent;
	} else if (!g->memory || measured.peak > g->act.size) {
		if (g->memory)
			g->dev->m->free(g->dev, g->memory);
		g->memory = NULL;
		g->act = (struct arena){ 0 };
		ACE_TRY(dev_alloc(g->dev, measured.peak, "a pass of the transformer", &g->memory));
		g->act = (struct arena){ .base = g->memory, .size = measured.peak };
	}
	g->act.used = 0;
	lay(g, &g->act, frames, S, Y, apart);
	return ACE_OK;
}

/* --- conditions --- */

static void
put(struct generate_model *g, struct tensor to, const void *from)
{
	g->dev->m->upload(g->dev, to.data, from, tensor_bytes(to));
}

/* What sample b hears as text: NULL, nothing. */
static const struct generate_text *
heard(const struct generate_model *g, const struct generate_conditions *c, const struct generate_text *negative, int b)
{
	if (b == 0 || b < g->branches - 1)
		return &c->prompt;
	if (negative->x)
		return negative;
	return c->weak.x ? &c->weak : NULL;
}

/* t into text [1, S, width] and its mask, by way of host; nothing: zeros, under the mask that the prompt has. */
static void
put_text(struct generate_model *g, float *host, struct tensor text, struct tensor mask, const struct generate_text *t)
{
	if (t)
		put(g, text, t->x);
	else {
		memset(host, 0, tensor_bytes(text));
		put(g, text, host);
	}
	for (int64_t i = 0; i < tensor_count(mask); i++)
		host[i] = 1.f;
	put(g, mask, host);
}

/* Row b of all inputs but the latents, by way of host, which has room for the largest of them. */
static void
put_row(struct generate_model *g, float *host, const struct generate_conditions *c, const struct generate_text *negative, int b)
{
	struct tensor ids = tensor_slice(g->in.lyric_ids, b, 1), frames = tensor_slice(g->in.frame_mask, b, 1);
	const struct generate_text *t = heard(g, c, negative, b);

	if (t == negative && g->apart.rank) {
		put_text(g, host, g->apart, g->apart_mask, t);
		t = NULL;
	}
	put_text(g, host, tensor_slice(g->in.text, b, 1), tensor_slice(g->in.text_mask, b, 1), t);
	for (int i = 0; i < c->ids; i++)
		host[i] = (float)c->mask;
	put(g, tensor_slice(g->in.lyric_mask, b, 1), host);
	memset(host, 0, tensor_bytes(ids));
	put(g, ids, b == 0 || g->job->erg_lyric ? (const void *)c->id : host);
	for (int64_t i = 0; i < tensor_count(frames); i++)
		host[i] = 1.f;
	put(g, frames, host);
	memset(host, 0, (size_t)g->in.speaker.dim[1] * sizeof *host);
	put(g, tensor_slice(g->in.speaker, b, 1), host);
}

static enum status
put_conditions(struct generate_model *g, const struct generate_conditions *c, const struct generate_text *negative)
{
	const struct tensor rows[] = { g->in.text, g->apart_mask, g->in.lyric_ids, g->in.frame_mask, g->in.speaker };
	struct weakening layers = weak_layers(g);
	struct ctx ctx = ctx_of(g->dev, &g->act, g->m);
	size_t most = 0;
	float *host;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		most = tensor_bytes(rows[i]) > most ? tensor_bytes(rows[i]) : most;
	if (!(host = malloc(most)))
		return ace_fail(ACE_ENOMEM, "no memory for a clip's conditions");
	for (int b = 0; b < g->branches; b++)
		put_row(g, host, c, negative, b);
	free(host);
	adapt(g, true);
	for (int b = 0; b < g->branches; b++) {
		g->m->lyric->weak = b == 0 ? nothing : layers;
		if (g->joins)
			ACE_TRY(g->joins(g->me, 0));
		make_states(g, &ctx, b);
	}
	adapt(g, false);
	g->m->lyric->weak = nothing;
	g->dev->m->sync(g->dev);
	return g->dev->status;
}

static enum status
check_conditions(const struct generate_model *g, const struct generate_conditions *c)
{
	for (int i = 0; i < c->ids; i++)
		if (c->id[i] < 0 || c->id[i] >= g->m->cfg.lyric_vocab)
			return ace_fail(ACE_ECONFIG, "the lyric vocabulary gives the id %d, the transformer has %lld", (int)c->id[i],
			                (long long)g->m->cfg.lyric_vocab);
	return ACE_OK;
}

/* --- a run --- */

static enum status
velocity(void *me, float *const out[GENERATION_BRANCHES], int n, const float *x, float timestep, int call, int calls)
{
	struct generate_model *g = me;
	const float times[GENERATION_BRANCHES] = { timestep, timestep, timestep };
	const int branch[GENERATION_BRANCHES] = { GENERATION_CONDITIONS, n == 3 ? GENERATION_TEXT : GENERATION_NONE, GENERATION_NONE };
	struct ctx c = ctx_of(g->dev, &g->act, g->m);

	if (stop_asked())
		return ACE_ESTOPPED;
	if (g->joins)
		ACE_TRY(g->joins(g->me, parts(g, n) ? 2 : 1));
	if (g->shows)
		g->shows(g->me, call, calls);
	for (int b = 0; b < n; b++)
		put(g, tensor_slice(g->in.latents, b, 1), x);
	put(g, tensor_slice(g->in.timestep, 0, n), times);
	adapt(g, true);
	passes(g, &c, n);
	adapt(g, false);
	g->dev->m->sync(g->dev);
	for (int b = 0; b < n; b++) {
		struct tensor v = tensor_slice(g->v, b, 1);
		g->dev->m->download(g->dev, out[branch[b]], v.data, tensor_bytes(v));
	}
	return g->dev->status;
}

static enum status
ready(struct generate_model *g, int64_t frames, const struct generate_conditions *c, const struct generate_text *negative)
{
	int64_t apart = negative->n > 0 && negative->n != c->prompt.n && g->branches > 1 ? negative->n : 0;

	g->strength = c->strength;
	ACE_TRY(check_conditions(g, c));
	ACE_TRY(make_room(g, frames, c->prompt.n, c->ids, apart));
	return put_conditions(g, c, negative);
}

enum status
generate_edited(struct generate_model *g, struct generate_model *was, float *x, int64_t frames, const struct generate_conditions *c,
                const struct generate_conditions *source, const struct generate_text *negative, struct rng fresh)
{
	const struct generation_network from = { was, velocity }, to = { g, velocity };
	enum status st;

	ACE_TRY(ready(was, frames, source, negative));
	ACE_TRY(ready(g, frames, c, negative));
	st = generation_edit(&g->job->loop, &g->job->edit, x, g->reference, DIT_CHANNELS, DIT_ROWS, frames, fresh, &from, &to);
	g->m->weak = nothing;
	return st;
}

enum status
generate_sample(struct generate_model *g, float *x, int64_t frames, const struct generate_conditions *c,
                const struct generate_text *negative, const struct generation_noise *fresh)
{
	const struct generation_network network = { g, velocity };
	enum status st;

	ACE_TRY(ready(g, frames, c, negative));
	st = generation_run(g->loop ? g->loop : &g->job->loop, x, g->reference, DIT_CHANNELS, DIT_ROWS, frames, fresh, &network);
	g->m->weak = nothing;
	return st;
}
