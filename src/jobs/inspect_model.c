/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/inspect_things.h"

#include "base/file.h"
#include "base/json.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_LIMIT = 16 << 20, OTHERS = 10 };

/* Tensors by what reads them; the first rule that matches counts. label: what a row of the table is called. */
struct rule {
	const char *match, *label, *use;	/* use NULL: nothing reads them */
};

/* The passes never read these four of a block's cross attention; projectors only with ace_step_ssl_loss_weight. */
static const struct rule transformer[] = {
	{ "transformer_blocks.*.cross_attn.add_[qkv]_proj.*", "cross_attn.add_{q,k,v}_proj", NULL },
	{ "transformer_blocks.*.cross_attn.to_add_out.*", "cross_attn.to_add_out", NULL },
	{ "transformer_blocks.*", "transformer_blocks", "training, generation" },
	{ "lyric_encoder.*", "lyric_encoder", "training, generation" },
	{ "lyric_embs.*", "lyric_embs", "training, generation" },
	{ "lyric_proj.*", "lyric_proj", "training, generation" },
	{ "t_block.1.*", "t_block", "training, generation" },
	{ "timestep_embedder.*", "timestep_embedder", "training, generation" },
	{ "genre_embedder.*", "genre_embedder", "training, generation" },
	{ "speaker_embedder.*", "speaker_embedder", "training, generation" },
	{ "proj_in.early_conv_layers.*", "proj_in", "training, generation" },
	{ "final_layer.*", "final_layer", "training, generation" },
	{ "projectors.*", "projectors", "training with ace_step_ssl_loss_weight" },
	{ NULL, NULL, NULL },
};
static const struct rule texts[] = {
	{ "encoder.embed_tokens.weight", "encoder.embed_tokens", "captions" },
	{ "shared.weight", "shared", "captions" },
	{ "encoder.*", "encoder", "captions" },
	{ "decoder.*", "decoder", NULL },
	{ "lm_head.*", "lm_head", NULL },
	{ NULL, NULL, NULL },
};
static const struct rule autoencoder[] = {
	{ "encoder.*", "encoder", "preprocessing" },
	{ "decoder.*", "decoder", "generation" },
	{ NULL, NULL, NULL },
};
static const struct rule vocoder[] = {
	{ "mel_transform.*", "mel_transform", "preprocessing" },
	{ "backbone.*", "backbone", "generation" },
	{ "head.*", "head", "generation" },
	{ NULL, NULL, NULL },
};
static const struct rule unknown[] = { { NULL, NULL, NULL } };

static const struct {
	const char *folder, *what, *sign;	/* sign: a tensor that says which part it is */
	const struct rule *rule;
} parts[] = {
	[PART_TRANSFORMER] = { "ace_step_transformer", "music transformer", "transformer_blocks.0.attn.to_q.weight",
	                       transformer },
	[PART_TEXTS] = { "umt5-base", "prompt encoder", "encoder.block.0.layer.0.SelfAttention.q.weight", texts },
	[PART_AUTOENCODER] = { "music_dcae_f8c8", "autoencoder", "encoder.conv_in.weight", autoencoder },
	[PART_VOCODER] = { "music_vocoder", "vocoder", "head.conv_pre.weight_v", vocoder },
	[PART_UNKNOWN] = { "", "unknown model", "", unknown },
};

enum model_part
inspect_part_of(const struct weights *w)
{
	for (int i = 0; i < PART_UNKNOWN; i++)
		if (weights_find(w, parts[i].sign))
			return (enum model_part)i;
	return PART_UNKNOWN;
}

static const struct rule *
rule_of(enum model_part part, const char *tensor)
{
	const struct rule *k = parts[part].rule;

	while (k->match && fnmatch(k->match, tensor, 0) != 0)
		k++;
	return k;
}

const char *
inspect_read_for(enum model_part part, const char *tensor)
{
	return rule_of(part, tensor)->use;
}

bool
inspect_is_part(const char *folder)
{
	return inspect_has(folder, "config.json") &&
	       (inspect_has(folder, "diffusion_pytorch_model.safetensors") ||
	        inspect_has(folder, "model.safetensors") ||
	        inspect_has(folder, "diffusion_pytorch_model.safetensors.index.json") ||
	        inspect_has(folder, "model.safetensors.index.json"));
}

bool
inspect_is_model(const char *folder)
{
	for (int i = 0; i < PART_UNKNOWN; i++) {
		char *path = file_path("%s/%s", folder, parts[i].folder);
		bool is = path && file_is_dir(path);
		free(path);
		if (is)
			return true;
	}
	return false;
}

