/* SPDX-License-Identifier: Apache-2.0 */
/* Every part of a random model opens, fits the others, and gives numbers that are finite and not all alike: sound, caption
 * and lyrics go all the way into a training step. */
#include "jobs/init_model.h"

#include "base/file.h"
#include "base/msg.h"
#include "kernels/kernels.h"
#include "models/codec.h"
#include "models/dit.h"
#include "models/umt5.h"
#include "num/rng.h"
#include "support/golden.h"
#include "support/test.h"
#include "text/lyric.h"
#include "text/unigram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[300], model[320];
static const char caption[] =
	"A slow piano ballad, 92 BPM in C# minor; warm female vocals & strings (live)!";
static const char song[] =
	"[verse]\nWhen the rain comes down\nI'll be waiting for you\n\n[chorus]\nSing it with me until the morning\n";

static int
make_model(void **state)
{
	struct init_model_job job = { .preset = "tiny", .dir = model, .seed = 42, .dtype = F32 };
	const char *preset = getenv("ACE_INIT_PRESET");

	(void)state;
	if (preset)
		job.preset = preset;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	snprintf(model, sizeof model, "%s/model", dir);
	return init_model_write(&job) == ACE_OK ? 0 : -1;
}

static int
remove_model(void **state)
{
	(void)state;
	return file_remove_tree(dir) == ACE_OK ? 0 : -1;
}

static const char *
in_model(const char *name)
{
	static char path[400];

	snprintf(path, sizeof path, "%s/%s", model, name);
	return path;
}

/* Mean and deviation of numbers that are finite and not alike. */
static double
sane(const char *what, const float *x, int64_t n)
{
	double sum = 0, square = 0, deviation;

	for (int64_t i = 0; i < n; i++) {
		if (!isfinite(x[i]))
			fail_msg("%s: number %lld is %g", what, (long long)i, (double)x[i]);
		sum += (double)x[i];
		square += (double)x[i] * (double)x[i];
	}
	deviation = sqrt(fmax(0, square / (double)n - sum / (double)n * (sum / (double)n)));
	print_message("# %s: mean %.4g, deviation %.4g\n", what, sum / (double)n, deviation);
	if (!(deviation > 1e-6 && deviation < 1e4))
		fail_msg("%s: deviation %g", what, deviation);
	return deviation;
}

static void
open_dev(struct dev *d)
{
	assert_ok(dev_open(d, DEV_CPU, 2));
	kernels_attach(d);
}

/* One and a half seconds of two tones and noise -> [8, 16, T], owned by the caller. */
static float *
encode_sound(struct dev *d, int64_t *frames)
{
	enum { N = 72000 };
	float *wave = malloc(2 * N * sizeof *wave), *z;
	struct codec c;

	rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), wave, 2 * N);
	for (int i = 0; i < 2 * N; i++)
		wave[i] = 0.01f * wave[i] + 0.2f * sinf((float)i * (i < N ? 0.04f : 0.07f));
	assert_ok(codec_open(&c, model, F32, d));
	assert_true(c.stored_buffers);
	assert_int_equal(codec_channels(&c), 8);
	assert_int_equal(codec_rows(&c), 16);
	*frames = codec_frames(N);
	z = malloc((size_t)(8 * 16 * *frames) * sizeof *z);
	assert_ok(codec_encode(&c, wave, N, z));
	codec_close(&c);
	free(wave);
	return z;
}

/* The caption's states, [*n, width], owned by the caller. */
static float *
encode_caption(struct dev *d, int *n, int *width)
{
	int32_t ids[UNIGRAM_CAP];
	struct unigram u;
	struct umt5 m;
	float *x;

	assert_ok(unigram_open(&u, in_model("umt5-base")));
	assert_ok(umt5_open(&m, in_model("umt5-base"), F32, d));
	assert_true(unigram_size(&u) <= m.config.rows);
	assert_ok(unigram_encode(&u, caption, strlen(caption), ids, UNIGRAM_CAP, n));
	*width = umt5_width(&m);
	x = malloc((size_t)*n * (size_t)*width * sizeof *x);
	assert_ok(umt5_encode(&m, ids, *n, x));
	umt5_close(&m);
	unigram_close(&u);
	return x;
}

