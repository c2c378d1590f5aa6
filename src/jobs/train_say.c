/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "jobs/device.h"
#include "jobs/train_parts.h"
#include "models/lyrics_file.h"
#include "train/model_copy.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

const char *
train_bytes(double bytes, char text[16])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	int u = 0;

	for (; bytes >= 1000 && u < 4; u++)
		bytes /= 1000;
	snprintf(text, 16, u && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[u]);
	return text;
}

double
train_peak(const struct train *t)
{
	struct rusage use;

	if (t->dev.kind == DEV_CUDA)
		return (double)t->dev.peak;
	return getrusage(RUSAGE_SELF, &use) == 0 ? (double)use.ru_maxrss * 1024 : 0;	/* Linux counts KiB */
}

/* "16.3 M" */
static const char *
short_number(double n, char text[16])
{
	static const char *const units[] = { "", " k", " M", " G" };
	int u = 0;

	for (; n >= 1000 && u < 3; u++)
		n /= 1000;
	snprintf(text, 16, u ? "%.3g%s" : "%.0f%s", n, units[u]);
	return text;
}

/* "1,202": with a comma before each three digits. */
static const char *
long_number(int64_t n, char text[32])
{
	char digits[24];
	size_t len, at = 0;

	snprintf(digits, sizeof digits, "%lld", (long long)n);
	len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			text[at++] = ',';
		text[at++] = digits[i];
	}
	text[at] = 0;
	return text;
}

static double
gib(const struct plan *p, enum plan_part from, enum plan_part to)
{
	double sum = 0;

	for (int i = (int)from; i <= (int)to; i++)
		sum += (double)p->bytes[i];
	return sum / 0x1p30;
}

static double
there_of(const struct train *t)
{
	size_t there = 0, all = 0;
	struct dev d = t->dev;

	return dev_memory(&d, &there, &all) ? (double)all : (double)train_memory_there();
}

static void
say_plan(const struct train *t)
{
	const struct plan *p = &t->plan;
	char bytes[16], device[32], steps[40] = "", epochs[40] = "", host[64] = "";
	const char *both = t->j.save_steps > 0 && t->j.save_epochs > 0 ? " and " : "";

	if (t->j.save_steps > 0)
		snprintf(steps, sizeof steps, "every %lld steps", (long long)t->j.save_steps);
	if (t->j.save_epochs > 0)
		snprintf(epochs, sizeof epochs, "every %lld epoch%s", (long long)t->j.save_epochs, t->j.save_epochs == 1 ? "" : "s");
	if (p->host)
		snprintf(host, sizeof host, " and %.2f of the host's", (double)p->host / 0x1p30);
	msg_info("plan       %s: peak %.2f of %.0f GiB (base %.2f, trained and states %.2f, activations %.2f, the rest %.2f)%s; "
	         "checkpoint %s %s%s%s", device_text(&t->dev, device), (double)plan_total(p) / 0x1p30, there_of(t) / 0x1p30,
	         gib(p, PLAN_BASE_MAPPED, PLAN_BASE_QUANTIZED), gib(p, PLAN_TRAINED, PLAN_AVERAGE),
	         gib(p, PLAN_ACTIVATIONS, PLAN_ACTIVATIONS), gib(p, PLAN_WORKSPACE, PLAN_SAVING), host,
	         train_bytes((double)plan_checkpoint(p), bytes), *steps || *epochs ? steps : "at the end", both, epochs);
}

static void
say_adapters(const struct train *t)
{
	if (t->c.path)
		msg_info("resuming   %s: %lld updates are done", t->c.path, (long long)t->start);
	else if (t->j.init_lora)
		msg_info("init       %s: %d modules of rank %lld, %d new ones; counting from %lld", t->j.init_lora, t->init.modules,
		         (long long)t->init.rank, t->init.fresh, (long long)t->start);
}

void
train_say_start(const struct train *t)
{
	char all[16], used[16], trained[16], clips[32], steps[32], total[32], audio[32], what[120];
	int64_t each = loop_steps_per_epoch(t->data, t->j.step.accumulation, exchange_ranks(t->j.step.exchange));

	if (t->j.full)
		snprintf(what, sizeof what, "full training of %s", short_number((double)t->plan.trained, trained));
	else
		snprintf(what, sizeof what, "LoRA r %lld on %d modules%s = %s trainable",
		         (long long)(t->init.rank > 0 ? t->init.rank : t->j.lora.rank), t->plan.modules,
		         t->j.lyrics ? " and the lyrics embedder" : "", short_number((double)t->plan.trained, trained));
	msg_info("ace-train: ACE-Step v1 %s parameters (%s in use), %s, %s", short_number((double)t->plan.parameters, all),
	         short_number((double)t->plan.used, used), train_job_type(&t->j), what);
	msg_info("data       %s clips (%s), %d duration bucket%s, %s step%s an epoch, %s in all      model %.8s  seed %llu",
	         long_number(data_clips(t->data), clips), clock_length(data_seconds(t->data), audio, sizeof audio),
	         data_buckets(t->data), data_buckets(t->data) == 1 ? "" : "s", long_number(each, steps), each == 1 ? "" : "s",
	         long_number(t->limits.steps, total), t->mark, (unsigned long long)t->j.step.seed);
	say_plan(t);
	say_adapters(t);
}

