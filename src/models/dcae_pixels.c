/* SPDX-License-Identifier: Apache-2.0 */
/* The autoencoder's encoder in bf16, channels last: what lies between two convolutions is one kernel or goes with them. */
#include "models/dcae_parts.h"

#include "ops/pixels.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT = 8 };		/* channels that the sound's two are widened to */

struct pixel_block {
	enum dcae_block_kind kind;
	char name[40];
	int64_t in, out;
	struct tensor conv1_w, conv1_b, conv2_w;	/* RES; DOWN: conv1 */
	struct tensor norm_w, norm_b;			/* RES; VIT: of the gated convolution */
	int scales;					/* VIT from here on */
	struct tensor qkv, near[DCAE_SCALES], mix[DCAE_SCALES], to_out, attn_norm_w, attn_norm_b;
	struct tensor invert_w, invert_b, depth_w, depth_b, point_w;
};

struct dcae_pixels {
	struct pixel_block *block;
	int n;
	struct tensor in_w, in_b, out_w, out_b;
};

static const struct tensor none;

/* --- loading --- */

struct take {
	struct dcae *m;
	const char *block;
	enum status st;			/* first failure */
};

#define DIMS(...) (const int64_t[TENSOR_RANK]){ __VA_ARGS__ }

/* BLOCK.NAME as it lies in the file, of this shape, in BF16; valid until the weights are closed. */
static struct tensor
as_it_is(struct take *t, const char *name, int rank, const int64_t dim[])
{
	struct tensor x = none;
	char full[160];

	snprintf(full, sizeof full, "%s%s%s", t->block, *t->block ? "." : "", name);
	if (t->st == ACE_OK)
		t->st = weights_get(&t->m->weights, full, BF16, rank, dim, &x);
	return x;
}

/* x, made by malloc, to the device; x itself is freed. */
static struct tensor
keep(struct take *t, const char *name, struct tensor x)
{
	void *made = x.data;

	if (t->st == ACE_OK)
		t->st = placed_copy(&t->m->placed, t->m->dev, name, &x);
	free(made);
	return t->st == ACE_OK ? x : none;
}

static struct tensor
make(struct take *t, int rank, const int64_t dim[])
{
	struct tensor y = tensor_make(NULL, BF16, rank, dim);

	if (t->st == ACE_OK && !(y.data = calloc(tensor_bytes(y) + 1, 1)))
		t->st = ace_fail(ACE_ENOMEM, "no memory for the autoencoder's weights");
	return y;
}

static struct tensor
vector(struct take *t, const char *name, int64_t n)
{
	struct tensor x = as_it_is(t, name, 1, DIMS(n)), y = make(t, 1, DIMS(n));

	if (t->st == ACE_OK)
		memcpy(y.data, x.data, tensor_bytes(x));
	return keep(t, name, y);
}

/* w [O, I, k, k] -> [O, k, k, wide], channels from I on zeros. */
static struct tensor
convolution(struct take *t, const char *name, int64_t O, int64_t I, int64_t k, int64_t wide)
{
	struct tensor x = as_it_is(t, name, 4, DIMS(O, I, k, k)), y = make(t, 4, DIMS(O, k, k, wide));
	const uint16_t *from = x.data;
	uint16_t *to = y.data;

	for (int64_t o = 0; o < O && t->st == ACE_OK; o++)
		for (int64_t i = 0; i < I; i++)
			for (int64_t s = 0; s < k * k; s++)
				to[(o * k * k + s) * wide + i] = from[(o * I + i) * k * k + s];
	return keep(t, name, y);
}

/* Matrices [O, I] one below the other as the weight of a 1 x 1 convolution; in the file they have rank dimensions. */
static struct tensor
matrices(struct take *t, const char *const name[], int n, int rank, int64_t O, int64_t I)
{
	struct tensor y = make(t, 4, DIMS(n * O, 1, 1, I));

	for (int i = 0; i < n; i++) {
		struct tensor x = as_it_is(t, name[i], rank, DIMS(O, I, 1, 1));
		if (t->st == ACE_OK)
			memcpy((uint16_t *)y.data + i * O * I, x.data, tensor_bytes(x));
	}
	return keep(t, name[0], y);
}

