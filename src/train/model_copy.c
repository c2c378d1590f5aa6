/* SPDX-License-Identifier: Apache-2.0 */
#include "train/model_copy.h"

#include "base/file.h"
#include "base/pages.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_LIMIT = 1 << 20 };

struct model_copy {
	struct st_item *item;
	int n;
	char *memory;			/* of what trains, bytes */
	size_t bytes;
};

static size_t
rounded(struct tensor x)
{
	return (tensor_bytes(x) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* Every tensor of the file; those that train point to NULL until they are copied. */
static void
list(struct model_copy *c, const struct dit *m)
{
	for (int i = 0; i < m->weights.n; i++)
		for (int k = 0; k < m->weights.file[i].n; k++) {
			const struct st_entry *e = &m->weights.file[i].entry[k];
			const struct param *p = params_find(&m->params, e->name);
			c->item[c->n] = (struct st_item){ e->name, e->value };
			if (p && p->train) {
				c->item[c->n].value = tensor_make(NULL, p->value.dtype, p->value.rank, p->value.dim);
				c->bytes += rounded(p->value);
			}
			c->n++;
		}
}

enum status
model_copy_take(struct model_copy **out, const struct dit *m)
{
	struct model_copy *c = calloc(1, sizeof *c);
	size_t count = 0;
	char *at;

	*out = c;
	for (int i = 0; i < m->weights.n; i++)
		count += (size_t)m->weights.file[i].n;
	if (c)
		c->item = calloc(count + 1, sizeof *c->item);
	if (c && c->item) {
		list(c, m);
		c->memory = pages_take(c->bytes);
	}
	if (!c || !c->item || !c->memory) {
		enum status st = ace_fail(ACE_ENOMEM, "no memory for a copy of the model (%zu bytes)", c ? c->bytes : 0);
		model_copy_free(c);
		*out = NULL;
		return st;
	}
	at = c->memory;
	for (int i = 0; i < c->n; i++) {
		struct tensor *x = &c->item[i].value;
		if (x->data)
			continue;
		x->data = at;
		dev_keep(m->dev, at, params_find(&m->params, c->item[i].name)->value.data, tensor_bytes(*x));
		at += rounded(*x);
	}
	dev_keep_end(m->dev);
	return m->dev->status;
}

enum status
model_copy_share(struct exchange *x, struct checkpoint_save *s, const char *file, const struct dit *m)
{
	int turn = 0;

	for (int i = 0; i < m->weights.n; i++)
		for (int k = 0; k < m->weights.file[i].n; k++, turn++) {
			const struct st_entry *e = &m->weights.file[i].entry[k];
			const struct param *p = params_find(&m->params, e->name);
			if (p && p->train)
				ACE_TRY(exchange_save_value(x, s, file, e->name, p, turn));
			else
				ACE_TRY(exchange_save_file(x, s, file, e->name, e->value, turn));
		}
	return checkpoint_add_meta(s, file, "format", "pt");
}

enum status
model_copy_write(void *me, const char *path)
{
	static const char *const meta[] = { "format", "pt" };
	const struct model_copy *c = me;

	return st_write(path, c->item, c->n, meta, 1);
}

void
model_copy_free(void *me)
{
	struct model_copy *c = me;

	if (!c)
		return;
	free(c->item);
	pages_give(c->memory, c->bytes);
	free(c);
}

enum status
model_copy_config(const struct dit *m, char **text, size_t *size)
{
	char *path = file_path("%s/" MODEL_COPY_CONFIG, m->weights.path);
	enum status st = path ? file_read(path, CONFIG_LIMIT, text, size) : ace_fail(ACE_ENOMEM, "no memory for a path");

	free(path);
	return st;
}
