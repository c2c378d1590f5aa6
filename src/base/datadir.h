/* SPDX-License-Identifier: Apache-2.0 */
/* datadir.h - where the files are that come with the programs: presets and tables below datasets/, batch scripts below slurm/ */
#ifndef ACE_BASE_DATADIR_H
#define ACE_BASE_DATADIR_H

/* The path of datasets/NAME ("text/words"), owned by the caller; NULL when it is nowhere (or memory is out). Looked for, in
 * this order: below $ACE_DATADIR, below the current folder, in the folders above the running program (the source tree it was
 * built in), and where the programs were installed. */
char *datadir_find(const char *name);

/* The same for FOLDER/NAME ("slurm", "train.sbatch"). */
char *datadir_file(const char *folder, const char *name);
#endif
