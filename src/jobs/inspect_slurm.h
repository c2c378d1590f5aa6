/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_slurm.h - ace-inspect --slurm-template: a batch script filled in for a cluster */
#ifndef ACE_JOBS_INSPECT_SLURM_H
#define ACE_JOBS_INSPECT_SLURM_H

#include "base/settings.h"

#include <stdio.h>

/* The script that slurm_template names, to out, with a line "#SBATCH --OPTION=VALUE" for each option that was given, behind its own.
 * A value that would be more than a word: ACE_EUSAGE; no such script: ACE_ENOINPUT. */
enum status inspect_slurm(FILE *out, const struct settings *s) ACE_NODISCARD;
#endif
