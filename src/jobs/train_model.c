/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/train_model.h"

#include "base/file.h"
#include "base/msg.h"
#include "base/sha256.h"
#include "kernels/kernels.h"
#include "models/lyrics_file.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The options against the adapters that a checkpoint has given. */
static enum status
same_adapters(const struct train_job *j, const struct params *ps, const struct checkpoint *c)
{
	const struct lora_options *o = &j->lora;
	float scale = o->rslora ? o->alpha / sqrtf((float)o->rank) : o->alpha / (float)o->rank;

	for (int i = 0; i < ps->n_modules; i++) {
		const struct linear *l = ps->module[i].l;
		bool wanted = params_is_target(ps->module[i].name, o);
		if (wanted != (l->rank > 0))
			return ace_fail(ACE_ECONFIG, "%s has %s adapter on %s, which is %sa target now (acestep_lora_target)", c->path,
			                l->rank > 0 ? "an" : "no", ps->module[i].name, wanted ? "" : "not ");
		if (wanted && l->rank != o->rank)
			return ace_fail(ACE_ECONFIG, "%s has adapters of rank %lld; lora_rank is %lld", c->path, (long long)l->rank,
			                (long long)o->rank);
		if (wanted && fabsf(l->scale - scale) > 1e-6f * scale)
			return ace_fail(ACE_ECONFIG, "%s has adapters of scale %g; lora_alpha and use_rslora ask for %g", c->path,
			                (double)l->scale, (double)scale);
	}
	return ACE_OK;
}

/* A lyrics embedder that lies beside the adapters is part of the start, when it is to train. */
static enum status
lyrics_beside(struct dit *m, const struct train_job *j)
{
	char *path = file_path("%s/" LYRICS_FILE, j->init_lora);
	enum status st = path ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a path");

	if (st == ACE_OK && file_exists(path)) {
		if (j->lyrics)
			st = lyrics_file_read(&m->params, path);
		if (!dev_is_dry(m->dev) && j->lyrics)
			msg_info("init       %s", path);
		else if (!dev_is_dry(m->dev))
			msg_warn("%s is passed over: lyrics_embedder_train is false", path);
	}
	free(path);
	return st;
}

static enum status
from_file(struct dit *m, const struct train_job *j, struct adapter_loaded *loaded)
{
	const struct adapter_load_options o = { .dropout = j->lora.dropout, .lora = &j->lora };
	struct adapter_file f;
	enum status st;

	ACE_TRY(adapter_file_open(&f, j->init_lora, &m->params));
	st = adapter_load(&m->params, &f, &o, loaded);
	adapter_file_close(&f);
	return st == ACE_OK && file_is_dir(j->init_lora) ? lyrics_beside(m, j) : st;
}

static enum status
add_adapters(struct dit *m, const struct train_job *j, const struct checkpoint *c, struct adapter_loaded *loaded)
{
	if (j->full)
		return dit_train(m, DIT_FULL);
	if (j->lyrics)
		ACE_TRY(dit_train(m, DIT_LYRICS));
	if (c) {
		ACE_TRY(checkpoint_make_adapters(c, &m->params, j->lora.dropout, NULL));
		return j->init_lora ? ACE_OK : same_adapters(j, &m->params, c);
	}
	return j->init_lora ? from_file(m, j, loaded) : dit_add_lora(m, &j->lora);
}

enum status
train_model_open(struct dit *m, const struct train_job *j, struct dev *d, const struct checkpoint *c, struct adapter_loaded *loaded)
{
	enum status st;

	if (loaded)
		*loaded = (struct adapter_loaded){ .global_step = -1 };
	ACE_TRY(dit_open(m, j->model, &j->dit, d));
	st = add_adapters(m, j, c, loaded);
	if (st != ACE_OK)
		dit_close(m);
	return st;
}

/* Some bytes of a tensor, read from the file so that no page of the mapping is touched for it. */
static enum status
sample(struct sha256 *sum, int fd, const struct st_file *f, const struct tensor *x)
{
	enum { PIECES = 4, PIECE = 64 };
	off_t at = (off_t)((const char *)x->data - (const char *)f->map), size = (off_t)tensor_bytes(*x);
	unsigned char bytes[PIECE];

	for (int k = 0; k < PIECES && size > 0; k++) {
		off_t left = size - size * k / PIECES;
		size_t n = left < PIECE ? (size_t)left : PIECE;
		if (pread(fd, bytes, n, at + size * k / PIECES) != (ssize_t)n)
			return ace_fail(ACE_EIO, "%s: cannot be read", f->path);
		sha256_add(sum, bytes, n);
	}
	return ACE_OK;
}

static enum status
mark_file(struct sha256 *sum, const struct st_file *f)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	enum status st = ACE_OK;
	char line[96];

	if (fd < 0)
		return ace_fail(ACE_EIO, "%s: cannot be opened", f->path);
	for (int i = 0; i < f->n && st == ACE_OK; i++) {
		const struct st_entry *e = &f->entry[i];
		tensor_shape_text(e->value, line, sizeof line);
		sha256_add(sum, e->name, strlen(e->name) + 1);
		sha256_add(sum, line, strlen(line));
		sha256_add(sum, dtype_name(e->value.dtype), strlen(dtype_name(e->value.dtype)));
		st = sample(sum, fd, f, &e->value);
	}
	close(fd);
	return st;
}

