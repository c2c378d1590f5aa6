/* SPDX-License-Identifier: Apache-2.0 */
#include "train/clip.h"

#include "kernels/kernels.h"
#include "support/golden.h"
#include "support/test.h"
#include "train/optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };

/* The gradients of all parameters in one block, as a model has them. */
struct model {
	struct param p[MOST];
	char name[MOST][64];
	int n;
	struct tensor all;
	float *block;
};

static void
open_model(struct model *m, const struct st_file *f)
{
	int64_t total = 0, at = 0;

	memset(m, 0, sizeof *m);
	for (int i = 0; i < f->n; i++) {
		if (strncmp(f->entry[i].name, "init.", 5) != 0)
			continue;
		assert_true(m->n < MOST);
		snprintf(m->name[m->n], sizeof m->name[0], "%s", f->entry[i].name + 5);
		m->p[m->n] = (struct param){ .name = m->name[m->n], .value = golden_f32(f, f->entry[i].name), .train = true };
		total += tensor_count(m->p[m->n++].value);
	}
	assert_true(m->n > 0);
	m->block = calloc((size_t)total, sizeof *m->block);
	assert_non_null(m->block);
	m->all = tensor_of(m->block, F32, 1, total);
	for (int i = 0; i < m->n; i++) {
		m->p[i].grad = tensor_make(m->block + at, F32, m->p[i].value.rank, m->p[i].value.dim);
		at += tensor_count(m->p[i].value);
	}
}

static void
close_model(struct model *m)
{
	for (int i = 0; i < m->n; i++)
		free(m->p[i].value.data);
	free(m->block);
}

/* "norm.u3.grad.fc1.bias" into or against a tensor. */
static struct tensor
of(const struct st_file *f, const char *method, int update, const char *what, const char *param)
{
	char text[160];

	snprintf(text, sizeof text, "%s.u%d.%s.%s", method, update, what, param);
	return golden_f32(f, text);
}

static void
follow(struct dev *d, const struct st_file *f, const cJSON *run, const cJSON *settings)
{
	const char *method = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(run, "grad_clip_method"));
	struct clip_options clip = { strcmp(method, "value") == 0 ? CLIP_VALUE : CLIP_NORM, golden_number(run, "max_grad_norm") };
	struct optim_settings set = { .rule = OPTIM_ADAMW, .beta1 = golden_number(settings, "beta1"),
		.beta2 = golden_number(settings, "beta2"),
		.eps = golden_number(settings, "eps"), .weight_decay = golden_number(settings, "weight_decay") };
	const double rate[OPTIM_GROUPS] = { golden_number(settings, "lr"), 0 };
	float measured[2], limits[2];
	struct tensor tm = tensor_of(measured, F32, 1, 2), tl = tensor_of(limits, F32, 1, 2);
	struct model m;
	struct optim o;
	const cJSON *row;

	open_model(&m, f);
	optim_init(&o, d, &set, 1);
	for (int i = 0; i < m.n; i++)
		assert_ok(optim_add(&o, &m.p[i], 0, i, 0));
	assert_ok(optim_alloc(&o));
	cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(run, "rows")) {
		int u = (int)golden_number(row, "update");
		double norm = golden_number(row, "grad_norm_before_clip"), top = golden_number(row, "grad_absmax_before_clip");

		for (int i = 0; i < m.n; i++) {
			struct tensor g = of(f, method, u, "grad", m.p[i].name);
			memcpy(m.p[i].grad.data, g.data, tensor_bytes(g));
			free(g.data);
		}
		clip_measure(d, tm, m.all);
		assert_true(fabs(sqrt((double)measured[CLIP_SQUARES]) - norm) < 1e-6 * norm);
		assert_true(fabs((double)measured[CLIP_ABSMAX] - top) < 1e-6 * top);
		clip_limits(d, tl, tm, &clip, 1.f);
		optim_step(&o, rate, tl, u);
		clip_apply(d, m.all, tl);
		for (int i = 0; i < m.n; i++) {
			struct tensor g = of(f, method, u, "clipped", m.p[i].name), p = of(f, method, u, "param", m.p[i].name);
			golden_close("clipped", m.p[i].grad.data, g.data, tensor_count(g), 1e-6);
			golden_close("param", m.p[i].value.data, p.data, tensor_count(p), 1e-5);
			free(g.data);
			free(p.data);
		}
	}
	optim_free(&o);
	close_model(&m);
}

