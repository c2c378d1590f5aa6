/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints of ranks: whole tensors in one file, so that any number of ranks and any sharding goes on; each adds its part of them. */
#include "train/checkpoint_parts.h"
#include "train/exchange.h"
#include "train/optim_parts.h"
#include "train/shards.h"

#include <stdlib.h>
#include <string.h>

bool
exchange_parted(const struct exchange *x)
{
	return x && x->shards;
}

/* A param's tensor of a name: of the whole, and what this rank has of it (rank 0: nothing), from that number of the param on. */
struct parted {
	const char *name;
	struct tensor whole, mine;
	int64_t first;
};

/* What is saved of param q, one after the other: its value, then its states; false: that was all. Of what is kept whole the value is
 * parted all the same. */
static bool
next(const struct optim_item *whole, const struct optim_item *mine, const struct shard_place *q, int i, struct parted *t)
{
	*t = (struct parted){ .name = "value", .whole = q->p->value, .mine = q->mine.value, .first = q->first };
	if (i == 0)
		return true;
	t->name = whole->state[i - 1].name;
	if (!t->name)
		return false;
	t->whole = whole->state[i - 1].value;
	t->mine = mine ? optim_item_state(mine, t->name) : (struct tensor){ 0 };
	t->first = mine ? mine->first : 0;
	return true;
}

/* The number of the tensor at which this rank's part begins: a state may have one number for 256 values, the last for fewer. */
static int64_t
begins(const struct param *p, const struct parted *t)
{
	int64_t n = tensor_count(t->whole);

	return t->first > 0 ? t->first / ((tensor_count(p->value) + n - 1) / n) : 0;
}

static const struct optim_item *
item_of(const struct optim *o, const struct shard_place *q)
{
	for (int i = 0; i < o->n; i++)
		if (o->item[i].p == &q->mine || o->item[i].p == q->p)
			return &o->item[i];
	return NULL;
}

enum { SHARE = 1 << 20 };		/* bytes; less is not worth a write of its own */

/* What rank of so many, which all have mine [n numbers], saves of it: numbers [*from, *to). turn: of which tensor it is the share, so that
 * small ones go to all ranks in turn. */
static void
share_of(struct tensor mine, int turn, int rank, int ranks, int64_t *from, int64_t *to)
{
	int64_t n = tensor_count(mine), pieces = (int64_t)(tensor_bytes(mine) / SHARE), k = (rank + ranks - turn % ranks) % ranks;

	pieces = pieces < 1 ? 1 : pieces > ranks ? ranks : pieces;
	*from = k < pieces ? n * k / pieces : 0;
	*to = k < pieces ? n * (k + 1) / pieces : 0;
}

/* The first of mine being number first of the whole; d NULL: memory that outlives s. */
static enum status
add_share(struct exchange *x, struct checkpoint_save *s, const char *file, const char *name, struct tensor whole, struct dev *d,
          struct tensor mine, int64_t first, int turn)
{
	const struct comm *same = x->shards ? x->shards->across : x->comm;	/* they all have this part */
	int64_t from = 0, to = mine.rank ? tensor_count(mine) : 0;

	if (to > 0 && same)
		share_of(mine, turn, same->rank, same->size, &from, &to);
	if (to > from) {
		mine = tensor_slice(tensor_view(mine, 1, tensor_count(mine)), from, to - from);
		first += from;
	} else {
		mine = (struct tensor){ 0 };
	}
	whole.data = NULL;
	return d ? checkpoint_add_part(s, file, name, whole, d, mine, first) : checkpoint_add_borrowed(s, file, name, whole, mine, first);
}

/* A param's tensor of CHECKPOINT_OPTIMIZER. */
static enum status
add_state(struct exchange *x, struct checkpoint_save *s, const char *group, const struct param *p, struct dev *d,
          const struct parted *t, int turn)
{
	char *name = checkpoint_key(group, p, t->name);
	enum status st = name ? add_share(x, s, CHECKPOINT_OPTIMIZER, name, t->whole, d, t->mine, begins(p, t), turn)
	                      : ace_fail(ACE_ENOMEM, "no memory for the name of %s", p->name);

	free(name);
	return st;
}

