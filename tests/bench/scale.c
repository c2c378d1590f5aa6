/* SPDX-License-Identifier: Apache-2.0 */
/* scale [--shape B,T,LYRIC,TEXT] [--rank R] [--full] [--optimizer NAME] [--fp32] [--recompute K] [--sharding S] [--exchange WAY]
 *      [--accumulate N] [--steps N] [--preset NAME] [--layers N] [--device cuda|cpu] [--save FOLDER] [--resume FOLDER] [--name TEXT]:
 *      whole training steps of ranks (mpiexec, one a GPU; or alone) with random weights, as one JSON line
 *
 * A step is what ace-train does, but for batches, which are ready: passes, sums over the ranks, the update, the ranks' agreement on what is
 * next. ms: median of the time on the clock from result to result; host_ms: of that in which the host was at work; peak_GiB: asked of the
 * device at most, by the rank that asked most; sent_GB: by one rank in an update, as exchange_traffic has it.
 * --save: a checkpoint into FOLDER behind the measured steps: stall_ms until the next one may begin, save_s until it was in its place,
 * beside_ms a step meanwhile (beside of them). --resume: goes on from FOLDER's. next_loss is that of update next_step, the first behind
 * either; the same clips, whatever the ranks, as long as ranks times accumulate are the same. */
#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "bench/scale.h"
#include "jobs/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* x becomes that of the rank that has most. */
static enum status
most(struct comm *c, double *x)
{
	return comm_allreduce(c, tensor_of(x, F64, 1, 1), COMM_MAX, "a measurement");
}

static enum status
take(struct scale *b)
{
	b->batch.number = b->next + b->comm->rank;
	b->next += b->comm->size;
	return step_run(&b->step, &b->batch, NULL);
}

/* An update, and what ranks agree on behind it; asked: when the host had asked for all of it. */
static enum status
update(struct scale *b, struct step_report *r, double *asked)
{
	while (b->step.now.micro < b->o.accumulation)
		ACE_TRY(take(b));
	ACE_TRY(step_ask(&b->step));
	if (b->step.later)
		ACE_TRY(take(b));
	*asked = clock_now();
	ACE_TRY(step_result(&b->step, r));
	return comm_agree_flags(b->comm, checkpoint_asks(b->writer), &b->flags);
}

static enum status
measure(struct scale *b)
{
	double *ms = calloc(2 * (size_t)b->o.steps, sizeof *ms), *host = ms + b->o.steps, last = 0, from, asked;
	struct step_report r;
	enum status st = ACE_OK;
	enum { WARM = 4 };

	if (!ms)
		return ace_fail(ACE_ENOMEM, "no memory for %d measurements", b->o.steps);
	for (int i = -WARM; i < b->o.steps && st == ACE_OK; i++) {
		from = clock_now();
		st = update(b, &r, &asked);
		if (b->o.resume && i == -WARM)
			b->next_loss = r.loss, b->next_step = b->step.updates;
		if (i >= 0) {
			ms[i] = 1e3 * (clock_now() - last);
			host[i] = 1e3 * (asked - from);
		}
		last = clock_now();
	}
	if (st == ACE_OK) {
		qsort(ms, (size_t)b->o.steps, sizeof *ms, by_size);
		qsort(host, (size_t)b->o.steps, sizeof *host, by_size);
		b->ms = ms[b->o.steps / 2];
		b->least = ms[0];
		b->host_ms = host[b->o.steps / 2];
		b->last = r;
	}
	free(ms);
	return st;
}

/* Updates until the save is in its place. */
static enum status
until_saved(struct scale *b)
{
	double began = clock_now(), asked;
	struct step_report r;
	uint32_t done = 0;

	for (b->beside = 0; !done; b->beside++) {
		bool over;
		ACE_TRY(update(b, &r, &asked));
		if (b->beside == 0)
			b->next_loss = r.loss, b->next_step = b->step.updates;
		b->beside_ms = 1e3 * (clock_now() - began) / (b->beside + 1);
		ACE_TRY(checkpoint_settle(b->writer, b->flags));
		ACE_TRY(checkpoint_poll(b->writer, &over, &b->saved));
		ACE_TRY(comm_agree_flags(b->comm, over && b->comm->rank == 0, &done));
	}
	return ACE_OK;
}

