/* SPDX-License-Identifier: Apache-2.0 */
#include "models/vocoder.h"

#include "ops/rows.h"
#include "ops/wave.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define NORM_EPS 1e-6f

static const struct tensor none;

/* --- loading --- */

struct take {
	struct vocoder *m;
	enum status st;				/* first failure */
	char name[160];
};

#define DIMS(...) (const int64_t[TENSOR_RANK]){ __VA_ARGS__ }
#define NAME(t, ...) (snprintf((t)->name, sizeof (t)->name, __VA_ARGS__), (t)->name)

static struct tensor
stored(struct take *t, const char *name, int rank, const int64_t dim[])
{
	struct tensor x = none;

	if (t->st == ACE_OK)
		t->st = weights_get(&t->m->weights, name, F32, rank, dim, &x);
	return x;
}

static struct tensor
placed(struct take *t, const char *name, struct tensor x)
{
	if (t->st == ACE_OK)
		t->st = placed_take(&t->m->placed, t->m->dev, name, &x);
	return x;
}

static struct tensor
plain(struct take *t, const char *base, const char *part, int rank, const int64_t dim[])
{
	char name[200];

	snprintf(name, sizeof name, "%s.%s", base, part);
	return placed(t, name, stored(t, name, rank, dim));
}

/* v (g / ||v||), the norm over all but the first axis (T. Salimans and D. Kingma, 2016). */
static struct tensor
folded(struct take *t, struct tensor g, struct tensor v)
{
	int64_t n = tensor_count(v), each = n / (v.dim[0] > 0 ? v.dim[0] : 1);
	const float *vp = v.data, *gp = g.data;
	float *w = malloc(tensor_bytes(v));

	if (!w) {
		t->st = ace_fail(ACE_ENOMEM, "no memory for the vocoder's weights");
		return v;
	}
	t->m->folded[t->m->n_folded++] = w;
	for (int64_t i = 0; i < v.dim[0]; i++) {
		double sum = 0;
		for (int64_t k = 0; k < each; k++)
			sum += (double)vp[i * each + k] * (double)vp[i * each + k];
		for (int64_t k = 0; k < each; k++)
			w[i * each + k] = vp[i * each + k] * (float)((double)gp[i] / sqrt(sum));
	}
	v.data = w;
	return v;
}

/* A convolution under weight norm, w of dim [3], and its bias [outs]. */
static struct vocoder_conv
normed(struct take *t, const char *base, const int64_t dim[], int64_t outs)
{
	struct vocoder_conv c = { .w = none };
	struct tensor g, v;
	char name[200];

	snprintf(name, sizeof name, "%s.weight_g", base);
	g = stored(t, name, 3, DIMS(dim[0], 1, 1));
	snprintf(name, sizeof name, "%s.weight_v", base);
	v = stored(t, name, 3, dim);
	if (t->st == ACE_OK)
		c.w = placed(t, name, folded(t, g, v));
	c.b = plain(t, base, "bias", 1, DIMS(outs));
	return c;
}

static void
take_block(struct take *t, struct vocoder_block *b, int i, int j)
{
	int64_t c = t->m->config.width[i], k = t->m->config.kernel;
	const char *base = NAME(t, "backbone.stages.%d.%d", i, j);

	b->deep.w = plain(t, base, "dwconv.weight", 3, DIMS(c, 1, k));
	b->deep.b = plain(t, base, "dwconv.bias", 1, DIMS(c));
	b->norm_w = plain(t, base, "norm.weight", 1, DIMS(c));
	b->norm_b = plain(t, base, "norm.bias", 1, DIMS(c));
	b->wide.w = plain(t, base, "pwconv1.weight", 2, DIMS(4 * c, c));
	b->wide.b = plain(t, base, "pwconv1.bias", 1, DIMS(4 * c));
	b->narrow.w = plain(t, base, "pwconv2.weight", 2, DIMS(c, 4 * c));
	b->narrow.b = plain(t, base, "pwconv2.bias", 1, DIMS(c));
	b->gamma = plain(t, base, "gamma", 1, DIMS(c));
}