enum status
train_model_mark(const struct dit *m, char mark[65])
{
	struct sha256 sum;

	sha256_init(&sum);
	for (int i = 0; i < m->weights.n; i++)
		ACE_TRY(mark_file(&sum, &m->weights.file[i]));
	sha256_hex(&sum, mark);
	return ACE_OK;
}

enum status
train_plan(struct plan *p, const struct train_job *j, const struct checkpoint *c, struct step_shape room)
{
	struct step_options o = j->step;
	struct exchange ranks;
	struct step step;
	enum status st;
	struct dev dry;
	struct dit m;

	if (o.exchange) {
		ranks = exchange_planned(o.exchange);
		o.exchange = &ranks;
	}
	ACE_TRY(dev_open(&dry, DEV_DRY, 1));
	dry.as = j->device == DEV_CUDA ? DEV_CUDA : DEV_CPU;
	kernels_attach(&dry);
	st = train_model_open(&m, j, &dry, c, NULL);
	if (st == ACE_OK) {
		st = step_open(&step, &m, &o, room);
		if (st == ACE_OK) {
			st = plan_make(p, &m, &step);
			if (st == ACE_OK && j->rates)
				forecast_make(&p->forecast, o.exchange, j->rates, o.accumulation, (double)plan_checkpoint(p));
			step_close(&step);
		}
		dit_close(&m);
	}
	dev_close(&dry);
	return st;
}

/* A number of bytes in a file of one line; SIZE_MAX where there is none ("max"). */
static size_t
limit_in(const char *path)
{
	unsigned long long v;
	char *text, *end;
	size_t n;

	if (!file_exists(path) || file_read(path, 4096, &text, &n) != ACE_OK)
		return SIZE_MAX;
	v = strtoull(text, &end, 10);
	n = end == text ? SIZE_MAX : (size_t)v;
	free(text);
	return n;
}

size_t
train_memory_there(void)
{
	size_t there = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	size_t group = limit_in("/sys/fs/cgroup/memory.max"), old = limit_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");

	there = group < there ? group : there;
	return old < there ? old : there;
}

/* "; text: 8.1" when the job changed by change would need less than the plan. */
static void
suggest(char *text, size_t size, const char *what, const struct plan *p, const struct train_job *changed,
        const struct checkpoint *c, struct step_shape room)
{
	struct plan other;
	size_t n = strlen(text);

	if (train_plan(&other, changed, c, room) != ACE_OK || plan_total(&other) >= plan_total(p))
		return;
	snprintf(text + n, size - n, "%s%s would need %.1f GiB", n ? "; " : "", what, (double)plan_total(&other) / 0x1p30);
}

/* What would bring the plan's memory down, on a line of its own. */
static void
advise(char *text, size_t size, const struct plan *p, const struct train_job *j, const struct checkpoint *c)
{
	struct train_job other = *j;
	struct step_shape one = p->shape;

	*text = 0;
	if (j->dit.checkpoint_interval != 1) {
		other.dit.checkpoint_interval = 1;
		suggest(text, size, "gradient_checkpointing=true with an interval of 1", p, &other, c, p->shape);
	}
	one.B = 1;
	if (!j->full && other.dit.base == other.dit.dtype) {
		other.dit.base = I8;
		suggest(text, size, "base_model_precision=int8-quanto as well", p, &other, c, p->shape);
	}
	if (j->device == DEV_CUDA && !j->step.optim.far && j->full) {
		other.step.optim.far = other.step.groups.optim.far = true;
		suggest(text, size, "optimizer_cpu_offload_method=torchao as well", p, &other, c, p->shape);
	}
	if (p->shape.B > 1)
		suggest(text, size, "train_batch_size=1", p, &other, c, one);
	if (j->dit.dtype == F32) {
		other.dit.dtype = BF16;
		suggest(text, size, "mixed_precision=bf16 as well", p, &other, c, one);
	}
}

enum status
train_plan_fits(const struct plan *p, const struct train_job *j, const struct checkpoint *c, size_t there)
{
	char advice[300];

	if (plan_total(p) <= there)
		return ACE_OK;
	advise(advice, sizeof advice, p, j, c);
	return ace_fail(ACE_ENOMEM, "out of memory: this run needs %.1f GiB, there are %.1f%s%s", (double)plan_total(p) / 0x1p30,
	                (double)there / 0x1p30, *advice ? "\n" : "", advice);
}

enum status
train_plan_fits_device(const struct plan *p, const struct train_job *j, const struct checkpoint *c, struct dev *d)
{
	size_t there = 0, all = 0, others;
	char advice[300];

	if (!dev_memory(d, &there, &all))
		return d->status;
	if (p->host > train_memory_there())
		return ace_fail(ACE_ENOMEM, "out of memory: optimizer_cpu_offload_method=torchao needs %.1f GiB of the host's, there are %.1f",
		                (double)p->host / 0x1p30, (double)train_memory_there() / 0x1p30);
	there += d->bytes;			/* ours already */
	others = all - there;
	if (plan_total(p) <= there)
		return ACE_OK;
	advise(advice, sizeof advice, p, j, c);
	return ace_fail(ACE_ENOMEM, "out of device memory: this step needs %.1f GiB, cuda:0 has %.1f (%.1f used by others)%s%s",
	                (double)plan_total(p) / 0x1p30, (double)all / 0x1p30, (double)others / 0x1p30, *advice ? "\n" : "", advice);
}
