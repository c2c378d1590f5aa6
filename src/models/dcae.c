/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dcae_parts.h"

#include "ops/map.h"
#include "ops/wave.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct dcae_block {
	enum dcae_block_kind kind;
	char name[40];				/* "encoder.down_blocks.2.1" */
	int64_t in, out;			/* channels */
	struct tensor conv1_w, conv1_b, conv2_w;		/* RES; DOWN: conv1 */
	struct tensor norm_w, norm_b;				/* RES; VIT: of the gated convolution */
	int scales;						/* VIT from here on */
	struct tensor qkv[3], near[DCAE_SCALES], mix[DCAE_SCALES], to_out, attn_norm_w, attn_norm_b;
	struct tensor invert_w, invert_b, depth_w, depth_b, point_w;
};

static const struct tensor none;

/* --- loading --- */

struct take {
	struct dcae *m;
	const char *block;			/* prefix of names */
	enum status st;				/* first failure */
};

/* The F32 tensor BLOCK.NAME of this shape; view2: seen as a matrix [dim 0, dim 1]. */
static struct tensor
take(struct take *t, const char *name, bool view2, int rank, const int64_t dim[])
{
	struct tensor x = none;
	char full[160];

	if (t->st)
		return x;
	snprintf(full, sizeof full, "%s%s%s", t->block, *t->block ? "." : "", name);
	t->st = weights_get(&t->m->weights, full, F32, rank, dim, &x);
	if (t->st == ACE_OK)
		t->st = placed_take(&t->m->placed, t->m->dev, full, &x);
	return t->st == ACE_OK && view2 ? tensor_view(x, 2, dim[0], dim[1]) : x;
}

#define DIMS(...) (const int64_t[TENSOR_RANK]){ __VA_ARGS__ }

static void
take_res(struct take *t, struct dcae_block *b)
{
	int64_t c = b->in;

	b->conv1_w = take(t, "conv1.weight", false, 4, DIMS(c, c, 3, 3));
	b->conv1_b = take(t, "conv1.bias", false, 1, DIMS(c));
	b->conv2_w = take(t, "conv2.weight", false, 4, DIMS(c, c, 3, 3));
	b->norm_w = take(t, "norm.weight", false, 1, DIMS(c));
	b->norm_b = take(t, "norm.bias", false, 1, DIMS(c));
}

static void
take_vit(struct take *t, struct dcae_block *b, const struct dcae_stage *s)
{
	static const char *const qkv[3] = { "attn.to_q.weight", "attn.to_k.weight", "attn.to_v.weight" };
	int64_t c = b->in, d = t->m->config.head, inner = c / d * d, hidden = 4 * c;
	char name[80];

	b->scales = s->scales;
	for (int i = 0; i < 3; i++)
		b->qkv[i] = take(t, qkv[i], false, 2, DIMS(inner, c));
	for (int i = 0; i < s->scales; i++) {
		int64_t k = s->scale[i];
		snprintf(name, sizeof name, "attn.to_qkv_multiscale.%d.proj_in.weight", i);
		b->near[i] = take(t, name, false, 4, DIMS(3 * inner, 1, k, k));
		snprintf(name, sizeof name, "attn.to_qkv_multiscale.%d.proj_out.weight", i);
		b->mix[i] = take(t, name, true, 4, DIMS(3 * inner, d, 1, 1));
	}
	b->to_out = take(t, "attn.to_out.weight", false, 2, DIMS(c, inner * (1 + s->scales)));
	b->attn_norm_w = take(t, "attn.norm_out.weight", false, 1, DIMS(c));
	b->attn_norm_b = take(t, "attn.norm_out.bias", false, 1, DIMS(c));
	b->invert_w = take(t, "conv_out.conv_inverted.weight", true, 4, DIMS(2 * hidden, c, 1, 1));
	b->invert_b = take(t, "conv_out.conv_inverted.bias", false, 1, DIMS(2 * hidden));
	b->depth_w = take(t, "conv_out.conv_depth.weight", false, 4, DIMS(2 * hidden, 1, 3, 3));
	b->depth_b = take(t, "conv_out.conv_depth.bias", false, 1, DIMS(2 * hidden));
	b->point_w = take(t, "conv_out.conv_point.weight", true, 4, DIMS(c, hidden, 1, 1));
	b->norm_w = take(t, "conv_out.norm.weight", false, 1, DIMS(c));
	b->norm_b = take(t, "conv_out.norm.bias", false, 1, DIMS(c));
}

