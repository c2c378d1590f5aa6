/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_things.h"

#include "models/adapter.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How the keys of a file are spelt: what decides who reads it (transformer.md section 10.5). */
enum { BARE = 1, TRANSFORMER = 2, DIFFUSION = 4, KOHYA = 8, OTHER = 16 };		/* in front */
enum { A_B = 1, A_NAME_B = 2, DOT_DOWN_UP = 4, DOWN_UP = 8, ALPHA = 16 };	/* behind */

struct spelling {
	unsigned front, behind;
};

static bool
starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static void
spell(struct spelling *s, const char *key)
{
	static const struct {
		const char *front;
		unsigned bit;
	} fronts[] = { { "lora_unet_", KOHYA },
		       { "diffusion_model.", DIFFUSION },
		       { "transformer.", TRANSFORMER },
		       { "ace_step_transformer.", OTHER },
		       { "model.diffusion_model.", OTHER },
		       { "base_model.model.", OTHER },
		       { "", BARE } };
	const char *ab = strstr(key, ".lora_A.");
	int i = 0;

	while (!starts_with(key, fronts[i].front))
		i++;
	s->front |= fronts[i].bit;
	if (!ab)
		ab = strstr(key, ".lora_B.");
	if (ab)
		s->behind |= strcmp(ab + strlen(".lora_A."), "weight") == 0 ? A_B : A_NAME_B;
	else if (strstr(key, ".lora.down.") || strstr(key, ".lora.up."))
		s->behind |= DOT_DOWN_UP;
	else if (strstr(key, ".lora_down.") || strstr(key, ".lora_up."))
		s->behind |= DOWN_UP;
	else if (inspect_ends_with(key, ".alpha") || inspect_ends_with(key, ".lora_alpha"))
		s->behind |= ALPHA;
}

bool
inspect_is_adapter(const struct st_file *f)
{
	struct spelling s = { 0, 0 };

	for (int i = 0; i < f->n; i++)
		if (inspect_ends_with(f->entry[i].name, ".weight"))
			spell(&s, f->entry[i].name);
	return (s.behind & ~(unsigned)ALPHA) != 0;
}

/* --- who reads it --- */

/* A scale that only the metadata tells is 1 for readers that do not look there. */
static bool
loses_scale(const struct adapter_file *f)
{
	for (int i = 0; i < f->n; i++)
		if (f->module[i].from == ADAPTER_SCALE_METADATA && fabsf(f->module[i].scale - 1.f) > 1e-6f)
			return true;
	return false;
}

static const char *
diffusers(const struct spelling *s)
{
	if (s->front != BARE)
		return "no: it wants bare names";
	if (s->behind & ALPHA)
		return "unsure: there are alpha tensors";
	if (s->behind != A_B && s->behind != DOT_DOWN_UP)
		return s->behind & A_NAME_B ? "no: an adapter's name is in the keys"
		                            : "no: it would drop part of the spellings";
	return "yes";
}

static void
show_readers(struct report *r, const struct adapter_file *f)
{
	static const struct report_column columns[] = { { "reader", "reader", false },
		                                        { "takes_it", "takes it", false } };
	struct spelling s = { 0, 0 };
	const char *bare, *comfy = "yes";
	bool loses = loses_scale(f);

	for (int i = 0; i < f->st.n; i++)
		spell(&s, f->st.entry[i].name);
	bare = diffusers(&s);
	if (s.front & (TRANSFORMER | OTHER))
		comfy = "no: it wants bare names, diffusion_model. or lora_unet_ in front";
	else if (s.behind & A_NAME_B)
		comfy = "no: an adapter's name is in the keys";
	else if (loses)
		comfy = "yes, but with scale 1";
	report_table(r, "readers", "who reads it", columns, 2);
	report_cell(r, "these programs");
	report_cell(r, f->n_unknown ? "not as it is: %d keys are nothing of an adapter" : "yes", f->n_unknown);
	report_cell(r, "diffusers");
	report_cell(r, "%s", bare);
	report_cell(r, "ACE-Step");
	report_cell(r, "%s", loses && strcmp(bare, "yes") == 0 ? "yes, but with scale 1" : bare);
	report_cell(r, "ComfyUI");
	report_cell(r, "%s", comfy);
	report_cell(r, "SimpleTuner --init_lora");
	report_cell(r, "%s", s.front == TRANSFORMER ? "yes" : "no: it wants transformer. in front of names");
	report_table_end(r);
}

/* --- what it changes --- */

/* "transformer_blocks.7", "lyric_encoder.encoders.0", "speaker_embedder": the layer of a module. */
static int
layer_of(const char *module)
{
	static const char *const stacks[] = { "transformer_blocks", "lyric_encoder.encoders",
		                              "lyric_encoder_encoders" };

	for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++) {
		size_t n = strlen(stacks[i]);
		if (!starts_with(module, stacks[i]) || (module[n] != '.' && module[n] != '_') ||
		    !isdigit((unsigned char)module[n + 1]))
			continue;
		for (n++; isdigit((unsigned char)module[n]);)
			n++;
		return (int)n;
	}
	return (int)strcspn(module, ".");
}

