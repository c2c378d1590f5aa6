/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/resume.h"

#include "base/msg.h"
#include "jobs/train.h"
#include "train/checkpoint.h"

#include <stdlib.h>

enum status
resume_run(struct settings *s, struct comm *c)
{
	const char *out = settings_str(s, "output_dir"), *wanted = settings_str(s, "resume_from_checkpoint");
	bool first = !c || c->rank == 0;
	char *path = NULL;
	enum status st = first ? checkpoint_find(out, wanted, false, &path) : ACE_OK;

	if (first && st == ACE_OK && !path)
		msg_info("resuming   %s has no checkpoint yet: from its beginning", out);
	free(path);
	if (c)
		st = comm_agree(c, st);
	return st == ACE_OK ? train_run(s, c) : st;
}
