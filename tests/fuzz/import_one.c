/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/import_one.h"

#include "data/hf_filter.h"
#include "data/hf_parts.h"
#include "data/hf_song.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROWS = 2000 };

/* All rows of a file in memory. */
static int
read_rows(const char *path, enum hf_kind kind)
{
	static const struct hf_columns usual = { 0 };
	char root[] = "/nowhere", name[] = "train";
	struct hf_file file = { .path = (char *)(uintptr_t)path, .folder = root, .kind = kind };
	struct hf_split split = { .name = name, .file = &file, .n = 1 };
	struct hf_repo repo = { .root = root, .split = &split, .n = 1 };
	struct hf_filter *filter;
	struct hf_rows *rows;
	struct hf_row row;
	bool more = true;
	int n = 0, refused = 0;

	if (hf_filter_parse(&filter, "year>=1990, tags~rap, audio.path!=x") != ACE_OK)
		abort();
	if (hf_rows_open(&rows, &repo, &split, NULL) != ACE_OK)
		abort();
	while (n < ROWS && refused++ < 2 * ROWS && hf_rows_next(rows, &row, &more) == ACE_OK && more) {
		struct hf_song s;
		if (!row.code)
			(void)hf_filter_takes(filter, row.cell);
		if (hf_song_read(&s, &repo, &row, &usual) == ACE_OK) {
			unsigned sum = 0;
			for (size_t i = 0; s.bytes && i < s.size; i++)
				sum += (unsigned char)s.bytes[i];
			n += !row.code && (sum != 1 || n >= 0);
		}
		hf_song_free(&s);
	}
	hf_rows_close(rows);
	hf_filter_free(filter);
	return n;
}

int
import_one(const unsigned char *data, size_t size)
{
	static const char letters[] = "actj";
	static const enum hf_kind kinds[] = { HF_ARROW, HF_CSV, HF_TAR, HF_JSON };
	static int memory = -1;
	const char *letter = size > 0 ? memchr(letters, data[0], 4) : NULL;
	char path[40];

	if (size > 0 && data[0] == 'y') {
		cJSON *v = hf_yaml((const char *)data + 1, size - 1);
		cJSON_Delete(v);
		return v ? 1 : -1;
	}
	if (size > 0 && data[0] == 'f') {
		struct hf_filter *f;
		char *text = strndup((const char *)data + 1, size - 1);
		int rc = text && hf_filter_parse(&f, text) == ACE_OK;
		if (rc)
			hf_filter_free(f);
		free(text);
		return rc ? 1 : -1;
	}
	if (!letter)
		return -1;
	if (memory < 0)
		memory = memfd_create("input", MFD_CLOEXEC);
	if (ftruncate(memory, 0) != 0 || pwrite(memory, data + 1, size - 1, 0) != (ssize_t)size - 1)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
	return read_rows(path, kinds[letter - letters]);
}