static void
show_modules(struct report *r, const struct adapter_file *f, const double *norm)
{
	static const struct report_column columns[] = {
		{ "name", "module", false }, { "rank", "rank", true }, { "scale", "scale", true }, { "in", "in", true },
		{ "out", "out", true }, { "norm", "norm", true },
	};

	report_table(r, "modules", NULL, columns, 6);
	for (int i = 0; i < f->n; i++) {
		const struct adapter *m = &f->module[i];
		report_cell(r, "%s", m->name);
		report_cell_i64(r, m->rank);
		report_cell_number(r, m->scale, "%g", (double)m->scale);
		report_cell_i64(r, m->a.dim[1]);
		report_cell_i64(r, m->b.dim[0]);
		report_cell_number(r, norm[i], "%.4g", norm[i]);
	}
	report_table_end(r);
}

static bool
same_layer(const char *a, const char *b)
{
	return layer_of(a) == layer_of(b) && strncmp(a, b, (size_t)layer_of(a)) == 0;
}

/* The norm of a layer's whole change: the root of the sum of its modules' squares. In the order of the numbers, not of
 * the texts: transformer_blocks.2 before .10. */
static int
by_layer(const void *a, const void *b, void *file)
{
	const struct adapter_file *f = file;
	const char *x = f->module[*(const int *)a].name, *y = f->module[*(const int *)b].name;
	int n = strverscmp(x, y);

	return n ? n : *(const int *)a - *(const int *)b;
}

static enum status
show_layers(struct report *r, struct adapter_file *f, const double *norm)
{
	static const struct report_column columns[] = { { "layer", "layer", false }, { "modules", "modules", true },
		                                        { "norm", "norm of the change", true } };
	int *at = malloc((size_t)f->n * sizeof *at + 1);

	if (!at)
		return ace_fail(ACE_ENOMEM, "%s: no memory", f->st.path);
	for (int i = 0; i < f->n; i++)
		at[i] = i;
	qsort_r(at, (size_t)f->n, sizeof *at, by_layer, f);
	report_table(r, "layers", "change s B A", columns, 3);
	for (int from = 0, to; from < f->n; from = to) {
		const char *name = f->module[at[from]].name;
		double sum = 0;
		for (to = from; to < f->n && same_layer(name, f->module[at[to]].name); to++)
			sum += norm[at[to]] * norm[at[to]];
		report_cell(r, "%.*s", layer_of(name), name);
		report_cell_i64(r, to - from);
		report_cell_number(r, sqrt(sum), "%.4g", sqrt(sum));
	}
	report_table_end(r);
	free(at);
	return ACE_OK;
}

/* --- the whole --- */

static const char *
scale_from(const struct adapter_file *f)
{
	static const char *const words[] = { [ADAPTER_SCALE_ONE] = "nothing says otherwise",
		                             [ADAPTER_SCALE_ALPHA] = "alpha tensors",
		                             [ADAPTER_SCALE_METADATA] = "metadata" };

	for (int i = 1; i < f->n; i++)
		if (f->module[i].from != f->module[0].from)
			return "several sources";
	return words[f->module[0].from];
}

static void
show_metadata(struct report *r, const struct adapter_file *f)
{
	static const struct report_column columns[] = { { "key", "key", false }, { "value", "value", false } };

	report_table(r, "metadata", "metadata", columns, 2);
	for (int i = 0; i < f->st.n_meta; i++) {
		const char *key = f->st.meta[2 * i];
		cJSON *v = cJSON_Parse(f->st.meta[2 * i + 1]);
		char *one = cJSON_IsObject(v) ? cJSON_PrintUnformatted(v) : NULL;	/* on one line */
		report_cell(r, "%s", key);
		report_cell(r, "%s", one ? one : f->st.meta[2 * i + 1]);
		cJSON_free(one);
		cJSON_Delete(v);
	}
	report_table_end(r);
}

struct adapter_sum {
	int64_t parameters, least, most;	/* ranks */
	float scale_least, scale_most;
	double norm;			/* of the whole change */
};