static void
take_backbone(struct take *t)
{
	const struct vocoder_config *k = &t->m->config;

	for (int i = 0; i < k->stages && t->st == ACE_OK; i++) {
		struct vocoder_stage *s = &t->m->stage[i];
		int64_t in = i ? k->width[i - 1] : k->mel.bands, out = k->width[i], normal = i ? in : out;
		const char *base = NAME(t, "backbone.channel_layers.%d.%d", i, i > 0);
		s->in.w = i ? plain(t, base, "weight", 3, DIMS(out, in, 1)) : plain(t, base, "weight", 3, DIMS(out, in, 7));
		s->in.b = plain(t, base, "bias", 1, DIMS(out));
		base = NAME(t, "backbone.channel_layers.%d.%d", i, i == 0);
		s->norm_w = plain(t, base, "weight", 1, DIMS(normal));
		s->norm_b = plain(t, base, "bias", 1, DIMS(normal));
		s->block = calloc((size_t)k->depth[i] + 1, sizeof *s->block);
		if (!s->block && t->st == ACE_OK)
			t->st = ace_fail(ACE_ENOMEM, "no memory for the vocoder's blocks");
		for (int j = 0; j < k->depth[i] && t->st == ACE_OK; j++)
			take_block(t, &s->block[j], i, j);
	}
	t->m->norm_w = plain(t, "backbone.norm", "weight", 1, DIMS(k->width[k->stages - 1]));
	t->m->norm_b = plain(t, "backbone.norm", "bias", 1, DIMS(k->width[k->stages - 1]));
}

/* Where the convolutions of up stage i, kernel r, dilation d are. */
static int
place(const struct vocoder *m, int i, int r, int d)
{
	return (i * m->config.kernels + r) * VOCODER_DILATIONS + d;
}

static void
take_residuals(struct take *t, int i, int64_t channels)
{
	const struct vocoder_config *k = &t->m->config;

	for (int r = 0; r < k->kernels; r++)
		for (int d = 0; d < k->dilations[r] && t->st == ACE_OK; d++) {
			const int64_t dim[TENSOR_RANK] = { channels, channels, k->res_kernel[r] };
			int n = i * k->kernels + r;
			t->m->one[place(t->m, i, r, d)] = normed(t, NAME(t, "head.resblocks.%d.convs1.%d", n, d), dim, channels);
			t->m->two[place(t->m, i, r, d)] = normed(t, NAME(t, "head.resblocks.%d.convs2.%d", n, d), dim, channels);
		}
}

static enum status
load(struct vocoder *m)
{
	const struct vocoder_config *k = &m->config;
	struct take t = { .m = m };
	size_t residuals = (size_t)(k->ups * k->kernels * VOCODER_DILATIONS);
	int64_t channels = k->channels;

	m->one = calloc(residuals, sizeof *m->one);
	m->two = calloc(residuals, sizeof *m->two);
	m->folded = calloc(2 * residuals + (size_t)k->ups + 2, sizeof *m->folded);
	if (!m->one || !m->two || !m->folded)
		return ace_fail(ACE_ENOMEM, "no memory for the vocoder's blocks");
	take_backbone(&t);
	m->pre = normed(&t, "head.conv_pre", DIMS(channels, k->width[k->stages - 1], k->pre_kernel), channels);
	for (int i = 0; i < k->ups; i++, channels /= 2) {
		m->up[i] = normed(&t, NAME(&t, "head.ups.%d", i), DIMS(channels, channels / 2, k->up_kernel[i]), channels / 2);
		take_residuals(&t, i, channels / 2);
	}
	m->post = normed(&t, "head.conv_post", DIMS(1, channels, k->post_kernel), 1);
	return t.st;
}

