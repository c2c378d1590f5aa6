/* SPDX-License-Identifier: Apache-2.0 */
#include "models/dit_fixture.h"

#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Page transformer.md, section 12. */
static const double output = 3e-5, losses = 3e-6;

static void
close_to(const char *file, const char *name, struct tensor got)
{
	struct st_file golden;
	struct tensor want;

	golden_open(&golden, DIT_SET, file);
	want = golden_f32(&golden, name);
	assert_int_equal(tensor_count(want), tensor_count(got));
	golden_close(name, got.data, want.data, tensor_count(got), output);
	free(want.data);
	st_close(&golden);
}

static void
loss_is(const char *file, const char *name, double got)
{
	struct st_file golden;
	struct tensor want;

	golden_open(&golden, DIT_SET, file);
	want = golden_f32(&golden, name);
	if (!(fabs(got - (double)((float *)want.data)[0]) <= losses * fabs(got)))
		fail_msg("%s: %.9g, wanted %.9g", name, got, (double)((float *)want.data)[0]);
	free(want.data);
	st_close(&golden);
}

static void
open_plain(struct dit_fixture *f, bool masks)
{
	const struct dit_options o = { .dtype = F32, .attention_masks = masks };

	dit_fixture_open(f, DEV_CPU, 2, &o, false);
}

static void
use_ragged(struct dit_fixture *f)
{
	memcpy(f->in.frame_mask.data, f->ragged.data, tensor_bytes(f->ragged));
}

static void
the_loss_is_the_references(void **state)
{
	struct dit_fixture f;

	(void)state;
	open_plain(&f, true);
	dit_fixture_forward(&f, false);
	loss_is("cases.safetensors", "loss_denoise", dit_fixture_loss(&f));
	dit_fixture_close(&f);
}

static void
a_ragged_frame_mask_acts_as_the_references(void **state)
{
	struct dit_fixture f;

	(void)state;
	open_plain(&f, true);
	use_ragged(&f);
	dit_fixture_forward(&f, false);
	close_to("cases.safetensors", "out_ragged_attention_mask", f.v);
	loss_is("cases.safetensors", "loss_denoise_ragged", dit_fixture_loss(&f));
	dit_fixture_close(&f);
}

static void
without_attention_masks_the_packaged_copys_output_comes(void **state)
{
	struct dit_fixture f;

	(void)state;
	open_plain(&f, false);
	use_ragged(&f);
	dit_fixture_forward(&f, false);
	close_to("cases.safetensors", "out_packaged_no_masks", f.v);
	loss_is("cases.safetensors", "loss_denoise_packaged_ragged", dit_fixture_loss(&f));
	dit_fixture_close(&f);
}

static void
zero(struct tensor x)
{
	memset(x.data, 0, tensor_bytes(x));
}

static void
dropped_conditions_give_the_references_output(void **state)
{
	struct dit_fixture f;

	(void)state;
	open_plain(&f, true);
	zero(f.in.text);
	zero(f.in.speaker);
	zero(f.in.lyric_ids);
	zero(f.in.lyric_mask);
	dit_fixture_forward(&f, false);
	close_to("cases.safetensors", "out_unconditional", f.v);
	dit_fixture_close(&f);
}

/* Sample 0, its first frame, one lyric token of id 3, masks 1. */
static void
one_frame_and_one_lyric_token_are_enough(void **state)
{
	struct dit_fixture f;
	struct tensor *one[] = { &f.in.text, &f.in.text_mask, &f.in.speaker, &f.in.timestep, &f.in.lyric_ids, &f.in.lyric_mask,
		&f.in.frame_mask };
	int64_t T, rows;
	float *x;

	(void)state;
	open_plain(&f, true);
	T = f.v.dim[3];
	rows = DIT_ROWS * DIT_CHANNELS;
	x = f.in.latents.data;
	for (int64_t i = 0; i < rows; i++)
		x[i] = x[i * T];
	for (size_t i = 0; i < sizeof one / sizeof *one; i++)
		one[i]->dim[0] = 1;
	f.in.latents.dim[0] = f.v.dim[0] = 1;
	f.in.latents.dim[3] = f.v.dim[3] = f.in.frame_mask.dim[1] = f.in.lyric_ids.dim[1] = f.in.lyric_mask.dim[1] = 1;
	((int32_t *)f.in.lyric_ids.data)[0] = 3;
	((float *)f.in.lyric_mask.data)[0] = ((float *)f.in.frame_mask.data)[0] = 1.f;
	dit_fixture_forward(&f, false);
	close_to("cases.safetensors", "out_single_frame_single_lyric_token", f.v);
	dit_fixture_close(&f);
}

