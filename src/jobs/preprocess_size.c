/* SPDX-License-Identifier: Apache-2.0 */
/* How much there is to do: length of sound, bytes on the disk, memory, time. */
#include "jobs/preprocess_parts.h"

#include "audio/prepare.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/msg.h"
#include "base/stop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Bytes of a store beside the numbers themselves, measured: a part, an item of it, a token of lyrics. */
enum { PART_BYTES = 24 << 10, ITEM_BYTES = 1500, LYRIC_BYTES = 2000, CAPTION_BYTES = 400, PART_ITEMS = 64 };

double
prep_window(const struct dataset *d, double seconds, double *bucket)
{
	double longest = PREPARE_MAX / (double)PREPARE_RATE, most = seconds < longest ? seconds : longest, steps;

	*bucket = 0;			/* one for all */
	if (d->length_mode == LENGTH_PAD)
		return most;
	steps = floor(most / d->interval);
	*bucket = steps > 0 ? steps * d->interval : most;
	return *bucket;
}

/* Seconds that the header promises; about, where it says nothing. */
static double
declared(const struct songs *s, int64_t i, const char *path)
{
	double seconds = song_seconds(s, i);
	struct song_file f;
	struct clip c;
	int64_t size;
	bool good;

	if (seconds > 0)
		return seconds;
	if (song_open(s, i, path, &f) != ACE_OK)
		return 0;
	good = audio_probe(f.path, &c) == ACE_OK;
	size = file_size(f.path);
	song_close(&f);
	if (!good)
		return 0;
	return c.n > 0 ? (double)c.n / c.rate : (double)size / 16000;
}

enum status
prep_probe(struct prep *p)
{
	int64_t done = 0, all = 0;
	double start = clock_now();

	for (int k = 0; k < p->sets; k++)
		for (int64_t i = 0; i < p->set[k].n; i++)
			all += p->set[k].item[i].todo == TODO_ENCODE;
	for (int k = 0; k < p->sets; k++)
		for (int64_t i = 0; i < p->set[k].n; i++) {
			struct prep_set *s = &p->set[k];
			struct prep_item *it = &s->item[i];
			double seconds, bucket;
			char *path;
			if (it->todo != TODO_ENCODE)
				continue;
			if (stop_asked())
				return ACE_ESTOPPED;
			path = song_path(&s->songs, it->song);
			if (!path)
				return ace_fail(ACE_ENOMEM, "no memory for file names");
			seconds = declared(&s->songs, it->song, path);
			free(path);
			if ((s->entry->max_seconds > 0 && seconds > s->entry->max_seconds) ||
			    seconds < s->entry->min_seconds)
				seconds = 0;
			it->seconds = seconds > 0 ? prep_window(s->entry, seconds, &bucket) : 0;
			if (it->seconds > s->longest)
				s->longest = it->seconds;
			done++;
			if (clock_now() - start > 3)
				msg_progress("headers", done, all, "%s", "");
		}
	msg_progress_end();
	return ACE_OK;
}

/* --- disk --- */

static int64_t
samples(double seconds)
{
	int64_t n = (int64_t)(seconds * PREPARE_RATE);

	return n < PREPARE_MIN ? PREPARE_MIN : n;
}

static double
latent_bytes(const struct prep *p, const struct prep_set *s)
{
	double plane = (double)codec_channels(&p->codec) * codec_rows(&p->codec) * (double)dtype_size(p->job->latent_dtype);
	double bytes = 0, items = 0;

	for (int64_t i = 0; i < s->n; i++) {
		const struct prep_item *it = &s->item[i];
		if (it->todo != TODO_ENCODE && it->todo != TODO_UPDATE)
			continue;
		if (it->todo == TODO_UPDATE)
			bytes += plane * (double)latents_item(s->have, it->have)->frames;
		else if (it->seconds > 0)
			bytes += plane * (double)codec_frames(samples(it->seconds));
		bytes += ITEM_BYTES + (it->has_lyrics ? LYRIC_BYTES : 0);
		items++;
	}
	return bytes + ceil(items / PART_ITEMS) * PART_BYTES;
}

static enum status
text_bytes(const struct prep *p, const struct prep_texts *t, double *bytes)
{
	int32_t ids[UNIGRAM_CAP * 2 + 1];
	int n, most = p->job->text_tokens < UNIGRAM_CAP * 2 ? p->job->text_tokens : UNIGRAM_CAP * 2;

	*bytes = ceil((double)t->n / PART_ITEMS) * PART_BYTES;
	for (int64_t i = 0; i < t->n; i++) {
		size_t len = strlen(t->missing[i].text);
		ACE_TRY(unigram_encode(&p->unigram, t->missing[i].text, len, ids, most, &n));
		*bytes += (double)n * umt5_width(&p->umt5) * 2 + (double)len + CAPTION_BYTES;
	}
	return ACE_OK;
}

/* The device of the nearest folder that exists. */
static dev_t
device_of(const char *path)
{
	char *at = strdup(path);
	struct stat info = { 0 };

	while (at && stat(at, &info) != 0) {
		char *slash = strrchr(at, '/');
		if (!slash || slash == at) {
			if (stat(slash ? "/" : ".", &info) != 0)
				info.st_dev = 0;
			break;
		}
		*slash = 0;
	}
	free(at);
	return info.st_dev;
}