static enum status
save_parts(struct exchange *x, struct checkpoint_save *s, const char *const group[OPTIM_GROUPS], const struct optim *o,
           int (*group_of)(const void *me, const char *name), const void *me)
{
	for (int i = 0; i < x->shards->places; i++) {
		const struct shard_place *q = &x->shards->place[i];
		int g = q->p->train ? group_of(me, q->p->name) : -1;
		const struct optim_item *mine = item_of(o, q);
		struct optim_item whole;
		struct parted t;
		if (g < 0)
			continue;
		optim_states_of(o, &whole, q->p);
		for (int k = 0; next(&whole, mine, q, k, &t); k++)
			ACE_TRY(add_state(x, s, group[g], q->p, o->dev, &t, i + k));
	}
	return ACE_OK;
}

static enum status
save_shares(struct exchange *x, struct checkpoint_save *s, const char *const group[OPTIM_GROUPS], const struct optim *o)
{
	for (int i = 0; i < o->n; i++) {
		const struct optim_item *it = &o->item[i];
		struct parted t = { .name = "value", .whole = it->p->value, .mine = it->p->value };
		ACE_TRY(add_state(x, s, group[it->group], it->p, o->dev, &t, i));
		for (int k = 0; k < OPTIM_STATES && it->state[k].name; k++) {
			t = (struct parted){ .name = it->state[k].name, .whole = it->state[k].value, .mine = it->state[k].value };
			ACE_TRY(add_state(x, s, group[it->group], it->p, o->dev, &t, i + k + 1));
		}
	}
	return ACE_OK;
}

enum status
exchange_save(struct exchange *x, struct checkpoint_save *s, const char *const group[OPTIM_GROUPS], const struct optim *o,
              int (*group_of)(const void *me, const char *name), const void *me)
{
	if (exchange_ranks(x) == 1)
		return checkpoint_add_optim(s, group, o);
	ACE_TRY(exchange_parted(x) ? save_parts(x, s, group, o, group_of, me) : save_shares(x, s, group, o));
	return checkpoint_add_scalars(s, group[0], o);
}

enum status
exchange_save_value(struct exchange *x, struct checkpoint_save *s, const char *file, const char *name, const struct param *p, int turn)
{
	for (int i = 0; exchange_parted(x) && i < x->shards->places; i++)
		if (x->shards->place[i].p == p)
			return add_share(x, s, file, name, p->value, x->dev, x->shards->place[i].mine.value, x->shards->place[i].first, turn);
	return add_share(x, s, file, name, p->value, x->dev, p->value, 0, turn);
}

enum status
exchange_save_file(struct exchange *x, struct checkpoint_save *s, const char *file, const char *name, struct tensor whole, int turn)
{
	struct exchange all = { .comm = x->comm };		/* every rank has the file, whatever the sharding */

	return add_share(&all, s, file, name, whole, NULL, whole, 0, turn);
}

/* This rank's part of one tensor of the file. */
static enum status
restore(const struct st_file *f, struct dev *d, const char *group, const struct shard_place *q, const struct parted *t)
{
	char *name = checkpoint_key(group, q->p, t->name), text[2][80];
	const struct st_entry *e = name ? st_find(f, name) : NULL;
	enum status st = ACE_OK;
	int64_t from;

	if (!name)
		return ace_fail(ACE_ENOMEM, "no memory for the name of %s", q->p->name);
	if (!e)
		st = ace_fail(ACE_ECONFIG, "%s: tensor %s is missing: other settings saved it", f->path, name);
	else if (!tensor_same(e->value, t->whole))
		st = ace_fail(ACE_ECONFIG, "%s: tensor %s is %s %s, this run has %s %s", f->path, name, dtype_name(e->value.dtype),
		              tensor_shape_text(e->value, text[0], sizeof text[0]), dtype_name(t->whole.dtype),
		              tensor_shape_text(t->whole, text[1], sizeof text[1]));
	else
		st = checkpoint_check_finite(f, name);
	free(name);
	if (st != ACE_OK || !t->mine.rank || tensor_count(t->mine) == 0)
		return st;
	from = begins(q->p, t);
	if (from + tensor_count(t->mine) > tensor_count(t->whole))
		return ace_fail(ACE_EBUG, "%s: this rank's part of its %s is no part of it", q->p->name, t->name);
	d->m->upload(d, t->mine.data, (const char *)e->value.data + (size_t)from * dtype_size(e->value.dtype), tensor_bytes(t->mine));
	return d->status;
}

/* Tensors of the groups in the file. */
static int64_t
tensors_of(const struct st_file *f, const char *const group[OPTIM_GROUPS])
{
	int64_t n = 0;

	for (int i = 0; i < f->n; i++)
		for (int g = 0; g < OPTIM_GROUPS; g++)
			n += group[g] && strncmp(f->entry[i].name, group[g], strlen(group[g])) == 0 &&
			     f->entry[i].name[strlen(group[g])] == '.';
	return n;
}