static void
take_down(struct take *t, struct dcae_block *b)
{
	b->conv1_w = take(t, "conv.weight", false, 4, DIMS(b->out, b->in, 3, 3));
	b->conv1_b = take(t, "conv.bias", false, 1, DIMS(b->out));
}

/* A block of stage i, whose name and channels are set; resize: the way from one stage to the next. */
static void
take_block(struct take *t, struct dcae_block *b, const struct dcae_half *h, int i, bool resize)
{
	b->kind = resize ? BLOCK_DOWN : h->stage[i].kind == DCAE_RES ? BLOCK_RES : BLOCK_VIT;
	t->block = b->name;
	switch (b->kind) {
	case BLOCK_RES: take_res(t, b); break;
	case BLOCK_VIT: take_vit(t, b, &h->stage[i]); break;
	case BLOCK_DOWN: take_down(t, b); break;
	}
}

/* Room for the blocks of a half, and its ends: from channels to the width of the first stage, from that of the last to channels. */
static enum status
take_ends(struct take *t, const struct dcae_half *h, int64_t in, int64_t first, int64_t last, int64_t out)
{
	struct dcae *m = t->m;

	for (int i = 0; i < h->stages; i++)
		m->n_blocks += h->stage[i].layers + (i + 1 < h->stages);
	m->block = calloc((size_t)m->n_blocks, sizeof *m->block);
	if (!m->block)
		return ace_fail(ACE_ENOMEM, "no memory for the autoencoder's blocks");
	m->in_w = take(t, "conv_in.weight", false, 4, DIMS(first, in, 3, 3));
	m->in_b = take(t, "conv_in.bias", false, 1, DIMS(first));
	m->out_w = take(t, "conv_out.weight", false, 4, DIMS(out, last, 3, 3));
	m->out_b = take(t, "conv_out.bias", false, 1, DIMS(out));
	return ACE_OK;
}

static enum status
load(struct dcae *m)
{
	const struct dcae_half *h = &m->config.encoder;
	struct take t = { .m = m, .block = "encoder" };
	struct dcae_block *b;

	ACE_TRY(take_ends(&t, h, m->config.channels, h->stage[0].width, h->stage[h->stages - 1].width, m->config.latent));
	b = m->block;
	for (int i = 0; i < h->stages; i++)
		for (int j = 0; j < h->stage[i].layers + (i + 1 < h->stages); j++, b++) {
			bool down = j == h->stage[i].layers;
			b->in = h->stage[i].width;
			b->out = down ? h->stage[i + 1].width : b->in;
			snprintf(b->name, sizeof b->name, "encoder.down_blocks.%d.%d", i, j);
			take_block(&t, b, h, i, down);
		}
	return t.st;
}

enum status
dcae_open(struct dcae *m, const char *folder, enum dtype dtype, struct dev *d)
{
	enum status st;

	assert(dtype == F32 || dtype == BF16);
	*m = (struct dcae){ .dev = d };
	ACE_TRY(dcae_config_read(&m->config, folder));
	ACE_TRY(weights_open(&m->weights, folder));
	if ((st = dtype == F32 ? load(m) : dcae_pixels_load(m)))
		dcae_close(m);
	return st;
}

