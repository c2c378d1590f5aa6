/* SPDX-License-Identifier: Apache-2.0 */
#include "models/vocoder_config.h"

#include "base/file.h"
#include "base/json.h"

#include <stdlib.h>

static enum status
refuse(const char *name, const cJSON *root, const struct mel_options *o, int64_t win_length)
{
	const cJSON *template = cJSON_GetObjectItemCaseSensitive(root, "use_template");
	const cJSON *kernels = cJSON_GetObjectItemCaseSensitive(root, "kernel_sizes");
	const cJSON *rates = cJSON_GetObjectItemCaseSensitive(root, "upsample_rates"), *rate;
	double product = 1;

	if (cJSON_IsTrue(template))
		return ace_fail(ACE_ECONFIG, "%s: use_template true is not supported", name);
	if (kernels && (!cJSON_IsArray(kernels) || cJSON_GetArraySize(kernels) != 1))
		return ace_fail(ACE_ECONFIG, "%s: kernel_sizes must be a list of one size", name);
	if (rates && !cJSON_IsArray(rates))
		return ace_fail(ACE_EDATA, "%s: upsample_rates is not a list", name);
	cJSON_ArrayForEach(rate, rates)
		product *= cJSON_IsNumber(rate) ? rate->valuedouble : 0;
	if (rates && product != o->hop)
		return ace_fail(ACE_EDATA, "%s: upsample_rates multiply to %g, not to hop_length %d", name, product, o->hop);
	if (win_length != o->n_fft)
		return ace_fail(ACE_ECONFIG, "%s: win_length %lld is not n_fft %d, which alone is supported", name,
		                (long long)win_length, o->n_fft);
	return ACE_OK;
}

static enum status
read_all(const char *name, const cJSON *root, struct mel_options *o)
{
	static const struct { const char *key; int64_t real; } keys[] = {
		{ "sampling_rate", 44100 }, { "n_fft", 2048 }, { "hop_length", 512 }, { "n_mels", 128 }, { "win_length", 2048 },
	};
	int64_t v[sizeof keys / sizeof *keys];

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		ACE_TRY(json_i64(root, name, keys[i].key, keys[i].real, &v[i]));
		if (v[i] < 1 || v[i] > 1 << 20)
			return ace_fail(ACE_EDATA, "%s: %s %lld is out of range", name, keys[i].key, (long long)v[i]);
	}
	*o = (struct mel_options){ .rate = (int)v[0], .n_fft = (int)v[1], .hop = (int)v[2], .bands = (int)v[3] };
	ACE_TRY(json_f64(root, name, "f_min", 40, &o->f_min));
	ACE_TRY(json_f64(root, name, "f_max", 16000, &o->f_max));
	return refuse(name, root, o, v[4]);
}

/* --- what the vocoder itself is made of --- */

/* A list of whole numbers, each in low .. high, at most `most` of them; absent: the real model's. */
static enum status
numbers(const char *name, const cJSON *root, const char *key, int most, int low, int high, const int *real, int n_real, int *v, int *n)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, key), *one;

	*n = 0;
	if (!list) {
		for (int i = 0; i < n_real; i++)
			v[(*n)++] = real[i];
		return ACE_OK;
	}
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > most)
		return ace_fail(ACE_EDATA, "%s: %s is no list of 1 to %d numbers", name, key, most);
	cJSON_ArrayForEach(one, list) {
		if (!cJSON_IsNumber(one) || one->valuedouble != one->valueint || one->valueint < low || one->valueint > high)
			return ace_fail(ACE_EDATA, "%s: %s holds what is no whole number from %d to %d", name, key, low, high);
		v[(*n)++] = one->valueint;
	}
	return ACE_OK;
}

static enum status
dilations(const char *name, const cJSON *root, struct vocoder_config *c)
{
	static const int real[3] = { 1, 3, 5 };
	const cJSON *lists = cJSON_GetObjectItemCaseSensitive(root, "resblock_dilation_sizes");

	if (lists && (!cJSON_IsArray(lists) || cJSON_GetArraySize(lists) != c->kernels))
		return ace_fail(ACE_EDATA, "%s: resblock_dilation_sizes is no list of %d lists", name, c->kernels);
	for (int i = 0; i < c->kernels; i++) {
		cJSON *one = lists ? cJSON_GetArrayItem(lists, i) : NULL, *wrap = cJSON_CreateObject();
		enum status st;
		if (!wrap || (one && !cJSON_AddItemReferenceToObject(wrap, "resblock_dilation_sizes", one))) {
			cJSON_Delete(wrap);
			return ace_fail(ACE_ENOMEM, "%s: no memory to read it", name);
		}
		st = numbers(name, wrap, "resblock_dilation_sizes", VOCODER_DILATIONS, 1, 1 << 10, real, 3, c->dilation[i],
		             &c->dilations[i]);
		cJSON_Delete(wrap);
		ACE_TRY(st);
	}
	return ACE_OK;
}