/* One folder that will be written to. */
struct place {
	const char *folder;
	double need;
	dev_t device;
};

static enum status
check_place(struct prep *p, const struct place *all, int n, int i)
{
	double need = 0, have = (double)file_free_bytes(all[i].folder);
	char text[32], text2[32];

	for (int k = 0; k < n; k++)
		if (all[k].device == all[i].device) {
			if (k < i)
				return ACE_OK;		/* said already */
			need += all[k].need;
		}
	if (need == 0 || have < 0)
		return ACE_OK;
	if (p->r->free_bytes < 0 || have < (double)p->r->free_bytes)
		p->r->free_bytes = (int64_t)have;
	if (need > have)
		return ace_fail(ACE_EIO, "%s: the disk has %s free and about %s are needed\n"
		                "make room, or put the stores elsewhere with cache_dir=FOLDER", all[i].folder,
		                prep_bytes(have, text), prep_bytes(need, text2));
	if (need > have / 2)
		msg_warn("%s: about %s will be written, more than half of what is free (%s)", all[i].folder,
		         prep_bytes(need, text), prep_bytes(have, text2));
	return ACE_OK;
}

/* What this rank will write into each store. */
static enum status
list_places(struct prep *p, struct place *all)
{
	int n = 0;

	for (int i = 0; i < p->sets; i++, n++)
		all[n] = (struct place){ .folder = p->set[i].entry->store, .need = latent_bytes(p, &p->set[i]) };
	for (int i = 0; i < p->n_texts; i++, n++) {
		all[n] = (struct place){ .folder = p->texts[i].entry->store };
		ACE_TRY(text_bytes(p, &p->texts[i], &all[n].need));
	}
	return ACE_OK;
}

static enum status
check_places(struct prep *p, struct place *all, int n)
{
	for (int i = 0; i < n; i++) {
		ACE_TRY(prep_sum(p, &all[i].need, 1));
		all[i].device = device_of(all[i].folder);
		p->r->need += (int64_t)all[i].need;
	}
	if (p->rank > 0)
		return prep_agree(p, ACE_OK);
	for (int i = 0; i < n; i++) {
		enum status st = check_place(p, all, n, i);
		if (st != ACE_OK)
			return prep_agree(p, st);
	}
	return prep_agree(p, ACE_OK);
}

enum status
prep_space(struct prep *p)
{
	struct place *all = calloc((size_t)(p->sets + p->n_texts) + 1, sizeof *all);
	enum status st = prep_agree(p, all ? list_places(p, all) : ace_fail(ACE_ENOMEM, "no memory"));

	p->r->need = 0;
	p->r->free_bytes = -1;
	if (st == ACE_OK)
		st = check_places(p, all, p->sets + p->n_texts);
	free(all);
	return st;
}

/* --- memory and time --- */

/* Seconds that encoding takes a second of sound, tried on noise. */
static enum status
try_speed(struct prep *p, double *speed)
{
	enum { N = PREPARE_MIN };
	float *sound = malloc(2 * (size_t)N * sizeof *sound);
	float *latent = malloc((size_t)(codec_channels(&p->codec) * codec_rows(&p->codec)) * (size_t)codec_frames(N) *
	                       sizeof *latent);
	enum status st = sound && latent ? ACE_OK : ace_fail(ACE_ENOMEM, "no memory for a trial");
	double start;

	if (st == ACE_OK) {
		rng_normal_fill(rng_stream(1, RNG_TEST, 0, 0), sound, 2 * N);
		st = codec_encode(&p->codec, sound, N, latent);		/* the first one also takes its memory */
	}
	start = clock_now();
	if (st == ACE_OK)
		st = codec_encode(&p->codec, sound, N, latent);
	*speed = (clock_now() - start) * PREPARE_RATE / N;
	free(sound);
	free(latent);
	return st;
}

enum status
prep_estimate(struct prep *p)
{
	double all = 0, longest = 0, speed = 0;
	char text[32], text2[32], length[32];
	size_t memory, encoder = umt5_memory(&p->umt5, 1, p->job->text_tokens);

	for (int k = 0; k < p->sets; k++) {
		for (int64_t i = 0; i < p->set[k].n; i++)
			all += p->set[k].item[i].todo == TODO_ENCODE ? p->set[k].item[i].seconds : 0;
		longest = p->set[k].longest > longest ? p->set[k].longest : longest;
	}
	memory = codec_memory(&p->codec, samples(longest));
	msg_info("memory: %s to encode the longest clip (%s), %s for a caption, beside the models",
		 prep_bytes((double)memory, text), clock_length(longest, length, sizeof length),
		 prep_bytes((double)encoder, text2));
	if (all <= 0)
		return ACE_OK;
	ACE_TRY(try_speed(p, &speed));
	msg_info("time: about %s at %.1fx real time (tried on 3 s of noise), captions apart",
		 clock_length(all * speed, length, sizeof length), 1 / speed);
	return ACE_OK;
}
