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

enum status
vocoder_config_read(struct mel_options *o, const char *folder)
{
	char *path = file_path("%s/config.json", folder);
	enum status st;
	cJSON *root;

	if (!path)
		return ace_fail(ACE_ENOMEM, "%s: no memory for its name", folder);
	if ((st = json_read(path, 1 << 20, &root)) == ACE_OK) {
		st = read_all(path, root, o);
		cJSON_Delete(root);
	}
	free(path);
	return st;
}