enum status
vocoder_open(struct vocoder *m, const char *folder, struct dev *d)
{
	enum status st;

	*m = (struct vocoder){ .dev = d };
	ACE_TRY(vocoder_config_read_all(&m->config, folder));
	ACE_TRY(weights_open(&m->weights, folder));
	if ((st = load(m)))
		vocoder_close(m);
	return st;
}

void
vocoder_close(struct vocoder *m)
{
	for (int i = 0; i < VOCODER_STAGES; i++)
		free(m->stage[i].block);
	for (int i = 0; i < m->n_folded; i++)
		free(m->folded[i]);
	free(m->folded);
	free(m->one);
	free(m->two);
	if (m->dev)
		placed_free(&m->placed, m->dev);
	weights_close(&m->weights);
	*m = (struct vocoder){ 0 };
}

/* --- computing --- */

static void ACE_PRINTF(3, 4)
tap(const struct vocoder *m, struct tensor x, const char *fmt, ...)
{
	char name[160];
	va_list args;

	if (!m->tap || !x.data)
		return;
	va_start(args, fmt);
	vsnprintf(name, sizeof name, fmt, args);
	va_end(args);
	m->tap(m->me, name, x);
}

static struct tensor
wave_of(struct ctx *c, int64_t channels, int64_t times)
{
	return arena_tensor(c->act, F32, 2, channels, times);
}

/* x += gamma pwconv2(gelu(pwconv1(norm(dwconv(x))))) */
static void
block_forward(struct ctx *c, const struct vocoder *m, const struct vocoder_block *b, struct tensor x, int i, int j)
{
	size_t mark = arena_mark(c->act);
	struct tensor h = arena_like(c->act, x), wide = wave_of(c, 4 * x.dim[0], x.dim[1]);

	wave_depthwise(c->dev, h, x, b->deep.w, b->deep.b);
	tap(m, h, "backbone.stages.%d.%d.dwconv", i, j);
	wave_norm(c->dev, h, h, b->norm_w, b->norm_b, NORM_EPS);
	tap(m, h, "backbone.stages.%d.%d.norm", i, j);
	wave_linear(c->dev, wide, h, b->wide.w, b->wide.b);
	tap(m, wide, "backbone.stages.%d.%d.pwconv1", i, j);
	wave_gelu(c->dev, wide, wide);
	tap(m, wide, "backbone.stages.%d.%d.act", i, j);
	wave_linear(c->dev, h, wide, b->narrow.w, b->narrow.b);
	tap(m, h, "backbone.stages.%d.%d.pwconv2", i, j);
	wave_scale_add(c->dev, x, h, b->gamma);
	tap(m, x, "backbone.stages.%d.%d", i, j);
	arena_release(c->act, mark);
}

/* Two places that are used in turn: what a stage reads, and what it writes. */
struct turns {
	void *place[2];
	int now;
};

static struct tensor
next(struct turns *t, int64_t channels, int64_t times)
{
	t->now = !t->now;
	return tensor_of(t->place[t->now], F32, 2, channels, times);
}

static struct tensor
backbone(struct ctx *c, const struct vocoder *m, struct turns *turns, struct tensor mel)
{
	const struct vocoder_config *k = &m->config;
	struct tensor x = mel, y;

	for (int i = 0; i < k->stages; i++) {
		const struct vocoder_stage *s = &m->stage[i];
		size_t mark = arena_mark(c->act);
		y = next(turns, k->width[i], mel.dim[1]);
		if (i == 0) {
			wave_conv(c->dev, y, x, s->in.w, s->in.b, 1, true);
			tap(m, y, "backbone.channel_layers.0.0");
			wave_norm(c->dev, y, y, s->norm_w, s->norm_b, NORM_EPS);
			tap(m, y, "backbone.channel_layers.0.1");
		} else {
			struct tensor h = arena_like(c->act, x);
			wave_norm(c->dev, h, x, s->norm_w, s->norm_b, NORM_EPS);
			tap(m, h, "backbone.channel_layers.%d.0", i);
			wave_conv(c->dev, y, h, s->in.w, s->in.b, 1, false);
			tap(m, y, "backbone.channel_layers.%d.1", i);
		}
		arena_release(c->act, mark);
		for (int j = 0; j < k->depth[i]; j++)
			block_forward(c, m, &s->block[j], y, i, j);
		x = y;
	}
	wave_norm(c->dev, x, x, m->norm_w, m->norm_b, NORM_EPS);
	tap(m, x, "backbone.norm");
	return x;
}