static struct tensor
matrix(struct take *t, const char *name, int rank, int64_t O, int64_t I)
{
	return matrices(t, &name, 1, rank, O, I);
}

/* w [C, 1, k, k] -> [k, k, C] */
static struct tensor
depthwise(struct take *t, const char *name, int64_t C, int64_t k)
{
	struct tensor x = as_it_is(t, name, 4, DIMS(C, 1, k, k)), y = make(t, 3, DIMS(k, k, C));

	for (int64_t c = 0; c < C && t->st == ACE_OK; c++)
		for (int64_t s = 0; s < k * k; s++)
			((uint16_t *)y.data)[s * C + c] = ((const uint16_t *)x.data)[c * k * k + s];
	return keep(t, name, y);
}

static void
take_vit(struct take *t, struct pixel_block *b, const struct dcae_stage *s)
{
	static const char *const qkv[3] = { "attn.to_q.weight", "attn.to_k.weight", "attn.to_v.weight" };
	int64_t c = b->in, d = t->m->config.head, inner = c / d * d, hidden = 4 * c;
	char name[80];

	b->scales = s->scales;
	b->qkv = matrices(t, qkv, 3, 2, inner, c);
	for (int i = 0; i < s->scales && t->st == ACE_OK; i++) {
		if (s->scale[i] != 3 && s->scale[i] != 5)
			t->st = ace_fail(ACE_ECONFIG, "qkv_multiscales of %d: in bf16 3 and 5 are built", s->scale[i]);
		snprintf(name, sizeof name, "attn.to_qkv_multiscale.%d.proj_in.weight", i);
		b->near[i] = depthwise(t, name, 3 * inner, s->scale[i]);
		snprintf(name, sizeof name, "attn.to_qkv_multiscale.%d.proj_out.weight", i);
		b->mix[i] = matrix(t, name, 4, 3 * inner, d);
		b->mix[i] = t->st == ACE_OK ? tensor_view(b->mix[i], 2, 3 * inner, d) : none;
	}
	b->to_out = matrix(t, "attn.to_out.weight", 2, c, inner * (1 + s->scales));
	b->attn_norm_w = vector(t, "attn.norm_out.weight", c);
	b->attn_norm_b = vector(t, "attn.norm_out.bias", c);
	b->invert_w = matrix(t, "conv_out.conv_inverted.weight", 4, 2 * hidden, c);
	b->invert_b = vector(t, "conv_out.conv_inverted.bias", 2 * hidden);
	b->depth_w = depthwise(t, "conv_out.conv_depth.weight", 2 * hidden, 3);
	b->depth_b = vector(t, "conv_out.conv_depth.bias", 2 * hidden);
	b->point_w = matrix(t, "conv_out.conv_point.weight", 4, c, hidden);
	b->norm_w = vector(t, "conv_out.norm.weight", c);
	b->norm_b = vector(t, "conv_out.norm.bias", c);
}

static void
take_block(struct take *t, struct pixel_block *b, const struct dcae_stage *s)
{
	int64_t c = b->in;

	switch (b->kind) {
	case BLOCK_RES:
		b->conv1_w = convolution(t, "conv1.weight", c, c, 3, c);
		b->conv1_b = vector(t, "conv1.bias", c);
		b->conv2_w = convolution(t, "conv2.weight", c, c, 3, c);
		b->norm_w = vector(t, "norm.weight", c);
		b->norm_b = vector(t, "norm.bias", c);
		break;
	case BLOCK_VIT:
		take_vit(t, b, s);
		break;
	case BLOCK_DOWN:
		b->conv1_w = convolution(t, "conv.weight", b->out, c, 3, c);
		b->conv1_b = vector(t, "conv.bias", b->out);
		break;
	}
}