static enum status
save(struct scale *b)
{
	const struct checkpoint_rule rule = { .limit = 1 };
	static const struct adapter_write_options adapter;
	const struct state_facts facts = { "scale", b->o.full ? NULL : &adapter };
	struct loop at = { .step = &b->step, .data = b->data };
	struct checkpoint_save *s = NULL;
	double began;

	ACE_TRY(checkpoint_writer_open(&b->writer, b->o.save, true));
	if (b->comm->size > 1)
		checkpoint_writer_join(b->writer, b->comm);
	at.at.number = b->step.updates * b->o.accumulation * b->comm->size;
	ACE_TRY(comm_barrier(b->comm, "a save"));
	began = clock_now();
	ACE_TRY(checkpoint_begin(&s, b->step.updates, NULL));
	ACE_TRY(state_save(s, &at, &facts));
	ACE_TRY(checkpoint_commit(b->writer, s, &rule));
	b->stall_ms = 1e3 * (clock_now() - began);
	ACE_TRY(most(b->comm, &b->stall_ms));
	return until_saved(b);
}

static enum status
resume(struct scale *b)
{
	struct checkpoint c = { 0 };
	struct loop_place at;
	char *path = NULL;
	double began;

	ACE_TRY(comm_barrier(b->comm, "a checkpoint"));
	began = clock_now();
	ACE_TRY(checkpoint_find(b->o.resume, "latest", false, &path));
	if (!path)
		return ace_fail(ACE_ENOINPUT, "%s: no checkpoint", b->o.resume);
	ACE_TRY(checkpoint_open(&c, path, b->o.full));
	free(path);
	ACE_TRY(state_restore(&c, &b->step, &at));
	b->dev.m->sync(&b->dev);
	checkpoint_close(&c);
	b->restore_s = clock_now() - began;
	b->next = at.number;
	return most(b->comm, &b->restore_s);
}

static void
tell(const struct scale *b, double peak)
{
	const struct scale_options *o = &b->o;
	double clips = (double)(o->shape.B * o->accumulation * b->comm->size);

	printf("{\"name\": \"%s\", \"preset\": \"%s\", \"ranks\": %d, \"nodes\": %d, \"exchange\": \"%s\", \"sharding\": \"%s\", \"device\": \"%s\", "
	       "\"trains\": \"%s\", \"rank\": %d, \"optimizer\": \"%s\", \"type\": \"%s\", \"B\": %lld, \"T\": %lld, \"lyric\": %lld, \"text\": %lld, "
	       "\"recompute\": %d, \"accumulate\": %lld, \"ms\": %.3f, \"least\": %.3f, \"host_ms\": %.3f, \"clips_per_s\": %.3f, \"loss\": %.6g, "
	       "\"peak_GiB\": %.3f, \"sent_GB\": %.4f, \"open_s\": %.1f", o->name, o->preset, b->comm->size, b->comm->nodes,
	       b->comm->size > 1 ? exchange_text(&b->exchange) : "none", sharding_name(o->sharding), o->device == DEV_CUDA ? "cuda" : "cpu",
	       o->full ? "all" : "lora", o->rank, o->optimizer, o->fp32 ? "fp32" : "bf16", (long long)o->shape.B, (long long)o->shape.T,
	       (long long)o->shape.Y, (long long)o->shape.S, o->interval, (long long)o->accumulation, b->ms, b->least, b->host_ms,
	       1e3 * clips / b->ms, b->last.loss, peak, b->sent / 1e9, b->open_s);
	if (o->save)
		printf(", \"saved_GB\": %.4f, \"stall_ms\": %.1f, \"save_s\": %.2f, \"beside_ms\": %.3f, \"beside\": %d", (double)b->saved.bytes / 1e9,
		       b->stall_ms, b->saved.seconds, b->beside_ms, b->beside);
	if (o->resume)
		printf(", \"restore_s\": %.2f", b->restore_s);
	if (o->save || o->resume)
		printf(", \"next_step\": %lld, \"next_loss\": %.6g", (long long)b->next_step, b->next_loss);
	printf("}\n");
	fflush(stdout);
}

