/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/doctor.h"

#include "base/file.h"
#include "dev/dev.h"
#include "jobs/versions.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The first line of a file behind key, blanks and colons skipped, into text; false: there is none. */
static bool
line_of(const char *path, const char *key, char *text, size_t size)
{
	FILE *f = fopen(path, "r");
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof line, f)) {
		const char *v = line + strlen(key);
		if (strncmp(line, key, strlen(key)) != 0)
			continue;
		v += strspn(v, " \t:");
		snprintf(text, size, "%.*s", (int)strcspn(v, "\n"), v);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

static void
processor(struct findings *f)
{
	char name[128] = "unknown", features[128] = "";
	bool avx2 = false;

	(void)line_of("/proc/cpuinfo", "model name", name, sizeof name);
#if defined __x86_64__
	static const char *const names[] = { "sse4.2", "avx2", "fma", "avx512f", "avx512vnni" };
	bool have[5];

	__builtin_cpu_init();
	have[0] = __builtin_cpu_supports("sse4.2");
	have[1] = avx2 = __builtin_cpu_supports("avx2");
	have[2] = __builtin_cpu_supports("fma");
	have[3] = __builtin_cpu_supports("avx512f");
	have[4] = __builtin_cpu_supports("avx512vnni");
	for (int i = 0; i < 5; i++)
		if (have[i])
			strcat(strcat(features, " "), names[i]);
#elif defined __aarch64__
	strcpy(features, " neon");
	avx2 = true;
#endif
	char *advice = doctor_add(f, avx2 ? FINDING_OK : FINDING_WARN, "processor", "%s;%s", name,
				  *features ? features : " no vector unit known");
	if (!avx2)
		strcpy(advice, "no AVX2 here: products will be several times slower");
}

/* Processors' worth of time that the control group grants; 0: no limit. */
static double
quota(void)
{
	char text[64];
	double limit, period;

	if (line_of("/sys/fs/cgroup/cpu.max", "", text, sizeof text) && sscanf(text, "%lf %lf", &limit, &period) == 2)
		return limit / period;
	if (line_of("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "", text, sizeof text) && (limit = atof(text)) > 0 &&
	    line_of("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "", text, sizeof text) && (period = atof(text)) > 0)
		return limit / period;
	return 0;
}

static void
threads(struct findings *f)
{
	const char *omp = getenv("OMP_NUM_THREADS");
	long machine = sysconf(_SC_NPROCESSORS_ONLN);
	double granted = quota();
	int wanted = omp ? atoi(omp) : 0, mask = 1;
	char *advice, note[64] = "";
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set) == 0)
		mask = CPU_COUNT(&set);
	if (granted > 0)
		snprintf(note, sizeof note, ", %.1f granted by the control group", granted);
	if (wanted > mask) {
		advice = doctor_add(f, FINDING_WARN, "threads", "OMP_NUM_THREADS=%d, affinity mask %d of %ld%s", wanted, mask,
				    machine, note);
		strcpy(advice, "threads will share processors; unset OMP_NUM_THREADS or widen --cpus-per-task");
	} else if (granted > 0 && (wanted ? wanted : mask) > granted + 0.5) {
		advice = doctor_add(f, FINDING_WARN, "threads", "affinity mask %d of %ld%s", mask, machine, note);
		snprintf(advice, 240, "set threads=%d", granted < 1 ? 1 : (int)granted);
	} else {
		doctor_add(f, FINDING_OK, "threads", "%d used, affinity mask %d of %ld%s", wanted ? wanted : mask, mask, machine,
			   note);
	}
}

static void
memory(struct findings *f)
{
	char text[64], all[32], have[32], *advice;
	double total = -1, free_now = -1, limit = -1;

	if (line_of("/proc/meminfo", "MemTotal", text, sizeof text))
		total = atof(text) * 1024;
	if (line_of("/proc/meminfo", "MemAvailable", text, sizeof text))
		free_now = atof(text) * 1024;
	if (line_of("/sys/fs/cgroup/memory.max", "", text, sizeof text) && strncmp(text, "max", 3) != 0)
		limit = atof(text);
	if (limit >= 0 && (total < 0 || limit < total))
		total = limit;
	if (limit >= 0 && limit < free_now)
		free_now = limit;
	doctor_bytes(total, all, sizeof all);
	doctor_bytes(free_now, have, sizeof have);
	advice = doctor_add(f, free_now < 4e9 ? FINDING_WARN : FINDING_OK, "memory", "%s free of %s%s", have, all,
			    limit >= 0 ? " (control group)" : "");
	if (free_now < 4e9)
		strcpy(advice, "enough for small models only; ace-inspect --memory says what a run needs");
}

static void
limits(struct findings *f)
{
	static const struct {
		const char *what;
		int resource;
		double least;
		const char *advice;
	} all[] = {
		{ "open files", RLIMIT_NOFILE, 256, "raise it: ulimit -n 1024" },
		{ "stack", RLIMIT_STACK, 1 << 20, "raise it: ulimit -s 8192" },
		{ "address space", RLIMIT_AS, 64e9, "lift it (ulimit -v unlimited): files are mapped, not read" },
		{ "file size", RLIMIT_FSIZE, 64e9, "lift it (ulimit -f unlimited): stores and checkpoints are large" },
		{ "locked memory", RLIMIT_MEMLOCK, 0, "" },
	};
	bool network = file_is_dir("/dev/infiniband");

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct rlimit r;
		char text[32];
		bool files = all[i].resource == RLIMIT_NOFILE, locked = all[i].resource == RLIMIT_MEMLOCK, bad;
		if (getrlimit((__rlimit_resource_t)all[i].resource, &r) != 0)
			continue;
		if (r.rlim_cur == RLIM_INFINITY) {
			doctor_add(f, FINDING_OK, all[i].what, "unlimited");
			continue;
		}
		bad = (double)r.rlim_cur < all[i].least || (locked && network && r.rlim_cur < 1u << 30);
		if (files)
			snprintf(text, sizeof text, "%llu", (unsigned long long)r.rlim_cur);
		else
			doctor_bytes((double)r.rlim_cur, text, sizeof text);
		char *advice = doctor_add(f, bad ? FINDING_WARN : FINDING_OK, all[i].what, "%s", text);
		if (bad)
			snprintf(advice, 240, "%s", locked ? "raise it (ulimit -l unlimited): InfiniBand pins memory" : all[i].advice);
	}
}

static void
devices(struct findings *f)
{
	const char *lacks = *versions_without() ? versions_without() : "nothing that it could have";
	size_t there = 0, all = 0;
	char text[2][32];
	struct dev d;
	int n = dev_cuda_count();

	if (n == 0) {
		doctor_add(f, FINDING_OK, "devices", "cpu; this build lacks %s", lacks);
		return;
	}
	if (dev_open(&d, DEV_CUDA, 0) != ACE_OK) {
		snprintf(doctor_add(f, FINDING_FAIL, "devices", "%d GPU%s; the first one: %s", n, n == 1 ? "" : "s", ace_message()), 240,
		         "device=cpu goes without it; nvidia-smi shows what else uses it");
		return;
	}
	if (dev_memory(&d, &there, &all))
		doctor_add(f, FINDING_OK, "devices", "%d GPU%s, the first one with %s, %s of them free; this build lacks %s", n,
		           n == 1 ? "" : "s", doctor_bytes((double)all, text[0], sizeof text[0]),
		           doctor_bytes((double)there, text[1], sizeof text[1]), lacks);
	dev_close(&d);
}

static void
batch(struct findings *f)
{
	const char *job = getenv("SLURM_JOB_ID"), *end = getenv("SLURM_JOB_END_TIME");

	if (job)
		doctor_add(f, FINDING_OK, "batch job", "SLURM job %s%s%s", job, end ? ", ends at " : "", end ? end : "");
}

void
doctor_machine(struct findings *f)
{
	processor(f);
	threads(f);
	memory(f);
	limits(f);
	devices(f);
	batch(f);
}