static enum status
measure(const struct adapter_file *f, double *norm, struct adapter_sum *sum)
{
	*sum = (struct adapter_sum){ .least = f->module[0].rank,
		                     .most = f->module[0].rank,
		                     .scale_least = f->module[0].scale,
		                     .scale_most = f->module[0].scale };
	for (int i = 0; i < f->n; i++) {
		const struct adapter *m = &f->module[i];
		ACE_TRY(adapter_norm(m, &norm[i]));
		sum->norm += norm[i] * norm[i];
		sum->parameters += tensor_count(m->a) + tensor_count(m->b);
		sum->least = m->rank < sum->least ? m->rank : sum->least;
		sum->most = m->rank > sum->most ? m->rank : sum->most;
		sum->scale_least = m->scale < sum->scale_least ? m->scale : sum->scale_least;
		sum->scale_most = m->scale > sum->scale_most ? m->scale : sum->scale_most;
	}
	sum->norm = sqrt(sum->norm);
	return ACE_OK;
}

static const char *
state_of(const struct adapter_sum *sum)
{
	return isnan(sum->norm) ? ": broken, values are not numbers" : sum->norm == 0 ? ": has learnt nothing yet" : "";
}

static enum status
show_adapter(struct report *r, struct adapter_file *f, double *norm)
{
	char rank[REPORT_SHORT], scale[REPORT_SHORT], modules[REPORT_SHORT], parameters[REPORT_SHORT],
	    bytes[REPORT_SHORT];
	struct adapter_sum sum;
	char text[400];

	if (f->n == 0)
		return ace_fail(ACE_EDATA, "%s: no adapter in this file: %s", f->st.path,
		                adapter_unknown_text(f, text, sizeof text));
	ACE_TRY(measure(f, norm, &sum));
	snprintf(rank, sizeof rank, sum.least == sum.most ? "%lld" : "%lld to %lld", (long long)sum.least,
	         (long long)sum.most);
	snprintf(scale, sizeof scale, sum.scale_least == sum.scale_most ? "%g" : "%g to %g", (double)sum.scale_least,
	         (double)sum.scale_most);
	report_line(r, "adapter (LoRA), rank %s, %s modules, %s parameters, %s, %s%s", rank,
	            report_count(f->n, modules), report_count(sum.parameters, parameters),
	            dtype_name(f->module[0].a.dtype), report_bytes((int64_t)f->st.size, bytes), state_of(&sum));
	report_text(r, "rank", "rank", "%s", rank);
	report_text(r, "scale", "scale", "%s (%s)", scale, scale_from(f));
	report_i64(r, "n_modules", "modules", f->n);
	report_i64(r, "parameters", "parameters", sum.parameters);
	report_text(r, "dtype", "dtype", "%s", dtype_name(f->module[0].a.dtype));
	report_number(r, "bytes", "size", (double)f->st.size, "%s", bytes);
	if (f->global_step >= 0)
		report_i64(r, "global_step", "step", f->global_step);
	report_number(r, "norm", "norm", sum.norm, "%.4g", sum.norm);
	report_bool(r, "learnt", NULL, sum.norm > 0);
	if (sum.norm == 0)
		report_note(r, "has learnt nothing yet: every change is zero");
	if (loses_scale(f))
		report_note(r, "only the metadata tells the scale: readers that do not look there take 1");
	if (f->n_unknown)
		report_note(r, "keys that are nothing of an adapter: %s", adapter_unknown_text(f, text, sizeof text));
	show_readers(r, f);
	ACE_TRY(show_layers(r, f, norm));
	show_modules(r, f, norm);
	show_metadata(r, f);
	return ACE_OK;
}

enum status
inspect_adapter(const struct look *l, const char *path)
{
	struct adapter_file f;
	struct report r;
	double *norm;
	enum status st;

	ACE_TRY(adapter_file_open(&f, path, NULL));
	norm = calloc((size_t)f.n + 1, sizeof *norm);
	report_begin(&r, l->out, l->json, path, "adapter");
	st = report_end(&r, norm ? show_adapter(&r, &f, norm) : ace_fail(ACE_ENOMEM, "%s: no memory", path));
	if (st == ACE_OK)
		for (int i = 0; st == ACE_OK && i < f.n; i++)
			if (isnan(norm[i]))
				st = ace_fail(ACE_EDATA, "%s: %s has values that are not numbers", path,
				              f.module[i].name);
	free(norm);
	adapter_file_close(&f);
	return st;
}

enum status
inspect_adapter_line(const char *path, char *text, size_t size)
{
	struct adapter_file f;
	struct adapter_sum sum;
	double *norm;
	enum status st;

	ACE_TRY(adapter_file_open(&f, path, NULL));
	norm = calloc((size_t)f.n + 1, sizeof *norm);
	st = norm ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", path);
	if (st == ACE_OK && f.n == 0)
		st = ace_fail(ACE_EDATA, "%s: no adapter in this file", path);
	if (st == ACE_OK)
		st = measure(&f, norm, &sum);
	if (st == ACE_OK)
		snprintf(text, size, "rank %lld, %d modules, norm %.4g%s", (long long)sum.most, f.n, sum.norm,
		         state_of(&sum));
	free(norm);
	adapter_file_close(&f);
	return st;
}