enum status
exchange_restore(struct exchange *x, const struct checkpoint *c, const char *const group[OPTIM_GROUPS], struct optim *o,
                 int (*group_of)(const void *me, const char *name), const void *me)
{
	enum status st = ACE_OK;
	int64_t used = 0;
	struct st_file f;

	if (!exchange_parted(x))
		return checkpoint_restore_optim(c, group, o);
	ACE_TRY(exchange_settle(x));
	ACE_TRY(checkpoint_tensors(c, CHECKPOINT_OPTIMIZER, &f));
	for (int i = 0; st == ACE_OK && i < x->shards->places; i++) {
		const struct shard_place *q = &x->shards->place[i];
		int g = q->p->train ? group_of(me, q->p->name) : -1;
		const struct optim_item *mine = item_of(o, q);
		struct optim_item whole;
		struct parted t;
		if (g < 0 || !group[g])
			continue;
		optim_states_of(o, &whole, q->p);
		for (int k = 0; st == ACE_OK && next(&whole, mine, q, k, &t); k++, used++)
			st = restore(&f, o->dev, group[g], q, &t);
	}
	if (st == ACE_OK && tensors_of(&f, group) != used)
		st = ace_fail(ACE_ECONFIG, "%s: %lld tensors, this run has %lld: other settings saved it", f.path,
		              (long long)tensors_of(&f, group), (long long)used);
	if (st == ACE_OK)
		st = checkpoint_restore_scalars(&f, group[0], o);
	st_close(&f);
	return st;
}

/* The average of a param, whole, and what this rank has of it. */
static struct parted
average_of(const struct ema *e, const struct shard_place *q)
{
	struct parted t = { .name = "shadow", .whole = q->p->value };

	t.whole.dtype = F32;
	for (int i = 0; i < e->n; i++)
		if (e->param[i] == &q->mine || e->param[i] == q->p) {
			t.mine = e->shadow[i];
			t.first = e->place[i].first;
		}
	return t;
}

enum status
exchange_save_average(struct exchange *x, struct checkpoint_save *s, const struct ema *e)
{
	bool alone = exchange_ranks(x) == 1;

	for (int i = 0; alone && i < e->n; i++) {
		char *name = checkpoint_key("ema", e->param[i], "shadow");
		enum status st = name ? checkpoint_add_tensor(s, CHECKPOINT_OPTIMIZER, name, e->dev, e->shadow[i])
		                      : ace_fail(ACE_ENOMEM, "no memory for the name of %s", e->param[i]->name);
		free(name);
		ACE_TRY(st);
	}
	for (int i = 0; !alone && !exchange_parted(x) && i < e->n; i++) {
		const struct parted t = { .name = "shadow", .whole = e->shadow[i], .mine = e->shadow[i] };
		ACE_TRY(add_state(x, s, "ema", e->param[i], e->dev, &t, i));
	}
	for (int i = 0; !alone && exchange_parted(x) && i < x->shards->places; i++) {
		const struct shard_place *q = &x->shards->place[i];
		const struct parted t = average_of(e, q);
		if (q->p->train)
			ACE_TRY(add_state(x, s, "ema", q->p, e->dev, &t, i));
	}
	return ACE_OK;
}

enum status
exchange_restore_average(struct exchange *x, const struct checkpoint *c, struct ema *e)
{
	enum status st = ACE_OK;
	struct st_file f;

	ACE_TRY(checkpoint_tensors(c, CHECKPOINT_OPTIMIZER, &f));
	for (int i = 0; !exchange_parted(x) && i < e->n && st == ACE_OK; i++) {
		char *name = checkpoint_key("ema", e->param[i], "shadow");
		st = name ? checkpoint_tensor(&f, name, e->dev, e->shadow[i])
		          : ace_fail(ACE_ENOMEM, "no memory for the name of %s", e->param[i]->name);
		free(name);
	}
	for (int i = 0; exchange_parted(x) && i < x->shards->places && st == ACE_OK; i++) {
		const struct shard_place *q = &x->shards->place[i];
		const struct parted t = average_of(e, q);
		if (q->p->train)
			st = restore(&f, e->dev, "ema", q, &t);
	}
	st_close(&f);
	return st;
}

enum status
exchange_show(struct exchange *x)
{
	return exchange_parted(x) ? shards_show(x->shards) : ACE_OK;
}

void
exchange_hide(struct exchange *x)
{
	if (exchange_parted(x))
		shards_hide(x->shards);
}