/* --- one part --- */

/* Every field of config.json that is no object. */
static enum status
show_config(struct report *r, const char *folder)
{
	static const struct report_column columns[] = { { "key", "field", false }, { "value", "value", false } };
	char *path = file_path("%s/config.json", folder);
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	cJSON *root = NULL;
	const cJSON *v;

	if (st == ACE_OK)
		st = json_read(path, CONFIG_LIMIT, &root);
	free(path);
	if (st != ACE_OK)
		return st;
	report_table(r, "config", "config.json", columns, 2);
	cJSON_ArrayForEach(v, root) {
		char *text = cJSON_IsObject(v) || !v->string ? NULL : cJSON_PrintUnformatted(v);
		if (!text)
			continue;
		report_cell(r, "%s", v->string);
		report_cell(r, "%s", text);
		cJSON_free(text);
	}
	report_table_end(r);
	cJSON_Delete(root);
	return ACE_OK;
}

/* Rows of the table of uses: by rule, and what no rule knows. */
static void
show_uses(struct report *r, enum model_part part, const struct weights *w, struct tensor_sum *idle)
{
	static const struct report_column columns[] = { { "tensors", "tensors", false }, { "count", "count", true },
		                                        { "parameters", "parameters", true },
		                                        { "read_for", "read for", false } };
	int others = 0;

	report_table(r, "uses", "what reads them", columns, 4);
	for (const struct rule *k = parts[part].rule;; k++) {
		int64_t n = 0, parameters = 0;
		for (int f = 0; f < w->n; f++)
			for (int i = 0; i < w->file[f].n; i++) {
				if (rule_of(part, w->file[f].entry[i].name) != k)
					continue;
				n++;
				parameters += tensor_count(w->file[f].entry[i].value);
			}
		if (n > 0) {
			report_cell(r, "%s", k->label ? k->label : "others");
			report_cell_i64(r, n);
			report_cell_i64(r, parameters);
			report_cell(r, "%s", k->use ? k->use : "nothing");
			idle->tensors += k->use ? 0 : n;
			idle->parameters += k->use ? 0 : parameters;
		}
		if (!k->match)
			break;
	}
	report_table_end(r);
	for (int f = 0; f < w->n; f++)
		for (int i = 0; i < w->file[f].n; i++)
			if (!rule_of(part, w->file[f].entry[i].name)->match && ++others <= OTHERS)
				report_note(r, "tensor %s is none of this part", w->file[f].entry[i].name);
	if (others > OTHERS)
		report_note(r, "and %d more", others - OTHERS);
}

static int64_t
file_bytes(const struct weights *w)
{
	int64_t n = 0;

	for (int i = 0; i < w->n; i++)
		n += (int64_t)w->file[i].size;
	return n;
}

static enum status
show_part(struct report *r, const struct look *l, const char *path, const struct weights *w, int64_t *bad)
{
	char count[REPORT_SHORT], bytes[REPORT_SHORT], hex[65];
	enum model_part part = inspect_part_of(w);
	struct tensor_sum sum, idle = { 0 };

	inspect_sum(w, &sum);
	report_line(r, "%s, %s parameters, %s, %s", parts[part].what, report_count(sum.parameters, count), sum.dtypes,
	            report_bytes(file_bytes(w), bytes));
	report_text(r, "part", "part", "%s", parts[part].what);
	report_i64(r, "files", "files", w->n);
	report_number(r, "bytes", "size", (double)file_bytes(w), "%s", bytes);
	report_i64(r, "count", "tensors", sum.tensors);
	report_i64(r, "parameters", "parameters", sum.parameters);
	report_text(r, "dtypes", "dtypes", "%s", sum.dtypes);
	show_uses(r, part, w, &idle);
	report_i64(r, "unused_parameters", NULL, idle.parameters);
	if (l->verify) {
		for (int f = 0; f < w->n; f++)
			for (int i = 0; i < w->file[f].n; i++)
				*bad += inspect_nonfinite(w->file[f].entry[i].value);
		ACE_TRY(weights_hash(w, hex));
		report_text(r, "sha256", NULL, "%s", hex);
		report_i64(r, "nonfinite", NULL, *bad);
		if (*bad)
			report_note(r, "%lld values are not finite", (long long)*bad);
	}
	return show_config(r, path);
}