static enum status
fits(const char *name, const struct vocoder_config *c, int depths, int up_kernels, int64_t mels, int64_t inputs)
{
	if (depths != c->stages)
		return ace_fail(ACE_EDATA, "%s: depths has %d entries, dims %d", name, depths, c->stages);
	if (up_kernels != c->ups)
		return ace_fail(ACE_EDATA, "%s: upsample_kernel_sizes has %d entries, upsample_rates %d", name, up_kernels, c->ups);
	if (mels != c->width[c->stages - 1])
		return ace_fail(ACE_EDATA, "%s: num_mels is %lld, the last of dims %d", name, (long long)mels, c->width[c->stages - 1]);
	if (inputs != c->mel.bands)
		return ace_fail(ACE_EDATA, "%s: input_channels is %lld, n_mels %d", name, (long long)inputs, c->mel.bands);
	for (int i = 0; i < c->ups; i++)
		if (c->up_kernel[i] < c->rate[i] || (c->up_kernel[i] - c->rate[i]) % 2)
			return ace_fail(ACE_EDATA, "%s: upsample_kernel_sizes has %d for a rate of %d: as large, or larger by an even number, "
			                "is wanted", name, c->up_kernel[i], c->rate[i]);
	for (int i = 0; i < c->kernels; i++)
		if (c->res_kernel[i] % 2 == 0)
			return ace_fail(ACE_EDATA, "%s: resblock_kernel_sizes has %d, an odd number is wanted", name, c->res_kernel[i]);
	if (c->kernel % 2 == 0 || c->pre_kernel % 2 == 0 || c->post_kernel % 2 == 0)
		return ace_fail(ACE_EDATA, "%s: kernel_sizes, pre_conv_kernel_size and post_conv_kernel_size are %d, %d, %d: odd numbers are "
		                "wanted", name, c->kernel, c->pre_kernel, c->post_kernel);
	if ((c->channels >> c->ups) << c->ups != c->channels)
		return ace_fail(ACE_EDATA, "%s: upsample_initial_channel %d can not be halved %d times", name, c->channels, c->ups);
	return ACE_OK;
}

static enum status
read_sizes(const char *name, const cJSON *root, struct vocoder_config *c)
{
	static const int depth[] = { 3, 3, 9, 3 }, width[] = { 128, 256, 384, 512 }, rate[] = { 4, 4, 2, 2, 2, 2, 2 };
	static const int up[] = { 8, 8, 4, 4, 4, 4, 4 }, res[] = { 3, 7, 11, 13 }, seven[] = { 7 };
	int depths, ups, one;
	int64_t mels, inputs, channels, pre, post;

	ACE_TRY(read_all(name, root, &c->mel));
	ACE_TRY(numbers(name, root, "dims", VOCODER_STAGES, 1, 1 << 16, width, 4, c->width, &c->stages));
	ACE_TRY(numbers(name, root, "depths", VOCODER_STAGES, 0, 1 << 10, depth, 4, c->depth, &depths));
	ACE_TRY(numbers(name, root, "kernel_sizes", 1, 1, 1 << 10, seven, 1, &c->kernel, &one));
	ACE_TRY(numbers(name, root, "upsample_rates", VOCODER_UPS, 1, 1 << 10, rate, 7, c->rate, &c->ups));
	ACE_TRY(numbers(name, root, "upsample_kernel_sizes", VOCODER_UPS, 1, 1 << 10, up, 7, c->up_kernel, &ups));
	ACE_TRY(numbers(name, root, "resblock_kernel_sizes", VOCODER_KERNELS, 1, 1 << 10, res, 4, c->res_kernel, &c->kernels));
	ACE_TRY(dilations(name, root, c));
	ACE_TRY(json_i64(root, name, "num_mels", c->width[c->stages - 1], &mels));
	ACE_TRY(json_i64(root, name, "input_channels", c->mel.bands, &inputs));
	ACE_TRY(json_i64(root, name, "upsample_initial_channel", 1024, &channels));
	ACE_TRY(json_i64(root, name, "pre_conv_kernel_size", 13, &pre));
	ACE_TRY(json_i64(root, name, "post_conv_kernel_size", 13, &post));
	if (channels < 1 || channels > 1 << 16 || pre < 1 || pre > 1 << 10 || post < 1 || post > 1 << 10)
		return ace_fail(ACE_EDATA, "%s: upsample_initial_channel, pre_conv_kernel_size or post_conv_kernel_size is out of range", name);
	c->channels = (int)channels;
	c->pre_kernel = (int)pre;
	c->post_kernel = (int)post;
	return fits(name, c, depths, ups, mels, inputs);
}

static enum status
open_config(const char *folder, char **path, cJSON **root)
{
	enum status st;

	if (!(*path = file_path("%s/config.json", folder)))
		return ace_fail(ACE_ENOMEM, "%s: no memory for its name", folder);
	if ((st = json_read(*path, 1 << 20, root)) != ACE_OK)
		free(*path);
	return st;
}

enum status
vocoder_config_read(struct mel_options *o, const char *folder)
{
	enum status st;
	cJSON *root;
	char *path;

	ACE_TRY(open_config(folder, &path, &root));
	st = read_all(path, root, o);
	cJSON_Delete(root);
	free(path);
	return st;
}

enum status
vocoder_config_read_all(struct vocoder_config *c, const char *folder)
{
	enum status st;
	cJSON *root;
	char *path;

	*c = (struct vocoder_config){ 0 };
	ACE_TRY(open_config(folder, &path, &root));
	st = read_sizes(path, root, c);
	cJSON_Delete(root);
	free(path);
	return st;
}
