/* SPDX-License-Identifier: Apache-2.0 */
/* Event files are those of the reference, byte for byte behind the first record (which names the program that wrote it). */
#include "train/tensorboard.h"

#include "base/crc32c.h"
#include "base/file.h"
#include "support/golden.h"
#include "support/test.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SET "tensorboard-events"

enum { RECORDS = 64 };

struct records {
	char *data;
	size_t size;
	const unsigned char *at[RECORDS];	/* payloads */
	size_t len[RECORDS];
	int n;
};

static uint64_t
little(const unsigned char *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static uint32_t
unmasked(uint64_t m)
{
	uint32_t r = (uint32_t)m - 0xa282ead8u;

	return r >> 17 | r << 15;
}

/* Cut into records, checking every sum. */
static void
read_records(struct records *r, const char *path)
{
	const unsigned char *p, *end;

	*r = (struct records){ 0 };
	assert_ok(file_read(path, 1 << 26, &r->data, &r->size));
	p = (const unsigned char *)r->data;
	end = p + r->size;
	while (p < end) {
		uint64_t n;
		assert_true(end - p >= 16 && r->n < RECORDS);
		n = little(p, 8);
		assert_int_equal(unmasked(little(p + 8, 4)), crc32c(0, p, 8));
		assert_true(n <= (uint64_t)(end - p) - 16);
		assert_int_equal(unmasked(little(p + 12 + n, 4)), crc32c(0, p + 12, n));
		r->at[r->n] = p + 12;
		r->len[r->n++] = n;
		p += 16 + n;
	}
}

static double
number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsNumber(v))
		fail_msg("expected.json: no number %s", key);
	return v->valuedouble;
}

static const char *
text(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);

	if (!cJSON_IsString(v))
		fail_msg("expected.json: no text %s", key);
	return v->valuestring;
}

/* Where the WAV file is in the payload. */
static const unsigned char *
find_wav(const unsigned char *p, size_t n, size_t *size)
{
	for (size_t i = 0; i + 8 < n; i++)
		if (memcmp(p + i, "RIFF", 4) == 0) {
			*size = (size_t)little(p + i + 4, 4) + 8;
			assert_true(i + *size <= n);
			return p + i;
		}
	fail_msg("no WAV file in the record");
	return NULL;
}

static void
put_all(struct tensorboard *t, const cJSON *want, const struct records *golden)
{
	const cJSON *s, *audio = cJSON_GetObjectItemCaseSensitive(want, "audio");
	double wall = 0;

	cJSON_ArrayForEach(s, cJSON_GetObjectItemCaseSensitive(want, "scalars")) {
		struct metric m = { text(s, "tag"), number(s, "simple_value") };
		wall = number(s, "wall_time");
		assert_ok(tensorboard_put(t, wall, (int64_t)number(s, "step"), &m, 1));
	}
	if (audio) {
		size_t size = 0;
		const unsigned char *wav = find_wav(golden->at[golden->n - 1], golden->len[golden->n - 1], &size);
		uint64_t bits = little(golden->at[golden->n - 1] + 1, 8);
		memcpy(&wall, &bits, sizeof wall);
		assert_ok(tensorboard_put_audio(t, wall, (int64_t)number(audio, "step"), text(audio, "tag"),
		                                (float)number(audio, "sample_rate"), (int64_t)number(audio, "channels"),
		                                (int64_t)number(audio, "frames"), wav, size));
	}
}

