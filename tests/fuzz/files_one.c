/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/files_one.h"

#include "base/file.h"
#include "base/json.h"
#include "data/captions.h"
#include "data/lyrics_file.h"
#include "formats/safetensors.h"
#include "net/wheel.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file in memory with these bytes; its path into path. */
static int
in_memory(const void *data, size_t size, char path[40])
{
	int fd = memfd_create("fuzz", 0);

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, 40, "/proc/self/fd/%d", fd);
	return fd;
}

/* Exactly as long as it is, for the sanitizer to see what reads behind it. */
static char *
copy_of(const void *data, size_t size)
{
	char *copy = malloc(size ? size : 1);

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

static int
safetensors(const void *data, size_t size)
{
	static volatile unsigned char sum;
	struct st_file f;
	char path[40];
	int fd = in_memory(data, size, path), good;

	good = st_open(&f, path) == ACE_OK;
	assert(good || *ace_message());
	for (int i = 0; good && i < f.n; i++) {
		const struct st_entry *e = &f.entry[i];
		size_t n = tensor_bytes(e->value);
		const unsigned char *p = e->value.data;
		assert(st_find(&f, e->name) == e);
		if (n > 0) {
			assert(p >= (const unsigned char *)f.map && p + n <= (const unsigned char *)f.map + f.size);
			sum = (unsigned char)(sum + p[0] + p[n - 1]);
		}
	}
	for (int i = 0; good && i < f.n_meta; i++)
		assert(st_meta(&f, f.meta[2 * i]));
	if (good)
		st_close(&f);
	close(fd);
	return good;
}

static int
json(const void *data, size_t size)
{
	char *text = copy_of(data, size), *again;
	cJSON *root = NULL, *other = NULL;
	int good = json_parse(text, size, "input", &root) == ACE_OK;

	assert(good ? root != NULL : root == NULL && *ace_message());
	if (good && (again = cJSON_PrintUnformatted(root))) {	/* what was read can be written and read */
		assert(json_parse(again, strlen(again), "again", &other) == ACE_OK || strstr(ace_message(), "twice"));
		cJSON_free(again);
	}
	cJSON_Delete(root);
	cJSON_Delete(other);
	free(text);
	return good;
}

static int
list(const void *data, size_t size)
{
	static const struct dataset_defaults d = { .output_dir = "out" };
	char *text = copy_of(data, size);
	struct dataset_list l;
	int good = dataset_list_parse(&l, text, size, "input", &d) == ACE_OK;

	for (int i = 0; good && i < l.n; i++) {
		assert(l.entry[i].id && l.entry[i].store);
		assert(l.entry[i].kind == DATASET_TEXTS || dataset_texts(&l, &l.entry[i]));
	}
	if (good)
		dataset_list_free(&l);
	free(text);
	return good;
}

/* Both as a caption and as lyrics. */
static int
text(const void *data, size_t size)
{
	static char dir[40], song[60], caption[60], lyrics[60];
	struct dataset d = { .captions = CAPTION_TEXTFILE,
			     .shuffle = { .on = true, .original = true, .count = 2, .separator = ',' } };
	struct captions c;
	struct lyrics_text t;
	int good;

	if (!*dir) {
		strcpy(dir, "/tmp/ace-fuzz-XXXXXX");
		assert(mkdtemp(dir));
		snprintf(song, sizeof song, "%s/a.wav", dir);
		snprintf(caption, sizeof caption, "%s/a.txt", dir);
		snprintf(lyrics, sizeof lyrics, "%s/a.lyrics", dir);
	}
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(i ? lyrics : caption, "wb");
		assert(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
	}
	good = captions_read(&c, &d, song) == ACE_OK;
	assert(good ? c.n > 0 : c.n == 0 && c.reason != CAPTION_OK);
	for (int i = 0; i < c.n; i++)
		assert(*c.text[i]);
	captions_free(&c);
	good += lyrics_find(&t, &d, song, false) == ACE_OK;
	lyrics_text_free(&t);
	unlink(caption);
	unlink(lyrics);
	return good > 0;
}

static int
wheel(const void *data, size_t size)
{
	char *copy = copy_of(data, size), *member;
	size_t n;
	int good = wheel_member(copy, size, "input", "vocab.json", 1 << 16, &member, &n) == ACE_OK;

	assert(good ? member[n] == 0 : member == NULL);
	free(member);
	free(copy);
	return good;
}

int
files_one(const unsigned char *data, size_t size)
{
	if (size < 1)
		return 0;
	switch (data[0]) {
	case 's': return safetensors(data + 1, size - 1);
	case 'j': return json(data + 1, size - 1);
	case 'd': return list(data + 1, size - 1);
	case 't': return text(data + 1, size - 1);
	case 'z': return wheel(data + 1, size - 1);
	}
	return 0;
}
