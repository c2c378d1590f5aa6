/* SPDX-License-Identifier: Apache-2.0 */
#include "models/adapter_parts.h"

#include <stdio.h>
#include <string.h>

static const char *const prefixes[] = { "base_model.model.", "model.diffusion_model.", "diffusion_model.",
	"ace_step_transformer.", "transformer." };

static const struct {
	const char *text;
	enum adapter_part part;
} endings[] = {
	{ ".lora_A.weight", ADAPTER_A },
	{ ".lora_B.weight", ADAPTER_B },
	{ ".lora.down.weight", ADAPTER_A },
	{ ".lora.up.weight", ADAPTER_B },
	{ ".lora_down.weight", ADAPTER_A },
	{ ".lora_up.weight", ADAPTER_B },
	{ ".alpha", ADAPTER_ALPHA },
	{ ".lora_alpha", ADAPTER_ALPHA },
};

/* Components of a key that tell another kind of adapter: equal, or beginning so when the text ends in "_". */
static const struct {
	const char *text, *kind;
} others[] = {
	{ "lora_magnitude_vector", "DoRA" },
	{ "dora_scale", "DoRA" },
	{ "hada_", "LyCORIS (LoHa)" },
	{ "lokr_", "LyCORIS (LoKr)" },
	{ "oft_", "LyCORIS (OFT)" },
	{ "boft_", "LyCORIS (BOFT)" },
	{ "vera_", "VeRA" },
	{ "lora_mid", "LyCORIS (LoCon with a middle)" },
	{ "on_input", "LyCORIS (IA3)" },
	{ "diff", "LyCORIS (full)" },
	{ "diff_b", "LyCORIS (full)" },
	{ "w_norm", "LyCORIS (norm)" },
	{ "b_norm", "LyCORIS (norm)" },
};

static bool
ends(const char *s, size_t n, const char *ending)
{
	size_t k = strlen(ending);

	return n >= k && memcmp(s + n - k, ending, k) == 0;
}

/* The component [at, at + n) of a key against the table. */
static const char *
kind_of(const char *at, size_t n)
{
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		size_t k = strlen(others[i].text);
		bool open = others[i].text[k - 1] == '_';
		if ((open ? n >= k : n == k) && memcmp(at, others[i].text, k) == 0)
			return others[i].kind;
	}
	return NULL;
}

static const char *
refused(const char *key)
{
	size_t n = strlen(key);
	const char *kind;

	for (const char *at = key;;) {
		size_t k = strcspn(at, ".");
		if ((kind = kind_of(at, k)))
			return kind;
		if (!at[k])
			break;
		at += k + 1;
	}
	if (ends(key, n, ".bias") && (strstr(key, ".lora_A.") || strstr(key, ".lora_B.") || strstr(key, ".lora_up.") ||
	                              strstr(key, ".lora_down.") || strstr(key, ".lora.up.") || strstr(key, ".lora.down.")))
		return "adapters with a bias";
	return NULL;
}

/* NAME.lora_A.ADAPTER.weight: the length of NAME, 0 when it is not so. */
static size_t
named(const char *s, size_t n, enum adapter_part *part)
{
	static const char weight[] = ".weight";
	size_t k = sizeof weight - 1;

	if (!ends(s, n, weight))
		return 0;
	n -= k;
	while (n > 0 && s[n - 1] != '.')
		n--;
	if (n < 2)
		return 0;
	n--;					/* s[0..n) is NAME.lora_A */
	*part = ends(s, n, ".lora_A") ? ADAPTER_A : ADAPTER_B;
	return *part == ADAPTER_A || ends(s, n, ".lora_B") ? n - strlen(".lora_A") : 0;
}

void
adapter_split(const char *key, struct adapter_key *k)
{
	const char *s = key;
	size_t n, name = 0;
	bool more = true;

	*k = (struct adapter_key){ .part = ADAPTER_NONE, .refused = refused(key) };
	while (more) {
		more = false;
		for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes && !more; i++)
			if (strncmp(s, prefixes[i], strlen(prefixes[i])) == 0) {
				s += strlen(prefixes[i]);
				more = true;
			}
	}
	if (strncmp(s, "lora_unet_", 10) == 0) {
		s += 10;
		k->flat = true;
	}
	n = strlen(s);
	for (size_t i = 0; i < sizeof endings / sizeof *endings && !name; i++)
		if (ends(s, n, endings[i].text)) {
			name = n - strlen(endings[i].text);
			k->part = endings[i].part;
		}
	if (!name)
		name = named(s, n, &k->part);
	if (!name || name >= sizeof k->module) {
		k->part = ADAPTER_NONE;
		return;
	}
	memcpy(k->module, s, name);
	k->module[name] = 0;
}

/* Whether name with its dots as underscores is flat. */
static bool
flattens(const char *name, const char *flat)
{
	for (; *name && *flat; name++, flat++)
		if (*name != *flat && !(*name == '.' && *flat == '_'))
			return false;
	return *name == *flat;
}

int
adapter_find_module(const struct params *ps, const struct adapter_key *k)
{
	int found = -1;

	for (int i = 0; i < ps->n_modules; i++) {
		if (!(k->flat ? flattens(ps->module[i].name, k->module) : strcmp(ps->module[i].name, k->module) == 0))
			continue;
		if (found >= 0)
			return -1;
		found = i;
	}
	return found;
}