void
dcae_close(struct dcae *m)
{
	if (m) {
		free(m->block);
		dcae_pixels_free(m);
		if (m->dev)
			placed_free(&m->placed, m->dev);
		weights_close(&m->weights);
		*m = (struct dcae){ 0 };
	}
}

/* --- computing --- */

static void ACE_PRINTF(3, 4)
tap(const struct dcae *m, struct tensor x, const char *fmt, ...)
{
	char name[160];
	va_list args;

	if (!m->tap)
		return;
	va_start(args, fmt);
	vsnprintf(name, sizeof name, fmt, args);
	va_end(args);
	m->tap(m->me, name, x);
}

static struct tensor
map_of(struct ctx *c, int64_t channels, int64_t height, int64_t width)
{
	return arena_tensor(c->act, F32, 3, channels, height, width);
}

/* x += norm(conv2(silu(conv1(x)))) */
static void
res_forward(struct ctx *c, const struct dcae *m, const struct dcae_block *b, struct tensor x)
{
	size_t mark = arena_mark(c->act);
	struct tensor h = arena_like(c->act, x), y = arena_like(c->act, x);

	map_conv(c->dev, h, x, b->conv1_w, b->conv1_b, 1);
	tap(m, h, "%s.conv1", b->name);
	map_silu(c->dev, h, h);
	tap(m, h, "%s.nonlinearity", b->name);
	map_conv(c->dev, y, h, b->conv2_w, none, 1);
	tap(m, y, "%s.conv2", b->name);
	map_rms(c->dev, y, y, b->norm_w, b->norm_b, DCAE_EPS);
	tap(m, y, "%s.norm", b->name);
	map_add(c->dev, x, y);
	arena_release(c->act, mark);
}

/* x += norm(to_out(attention over all positions)) */
static void
attention_forward(struct ctx *c, const struct dcae *m, const struct dcae_block *b, struct tensor x)
{
	static const char *const names[3] = { "to_q", "to_k", "to_v" };
	size_t mark = arena_mark(c->act);
	int64_t d = m->config.head, inner = b->in / d * d, height = x.dim[1], width = x.dim[2];
	struct tensor y = map_of(c, inner * (1 + b->scales), height, width), o = arena_like(c->act, x);
	struct tensor all = map_of(c, 3 * inner * (1 + b->scales), height, width), a = tensor_slice(all, 0, 3 * inner);

	for (int i = 0; i < 3; i++) {
		struct tensor part = tensor_slice(a, i * inner, inner);
		map_linear(c->dev, part, x, b->qkv[i], none);
		tap(m, part, "%s.attn.%s", b->name, names[i]);
	}
	for (int i = 0; i < b->scales; i++) {
		size_t here = arena_mark(c->act);
		struct tensor near = arena_like(c->act, a), mixed = tensor_slice(all, 3 * inner * (1 + i), 3 * inner);
		map_depthwise(c->dev, near, a, b->near[i], none);
		tap(m, near, "%s.attn.to_qkv_multiscale.%d.proj_in", b->name, i);
		map_blocks(c->dev, mixed, near, b->mix[i]);
		tap(m, mixed, "%s.attn.to_qkv_multiscale.%d.proj_out", b->name, i);
		arena_release(c->act, here);
	}
	map_attend(c->dev, y, all, d);
	map_linear(c->dev, o, y, b->to_out, none);
	tap(m, o, "%s.attn.to_out", b->name);
	map_rms(c->dev, o, o, b->attn_norm_w, b->attn_norm_b, DCAE_EPS);
	tap(m, o, "%s.attn.norm_out", b->name);
	map_add(c->dev, x, o);
	tap(m, x, "%s.attn", b->name);
	arena_release(c->act, mark);
}