static void
sound_becomes_latents(void **state)
{
	struct dev d;
	int64_t frames;
	float *z;

	(void)state;
	open_dev(&d);
	z = encode_sound(&d, &frames);
	assert_int_equal(frames, 17);
	assert_true(sane("latents", z, 8 * 16 * frames) < 10);
	free(z);
	dev_close(&d);
}

static void
a_caption_becomes_states(void **state)
{
	struct dev d;
	int n, width;
	float *x;

	(void)state;
	open_dev(&d);
	x = encode_caption(&d, &n, &width);
	assert_true(fabs(sane("states", x, n * width) - 1) < 0.1); /* behind the last norm */
	free(x);
	dev_close(&d);
}

static int
ids_of(const struct unigram *u, const char *text, int32_t *ids)
{
	int n;

	assert_ok(unigram_encode(u, text, strlen(text), ids, UNIGRAM_CAP, &n));
	for (int i = 0; i < n; i++)
		if (ids[i] == 3)
			fail_msg("\"%s\": token %d is unknown", text, i);
	return n;
}

static void
same_ids(const struct unigram *u, const char *text, const char *plain)
{
	int32_t a[UNIGRAM_CAP], b[UNIGRAM_CAP];
	int n = ids_of(u, text, a);

	if (ids_of(u, plain, b) != n || memcmp(a, b, (size_t)n * sizeof *a) != 0)
		fail_msg("\"%s\" is not read as \"%s\"", text, plain);
}

/* Words of the trade are one token, other words a few, other scripts bytes; nothing is unknown. */
static void
the_tokenizer_reads_english(void **state)
{
	int32_t ids[UNIGRAM_CAP];
	struct unigram u;
	char c[2] = "";

	(void)state;
	assert_ok(unigram_open(&u, in_model("umt5-base")));
	assert_int_equal(ids_of(&u, "", ids), 1);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids_of(&u, "slow piano ballad with warm strings", ids), 7);
	for (int i = 0; i < 6; i++)
		assert_true(ids[i] >= 260 && (i == 0 || ids[i] != ids[i - 1]));
	assert_int_equal(ids[6], 1);
	assert_true(ids_of(&u, "pianist singing quietly", ids) < 20); /* of 23 letters */
	for (c[0] = '!'; c[0] <= '~'; c[0]++) { /* the blank, the character, the end */
		int n = ids_of(&u, c, ids);
		assert_true((n == 2 || n == 3) && ids[n - 2] >= 260);
	}
	assert_int_equal(ids_of(&u, "\xf0\x9f\x8e\xb5", ids), 6); /* a blank, four bytes, the end */
	assert_int_equal(ids[1], 4 + 0xf0);
	assert_int_equal(ids[4], 4 + 0xb5);
	assert_int_equal(ids_of(&u, "<extra_id_0>", ids), 2);
	assert_int_equal(ids[0], unigram_size(&u) - 1);
	unigram_close(&u);
}

static void
the_character_map_makes_texts_plain(void **state)
{
	struct unigram u;

	(void)state;
	assert_ok(unigram_open(&u, in_model("umt5-base")));
	same_ids(&u, "slow\tpiano\r\nballad ", "slow piano ballad");
	same_ids(&u,
		 "slow\xe3\x80\x80piano\xc2\xa0"
		 "ballad\xe2\x80\x83",
		 "slow piano ballad");
	same_ids(&u, "\xef\xbc\xb3low \xef\xbd\x90iano\xef\xbc\x81\xef\xbd\x9e", "Slow piano!~");
	same_ids(&u, "so\xef\xac\x81 so\xef\xac\x84 \xef\xac\x80", "sofi soffl ff");
	same_ids(
		&u,
		"wait\xe2\x80\xa6 \xe2\x84\x96\xc2\xb9\xc2\xb2\xc2\xb3 \xe2\x81\xb4\xe2\x82\x89 \xe2\x91\xa8 \xe2\x84\xa2",
		"wait... No123 49 9 TM");
	same_ids(&u,
		 "be\x01"
		 "at\x7f\xe2\x80\x8b\xef\xbb\xbf",
		 "beat");
	same_ids(&u, "d\xc3\xa9j\xc3\xa0 vu \xe2\x80\x93 \xd0\xb4\xd0\xb0",
		 "d\xc3\xa9j\xc3\xa0 vu \xe2\x80\x93 \xd0\xb4\xd0\xb0");
	unigram_close(&u);
}

