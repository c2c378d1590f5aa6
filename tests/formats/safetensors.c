/* SPDX-License-Identifier: Apache-2.0 */
/* A file is read when all in it fits together, else refused by name; no bytes whatever do harm. */
#include "support/golden.h"
#include "support/test.h"

#include "base/file.h"
#include "num/rng.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[300], path[320];

static int
make_dir(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "%s", golden_tmp());
	snprintf(path, sizeof path, "%s/file.safetensors", dir);
	return 0;
}

static int
remove_dir(void **state)
{
	(void)state;
	return file_remove_tree(dir) == ACE_OK ? 0 : 1;
}

/* Written without syncing, since thousands of them are; a new file, since some file systems sync what takes an old one's
 * place. */
static void
put_bytes(const void *data, size_t size)
{
	FILE *f;

	unlink(path);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* Header and data as they are; the header's length is right. Owned by the caller. */
static char *
file_of(const char *header, size_t header_len, size_t data, size_t *size)
{
	char *p = calloc(1, 8 + header_len + data + 1);

	assert_non_null(p);
	for (int i = 0; i < 8; i++)
		p[i] = (char)(header_len >> 8 * i);
	memcpy(p + 8, header, header_len);
	for (size_t i = 0; i < data; i++)
		p[8 + header_len + i] = (char)i;
	*size = 8 + header_len + data;
	return p;
}

static void
put_file(const char *header, size_t data)
{
	size_t size;
	char *p = file_of(header, strlen(header), data, &size);

	put_bytes(p, size);
	free(p);
}

/* The file is refused with words, one line that begins with its path; and nothing is kept. */
static void
is_refused(const char *what, const char *words)
{
	struct st_file f;
	enum status st = st_open(&f, path);

	if (st != ACE_EDATA)
		fail_msg("%s: status %d, wanted ACE_EDATA", what, (int)st);
	if (strncmp(ace_message(), path, strlen(path)) != 0 || strchr(ace_message(), '\n') ||
	    !strstr(ace_message(), words))
		fail_msg("%s: \"%s\", wanted a line of the file and \"%s\"", what, ace_message(),
			 words);
	assert_true(!f.map && !f.entry && !f.path && f.n == 0);
}

static void
every_dtype_and_rank_is_read(void **state)
{
	static const char *const names[] = { "F64", "I64", "F32",     "I32", "U32", "F16", "BF16",
					     "U16", "I16", "F8_E4M3", "I8",  "U8",  "BOOL" };
	char header[4000] = "{\"__metadata__\":{\"k\":\"v\"}";
	size_t at = 0;
	struct st_file f;
	enum dtype t;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_true(dtype_parse(names[i], &t));
		size_t bytes = 6 * dtype_size(t), n = strlen(header);
		snprintf(header + n, sizeof header - n,
			 ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s3],\"data_offsets\":[%zu,%zu]}",
			 names[i], names[i], i % 2 ? "2," : "1,2,1,1,1,", at, at + bytes);
		at += bytes;
	}
	strcat(header, ",\"none\":{\"shape\":[7,0,5],\"dtype\":\"F32\",\"data_offsets\":[4,4]}");
	snprintf(header + strlen(header), 200,
		 ",\"one\":{\"shape\":[],\"dtype\":\"U8\",\"data_offsets\":[%zu,%zu]}}", at,
		 at + 1);
	while (strlen(header) % 8)
		strcat(header, " ");
	put_file(header, at + 1);
	assert_ok(st_open(&f, path));
	assert_int_equal(f.n, 2 + (int)(sizeof names / sizeof *names));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct st_entry *e = st_find(&f, names[i]);
		assert_non_null(e);
		assert_string_equal(dtype_name(e->value.dtype), names[i]);
		assert_int_equal(tensor_count(e->value), 6);
		assert_int_equal(e->value.rank, i % 2 ? 2 : 6);
	}
	assert_int_equal(tensor_count(st_find(&f, "none")->value), 0);
	assert_int_equal(st_find(&f, "one")->value.rank, 0);
	assert_int_equal(*(uint8_t *)st_find(&f, "one")->value.data, (uint8_t)at);
	for (int i = 1; i < f.n; i++)
		assert_true(strcmp(f.entry[i - 1].name, f.entry[i].name) < 0);
	assert_string_equal(st_meta(&f, "k"), "v");
	st_close(&f);
}