/* x += norm(conv_point(a silu(gate))), a and gate the halves of conv_depth(silu(conv_inverted(x))) */
static void
gated_forward(struct ctx *c, const struct dcae *m, const struct dcae_block *b, struct tensor x)
{
	size_t mark = arena_mark(c->act);
	int64_t hidden = 4 * b->in, height = x.dim[1], width = x.dim[2];
	struct tensor y = arena_like(c->act, x), wide = map_of(c, 2 * hidden, height, width);
	struct tensor deep = map_of(c, 2 * hidden, height, width), gated = tensor_slice(wide, 0, hidden);

	map_linear(c->dev, wide, x, b->invert_w, b->invert_b);
	tap(m, wide, "%s.conv_out.conv_inverted", b->name);
	map_silu(c->dev, wide, wide);
	map_depthwise(c->dev, deep, wide, b->depth_w, b->depth_b);
	tap(m, deep, "%s.conv_out.conv_depth", b->name);
	map_gate(c->dev, gated, deep);
	map_linear(c->dev, y, gated, b->point_w, none);
	tap(m, y, "%s.conv_out.conv_point", b->name);
	map_rms(c->dev, y, y, b->norm_w, b->norm_b, DCAE_EPS);
	tap(m, y, "%s.conv_out.norm", b->name);
	map_add(c->dev, x, y);
	tap(m, x, "%s.conv_out", b->name);
	arena_release(c->act, mark);
}

void
dcae_encode(struct ctx *c, struct dcae *m, struct tensor z, struct tensor mel)
{
	int64_t first = m->config.encoder.stage[0].width;
	size_t mark = arena_mark(c->act);
	struct tensor x;

	if (m->pixels) {
		dcae_pixels_encode(c, m, z, mel);
		return;
	}
	x = map_of(c, first, mel.dim[1], mel.dim[2]);
	assert(mel.rank == 3 && mel.dtype == F32 && mel.dim[0] == m->config.channels);
	map_conv(c->dev, x, mel, m->in_w, m->in_b, 1);
	tap(m, x, "encoder.conv_in");
	for (int i = 0; i < m->n_blocks; i++) {
		const struct dcae_block *b = &m->block[i];
		switch (b->kind) {
		case BLOCK_RES:
			res_forward(c, m, b, x);
			break;
		case BLOCK_VIT:
			attention_forward(c, m, b, x);
			gated_forward(c, m, b, x);
			break;
		case BLOCK_DOWN: {
			struct tensor y = map_of(c, b->out, x.dim[1] / 2, x.dim[2] / 2);
			assert(x.dim[1] % 2 == 0 && x.dim[2] % 2 == 0);
			map_conv(c->dev, y, x, b->conv1_w, b->conv1_b, 2);
			tap(m, y, "%s.conv", b->name);
			map_shrink(c->dev, y, x);
			x = y;
			break;
		}
		}
		tap(m, x, "%s", b->name);
	}
	map_conv(c->dev, z, x, m->out_w, m->out_b, 1);
	tap(m, z, "encoder.conv_out");
	if (m->config.encoder.shortcut)
		map_group_mean(c->dev, z, x);
	arena_release(c->act, mark);
}

/* --- the decoder: a BLOCK_DOWN is the way up here --- */

static void
take_stage(struct take *t, struct dcae_block **next, int i)
{
	const struct dcae_half *h = &t->m->config.decoder;
	bool up = i + 1 < h->stages;

	for (int j = 0; j < h->stage[i].layers + up; j++) {
		struct dcae_block *b = (*next)++;
		bool resize = up && j == 0;
		b->in = resize ? h->stage[i + 1].width : h->stage[i].width;
		b->out = h->stage[i].width;
		snprintf(b->name, sizeof b->name, "decoder.up_blocks.%d.%d", i, j);
		take_block(t, b, h, i, resize);
	}
}

