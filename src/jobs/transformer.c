/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/transformer.h"

#include "base/file.h"
#include "base/hub.h"

#include <stdlib.h>

enum status
transformer_find(const struct settings *s, const char **name, char **folder)
{
	const char *part = settings_str(s, "pretrained_transformer_subfolder");
	const char *other = settings_str(s, "pretrained_transformer_model_name_or_path");
	char *outer, *inner;

	*folder = NULL;
	*name = other ? other : settings_str(s, "pretrained_model_name_or_path");
	ACE_TRY(hub_model(*name, settings_str(s, "revision"), &outer));
	inner = file_path("%s/%s", outer, part ? part : ".");
	if (!inner) {
		free(outer);
		return ace_fail(ACE_ENOMEM, "no memory for a path");
	}
	if (file_is_dir(inner) || !other) {
		*folder = inner;
		free(outer);
	} else {			/* the transformer's own folder */
		*folder = outer;
		free(inner);
	}
	if (!file_is_dir(*folder))
		return ace_fail(ACE_ENOINPUT, "%s: no such folder; wanted the transformer of %s", *folder, *name);
	return ACE_OK;
}
