/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <assert.h>
#include <string.h>

static const struct option table[] = {
#include "base/options/model.h"
#include "base/options/lora.h"
#include "base/options/schedule.h"
#include "base/options/precision.h"
#include "base/options/objective.h"
#include "base/options/data.h"
#include "base/options/picture.h"
#include "base/options/checkpoint.h"
#include "base/options/validation.h"
#include "base/options/distributed.h"
#include "base/options/own.h"
};

static const struct {
	const char *name, *values;
} built[] = {
#define BUILT(name, values) { #name, values },
#include "base/options/built.h"
#undef BUILT
};

/* Accepted, and without effect whatever their value. */
static const char no_effect[] = "resolution seed_for_each_device fsdp_version push_to_hub push_checkpoints_to_hub "
	"push_to_hub_background hub_model_id model_card_private model_card_safe_for_work model_card_note "
	"publishing_config post_upload_script ema_foreach_disable dataloader_num_workers vae_batch_size "
	"text_encoder_batch_size read_batch_size checkpointing_use_tempdir "
	"tracker_project_name tracker_run_name max_workers quantize_via set_grads_to_none "
	"fuse_optimizer attention_mechanism offload_during_save "
	"resolution_type aspect_bucket_rounding aspect_bucket_alignment minimum_image_size maximum_image_size "
	"target_downsample_size validation_resolution vae_enable_tiling vae_enable_slicing dataloader_prefetch "
	"dataloader_prefetch_qlen vae_cache_scan_behaviour compress_disk_cache skip_file_discovery "
	"preserve_data_backend_cache metadata_update_interval allow_dataset_oversubscription disable_bucket_pruning "
	"validation_seed_source validation_multigpu fsdp_state_dict_type fsdp_auto_wrap_policy "
	"fsdp_transformer_layer_cls_to_wrap fsdp_limit_all_gathers fsdp_cpu_ram_efficient_loading "
	"offload_during_startup i_know_what_i_am_doing ramtorch musubi_blocks_to_swap enable_group_offload "
	"gradient_checkpointing_backend optimizer_release_gradients text_encoder_1_precision";

static const char *const elsewhere[] = {
#include "base/options/elsewhere.h"
};

enum { N_OPTIONS = sizeof table / sizeof *table, NAME_SIZE = 64 };

int
options_count(void)
{
	return N_OPTIONS;
}

const struct option *
option_at(int i)
{
	assert(i >= 0 && i < N_OPTIONS);
	return &table[i];
}

bool
option_has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p && *p;) {
		size_t w = strcspn(p, " ");
		if (w == n && memcmp(p, word, n) == 0)
			return true;
		p += w + (p[w] == ' ');
	}
	return false;
}

/* spelling without leading dashes, '-' as '_', into name[NAME_SIZE]; false when it cannot be a name. */
static bool
fold(const char *spelling, char *name)
{
	size_t n = 0;

	while (*spelling == '-')
		spelling++;
	for (; *spelling; spelling++) {
		if (n + 1 >= NAME_SIZE)
			return false;
		name[n++] = *spelling == '-' ? '_' : *spelling;
	}
	name[n] = 0;
	return n > 0;
}

const struct option *
option_find(const char *spelling, bool *opposite)
{
	char name[NAME_SIZE], inverse[NAME_SIZE + 1] = "!";

	if (opposite)
		*opposite = false;
	if (!fold(spelling, name))
		return NULL;
	for (int i = 0; i < N_OPTIONS; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	memcpy(inverse + 1, name, strlen(name) + 1);
	for (int i = 0; i < N_OPTIONS; i++) {
		const struct option *o = &table[i];
		if (option_has_word(o->aliases, name) || option_has_word(o->flag, name))
			return o;
		if (opposite && option_has_word(o->aliases, inverse)) {
			*opposite = true;
			return o;
		}
	}
	return NULL;
}

const struct option *
option_by_env(const char *env)
{
	for (int i = 0; i < N_OPTIONS; i++)
		if (option_has_word(table[i].env, env))
			return &table[i];
	return NULL;
}

bool
option_is_elsewhere(const char *spelling)
{
	char name[NAME_SIZE];

	if (!fold(spelling, name))
		return false;
	for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
		if (strcmp(elsewhere[i], name) == 0)
			return true;
	return false;
}

static int
least(int a, int b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, changes and swaps of neighbours that make b of a (optimal string alignment). */
static int
distance(const char *a, const char *b)
{
	int na = (int)strlen(a), nb = (int)strlen(b), row[3][NAME_SIZE + 1];
	int *before = row[0], *last = row[1], *here = row[2];

	for (int j = 0; j <= nb; j++)
		last[j] = j;
	for (int i = 1; i <= na; i++) {
		here[0] = i;
		for (int j = 1; j <= nb; j++) {
			int d = least(least(last[j], here[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = least(d, before[j - 2] + 1);
			here[j] = d;
		}
		int *t = before;
		before = last;
		last = here;
		here = t;
	}
	return last[nb];
}

const char *
option_nearest(const char *spelling, unsigned programs)
{
	char name[NAME_SIZE];
	const char *best = NULL;
	int limit;

	if (!fold(spelling, name))
		return NULL;
	limit = least(4, 1 + (int)strlen(name) / 4);
	for (int i = 0; i < N_OPTIONS; i++) {
		int d;
		if (!(table[i].programs & programs) || table[i].foreign)
			continue;
		d = distance(name, table[i].name);
		if (d < limit || (d == limit && !best)) {
			best = table[i].name;
			limit = d;
		}
	}
	for (int i = 0; i < N_OPTIONS && !best && strlen(name) >= 4; i++)	/* "batch_size" */
		if ((table[i].programs & programs) && option_state(&table[i]) == OPT_BUILT && strstr(table[i].name, name))
			best = table[i].name;
	return best;
}

enum option_state
option_state(const struct option *o)
{
	if (option_has_word(no_effect, o->name))
		return OPT_NOTICE;
	if (o->foreign)
		return OPT_FOREIGN;
	for (size_t i = 0; i < sizeof built / sizeof *built; i++)
		if (strcmp(built[i].name, o->name) == 0)
			return OPT_BUILT;
	return OPT_LATER;
}

const char *
option_built_values(const struct option *o)
{
	for (size_t i = 0; i < sizeof built / sizeof *built; i++)
		if (strcmp(built[i].name, o->name) == 0)
			return built[i].values ? built[i].values : o->allowed;
	return o->allowed;
}
