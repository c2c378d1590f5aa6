/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a folder is a data set with rows, or songs. */
#include "data/dataset.h"

#include "base/file.h"
#include "data/discover.h"
#include "data/hf_parts.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static bool
has_parquet(const char *folder)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		size_t n = strlen(e->d_name);
		found = e->d_name[0] != '.' && n > 8 && strcmp(e->d_name + n - 8, ".parquet") == 0;
	}
	if (d)
		closedir(d);
	return found;
}

static bool
has_songs(const char *folder)
{
	struct songs songs = { 0 };
	bool any = songs_find(&songs, folder) != ACE_OK || songs.n > 0;

	songs_free(&songs);
	return any;
}

bool
dataset_is_rows(const char *source)
{
	char *state = file_path("%s/state.json", source), *dict = file_path("%s/dataset_dict.json", source);
	char *info = file_path("%s/dataset_info.json", source), *data = file_path("%s/data", source);
	bool rows = false;
	enum hf_kind kind;

	if (!file_is_dir(source))
		rows = file_exists(source) && hf_kind_of(source, &kind);
	else if (state && dict && info && data)
		rows = file_exists(dict) || (file_exists(state) && file_exists(info)) ||
		       ((has_parquet(source) || has_parquet(data)) && !has_songs(source));
	free(state);
	free(dict);
	free(info);
	free(data);
	return rows;
}