static enum status
load_decoder(struct dcae *m)
{
	const struct dcae_half *h = &m->config.decoder;
	struct take t = { .m = m, .block = "decoder" };
	struct dcae_block *b;
	int64_t first = h->stage[0].width, last = h->stage[h->stages - 1].width;

	ACE_TRY(take_ends(&t, h, m->config.latent, last, first, m->config.channels));
	m->norm_w = take(&t, "norm_out.weight", false, 1, DIMS(first));
	m->norm_b = take(&t, "norm_out.bias", false, 1, DIMS(first));
	b = m->block;
	for (int i = h->stages - 1; i >= 0; i--)
		take_stage(&t, &b, i);
	return t.st;
}

enum status
dcae_decoder_open(struct dcae *m, const char *folder, struct dev *d)
{
	enum status st;

	*m = (struct dcae){ .dev = d };
	ACE_TRY(dcae_config_read(&m->config, folder));
	ACE_TRY(weights_open(&m->weights, folder));
	if ((st = load_decoder(m)))
		dcae_close(m);
	return st;
}

/* y = conv(x, each position four times) + x unfolded from channels */
static void
up_forward(struct ctx *c, const struct dcae *m, const struct dcae_block *b, struct tensor y, struct tensor x)
{
	size_t mark = arena_mark(c->act);
	struct tensor twice = map_of(c, b->in, y.dim[1], y.dim[2]);

	map_double(c->dev, twice, x);
	map_conv(c->dev, y, twice, b->conv1_w, b->conv1_b, 1);
	tap(m, y, "%s.conv", b->name);
	map_grow(c->dev, y, x);
	arena_release(c->act, mark);
}

/* The most numbers that a map between blocks has, for latents of N positions. */
static int64_t
largest_map(const struct dcae *m, int64_t positions)
{
	const struct dcae_half *h = &m->config.decoder;
	int64_t most = 0;

	for (int i = 0; i < h->stages; i++) {
		int64_t grown = positions << 2 * (h->stages - 1 - i);
		most = h->stage[i].width * grown > most ? h->stage[i].width * grown : most;
	}
	return most;
}

void
dcae_decode(struct ctx *c, struct dcae *m, struct tensor mel, struct tensor z)
{
	const struct dcae_half *h = &m->config.decoder;
	size_t mark = arena_mark(c->act);
	int64_t rows = z.dim[1], width = z.dim[2], most = largest_map(m, rows * width);
	void *place[2] = { arena_tensor(c->act, F32, 1, most).data, arena_tensor(c->act, F32, 1, most).data };
	struct tensor x = tensor_of(place[0], F32, 3, h->stage[h->stages - 1].width, rows, width), y;
	int now = 0;

	assert(z.rank == 3 && z.dtype == F32 && z.dim[0] == m->config.latent && mel.rank == 3 && mel.dim[0] == m->config.channels);
	assert(mel.dim[1] == rows << (h->stages - 1) && mel.dim[2] == width << (h->stages - 1));
	map_conv(c->dev, x, z, m->in_w, m->in_b, 1);
	tap(m, x, "decoder.conv_in");
	if (h->shortcut)
		map_repeat(c->dev, x, z);
	for (int i = 0; i < m->n_blocks; i++) {
		const struct dcae_block *b = &m->block[i];
		switch (b->kind) {
		case BLOCK_RES:
			res_forward(c, m, b, x);
			break;
		case BLOCK_VIT:
			attention_forward(c, m, b, x);
			gated_forward(c, m, b, x);
			break;
		case BLOCK_DOWN:
			now = !now;
			y = tensor_of(place[now], F32, 3, b->out, 2 * x.dim[1], 2 * x.dim[2]);
			up_forward(c, m, b, y, x);
			x = y;
			break;
		}
		tap(m, x, "%s", b->name);
	}
	map_rms(c->dev, x, x, m->norm_w, m->norm_b, 1e-5f);
	tap(m, x, "decoder.norm_out");
	if (m->config.decoder_silu)
		map_silu(c->dev, x, x);
	else
		map_relu(c->dev, x, x);
	tap(m, x, "decoder.conv_act");
	map_conv(c->dev, mel, x, m->out_w, m->out_b, 1);
	arena_release(c->act, mark);
}
