/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_fixture.h"

#include "kernels/kernels.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static struct tensor
as_f32(const struct st_file *f, const char *name)
{
	const struct st_entry *e = st_find(f, name);
	struct tensor x, y;

	if (!e || e->value.dtype != I64)
		return golden_f32(f, name);
	x = golden_i64(f, name);
	y = x;
	y.dtype = F32;
	y.data = malloc(tensor_bytes(y) + 4);
	assert_non_null(y.data);
	for (int64_t i = 0; i < tensor_count(x); i++)
		((float *)y.data)[i] = (float)((int64_t *)x.data)[i];
	free(x.data);
	return y;
}

static struct tensor
as_i32(const struct st_file *f, const char *name)
{
	struct tensor x = golden_i64(f, name), y = x;

	y.dtype = I32;
	y.data = malloc(tensor_bytes(y) + 4);
	assert_non_null(y.data);
	for (int64_t i = 0; i < tensor_count(x); i++)
		((int32_t *)y.data)[i] = (int32_t)((int64_t *)x.data)[i];
	free(x.data);
	return y;
}

static void
read_batch(struct dit_fixture *f)
{
	golden_open(&f->batch, DIT_SET, "batch.safetensors");
	f->in.latents = as_f32(&f->batch, "noisy_latents");
	f->in.frame_mask = as_f32(&f->batch, "attention_mask");
	f->in.text = as_f32(&f->batch, "text_hidden_states");
	f->in.text_mask = as_f32(&f->batch, "text_mask");
	f->in.speaker = as_f32(&f->batch, "speaker_embeds");
	f->in.lyric_ids = as_i32(&f->batch, "lyric_token_ids");
	f->in.lyric_mask = as_f32(&f->batch, "lyric_mask");
	f->in.timestep = as_f32(&f->batch, "timesteps");
	f->ragged = as_f32(&f->batch, "ragged_attention_mask");
	f->clean = as_f32(&f->batch, "latents");
	f->sigma = as_f32(&f->batch, "sigmas");
	f->v = as_f32(&f->batch, "noise");
	f->dv = as_f32(&f->batch, "noise");
}

void
dit_fixture_share(struct dit_fixture *f, struct tensor *x)
{
	void *p;

	if (!x->data || dev_is_host(&f->dev))
		return;
	p = f->dev.m->pinned(&f->dev, tensor_bytes(*x) + 4);
	assert_non_null(p);
	memcpy(p, x->data, tensor_bytes(*x));
	free(x->data);
	x->data = p;
}

void
dit_fixture_unshare(struct dit_fixture *f, void *p)
{
	if (dev_is_host(&f->dev))
		free(p);
	else
		f->dev.m->unpin(&f->dev, p);
}

void
dit_fixture_open(struct dit_fixture *f, enum dev_kind kind, int threads, const struct dit_options *o, bool given_states)
{
	const struct dit_options plain = { .dtype = F32, .attention_masks = true };
	const char *device = getenv("ACE_TEST_DEVICE");

	*f = (struct dit_fixture){ 0 };
	if (device && strcmp(device, "cuda") == 0) {
		kind = DEV_CUDA;
		threads = 0;
	}
	f->manifest = golden_json(DIT_SET, "manifest.json");
	assert_ok(dev_open(&f->dev, kind, threads));
	kernels_attach(&f->dev);
	assert_ok(dit_open(&f->m, golden_path(DIT_SET, "ace_step_transformer"), o ? o : &plain, &f->dev));
	read_batch(f);
	if (given_states) {
		struct st_file forward;
		golden_open(&forward, DIT_SET, "forward.safetensors");
		f->states = golden_f32(&forward, "lyric.after_norm");
		f->m.lyric_states = &f->states;
		st_close(&forward);
	}
	struct tensor *shared[] = { &f->in.latents, &f->in.frame_mask, &f->in.text, &f->in.text_mask, &f->in.speaker,
		&f->in.lyric_ids, &f->in.lyric_mask, &f->in.timestep, &f->v, &f->dv, &f->states };
	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
		dit_fixture_share(f, shared[i]);
	f->c = (struct ctx){ .dev = &f->dev, .act = &f->act, .rng = rng_stream(1, RNG_DROPOUT, 0, 0), .training = true, .half = F32 };
}

/* After a step on a cuda device: gradients as the host reads them, and before the next: where they are. */
static void
grads_here(struct dit_fixture *f)
{
	int n = dit_n_params(&f->m);

	if (dev_is_host(&f->dev))
		return;
	f->on_device = calloc((size_t)n, sizeof *f->on_device);
	assert_non_null(f->on_device);
	for (int i = 0; i < n; i++) {
		struct param *p = dit_param(&f->m, i);
		void *copy;
		if (!p->train || !p->grad.data)
			continue;
		copy = malloc(tensor_bytes(p->grad));
		assert_non_null(copy);
		f->dev.m->download(&f->dev, copy, p->grad.data, tensor_bytes(p->grad));
		f->on_device[i] = p->grad.data;
		p->grad.data = copy;
	}
}

static void
grads_back(struct dit_fixture *f)
{
	for (int i = 0; f->on_device && i < dit_n_params(&f->m); i++)
		if (f->on_device[i]) {
			free(dit_param(&f->m, i)->grad.data);
			dit_param(&f->m, i)->grad.data = f->on_device[i];
		}
	free(f->on_device);
	f->on_device = NULL;
}