void
train_say_saved(const struct checkpoint_report *r)
{
	char now[40], bytes[16], delay[40] = "step not delayed";

	clock_utc(now, sizeof now);
	if (r->waited > 0.005)
		snprintf(delay, sizeof delay, "step delayed by %.1f s", r->waited);
	msg_info("%.8s  %s saved (%s, %.1f s, %s)", now + 11, r->name, train_bytes((double)r->bytes, bytes), r->seconds, delay);
}

/* The mean loss of about the last hundred updates. */
static void
remember(struct train *t, const struct loop_report *r)
{
	if (isfinite(r->step.loss)) {
		if (t->weight == 0)
			t->first_loss = r->step.loss;
		t->last_loss = r->step.loss;
		t->weight = t->weight * 0.99 + 1;
		t->average += (r->step.loss - t->average) / t->weight;
	}
	t->pace = t->pace > 0 ? t->pace + 0.1 * (r->seconds - t->pace) : r->seconds;
	t->step_seconds += r->seconds;
	t->wait_seconds += r->waited;
}

void
train_say_step(struct train *t, const struct loop_report *r)
{
	int64_t done = t->step.updates, all = t->limits.steps;
	bool value = t->j.step.clip.method == CLIP_VALUE;
	double norm = value ? r->step.grad_absmax : r->step.grad_norm, wait = 0;
	char left[32];

	remember(t, r);
	if (r->step.why)
		msg_warn("%s; the update is skipped, the weights stay (%lld in a row, nonfinite_limit=%lld)", r->step.why,
		         (long long)t->step.spoilt, (long long)t->j.step.nonfinite);
	else if (r->step.skipped)
		msg_info("step %lld: the gradients are not finite at loss scale %g; the weights stay, the scale is now %g",
		         (long long)done, r->step.loss_scale, t->step.scaler.scale);
	if (t->step_seconds > 0)
		wait = t->wait_seconds / t->step_seconds;
	clock_length((double)(all - done) * t->pace, left, sizeof left);
	if (msg_is_terminal())
		msg_progress("step", done, all, "%.0f %%  loss %.3f (avg %.3f)  lr %.3g  |g| %.3g  %.3g ms  %.0f s audio/s  wait %.0f %%  "
		             "%.2f GiB  %s left", 100.0 * (double)done / (double)all, r->step.loss, t->average, r->step.rate, norm,
		             t->pace * 1e3, t->pace > 0 ? r->step.audio / r->seconds : 0, wait * 100, train_peak(t) / 0x1p30, left);
	else
		msg_progress("step=", done, all, "loss=%.4g avg=%.4g lr=%.4g %s=%.3g step_ms=%.4g wait=%.2f mem_gib=%.2f eta=%s",
		             r->step.loss, t->average, r->step.rate, value ? "grad_absmax" : "grad_norm", norm, t->pace * 1e3, wait,
		             train_peak(t) / 0x1p30, left);
}

void
train_say_end(const struct train *t, const char *path)
{
	char *weights = file_path("%s%s", path, t->j.full ? "/" MODEL_COPY_WEIGHTS : ""), size[16], took[32];
	double bytes = weights ? (double)file_size(weights) : 0;

	free(weights);
	msg_progress_end();
	clock_length(clock_now() - t->began, took, sizeof took);
	if (t->weight > 0)
		msg_info("done       %lld steps, %lld in this run in %s; loss %.4g -> %.4g (avg %.4g)", (long long)t->step.updates,
		         (long long)(t->step.updates - t->start), took, t->first_loss, t->last_loss, t->average);
	else if (t->step.updates == t->start)
		msg_info("done       all %lld steps were done before; nothing to train", (long long)t->step.updates);
	else
		msg_info("done       %lld steps, %lld in this run in %s; no loss of these was finite", (long long)t->step.updates,
		         (long long)(t->step.updates - t->start), took);
	if (t->step.scaler.skipped > 0)
		msg_info("skipped    %lld updates, whose losses or gradients were not finite", (long long)t->step.scaler.skipped);
	if (t->j.full)
		msg_info("model      %s  (%s)", path, train_bytes(bytes, size));
	else
		msg_info("LoRA       %s  (%s; loads in diffusers, ComfyUI, ACE-Step)", path, train_bytes(bytes, size));
	if (t->j.step.ema.interval)
		msg_info("average    %s/" CHECKPOINT_EMA "/%s", t->j.out, t->j.full ? CHECKPOINT_MODEL : ADAPTER_FILE);
	if (t->j.lyrics)
		msg_info("lyrics     %s/" LYRICS_FILE "  (the lyrics embedder)", t->j.out);
}