/* Sizes that the kernels' eight channels at a time ask for. */
static enum status
check_sizes(const struct dcae_config *k)
{
	int d = k->head;

	for (int i = 0; i < k->encoder.stages; i++)
		if (k->encoder.stage[i].width % 8)
			return ace_fail(ACE_ECONFIG, "%d channels: in bf16 multiples of 8 are built", k->encoder.stage[i].width);
	if (d != 8 && d != 16 && d != 32 && d != 64)
		return ace_fail(ACE_ECONFIG, "heads of %d channels: in bf16 8, 16, 32 and 64 are built", d);
	if (k->latent % 2 || k->channels > INPUT)
		return ace_fail(ACE_ECONFIG, "%d latent and %d input channels are not built in bf16", k->latent, k->channels);
	return ACE_OK;
}

enum status
dcae_pixels_load(struct dcae *m)
{
	const struct dcae_half *h = &m->config.encoder;
	struct take t = { .m = m, .block = "encoder" };
	struct pixel_block *b;
	int64_t first = h->stage[0].width, last = h->stage[h->stages - 1].width;

	ACE_TRY(check_sizes(&m->config));
	m->pixels = calloc(1, sizeof *m->pixels);
	if (!m->pixels)
		return ace_fail(ACE_ENOMEM, "no memory for the autoencoder's blocks");
	for (int i = 0; i < h->stages; i++)
		m->pixels->n += h->stage[i].layers + (i + 1 < h->stages);
	b = m->pixels->block = calloc((size_t)m->pixels->n, sizeof *b);
	if (!b)
		return ace_fail(ACE_ENOMEM, "no memory for the autoencoder's blocks");
	m->pixels->in_w = convolution(&t, "conv_in.weight", first, m->config.channels, 3, INPUT);
	m->pixels->in_b = vector(&t, "conv_in.bias", first);
	m->pixels->out_w = convolution(&t, "conv_out.weight", m->config.latent, last, 3, last);
	m->pixels->out_b = vector(&t, "conv_out.bias", m->config.latent);
	for (int i = 0; i < h->stages; i++)
		for (int j = 0; j < h->stage[i].layers + (i + 1 < h->stages); j++, b++) {
			bool down = j == h->stage[i].layers;
			b->kind = down ? BLOCK_DOWN : h->stage[i].kind == DCAE_RES ? BLOCK_RES : BLOCK_VIT;
			b->in = h->stage[i].width;
			b->out = down ? h->stage[i + 1].width : b->in;
			snprintf(b->name, sizeof b->name, "encoder.down_blocks.%d.%d", i, j);
			t.block = b->name;
			take_block(&t, b, &h->stage[i]);
		}
	return t.st;
}

void
dcae_pixels_free(struct dcae *m)
{
	if (m->pixels)
		free(m->pixels->block);
	free(m->pixels);
	m->pixels = NULL;
}

/* --- computing --- */

static void
told(const struct dcae *m, const char *name, struct tensor x)
{
	if (m->tap)
		m->tap(m->me, name, x);
}

static struct tensor
pixels_of(struct ctx *c, int64_t height, int64_t width, int64_t channels)
{
	return arena_tensor(c->act, BF16, 3, height, width, channels);
}

/* x += norm(conv2(silu(conv1(x)))) */
static void
res_forward(struct ctx *c, const struct pixel_block *b, struct tensor x)
{
	size_t mark = arena_mark(c->act);
	struct tensor h = arena_like(c->act, x), y = arena_like(c->act, x);

	pix_conv(c->dev, h, x, b->conv1_w, b->conv1_b, 1, true);
	pix_conv(c->dev, y, h, b->conv2_w, none, 1, false);
	pix_norm_add(c->dev, x, y, b->norm_w, b->norm_b, DCAE_EPS);
	arena_release(c->act, mark);
}