void
dit_fixture_close(struct dit_fixture *f)
{
	struct tensor *shared[] = { &f->in.latents, &f->in.frame_mask, &f->in.text, &f->in.text_mask, &f->in.speaker,
		&f->in.lyric_ids, &f->in.lyric_mask, &f->in.timestep, &f->v, &f->dv, &f->states };

	grads_back(f);
	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
		dit_fixture_unshare(f, shared[i]->data);
	free(f->ragged.data);
	free(f->clean.data);
	free(f->sigma.data);
	dit_close(&f->m);
	dit_fixture_unshare(f, f->act.base);
	dev_close(&f->dev);
	st_close(&f->batch);
	cJSON_Delete(f->manifest);
}

/* Room for a step, from a dry run of the same code. */
static void
make_room(struct dit_fixture *f)
{
	struct arena measure = { 0 };
	struct dev dry;
	struct ctx c = f->c;

	assert_ok(dev_open(&dry, DEV_DRY, 1));
	kernels_attach(&dry);
	c.dev = &dry;
	c.act = &measure;
	dit_forward(&c, &f->m, f->v, &f->in);
	if (c.training)
		dit_backward(&c, &f->m, &f->in, f->dv);
	dev_close(&dry);
	if (measure.peak > f->act.size) {
		dit_fixture_unshare(f, f->act.base);
		f->act = (struct arena){ .size = measure.peak };
		f->act.base = dev_is_host(&f->dev) ? aligned_alloc(256, (measure.peak + 255) / 256 * 256)
		                                   : f->dev.m->pinned(&f->dev, measure.peak);
		assert_non_null(f->act.base);
	}
	f->act.used = f->act.peak = 0;
}

void
dit_fixture_forward(struct dit_fixture *f, bool training)
{
	f->c.training = training;
	make_room(f);
	dit_forward(&f->c, &f->m, f->v, &f->in);
	f->dev.m->sync(&f->dev);
	if (f->dev.status != ACE_OK)
		fail_msg("%s", ace_message());
}

double
dit_fixture_loss(struct dit_fixture *f)
{
	int64_t B = f->v.dim[0], T = f->v.dim[3], n = tensor_count(f->v) / B;
	const float *x = f->in.latents.data, *clean = f->clean.data, *v = f->v.data;
	double loss = 0;

	for (int64_t b = 0; b < B; b++) {
		const float *mask = (const float *)f->in.frame_mask.data + b * T;
		double sigma = (double)((float *)f->sigma.data)[b], sum = 0, weight = 0;
		for (int64_t t = 0; t < T; t++)
			weight += (double)mask[t] / (double)T;
		for (int64_t i = b * n; i < (b + 1) * n; i++) {
			double w = (double)mask[i % T];
			double e = w * ((double)x[i] - sigma * (double)v[i]) - w * (double)clean[i];
			sum += e * e;
			((float *)f->dv.data)[i] = (float)(-2 * e * w * sigma * weight / (double)n / (double)B);
		}
		loss += sum / (double)n * weight / (double)B;
	}
	return loss;
}

double
dit_fixture_step(struct dit_fixture *f)
{
	double loss;

	grads_back(f);
	for (int i = 0; i < dit_n_params(&f->m); i++) {
		struct param *p = dit_param(&f->m, i);
		if (p->train)
			f->dev.k->fill(&f->dev, p->grad, 0.f);
	}
	dit_fixture_forward(f, true);
	loss = dit_fixture_loss(f);
	dit_backward(&f->c, &f->m, &f->in, f->dv);
	f->dev.m->sync(&f->dev);
	if (f->dev.status != ACE_OK)
		fail_msg("%s", ace_message());
	grads_here(f);
	return loss;
}

double
dit_fixture_number(const struct dit_fixture *f, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(f->manifest, key);

	if (!cJSON_IsNumber(v))
		fail_msg("manifest.json: no number %s", key);
	return v->valuedouble;
}

void
dit_fixture_lora(struct dit_fixture *f, double scale)
{
	struct st_file lora;

	golden_open(&lora, DIT_SET, "lora/pytorch_lora_weights.safetensors");
	for (int i = 0; i < f->m.params.n_modules; i++) {
		const struct linear *l = f->m.params.module[i].l;
		char name[160];
		struct tensor a, b;
		snprintf(name, sizeof name, "%s.lora_A.weight", f->m.params.module[i].name);
		if (!st_find(&lora, name))
			continue;
		a = golden_f32(&lora, name);
		snprintf(name, sizeof name, "%s.lora_B.weight", f->m.params.module[i].name);
		b = golden_f32(&lora, name);
		assert_ok(params_add_adapter(&f->m.params, i, a.dim[0],
		                             (float)(scale > 0 ? scale : dit_fixture_number(f, "lora_scale")), 0.f));
		assert_true(tensor_same(l->lora_a.value, a) && tensor_same(l->lora_b.value, b));
		f->dev.m->upload(&f->dev, l->lora_a.value.data, a.data, tensor_bytes(a));
		f->dev.m->upload(&f->dev, l->lora_b.value.data, b.data, tensor_bytes(b));
		free(a.data);
		free(b.data);
	}
	st_close(&lora);
}