enum status
inspect_part(const struct look *l, const char *path)
{
	struct weights w;
	struct report r;
	int64_t bad = 0;
	enum status st;

	ACE_TRY(weights_open(&w, path));
	report_begin(&r, l->out, l->json, path, "part");
	st = report_end(&r, show_part(&r, l, path, &w, &bad));
	weights_close(&w);
	if (st == ACE_OK && bad > 0)
		return ace_fail(ACE_EDATA, "%s: %lld values are not finite", path, (long long)bad);
	return st;
}

/* --- a model --- */

struct model_sum {
	int there;
	int64_t parameters, bytes, idle;
	enum status first;		/* failure of a part */
	char message[400];
};

static void
part_row(struct report *r, const struct look *l, const char *folder, int i, struct model_sum *sum)
{
	char *path = file_path("%s/%s", folder, parts[i].folder), text[REPORT_SHORT];
	struct tensor_sum own = { .dtypes = "" };
	struct weights w = { 0 };
	bool there = path && file_is_dir(path);
	enum status st = there ? weights_open(&w, path) : ACE_OK;
	int64_t bad = 0;

	if (there && st == ACE_OK && !inspect_has(path, "config.json"))
		st = ace_fail(ACE_ENOINPUT, "%s: no config.json in this folder", path);
	if (there && st == ACE_OK && inspect_part_of(&w) != (enum model_part)i)
		st = ace_fail(ACE_EDATA, "%s: its tensors are not those of the %s (no %s)", path, parts[i].what,
		              parts[i].sign);
	if (there && st == ACE_OK) {
		inspect_sum(&w, &own);
		for (int f = 0; f < w.n; f++)
			for (int k = 0; k < w.file[f].n; k++) {
				const struct st_entry *e = &w.file[f].entry[k];
				sum->idle += inspect_read_for((enum model_part)i, e->name) ? 0 : tensor_count(e->value);
				bad += l->verify ? inspect_nonfinite(e->value) : 0;
			}
		if (bad > 0)
			st = ace_fail(ACE_EDATA, "%s: %lld values are not finite", path, (long long)bad);
	}
	sum->there += there && st == ACE_OK;
	sum->parameters += own.parameters;
	sum->bytes += file_bytes(&w);
	report_cell(r, "%s", parts[i].folder);
	report_cell(r, "%s", parts[i].what);
	report_cell_i64(r, own.tensors);
	report_cell_i64(r, own.parameters);
	report_cell(r, "%s", own.dtypes);
	report_cell_number(r, (double)file_bytes(&w), "%s", report_bytes(file_bytes(&w), text));
	report_cell(r, "%s", !there ? "missing" : st == ACE_OK ? "whole" : "damaged");
	if (st != ACE_OK && sum->first == ACE_OK) {
		sum->first = st;
		snprintf(sum->message, sizeof sum->message, "%s", ace_message());
	}
	weights_close(&w);
	free(path);
}

enum status
inspect_model(const struct look *l, const char *path)
{
	static const struct report_column columns[] = {
		{ "folder", "folder", false },        { "part", "part", false },    { "count", "tensors", true },
		{ "parameters", "parameters", true }, { "dtypes", "dtype", false }, { "bytes", "size", true },
		{ "state", "state", false }
	};
	char count[REPORT_SHORT], bytes[REPORT_SHORT];
	struct model_sum sum = { 0 };
	struct report r;
	enum status st;

	report_begin(&r, l->out, l->json, path, "model");
	report_table(&r, "parts", "parts", columns, 7);
	for (int i = 0; i < PART_UNKNOWN; i++)
		part_row(&r, l, path, i, &sum);
	report_line(&r, "model, %d of %d parts, %s parameters, %s", sum.there, PART_UNKNOWN,
	            report_count(sum.parameters, count), report_bytes(sum.bytes, bytes));
	report_i64(&r, "parameters", NULL, sum.parameters);
	report_number(&r, "bytes", NULL, (double)sum.bytes, "%s", bytes);
	report_number(&r, "unused_parameters", "unused", (double)sum.idle, "%s parameters that nothing reads",
	              report_count(sum.idle, count));
	report_bool(&r, "lyric_vocab", "lyric vocabulary", inspect_has(path, "lyric_vocab.json"));
	if (sum.first != ACE_OK)
		report_note(&r, "%s", sum.message);
	report_table_end(&r);
	st = report_end(&r, ACE_OK);
	return st != ACE_OK || sum.first == ACE_OK ? st : ace_fail(sum.first, "%s", sum.message);
}
