/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/doctor.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hub.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Numbers of statfs that need another treatment, or a name. */
static const struct {
	unsigned long type;
	const char *name;
} kinds[] = {
	{ 0xEF53, "ext" }, { 0x58465342, "xfs" }, { 0x9123683E, "btrfs" }, { 0x01021994, "tmpfs" },
	{ 0x794C7630, "overlay" }, { 0x2FC12FC1, "zfs" }, { 0x6969, "nfs" }, { 0x0BD00BD0, "lustre" },
	{ 0x47504653, "gpfs" }, { 0x19830326, "beegfs" }, { 0x00C36400, "ceph" }, { 0xFE534D42, "smb" },
	{ 0xFF534D42, "cifs" }, { 0x65735546, "fuse" }, { 0x01021997, "9p" },
};

/* The nearest folder of path that exists, owned by the caller; NULL: memory ran out. */
static char *
nearest(const char *path)
{
	char *at = strdup(*path ? path : ".");

	while (at && !file_is_dir(at)) {
		char *slash = strrchr(at, '/');
		if (!slash) {
			free(at);
			return strdup(".");
		}
		slash[slash == at] = 0;
	}
	return at;
}

static void
space(struct findings *f, const char *folder, const char *output)
{
	int64_t bytes = file_free_bytes(folder);
	const char *kind = "unknown kind";
	char have[32], *advice;
	struct statfs s;
	bool low = bytes >= 0 && bytes < (int64_t)5 << 30;

	if (statfs(folder, &s) == 0)
		for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
			if (kinds[i].type == ((unsigned long)s.f_type & 0xFFFFFFFFul))
				kind = kinds[i].name;
	doctor_bytes((double)bytes, have, sizeof have);
	advice = doctor_add(f, low ? FINDING_WARN : FINDING_OK, "output", "%s%s: %s, %s free", output,
			    strcmp(folder, output) != 0 ? " (not made yet)" : "", kind, bytes < 0 ? "unknown" : have);
	if (low)
		strcpy(advice, "a checkpoint of the full model is 5 GB; an hour of songs takes 10 MB");
	else if (strcmp(kind, "tmpfs") == 0)
		strcpy(advice, "it lives in memory and is gone with the machine");
}

/* A file can be made, written through and renamed. */
static void
durable(struct findings *f, const char *folder)
{
	char *part = file_path("%s/.ace-inspect-%ld.part", folder, (long)getpid()), *advice;
	char *whole = file_path("%s/.ace-inspect-%ld", folder, (long)getpid());
	char block[4096] = "ace-inspect";
	double start = clock_now(), ms;
	int fd = part && whole ? open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	bool good = fd >= 0;

	if (fd < 0) {
		advice = doctor_add(f, FINDING_FAIL, "writing", "%s: %s", folder, strerror(errno));
		strcpy(advice, "choose another output_dir, or mend its permissions");
		goto done;
	}
	for (int i = 0; i < 256 && good; i++)
		good = write(fd, block, sizeof block) == (ssize_t)sizeof block;
	good = good && fsync(fd) == 0 && rename(part, whole) == 0;
	ms = 1e3 * (clock_now() - start);
	if (!good) {
		advice = doctor_add(f, FINDING_FAIL, "writing", "%s: write, fsync and rename: %s", folder, strerror(errno));
		strcpy(advice, "results could be lost here; choose another output_dir");
	} else {
		advice = doctor_add(f, ms > 1000 ? FINDING_WARN : FINDING_OK, "writing", "1 MiB written, synced and renamed in %.0f ms",
				    ms);
		if (ms > 1000)
			strcpy(advice, "slow: write stores in larger parts (write_batch_size) and save checkpoints less often");
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		doctor_add(f, FINDING_OK, "locking", "%s", "works");
	} else {
		advice = doctor_add(f, FINDING_WARN, "locking", "%s", strerror(errno));
		strcpy(advice, "export HDF5_USE_FILE_LOCKING=FALSE");
	}
	close(fd);
	unlink(part);
	unlink(whole);
done:
	free(part);
	free(whole);
}

static void
temporary(struct findings *f)
{
	const char *tmp = getenv("TMPDIR");
	char *advice;

	tmp = tmp && *tmp ? tmp : "/tmp";
	if (access(tmp, W_OK | X_OK) == 0) {
		doctor_add(f, FINDING_OK, "temporary", "%s", tmp);
		return;
	}
	advice = doctor_add(f, FINDING_WARN, "temporary", "%s: %s", tmp, strerror(errno));
	strcpy(advice, "set TMPDIR to a folder that can be written to");
}

/* Where models of the hub are looked for. */
static void
hub(struct findings *f)
{
	char *path = hub_cache();

	if (path)
		doctor_add(f, FINDING_OK, "hub cache", "%s%s", path, file_is_dir(path) ? "" : " (none yet)");
	free(path);
}

void
doctor_files(struct findings *f, const char *output)
{
	char *folder = nearest(output);

	if (!folder)
		return;
	space(f, folder, output);
	durable(f, folder);
	temporary(f);
	hub(f);
	free(folder);
}