static enum status
run(struct scale *b)
{
	double began = clock_now(), peak;

	comm_set_patience(b->comm, COMM_PATIENCE, true);
	ACE_TRY(comm_agree(b->comm, scale_folder(b)));
	ACE_TRY(comm_agree(b->comm, scale_open(b)));
	b->sent = b->comm->size > 1 ? exchange_traffic(&b->exchange, b->o.accumulation) : 0;
	b->open_s = clock_now() - began;
	if (b->o.resume)
		ACE_TRY(resume(b));
	ACE_TRY(measure(b));
	if (b->o.save)
		ACE_TRY(save(b));
	peak = (double)b->dev.peak / 0x1p30;
	ACE_TRY(most(b->comm, &peak));
	if (b->comm->rank == 0)
		tell(b, peak);
	return ACE_OK;
}

static void
wrong(const char *what)
{
	fprintf(stderr, "scale: what is %s?\n", what);
	exit(64);
}

static enum sharding
sharding_of(const char *name)
{
	for (enum sharding i = SHARDING_NONE; i <= SHARDING_HYBRID; i++)
		if (strcmp(name, sharding_name(i)) == 0)
			return i;
	wrong(name);
	return SHARDING_NONE;
}

static enum link_way
way_of(const char *name)
{
	if (strcmp(name, "auto") != 0 && strcmp(name, "nccl") != 0 && strcmp(name, "host") != 0)
		wrong(name);
	return *name == 'n' ? LINK_NCCL : *name == 'h' ? LINK_STAGED : LINK_AUTO;
}

static void
read_options(struct scale_options *o, int argc, char **argv)
{
	struct step_shape *n = &o->shape;

	for (int i = 1; i < argc; i++) {
		const char *what = argv[i], *next = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(what, "--full") == 0)
			o->full = true, o->rank = 0;
		else if (strcmp(what, "--fp32") == 0)
			o->fp32 = true;
		else if (i++ + 1 == argc)
			wrong(what);
		else if (strcmp(what, "--shape") == 0 && sscanf(next, "%ld,%ld,%ld,%ld", &n->B, &n->T, &n->Y, &n->S) == 4)
			continue;
		else if (strcmp(what, "--rank") == 0)
			o->rank = atoi(next);
		else if (strcmp(what, "--recompute") == 0)
			o->interval = atoi(next);
		else if (strcmp(what, "--layers") == 0)
			o->layers = atoi(next);
		else if (strcmp(what, "--accumulate") == 0)
			o->accumulation = atoi(next);
		else if (strcmp(what, "--steps") == 0)
			o->steps = atoi(next);
		else if (strcmp(what, "--optimizer") == 0)
			o->optimizer = next;
		else if (strcmp(what, "--sharding") == 0)
			o->sharding = sharding_of(next);
		else if (strcmp(what, "--exchange") == 0)
			o->way = way_of(next);
		else if (strcmp(what, "--preset") == 0)
			o->preset = next;
		else if (strcmp(what, "--device") == 0)
			o->device = strcmp(next, "cuda") == 0 ? DEV_CUDA : DEV_CPU;
		else if (strcmp(what, "--save") == 0)
			o->save = next;
		else if (strcmp(what, "--resume") == 0)
			o->resume = next;
		else if (strcmp(what, "--name") == 0)
			o->name = next;
		else
			wrong(what);
	}
	if (o->steps < 1 || o->accumulation < 1 || n->B < 1 || n->B > SCALE_CLIPS)
		wrong("that number");
	if (!o->optimizer)
		o->optimizer = o->full ? "torch-adamw" : "adamw_bf16";
}

int
main(int argc, char **argv)
{
	struct scale b = { .o = { .preset = "3.5b", .name = "scale", .shape = { 1, 646, 64, 600 }, .rank = 16, .steps = 15, .accumulation = 1,
		.device = dev_cuda_count() > 0 ? DEV_CUDA : DEV_CPU } };
	enum status st;

	read_options(&b.o, argc, argv);
	msg_setup("scale", MSG_QUIET, PROGRESS_NONE, 10);
	st = comm_open(&b.comm, COMM_PATIENCE);
	if (st == ACE_OK)
		st = run(&b);
	if (st != ACE_OK && (!b.comm || b.comm->rank == 0 || !comm_agreed(b.comm)))
		fprintf(stderr, "scale: %s\n", ace_message());
	scale_close(&b);
	st = comm_close(&b.comm, st);
	comm_abandon(b.comm, 1);
	return st == ACE_OK ? 0 : 1;
}