/* x += norm(to_out(attention over all positions)) */
static void
attention_forward(struct ctx *c, const struct dcae *m, const struct pixel_block *b, struct tensor x)
{
	size_t mark = arena_mark(c->act);
	int64_t d = m->config.head, inner = b->in / d * d, height = x.dim[0], width = x.dim[1];
	struct tensor y = pixels_of(c, height, width, inner * (1 + b->scales)), o = arena_like(c->act, x);
	struct tensor all = pixels_of(c, height, width, 3 * inner * (1 + b->scales)), a = tensor_columns(all, 0, 3 * inner);

	pix_conv(c->dev, a, x, b->qkv, none, 1, false);
	for (int i = 0; i < b->scales; i++)
		pix_mix(c->dev, tensor_columns(all, 3 * inner * (1 + i), 3 * inner), a, b->near[i], b->mix[i]);
	pix_attend(c->dev, y, all, d);
	pix_conv(c->dev, o, y, b->to_out, none, 1, false);
	pix_norm_add(c->dev, x, o, b->attn_norm_w, b->attn_norm_b, DCAE_EPS);
	arena_release(c->act, mark);
}

/* x += norm(conv_point(a silu(gate))), a and gate the halves of conv_depth(silu(conv_inverted(x))) */
static void
gated_forward(struct ctx *c, const struct pixel_block *b, struct tensor x)
{
	size_t mark = arena_mark(c->act);
	int64_t hidden = 4 * b->in;
	struct tensor y = arena_like(c->act, x), wide = pixels_of(c, x.dim[0], x.dim[1], 2 * hidden);
	struct tensor gated = pixels_of(c, x.dim[0], x.dim[1], hidden);

	pix_conv(c->dev, wide, x, b->invert_w, b->invert_b, 1, false);
	pix_glu(c->dev, gated, wide, b->depth_w, b->depth_b);
	pix_conv(c->dev, y, gated, b->point_w, none, 1, false);
	pix_norm_add(c->dev, x, y, b->norm_w, b->norm_b, DCAE_EPS);
	arena_release(c->act, mark);
}

static struct tensor
block_forward(struct ctx *c, const struct dcae *m, const struct pixel_block *b, struct tensor x)
{
	struct tensor y = x;

	switch (b->kind) {
	case BLOCK_RES:
		res_forward(c, b, x);
		break;
	case BLOCK_VIT:
		attention_forward(c, m, b, x);
		gated_forward(c, b, x);
		break;
	case BLOCK_DOWN:
		assert(x.dim[0] % 2 == 0 && x.dim[1] % 2 == 0);
		y = pixels_of(c, x.dim[0] / 2, x.dim[1] / 2, b->out);
		pix_conv(c->dev, y, x, b->conv1_w, b->conv1_b, 2, false);
		pix_shrink(c->dev, y, x);
		break;
	}
	told(m, b->name, y);
	return y;
}

void
dcae_pixels_encode(struct ctx *c, struct dcae *m, struct tensor z, struct tensor mel)
{
	const struct dcae_pixels *p = m->pixels;
	size_t mark = arena_mark(c->act);
	int64_t height = mel.dim[1], width = mel.dim[2];
	struct tensor in = pixels_of(c, height, width, INPUT), x = pixels_of(c, height, width, m->config.encoder.stage[0].width), out;

	assert(mel.rank == 3 && mel.dtype == F32 && mel.dim[0] == m->config.channels);
	pix_from_map(c->dev, in, mel);
	pix_conv(c->dev, x, in, p->in_w, p->in_b, 1, false);
	told(m, "encoder.conv_in", x);
	for (int i = 0; i < p->n; i++)
		x = block_forward(c, m, &p->block[i], x);
	out = arena_tensor(c->act, F32, 3, x.dim[0], x.dim[1], m->config.latent);
	pix_conv(c->dev, out, x, p->out_w, p->out_b, 1, false);
	if (m->config.encoder.shortcut)
		pix_group_mean(c->dev, out, x);
	pix_to_map(c->dev, z, out);
	arena_release(c->act, mark);
}