static void
records_are_the_references(void **state)
{
	cJSON *want = golden_json(SET, "expected.json");
	const char *dir = golden_tmp(), *version = text(want, "file_version");
	struct records golden, ours;
	struct tensorboard t;
	char *path;

	(void)state;
	read_records(&golden, golden_path(SET, text(want, "file")));
	assert_ok(tensorboard_open(&t, dir, number(cJSON_GetObjectItem(want, "scalars")->child, "wall_time")));
	put_all(&t, want, &golden);
	path = strdup(t.path);
	tensorboard_close(&t);
	read_records(&ours, path);
	assert_int_equal(ours.n, golden.n);
	assert_true(ours.n > 2);
	assert_true(ours.at[0][0] == 9 && ours.at[0][9] == 0x1a && ours.at[0][10] == strlen(version));
	assert_memory_equal(ours.at[0] + 11, version, strlen(version));
	assert_int_equal(ours.len[0], 11 + strlen(version));
	for (int i = 1; i < ours.n; i++) {
		assert_int_equal(ours.len[i], golden.len[i]);
		assert_memory_equal(ours.at[i], golden.at[i], golden.len[i]);
	}
	free(ours.data);
	free(golden.data);
	free(path);
	cJSON_Delete(want);
	assert_ok(file_remove_tree(dir));
}

static void
each_file_has_a_name_of_its_own(void **state)
{
	const char *dir = golden_tmp();
	char *below = file_path("%s/a/b", dir), *name;
	struct tensorboard t[3];
	long long seconds, pid;
	char host[80];
	int n;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_ok(tensorboard_open(&t[i], below, 1700000000.75));
		name = strrchr(t[i].path, '/') + 1;
		assert_int_equal(sscanf(name, "events.out.tfevents.%lld.%79[^.].%lld.%d", &seconds, host, &pid, &n), 4);
		assert_int_equal(seconds, 1700000000);
		assert_int_equal(n, i);
	}
	for (int i = 0; i < 3; i++)
		tensorboard_close(&t[i]);
	free(below);
	assert_ok(file_remove_tree(dir));
}

static void
large_steps_and_odd_values_are_kept(void **state)
{
	const struct metric m[] = { { "a", NAN }, { "ssl/mert", -INFINITY } };
	static const unsigned char step[] = { 0x10, 0x80, 0xe4, 0x97, 0xd0, 0x12 };	/* 5000000000, seven bits a byte */
	const char *dir = golden_tmp();
	struct tensorboard t;
	struct records r;
	float v;

	(void)state;
	assert_ok(tensorboard_open(&t, dir, 1.0));
	assert_ok(tensorboard_put(&t, 2.0, 5000000000, m, 2));
	assert_ok(tensorboard_restart(&t, 3.0, 7));
	read_records(&r, t.path);
	assert_int_equal(r.n, 4);
	assert_memory_equal(r.at[1] + 9, step, sizeof step);
	memcpy(&v, r.at[1] + r.len[1] - 4, 4);
	assert_true(isnan(v));
	memcpy(&v, r.at[2] + r.len[2] - 4, 4);
	assert_true(isinf(v) && v < 0);
	assert_memory_equal(r.at[3] + 9, "\x10\x07\x3a\x02\x08\x01", 6);
	assert_int_equal(r.len[3], 15);
	free(r.data);
	tensorboard_close(&t);
	assert_ok(file_remove_tree(dir));
}

static void
a_record_that_does_not_fit_is_taken_back(void **state)
{
	const struct metric m = { "train_loss", 1.0 };
	const char *dir = golden_tmp();
	struct rlimit old, little_room;
	struct tensorboard t;
	struct records r;
	enum status st;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_ok(tensorboard_open(&t, dir, 1.0));
	assert_ok(tensorboard_put(&t, 2.0, 1, &m, 1));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	little_room = old;
	little_room.rlim_cur = (rlim_t)file_size(t.path) + 10;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little_room), 0);
	st = tensorboard_put(&t, 3.0, 2, &m, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(st, ACE_EIO);
	assert_ok(tensorboard_put(&t, 4.0, 3, &m, 1));
	read_records(&r, t.path);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.at[2][10], 3);
	free(r.data);
	tensorboard_close(&t);
	assert_int_equal(tensorboard_open(&t, "/proc/nowhere", 1.0), ACE_ECREATE);
	assert_ok(file_remove_tree(dir));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_the_references),
		cmocka_unit_test(each_file_has_a_name_of_its_own),
		cmocka_unit_test(large_steps_and_odd_values_are_kept),
		cmocka_unit_test(a_record_that_does_not_fit_is_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