static void
lyrics_become_ids_below_the_table(void **state)
{
	static const char letters[] = "the quick brown fox jumps over the lazy dog";
	enum lyric_fault fault;
	struct lyric_ids ids;
	struct lyric l;

	(void)state;
	assert_ok(lyric_open(&l, &(struct lines_from){ .vocab = in_model("lyric_vocab.json") }));
	assert_int_equal(l.start, 261);
	assert_int_equal(l.blank, 2);
	assert_int_equal(l.unknown, 1);
	assert_int_equal(lyric_size(&l), 6693);
	assert_ok(lyric_encode(&l, song, strlen(song), &ids, &fault));
	assert_int_equal(ids.lines, 5);
	assert_int_equal(ids.structure, 2);
	assert_int_equal(ids.unknown + ids.skipped, 0);
	assert_int_equal(ids.mask, 1);
	assert_int_equal(ids.id[0], 261);
	assert_int_equal(ids.id[1], 259); /* a structure line is English */
	assert_int_equal(ids.id[2], 6683);
	for (int i = 0; i < ids.n; i++)
		assert_true(ids.id[i] > 0 && ids.id[i] < 6693);
	lyric_ids_free(&ids);
	assert_ok(lyric_encode(&l, letters, strlen(letters), &ids, &fault));
	assert_int_equal(ids.unknown, 0);
	assert_true(ids.n >= (int)strlen(letters)); /* a letter is a token */
	lyric_ids_free(&ids);
	lyric_close(&l);
}

/* --- a training step on all of it --- */

enum { CLIPS = 2 };

struct step {
	struct dev d;
	struct dit m;
	struct arena act;
	struct ctx c;
	struct dit_input in;
	struct tensor clean, noise, v, dv;
	int64_t frames;
};

static struct tensor
zeros(enum dtype t, int rank, const int64_t dim[])
{
	struct tensor x = tensor_make(NULL, t, rank, dim);

	x.data = calloc(1, tensor_bytes(x));
	assert_non_null(x.data);
	return x;
}

#define ZEROS(t, rank, ...) zeros(t, rank, (const int64_t[TENSOR_RANK]){ __VA_ARGS__ })

static void
fill(struct tensor x, float value)
{
	for (int64_t i = 0; i < tensor_count(x); i++)
		((float *)x.data)[i] = value;
}

