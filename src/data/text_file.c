/* SPDX-License-Identifier: Apache-2.0 */
#include "data/text_file.h"

#include "base/file.h"
#include "text/chars.h"

#include <string.h>
#include <sys/stat.h>

bool
text_file_there(const char *path)
{
	return file_exists(path);
}

enum status
text_file_read(const char *path, char **text, size_t *len)
{
	struct stat info;
	enum status st;
	size_t to = 0, from = 0;
	char *t;

	*text = NULL;
	*len = 0;
	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return ace_fail(ACE_EIO, "%s: not a file", path);
	st = file_read(path, TEXT_FILE_LIMIT, text, len);
	if (st != ACE_OK)
		return st == ACE_ENOMEM ? st : ACE_EIO;
	t = *text;
	if (*len >= 3 && memcmp(t, "\xef\xbb\xbf", 3) == 0)
		from = 3;
	for (; from < *len; from++)
		if (t[from] != '\r' || from + 1 == *len || t[from + 1] != '\n')
			t[to++] = t[from];
	t[to] = 0;
	*len = to;
	return ACE_OK;
}

bool
text_file_good(const char *text, size_t len)
{
	return !memchr(text, 0, len) && utf8_valid(text, len) == len;
}
