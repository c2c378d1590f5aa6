/* SPDX-License-Identifier: Apache-2.0 */
/* resume.h - ace-resume: a run goes on, with the settings of its effective.json and what the command line changes */
#ifndef ACE_JOBS_RESUME_H
#define ACE_JOBS_RESUME_H

#include "base/settings.h"
#include "comm/comm.h"

/* The settings were loaded from the run's folder (settings.h). The folder must hold a run that has begun. */
enum status resume_run(struct settings *s, struct comm *c) ACE_NODISCARD;
#endif