/* The sound twice, at two noise levels; the second clip without lyrics. */
static void
make_input(struct step *s)
{
	enum lyric_fault fault;
	struct lyric_ids ids;
	struct lyric l;
	float *z = encode_sound(&s->d, &s->frames), *text;
	int64_t n = 8 * 16 * s->frames;
	int rows, width;

	text = encode_caption(&s->d, &rows, &width);
	assert_int_equal(width, s->m.cfg.text_dim);
	assert_ok(lyric_open(&l, &(struct lines_from){ .vocab = in_model("lyric_vocab.json") }));
	assert_true(lyric_size(&l) <= s->m.cfg.lyric_vocab);
	assert_ok(lyric_encode(&l, song, strlen(song), &ids, &fault));
	s->in = (struct dit_input){
		.latents = ZEROS(F32, 4, CLIPS, 8, 16, s->frames),
		.frame_mask = ZEROS(F32, 2, CLIPS, s->frames),
		.text = ZEROS(F32, 3, CLIPS, rows, width),
		.text_mask = ZEROS(F32, 2, CLIPS, rows),
		.speaker = ZEROS(F32, 2, CLIPS, s->m.cfg.speaker_dim),
		.lyric_ids = ZEROS(I32, 2, CLIPS, ids.n),
		.lyric_mask = ZEROS(F32, 2, CLIPS, ids.n),
		.timestep = ZEROS(F32, 1, CLIPS),
	};
	s->clean = ZEROS(F32, 4, CLIPS, 8, 16, s->frames);
	s->noise = ZEROS(F32, 4, CLIPS, 8, 16, s->frames);
	s->v = ZEROS(F32, 4, CLIPS, 8, 16, s->frames);
	s->dv = ZEROS(F32, 4, CLIPS, 8, 16, s->frames);
	fill(s->in.frame_mask, 1);
	fill(s->in.text_mask, 1);
	rng_normal_fill(rng_stream(2, RNG_TEST, 0, 0), s->noise.data, CLIPS * n);
	for (int b = 0; b < CLIPS; b++) {
		float sigma = b ? 0.8f : 0.3f;
		((float *)s->in.timestep.data)[b] = 1000 * sigma;
		memcpy((float *)s->clean.data + b * n, z, (size_t)n * sizeof *z);
		memcpy((float *)s->in.text.data + (int64_t)b * rows * width, text,
		       (size_t)(rows * width) * sizeof *text);
		for (int64_t i = b * n; i < (b + 1) * n; i++)
			((float *)s->in.latents.data)[i] =
				(1 - sigma) * ((float *)s->clean.data)[i] +
				sigma * ((float *)s->noise.data)[i];
	}
	memcpy(s->in.lyric_ids.data, ids.id, (size_t)ids.n * sizeof *ids.id);
	for (int i = 0; i < ids.n; i++)
		((float *)s->in.lyric_mask.data)[i] = 1;
	lyric_ids_free(&ids);
	lyric_close(&l);
	free(text);
	free(z);
}

static void
make_room(struct step *s)
{
	struct arena measure = { 0 };
	struct dev dry;
	struct ctx c = { .dev = &dry, .act = &measure, .rng = s->c.rng, .training = true, .half = s->c.half };

	assert_ok(dev_open(&dry, DEV_DRY, 1));
	kernels_attach(&dry);
	dit_forward(&c, &s->m, s->v, &s->in);
	dit_backward(&c, &s->m, &s->in, s->dv);
	dev_close(&dry);
	s->act = (struct arena){ .size = measure.peak };
	s->act.base = aligned_alloc(256, (measure.peak + 255) / 256 * 256);
	assert_non_null(s->act.base);
}

/* Forward, the loss of velocity noise - clean, backward. */
static double
run(struct step *s)
{
	const float *v = s->v.data, *clean = s->clean.data, *noise = s->noise.data;
	int64_t n = tensor_count(s->v);
	double loss = 0;

	arena_release(&s->act, 0);
	for (int i = 0; i < dit_n_params(&s->m); i++)
		if (dit_param(&s->m, i)->train)
			fill(dit_param(&s->m, i)->grad, 0);
	dit_forward(&s->c, &s->m, s->v, &s->in);
	for (int64_t i = 0; i < n; i++) {
		double e = (double)v[i] - (double)(noise[i] - clean[i]);
		loss += e * e / (double)n;
		((float *)s->dv.data)[i] = (float)(2 * e / (double)n);
	}
	dit_backward(&s->c, &s->m, &s->in, s->dv);
	assert_int_equal(s->d.status, ACE_OK);
	return loss;
}