static void
norms_clipped_gradients_and_weights_are_the_reference_s(void **state)
{
	cJSON *root = golden_json("optim", "manifest.json"), *run;
	cJSON *accum = cJSON_GetObjectItemCaseSensitive(root, "accum_clip");
	struct st_file f;
	int n = 0;

	(void)state;
	golden_open(&f, "optim", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(accum, "file")));
	cJSON_ArrayForEach(run, cJSON_GetObjectItemCaseSensitive(accum, "runs"))
		for (int kind = DEV_REF; kind <= DEV_CPU; kind++) {
			struct dev d;
			assert_ok(dev_open(&d, (enum dev_kind)kind, 2));
			kernels_attach(&d);
			follow(&d, &f, run, cJSON_GetObjectItemCaseSensitive(accum, "optimizer"));
			assert_int_equal(d.status, ACE_OK);
			dev_close(&d);
			n++;
		}
	assert_true(n > 0);
	st_close(&f);
	cJSON_Delete(root);
}

/* What three steps give on a device. */
static void
limits_of(struct dev *d, float *g, int64_t n, const struct clip_options *c, float scale, float measured[2], float limits[2])
{
	struct tensor tg = tensor_of(g, F32, 1, n), tm = tensor_of(measured, F32, 1, 2), tl = tensor_of(limits, F32, 1, 2);

	clip_measure(d, tm, tg);
	clip_limits(d, tl, tm, c, scale);
	clip_apply(d, tg, tl);
}

static void
a_norm_below_the_threshold_and_a_threshold_of_0_change_nothing(void **state)
{
	float g[3] = { 3.f, -4.f, 0.f }, measured[2], limits[2];
	struct dev d;

	(void)state;
	assert_ok(dev_open(&d, DEV_CPU, 1));
	kernels_attach(&d);
	limits_of(&d, g, 3, &(struct clip_options){ CLIP_NORM, 5.1 }, 1.f, measured, limits);
	assert_true(measured[CLIP_SQUARES] == 25.f && measured[CLIP_ABSMAX] == 4.f && limits[CLIP_FACTOR] == 1.f);
	limits_of(&d, g, 3, &(struct clip_options){ CLIP_NORM, 0 }, 1.f, measured, limits);
	limits_of(&d, g, 3, &(struct clip_options){ CLIP_VALUE, 0 }, 1.f, measured, limits);
	assert_true(isinf(limits[CLIP_BOUND]) && g[0] == 3.f && g[1] == -4.f);
	limits_of(&d, g, 3, &(struct clip_options){ CLIP_VALUE, 3.5 }, 1.f, measured, limits);
	assert_true(g[0] == 3.f && g[1] == -3.5f);
	dev_close(&d);
}

static void
a_loss_scale_is_taken_back_before_clipping(void **state)
{
	float g[2] = { 1024.f * 3.f, 1024.f * 4.f }, measured[2], limits[2];
	struct dev d;

	(void)state;
	assert_ok(dev_open(&d, DEV_REF, 1));
	kernels_attach(&d);
	limits_of(&d, g, 2, &(struct clip_options){ CLIP_NORM, 10 }, 1024.f, measured, limits);
	assert_true(g[0] == 3.f && g[1] == 4.f);
	g[0] *= 1024.f, g[1] *= 1024.f;
	limits_of(&d, g, 2, &(struct clip_options){ CLIP_NORM, 1 }, 1024.f, measured, limits);
	assert_true(fabsf(g[0] - 0.6f) < 1e-6f && fabsf(g[1] - 0.8f) < 1e-6f);
	dev_close(&d);
}

static void
a_gradient_that_is_not_a_number_shows_in_both_measures(void **state)
{
	enum { N = 40000 };
	float *g = calloc(N, sizeof *g), measured[2];

	(void)state;
	assert_non_null(g);
	for (int kind = DEV_REF; kind <= DEV_CPU; kind++)
		for (int i = 0; i < N; i += 13331) {
			struct dev d;
			assert_ok(dev_open(&d, (enum dev_kind)kind, 2));
			kernels_attach(&d);
			g[i] = NAN;
			g[(i + 1) % N] = 2.f;
			clip_measure(&d, tensor_of(measured, F32, 1, 2), tensor_of(g, F32, 1, N));
			assert_true(isnan(measured[CLIP_SQUARES]) && isnan(measured[CLIP_ABSMAX]));
			g[i] = -INFINITY;
			clip_measure(&d, tensor_of(measured, F32, 1, 2), tensor_of(g, F32, 1, N));
			assert_true(isinf(measured[CLIP_SQUARES]) && isinf(measured[CLIP_ABSMAX]));
			g[i] = g[(i + 1) % N] = 0.f;
			dev_close(&d);
		}
	free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(norms_clipped_gradients_and_weights_are_the_reference_s),
		cmocka_unit_test(a_norm_below_the_threshold_and_a_threshold_of_0_change_nothing),
		cmocka_unit_test(a_loss_scale_is_taken_back_before_clipping),
		cmocka_unit_test(a_gradient_that_is_not_a_number_shows_in_both_measures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