/* sum += residual block r of stage i of x. */
static void
residual(struct ctx *c, const struct vocoder *m, struct tensor sum, struct tensor x, int i, int r)
{
	const struct vocoder_config *k = &m->config;
	size_t mark = arena_mark(c->act);
	struct tensor z = arena_like(c->act, x), y = arena_like(c->act, x), h = arena_like(c->act, x);
	int n = i * k->kernels + r;

	rows_copy(c->dev, z, x);
	for (int d = 0; d < k->dilations[r]; d++) {
		const struct vocoder_conv *one = &m->one[place(m, i, r, d)], *two = &m->two[place(m, i, r, d)];
		wave_silu(c->dev, y, z);
		wave_conv(c->dev, h, y, one->w, one->b, k->dilation[r][d], false);
		tap(m, h, "head.resblocks.%d.convs1.%d", n, d);
		wave_silu(c->dev, h, h);
		wave_conv(c->dev, y, h, two->w, two->b, 1, false);
		tap(m, y, "head.resblocks.%d.convs2.%d", n, d);
		rows_axpy(c->dev, z, y, 1.f);
	}
	tap(m, z, "head.resblocks.%d", n);
	rows_axpy(c->dev, sum, z, 1.f / (float)k->kernels);
	arena_release(c->act, mark);
}

/* The most numbers that a stage's result has. */
static int64_t
largest(const struct vocoder_config *k, int64_t frames)
{
	int64_t most = k->channels * frames, times = frames, channels = k->channels;

	for (int i = 0; i < k->stages; i++)
		most = k->width[i] * frames > most ? k->width[i] * frames : most;
	for (int i = 0; i < k->ups; i++) {
		times *= k->rate[i];
		channels /= 2;
		most = channels * times > most ? channels * times : most;
	}
	return most;
}

void
vocoder_run(struct ctx *c, struct vocoder *m, struct tensor wave, struct tensor mel)
{
	const struct vocoder_config *k = &m->config;
	size_t mark = arena_mark(c->act);
	struct turns turns = { .now = 0 };
	int64_t most = largest(k, mel.dim[1]), channels = k->channels, times = mel.dim[1];
	struct tensor x, y;

	assert(mel.rank == 2 && mel.dtype == F32 && mel.dim[0] == k->mel.bands && times > 0);
	assert(wave.rank == 2 && wave.dim[0] == 1 && wave.dim[1] == times * k->mel.hop);
	for (int i = 0; i < 2; i++)
		turns.place[i] = arena_tensor(c->act, F32, 1, most).data;
	x = backbone(c, m, &turns, mel);
	y = next(&turns, channels, times);
	wave_conv(c->dev, y, x, m->pre.w, m->pre.b, 1, false);
	tap(m, y, "head.conv_pre");
	for (int i = 0; i < k->ups; i++) {
		wave_silu(c->dev, y, y);
		channels /= 2;
		times *= k->rate[i];
		x = next(&turns, channels, times);
		wave_up(c->dev, x, y, m->up[i].w, m->up[i].b, k->rate[i]);
		tap(m, x, "head.ups.%d", i);
		y = next(&turns, channels, times);
		rows_fill(c->dev, y, 0.f);
		for (int r = 0; r < k->kernels; r++)
			residual(c, m, y, x, i, r);
	}
	wave_silu(c->dev, y, y);
	tap(m, y, "head.activation_post");
	wave_conv(c->dev, wave, y, m->post.w, m->post.b, 1, false);
	tap(m, wave, "head.conv_post");
	wave_tanh(c->dev, wave, wave);
	arena_release(c->act, mark);
}