static void
adapters_give_the_references_outputs(void **state)
{
	struct dit_fixture f;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_plain(&f, true);
		dit_fixture_forward(&f, false);
		close_to("lora_outputs.safetensors", "out_base", f.v);
		dit_fixture_lora(&f, i ? 1.0 : 0.0);
		dit_fixture_forward(&f, false);
		close_to("lora_outputs.safetensors", i ? "out_lora_scale_one" : "out_lora", f.v);
		if (!i)
			loss_is("lora_outputs.safetensors", "loss_lora", dit_fixture_loss(&f));
		dit_fixture_close(&f);
	}
}

static double
rms(const float *a, const float *b, int64_t n)
{
	double s = 0;

	for (int64_t i = 0; i < n; i++)
		s += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
	return sqrt(s / (double)n);
}

/* Section 7: no more than 1.5 times the reference's own error with bf16 weights. */
static void
bf16_weights_cost_no_more_than_the_references(void **state)
{
	const struct dit_options o = { .dtype = BF16, .attention_masks = true };
	struct dit_fixture a, b;
	struct st_file golden;
	struct tensor want;
	double ours, theirs;

	(void)state;
	open_plain(&a, true);
	dit_fixture_open(&b, DEV_CPU, 2, &o, false);
	assert_int_equal(b.m.block[0].attn.q.w.value.dtype, BF16);
	dit_fixture_forward(&a, false);
	dit_fixture_forward(&b, false);
	golden_open(&golden, DIT_SET, "bf16.safetensors");
	want = golden_f32(&golden, "out_bf16_weights");
	ours = rms(a.v.data, b.v.data, tensor_count(a.v));
	theirs = rms(a.v.data, want.data, tensor_count(a.v));
	if (!(ours <= 1.5 * theirs && ours > 0))
		fail_msg("rms error %.4g with bf16 weights, the reference's is %.4g", ours, theirs);
	free(want.data);
	st_close(&golden);
	dit_fixture_close(&a);
	dit_fixture_close(&b);
}

/* 11 bits of mantissa instead of 8: an eighth of the error that bf16 weights make, and half as much again. */
static void
fp16_weights_cost_an_eighth_of_what_bf16_ones_do(void **state)
{
	const struct dit_options half = { .dtype = BF16, .attention_masks = true }, f16 = { .dtype = F16, .attention_masks = true };
	struct dit_fixture a, b, c;
	double bf16, ours;

	(void)state;
	open_plain(&a, true);
	dit_fixture_open(&b, DEV_CPU, 2, &half, false);
	dit_fixture_open(&c, DEV_CPU, 2, &f16, false);
	assert_int_equal(c.m.block[0].attn.q.w.value.dtype, F16);
	dit_fixture_forward(&a, false);
	dit_fixture_forward(&b, false);
	dit_fixture_forward(&c, false);
	bf16 = rms(a.v.data, b.v.data, tensor_count(a.v));
	ours = rms(a.v.data, c.v.data, tensor_count(a.v));
	if (!(ours <= 1.5 * bf16 / 8 && ours > 0))
		fail_msg("rms error %.4g with fp16 weights, %.4g with bf16 ones", ours, bf16);
	dit_fixture_close(&a);
	dit_fixture_close(&b);
	dit_fixture_close(&c);
}

/* A broken file is refused by name, and nothing leaks. */
static void
a_missing_model_is_named(void **state)
{
	const struct dit_options o = { .dtype = F32, .attention_masks = true };
	struct dit m;
	struct dev d;

	(void)state;
	assert_ok(dev_open(&d, DEV_CPU, 1));
	assert_int_not_equal(dit_open(&m, "/nonexistent/model", &o, &d), ACE_OK);
	assert_non_null(strstr(ace_message(), "/nonexistent/model"));
	dev_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_loss_is_the_references),
		cmocka_unit_test(a_ragged_frame_mask_acts_as_the_references),
		cmocka_unit_test(without_attention_masks_the_packaged_copys_output_comes),
		cmocka_unit_test(dropped_conditions_give_the_references_output),
		cmocka_unit_test(one_frame_and_one_lyric_token_are_enough),
		cmocka_unit_test(adapters_give_the_references_outputs),
		cmocka_unit_test(bf16_weights_cost_no_more_than_the_references),
		cmocka_unit_test(fp16_weights_cost_an_eighth_of_what_bf16_ones_do),
		cmocka_unit_test(a_missing_model_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