/* A step of that length against the gradient; how many params had none. */
static int
descend(struct step *s, double length)
{
	double square = 0;
	int still = 0;

	for (int i = 0; i < dit_n_params(&s->m); i++) {
		const struct param *p = dit_param(&s->m, i);
		double own = 0;
		if (!p->train)
			continue;
		for (int64_t k = 0; k < tensor_count(p->grad); k++) {
			double g = (double)((float *)p->grad.data)[k];
			if (!isfinite(g))
				fail_msg("%s: gradient %lld is %g", p->name, (long long)k, g);
			own += g * g;
		}
		square += own;
		still += own == 0;
	}
	assert_true(square > 0);
	for (int i = 0; i < dit_n_params(&s->m); i++) {
		const struct param *p = dit_param(&s->m, i);
		for (int64_t k = 0; p->train && k < tensor_count(p->grad); k++)
			((float *)p->value.data)[k] -=
				(float)(length / sqrt(square)) * ((float *)p->grad.data)[k];
	}
	return still;
}

static void
open_step(struct step *s)
{
	const struct dit_options o = { .dtype = F32, .attention_masks = true, .projectors = true };

	*s = (struct step){ 0 };
	open_dev(&s->d);
	assert_ok(dit_open(&s->m, in_model("ace_step_transformer"), &o, &s->d));
	s->c = (struct ctx){ .dev = &s->d, .act = &s->act, .rng = rng_stream(1, RNG_DROPOUT, 0, 0), .training = true, .half = F32 };
	make_input(s);
}

static void
close_step(struct step *s)
{
	struct tensor *own[] = { &s->in.latents,
				 &s->in.frame_mask,
				 &s->in.text,
				 &s->in.text_mask,
				 &s->in.speaker,
				 &s->in.lyric_ids,
				 &s->in.lyric_mask,
				 &s->in.timestep,
				 &s->clean,
				 &s->noise,
				 &s->v,
				 &s->dv };

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		free(own[i]->data);
	free(s->act.base);
	dit_close(&s->m);
	dev_close(&s->d);
}

static void
adapters_learn_on_it(void **state)
{
	static const char *const targets[] = { "linear_q", "linear_k", "linear_v", "to_q",
					       "to_k",	   "to_v",     "to_out.0" };
	const struct lora_options lora = {
		.target = targets, .n_targets = 7, .rank = 4, .alpha = 4, .seed = 1
	};
	struct step s;
	double first, last;
	int modules = 0;

	(void)state;
	open_step(&s);
	assert_ok(dit_add_lora(&s.m, &lora));
	assert_ok(dit_alloc_grads(&s.m, NULL));
	make_room(&s);
	for (int i = 0; i < s.m.params.n_modules; i++)
		modules += s.m.params.module[i].l->rank > 0;
	first = run(&s);
	sane("velocity", s.v.data, tensor_count(s.v));
	assert_int_equal(descend(&s, 0.3),
			 modules); /* B is zero, so A has no gradient; every B has one */
	for (int i = 0; i < 4; i++) {
		run(&s);
		assert_int_equal(descend(&s, 0.3), 0);
	}
	last = run(&s);
	print_message("# loss %.5f -> %.5f in 5 steps\n", first, last);
	assert_true(last < first);
	close_step(&s);
}

static void
a_step_of_all_weights_lowers_the_loss(void **state)
{
	struct step s;
	double first;

	(void)state;
	open_step(&s);
	assert_ok(dit_train(&s.m, DIT_FULL));
	assert_ok(dit_alloc_grads(&s.m, NULL));
	make_room(&s);
	first = run(&s);
	descend(&s, 0.05);
	assert_true(run(&s) < first);
	close_step(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_becomes_latents),
		cmocka_unit_test(a_caption_becomes_states),
		cmocka_unit_test(the_tokenizer_reads_english),
		cmocka_unit_test(the_character_map_makes_texts_plain),
		cmocka_unit_test(lyrics_become_ids_below_the_table),
		cmocka_unit_test(adapters_learn_on_it),
		cmocka_unit_test(a_step_of_all_weights_lowers_the_loss),
	};

	msg_setup("init_model", MSG_QUIET, PROGRESS_NONE, 10);
	return cmocka_run_group_tests(tests, make_model, remove_model);
}