/* Tensors of a header. */
#define ONE(name, dtype, shape, range) \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" range "}"
#define T(shape, range) "{" ONE("a", "F32", shape, range) "}"
#define TWO(b) "{" ONE("a", "U8", "[4]", "[0,4]") "," ONE("b", "U8", "[4]", b) "}"

static const struct {
	const char *header;
	size_t data;
	const char *words;
} bad[] = {
	{ "{}", 1, "1 bytes behind the last tensor" },
	{ "", 0, "header of 0 bytes" },
	{ "{", 0, "header of 1 bytes" },
	{ "[]", 0, "not an object" },
	{ "{\"a\":1}", 0, "without dtype, shape or data_offsets" },
	{ "{\"a\":[]}", 0, "without dtype, shape or data_offsets" },
	{ "{\"a\":{}}", 0, "without dtype, shape or data_offsets" },
	{ "{\"a\"}", 0, "not valid JSON" },
	{ "{} x", 0, "more text behind" },
	{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}", 4, "not valid JSON" },
	{ "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "without dtype" },
	{ "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "without dtype" },
	{ "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "without dtype" },
	{ "{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
	  "unknown dtype F33" },
	{ "{\"a\":{\"dtype\":32,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "without dtype" },
	{ "{\"a\":{\"dtype\":\"F32\",\"shape\":{\"0\":1},\"data_offsets\":[0,4]}}", 4,
	  "without dtype" },
	{ T("1", "[0,4]"), 4, "without dtype" },
	{ T("[1]", "[0]"), 4, "without dtype" },
	{ T("[1]", "[0,4,4]"), 4, "without dtype" },
	{ T("[1]", "{\"0\":0,\"1\":4}"), 4, "without dtype" },
	{ T("[-1]", "[0,4]"), 4, "dimension 0 is not a sensible size" },
	{ T("[1,0.5]", "[0,2]"), 2, "dimension 1 is not a sensible size" },
	{ T("[\"1\"]", "[0,4]"), 4, "dimension 0 is not a sensible size" },
	{ T("[null]", "[0,4]"), 4, "dimension 0 is not a sensible size" },
	{ T("[1e300]", "[0,4]"), 4, "dimension 0 is not a sensible size" },
	{ T("[9e15,9e15]", "[0,4]"), 4, "dimension 1 is not a sensible size" },
	{ T("[4294967296,4294967296,4294967296,4294967296]", "[0,0]"), 0,
	  "is not a sensible size" },
	{ T("[1,1,1,1,1,1,1]", "[0,4]"), 4, "7 dimensions, at most 6" },
	{ T("[1]", "[4,0]"), 4, "outside the file" },
	{ T("[1]", "[0,8]"), 4, "outside the file" },
	{ T("[1]", "[-4,0]"), 4, "outside the file" },
	{ T("[1]", "[0.5,4.5]"), 8, "outside the file" },
	{ T("[1]", "[\"0\",\"4\"]"), 4, "outside the file" },
	{ T("[1]", "[9007199254740992000,9007199254740992004]"), 4, "outside the file" },
	{ T("[1]", "[18446744073709551612,18446744073709551616]"), 4, "outside the file" },
	{ T("[2]", "[0,4]"), 4, "4 bytes of data, its shape and dtype want 8" },
	{ T("[0]", "[0,4]"), 4, "4 bytes of data, its shape and dtype want 0" },
	{ T("[]", "[0,0]"), 0, "0 bytes of data, its shape and dtype want 4" },
	{ T("[1]", "[4,8]"), 8, "leaves a hole" },
	{ T("[1]", "[0,4]") "   ", 5, "1 bytes behind the last tensor" },
	{ T("[1]", "[1,5]"), 5, "not aligned" },
	{ TWO("[3,7]"), 7, "overlaps" },
	{ TWO("[0,4]"), 4, "overlaps" },
	{ TWO("[5,9]"), 9, "leaves a hole" },
	{ TWO("[4,8]"), 9, "1 bytes behind" },
	{ "{" ONE("a", "U8", "[1]", "[0,1]") "," ONE("a", "U8", "[1]", "[1,2]") "}",
	  2, "twice" },
	{ "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
	  "twice" },
	{ "{\"a\\nb\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
	  "control character" },
	{ "{\"__metadata__\":[]}", 0, "__metadata__ is not an object" },
	{ "{\"__metadata__\":{\"k\":1}}", 0, "metadata k is not text" },
	{ "{\"__metadata__\":{\"j\":\"v\",\"k\":null}}", 0, "metadata k is not text" },
};

static void
what_does_not_fit_together_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char header[400];
		snprintf(header, sizeof header, "%s", bad[i].header);
		if (strstr(bad[i].words, "header of") == NULL &&
		    strstr(bad[i].words, "more text") == NULL)
			while (strlen(header) %
			       8) /* so that only the case's own data is out of line */
				strcat(header, " ");
		put_file(header, bad[i].data);
		is_refused(bad[i].header, bad[i].words);
	}
}

static void
a_header_that_shifts_the_data_out_of_line_is_refused(void **state)
{
	(void)state;
	for (int pad = 0; pad < 8; pad++) {
		char header[100] = T("[1]", "[0,4]");
		struct st_file f;
		for (int i = 0; i < pad; i++)
			strcat(header, " ");
		put_file(header, 4);
		if (strlen(header) % 4) {
			is_refused(header, "not aligned");
		} else {
			assert_ok(st_open(&f, path));
			st_close(&f);
		}
	}
}

static void
deep_and_padded_headers_are_refused(void **state)
{
	char header[4096] = "";
	size_t size;
	char *p;

	(void)state;
	memset(header, '[', 2000);
	put_file(header, 0);
	is_refused("deep", "deeper");
	p = file_of("{}\0\0\0\0\0\0", 8, 0, &size); /* padding is blanks */
	put_bytes(p, size);
	is_refused("bytes of 0", "more text behind");
	free(p);
}

static void
lengths_that_lie_are_refused(void **state)
{
	static const uint64_t lengths[] = { 3,
					    100,
					    100000001,
					    UINT64_C(1) << 31,
					    UINT64_C(1) << 32,
					    UINT64_C(1) << 63,
					    UINT64_MAX,
					    UINT64_MAX - 7,
					    UINT64_MAX - 8 };
	unsigned char p[10] = { 0 };
	int fd;

	(void)state;
	for (size_t n = 0; n < 8; n++) {
		put_bytes(p, n);
		is_refused("short", "too short");
	}
	p[8] = '{', p[9] = '}';
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		for (int k = 0; k < 8; k++)
			p[k] = (unsigned char)(lengths[i] >> 8 * k);
		put_bytes(p, sizeof p);
		is_refused("length", "header of");
	}
	p[0] = 0x01, p[1] = 0xe1, p[2] = 0xf5,
	p[3] = 0x05; /* 100 000 001 bytes, which are all there */
	memset(p + 4, 0, 4);
	put_bytes(p, sizeof p);
	fd = open(path, O_WRONLY);
	assert_int_equal(ftruncate(fd, 101 * 1000 * 1000), 0);
	close(fd);
	is_refused("sparse", "at most 100000000 are read");
}

static void
what_is_no_file_is_said_so(void **state)
{
	char *pipe_path = file_path("%s/pipe", dir), *none = file_path("%s/none", dir),
	     *below = file_path("%s/below", path);
	struct st_file f;

	(void)state;
	assert_int_equal(st_open(&f, none), ACE_ENOINPUT);
	put_file("{}", 0);
	assert_int_equal(st_open(&f, below), ACE_ENOINPUT);
	assert_int_equal(st_open(&f, dir), ACE_EDATA);
	assert_int_equal(mkfifo(pipe_path, 0600), 0);
	alarm(300); /* it would wait for a writer for ever */
	assert_int_equal(st_open(&f, pipe_path), ACE_EDATA);
	alarm(0);
	assert_int_equal(unlink(pipe_path), 0);
	free(pipe_path);
	free(none);
	free(below);
}

static void
a_file_cut_anywhere_is_refused(void **state)
{
	char header[400] = TWO("[4,8]");
	size_t size;
	char *p;

	(void)state;
	while (strlen(header) % 8)
		strcat(header, " ");
	p = file_of(header, strlen(header), 8, &size);
	for (size_t n = 0; n < size; n++) {
		put_bytes(p, n);
		is_refused("cut", "");
	}
	put_bytes(p, size);
	struct st_file f;
	assert_ok(st_open(&f, path));
	st_close(&f);
	free(p);
}

/* --- anything at all --- */

static const char valid[] =
	"{\"__metadata__\":{\"format\":\"pt\",\"note\":\"\\u00e9\"},"
	ONE("a.weight", "F32", "[2,3]", "[0,24]") "," ONE("b", "BF16", "[5]", "[24,34]") ","
	ONE("c.bias", "I8", "[]", "[34,35]") "," ONE("d", "F64", "[0,8]", "[0,0]") ","
	ONE("e", "U8", "[1,1,2]", "[35,37]") "}";

/* Change p of size bytes (room for twice that) at some places; its new size. */
static size_t
mutate(struct rng r, char *p, size_t size)
{
	static const char alphabet[] = "0123456789{}[],:\".-eEFIUB8632 \\u\0\xff";
	uint64_t n = 1 + rng_below(r, 0, 4);

	for (uint64_t k = 0; k < n; k++) {
		struct rng s = rng_sub(r, k + 1);
		size_t at = (size_t)rng_below(s, 0, size), len = 1 + (size_t)rng_below(s, 1, 12),
		       from;
		if (len > size - at)
			len = size - at;
		switch (rng_below(s, 2, 6)) {
		case 0: p[at] = (char)rng_u32(s, 10); break;
		case 1: p[at] = alphabet[rng_below(s, 6, sizeof alphabet - 1)]; break;
		case 2: p[at] ^= (char)(1 << rng_below(s, 7, 8)); break;
		case 3: /* leave out */
			memmove(p + at, p + at + len, size - at - len);
			size -= len;
			break;
		case 4: /* twice */
			memmove(p + at + len, p + at, size - at);
			size += len;
			break;
		case 5: /* from elsewhere */
			from = (size_t)rng_below(s, 8, size - len + 1);
			memmove(p + at, p + from, len);
			break;
		}
		if (size == 0)
			return 0;
	}
	return size;
}

/* All that a file gives out can be read: by memory checkers as well. */
static uint32_t
touch(const struct st_file *f)
{
	uint32_t sum = 0;

	for (int i = 0; i < f->n; i++) {
		const struct st_entry *e = &f->entry[i];
		size_t bytes = tensor_bytes(e->value);
		assert_true((uintptr_t)e->value.data % dtype_size(e->value.dtype) == 0);
		assert_true((char *)e->value.data >= (char *)f->map &&
			    (char *)e->value.data + bytes <= (char *)f->map + f->size);
		assert_ptr_equal(st_find(f, e->name), e);
		for (size_t k = 0; k < bytes; k++)
			sum += ((const unsigned char *)e->value.data)[k];
		sum += (uint32_t)strlen(e->name);
	}
	for (int i = 0; i < 2 * f->n_meta; i++)
		sum += (uint32_t)strlen(f->meta[i]);
	return sum;
}

static void
no_bytes_do_harm(void **state)
{
	int rounds = test_rounds("ACE_FUZZ", 4000), read = 0, refused = 0;
	char header[sizeof valid + 8], *whole;
	uint32_t sum = 0;
	size_t size;

	(void)state;
	strcpy(header, valid);
	while (strlen(header) % 8)
		strcat(header, " ");
	whole = file_of(header, strlen(header), 37, &size);
	for (int i = 0; i < rounds; i++) {
		struct rng r = rng_stream(1, RNG_TEST, 7, (uint64_t)i);
		char *p = calloc(2, size + 100);
		size_t n;
		struct st_file f;
		memcpy(p, whole, size);
		n = mutate(r, p, size);
		if (i % 2 && n >= 8) { /* half of them with a header length that is right again */
			uint64_t len = n - 8 < 37 ? n - 8 : n - 8 - 37;
			for (int k = 0; k < 8; k++)
				p[k] = (char)(len >> 8 * k);
		}
		put_bytes(p, n);
		free(p);
		enum status st = st_open(&f, path);
		if (st == ACE_OK) {
			sum += touch(&f);
			st_close(&f);
			read++;
		} else {
			assert_int_equal(st, ACE_EDATA);
			assert_int_equal(strncmp(ace_message(), path, strlen(path)), 0);
			refused++;
		}
	}
	print_message("# %d mutated files: %d read, %d refused (%u)\n", rounds, read, refused, sum);
	assert_true(read > rounds / 100 && refused > rounds / 4);
	free(whole);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_dtype_and_rank_is_read),
		cmocka_unit_test(what_does_not_fit_together_is_refused),
		cmocka_unit_test(a_header_that_shifts_the_data_out_of_line_is_refused),
		cmocka_unit_test(deep_and_padded_headers_are_refused),
		cmocka_unit_test(lengths_that_lie_are_refused),
		cmocka_unit_test(what_is_no_file_is_said_so),
		cmocka_unit_test(a_file_cut_anywhere_is_refused),
		cmocka_unit_test(no_bytes_do_harm),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
