/* SPDX-License-Identifier: Apache-2.0 */
#include "models/adapter.h"

#include "base/file.h"
#include "base/msg.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PER_MODULE = 3, META = 24 };

/* What of a module's alpha a file says, and what B is multiplied by. */
static double
alpha_of(const struct adapter *m, const struct adapter_write_options *o)
{
	return o->unfolded ? (double)m->scale * (double)m->rank : (double)m->rank;
}

static float
fold_of(const struct adapter *m, const struct adapter_write_options *o)
{
	return o->unfolded ? 1.f : m->scale;
}

static const struct adapter *
most_common(const struct adapter_set *s)
{
	const struct adapter *best = NULL;
	int most = 0;

	for (int i = 0; i < s->n; i++) {
		int same = 0;
		for (int j = 0; j < s->n; j++)
			same += s->module[j].rank == s->module[i].rank && s->module[j].scale == s->module[i].scale;
		if (same > most) {
			most = same;
			best = &s->module[i];
		}
	}
	return best;
}

/* "NAME": NUMBER of the modules that differ from the file's common number, as an object's inside. */
static void
patterns(FILE *f, const char *key, const struct adapter_set *s, const struct adapter_write_options *o,
         const struct adapter *usual, bool rank)
{
	const char *gap = "\n";

	fprintf(f, "  \"%s\": {", key);
	for (int i = 0; i < s->n; i++) {
		const struct adapter *m = &s->module[i];
		double v = rank ? (double)m->rank : alpha_of(m, o), u = rank ? (double)usual->rank : alpha_of(usual, o);
		if (v == u)
			continue;
		fprintf(f, "%s    \"%s\": %.9g", gap, m->name, v);
		gap = ",\n";
	}
	fprintf(f, "%s},\n", gap[0] == ',' ? "\n  " : "");
}

/* The configuration that every reader's library can make its own of: the fields that all its versions know, sorted. */
static char *
configuration(const struct adapter_set *s, const struct adapter_write_options *o)
{
	const struct adapter *usual = most_common(s);
	size_t size;
	char *text = NULL;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fputs("{\n", f);
	patterns(f, "alpha_pattern", s, o, usual, false);
	fputs("  \"auto_mapping\": null,\n  \"base_model_name_or_path\": null,\n  \"bias\": \"none\",\n"
	      "  \"fan_in_fan_out\": false,\n  \"inference_mode\": false,\n  \"init_lora_weights\": true,\n"
	      "  \"layer_replication\": null,\n  \"layers_pattern\": null,\n  \"layers_to_transform\": null,\n"
	      "  \"loftq_config\": {},\n", f);
	fprintf(f, "  \"lora_alpha\": %.9g,\n  \"lora_bias\": false,\n  \"lora_dropout\": %.6g,\n", alpha_of(usual, o),
	        (double)usual->dropout);
	fputs("  \"megatron_config\": null,\n  \"megatron_core\": \"megatron.core\",\n  \"modules_to_save\": null,\n"
	      "  \"peft_type\": \"LORA\",\n", f);
	fprintf(f, "  \"r\": %" PRId64 ",\n", usual->rank);
	patterns(f, "rank_pattern", s, o, usual, true);
	fputs("  \"revision\": null,\n  \"target_modules\": [", f);
	for (int i = 0; i < s->n_targets; i++)
		fprintf(f, "%s\n    \"%s\"", i ? "," : "", s->target[i]);
	fputs("\n  ],\n  \"task_type\": null,\n  \"use_dora\": false,\n  \"use_rslora\": false\n}", f);
	if (ferror(f) | fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}

struct meta {
	const char *pair[2 * META];
	char *owned[META];
	int n, n_owned;
	bool nomem;
};

static void
add(struct meta *m, const char *key, const char *value)
{
	if (!value)
		return;
	m->pair[2 * m->n] = key;
	m->pair[2 * m->n++ + 1] = value;
}

static void
add_owned(struct meta *m, const char *key, char *value)
{
	m->nomem |= !value;
	m->owned[m->n_owned++] = value;
	add(m, key, value);
}

static void
make_meta(struct meta *m, const struct adapter_set *s, const struct adapter_write_options *o)
{
	*m = (struct meta){ 0 };
	add(m, "format", "pt");
	if (o->format == ADAPTER_DIFFUSERS)	/* a reader that finds both this and alpha tensors refuses the file */
		add_owned(m, "lora_adapter_metadata", configuration(s, o));
	add(m, "modelspec.sai_model_spec", "1.0.1");
	add_owned(m, "modelspec.architecture", file_path("ace_step-%s/lora", o->flavour ? o->flavour : "base"));
	add(m, "modelspec.implementation", "diffusers");
	add(m, "modelspec.title", o->title);
	add(m, "modelspec.description", o->description);
	add(m, "modelspec.comment", o->comment);
	add(m, "modelspec.resolution", o->resolution);
	add(m, "trained_words", o->trigger_words);
	if (o->global_step >= 0)
		add_owned(m, "global_step", file_path("%" PRId64, o->global_step));
}

struct file {
	struct st_item item[PER_MODULE];
	char name[PER_MODULE][320];
};

/* Items of all modules; values are those of the set, in the file's dtype. */
static void
make_items(struct file *part, struct st_item *item, int *n, const struct adapter_set *s, const struct adapter_write_options *o)
{
	static const char *const endings[PER_MODULE] = { "lora_A.weight", "lora_B.weight", "alpha" };
	int each = o->format == ADAPTER_COMFYUI ? 3 : 2;

	*n = 0;
	for (int i = 0; i < s->n; i++)
		for (int k = 0; k < each; k++) {
			char *name = part[i].name[k];
			struct tensor x = k == 0 ? s->module[i].a : s->module[i].b;
			snprintf(name, sizeof part[i].name[k], "%s%s.%s", each == 3 ? "diffusion_model." : "", s->module[i].name,
			         endings[k]);
			x.dtype = o->dtype;
			if (k == 2)
				x = tensor_make(NULL, F32, 0, NULL);
			item[(*n)++] = (struct st_item){ name, x };
		}
}

/* The bytes of item i, in buffer. */
static enum status
convert(void *buffer, float *scratch, int i, const char *path, const struct st_item *item, const struct adapter_set *s,
        const struct adapter_write_options *o)
{
	int each = o->format == ADAPTER_COMFYUI ? 3 : 2, k = i % each;
	const struct adapter *m = &s->module[i / each];
	struct tensor x = k == 0 ? m->a : m->b;
	int64_t n = tensor_count(x);
	float fold = k == 1 ? fold_of(m, o) : 1.f, alpha = (float)alpha_of(m, o);
	bool fits = true;

	if (k == 2) {
		memcpy(buffer, &alpha, sizeof alpha);
		return ACE_OK;
	}
	for (int64_t j = 0; j < n; j++) {
		scratch[j] = ((const float *)x.data)[j] * fold;
		fits &= o->dtype != F16 || !(fabsf(scratch[j]) > 65504.f);
	}
	if (!fits)
		return ace_fail(ACE_EDATA, "%s: %s has values beyond what F16 holds", path, item[i].name);
	dtype_convert(buffer, o->dtype, scratch, F32, n);
	return ACE_OK;
}

static enum status
write_items(const char *path, const struct adapter_set *s, const struct adapter_write_options *o, const struct st_item *item,
            int n, const struct meta *m)
{
	size_t largest = sizeof(double);
	struct st_writer *w = NULL;
	float *scratch;
	void *buffer;
	enum status st;
	int i;

	for (i = 0; i < s->n; i++) {
		size_t a = (size_t)tensor_count(s->module[i].a) * sizeof(float), b = (size_t)tensor_count(s->module[i].b) * sizeof(float);
		largest = a > largest ? a : largest;
		largest = b > largest ? b : largest;
	}
	buffer = malloc(largest);
	scratch = malloc(largest);
	st = buffer && scratch ? st_writer_open(&w, path, item, n, m->pair, m->n) : ace_fail(ACE_ENOMEM, "%s: no memory", path);
	while (st == ACE_OK && (i = st_writer_next(w)) >= 0) {
		st = convert(buffer, scratch, i, path, item, s, o);
		if (st == ACE_OK)
			st = st_writer_put(w, buffer, tensor_bytes(item[i].value));
	}
	if (st == ACE_OK)
		st = st_writer_commit(w);
	else
		st_writer_abort(w);
	free(buffer);
	free(scratch);
	return st;
}

static void
warn_unfolded(const char *path, const struct adapter_set *s)
{
	for (int i = 0; i < s->n; i++)
		if (s->module[i].scale != 1.f) {
			msg_warn("%s: written unfolded with scale %g: readers that know of no alpha will apply it with scale 1", path,
			         (double)s->module[i].scale);
			return;
		}
}

enum status
adapter_write(const char *path, const struct adapter_set *s, const struct adapter_write_options *o)
{
	struct file *part = calloc((size_t)s->n, sizeof *part);
	struct st_item *item = calloc((size_t)s->n * PER_MODULE, sizeof *item);
	enum status st = ACE_OK;
	struct meta m;
	int n;

	make_meta(&m, s, o);
	if (!part || !item || m.nomem)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", path);
	if (st == ACE_OK) {
		make_items(part, item, &n, s, o);
		st = write_items(path, s, o, item, n, &m);
	}
	if (st == ACE_OK && o->unfolded)
		warn_unfolded(path, s);
	for (int i = 0; i < m.n_owned; i++)
		free(m.owned[i]);
	free(part);
	free(item);
	return st;
}
