/* SPDX-License-Identifier: Apache-2.0 */
/* profile.c - where a GPU's time goes, kernel by kernel, also inside recorded sequences: a library that CUDA loads into a program
 *
 *	gcc -shared -fPIC -O2 -I$CUDA/include tests/gpu/profile.c -L$CUDA/lib -lcupti -o profile.so
 *	CUDA_INJECTION64_PATH=$PWD/profile.so [ACE_PROFILE_MS=100] [ACE_PROFILE_RUNS=5] tests/bench/device_train ...
 *
 * At the program's end it prints, to standard error, each kernel's launches and microseconds, most expensive first: of the last
 * ACE_PROFILE_MS milliseconds in which the device was at work (all, when not given), divided by ACE_PROFILE_RUNS. With
 * ACE_PROFILE_LIST=FILE it also writes each kernel of the last of these runs to FILE as it began: start and end in us from the run's
 * beginning, stream (in a recorded sequence CUDA's choice), blocks and threads of a block, name. */
#include <cupti.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
	uint64_t start, end;		/* ns */
	int name;
	uint32_t stream, grid[3], block;	/* grid and block: 0 of what is no kernel */
};

struct total {
	double us;
	long n;
	int name;
};

enum { NAMES = 4096, CHUNK = 1 << 20 };

static struct piece *piece;
static size_t n_pieces, room;
static char *name[NAMES];
static int n_names;

static int
number_of(const char *text)
{
	for (int i = 0; i < n_names; i++)
		if (strcmp(name[i], text) == 0)
			return i;
	if (n_names == NAMES)
		return NAMES - 1;
	name[n_names] = strdup(text);
	return n_names++;
}

static void
keep(struct piece p, const char *text)
{
	if (n_pieces == room) {
		room = room ? 2 * room : 1 << 16;
		piece = realloc(piece, room * sizeof *piece);
		if (!piece)
			abort();
	}
	p.name = number_of(text ? text : "?");
	piece[n_pieces++] = p;
}

static void CUPTIAPI
wants_room(uint8_t **buffer, size_t *size, size_t *records)
{
	*buffer = aligned_alloc(8, CHUNK);
	*size = *buffer ? CHUNK : 0;
	*records = 0;
}

static void CUPTIAPI
has_filled(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
	CUpti_Activity *a = NULL;

	(void)context, (void)stream, (void)size;
	while (valid && cuptiActivityGetNextRecord(buffer, valid, &a) == CUPTI_SUCCESS)
		if (a->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
			const CUpti_ActivityKernel9 *k = (const CUpti_ActivityKernel9 *)a;
			keep((struct piece){ k->start, k->end, 0, k->streamId, { (uint32_t)k->gridX, (uint32_t)k->gridY, (uint32_t)k->gridZ },
			                     (uint32_t)(k->blockX * k->blockY * k->blockZ) }, k->name);
		} else if (a->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
			const CUpti_ActivityMemcpy5 *c = (const CUpti_ActivityMemcpy5 *)a;
			keep((struct piece){ .start = c->start, .end = c->end, .stream = c->streamId }, "copy");
		} else if (a->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
			const CUpti_ActivityMemset4 *s = (const CUpti_ActivityMemset4 *)a;
			keep((struct piece){ .start = s->start, .end = s->end, .stream = s->streamId }, "set");
		}
	free(buffer);
}

static int
by_start(const void *a, const void *b)
{
	uint64_t x = ((const struct piece *)a)->start, y = ((const struct piece *)b)->start;

	return (x > y) - (x < y);
}

static int
by_cost(const void *a, const void *b)
{
	double x = ((const struct total *)a)->us, y = ((const struct total *)b)->us;

	return (x < y) - (x > y);
}

/* Microseconds of p behind what was reached before. */
static double
beyond(uint64_t *reached, const struct piece *p)
{
	uint64_t from = p->start > *reached ? p->start : *reached;

	if (p->end <= *reached)
		return 0;
	*reached = p->end;
	return 1e-3 * (double)(p->end - from);
}

static void
list(const char *path, uint64_t from)
{
	FILE *f = fopen(path, "w");

	if (!f) {
		fprintf(stderr, "profile: cannot write %s\n", path);
		return;
	}
	for (size_t i = 0; i < n_pieces; i++)
		if (piece[i].start >= from)
			fprintf(f, "%10.2f %10.2f %4u %4u,%u,%u x %u  %.200s\n", 1e-3 * (double)(piece[i].start - from),
			        1e-3 * (double)(piece[i].end - from), piece[i].stream, piece[i].grid[0], piece[i].grid[1], piece[i].grid[2],
			        piece[i].block, name[piece[i].name]);
	fclose(f);
}

/* At work: some kernel ran; alone: of that, NCCL's alone. */
static void
tell(void)
{
	static struct total t[NAMES];
	const char *ms = getenv("ACE_PROFILE_MS"), *times = getenv("ACE_PROFILE_RUNS");
	double runs = times ? atof(times) : 1, busy = 0, own = 0;
	uint64_t from = 0, reached = 0, own_reached = 0, first = UINT64_MAX;

	cuptiActivityFlushAll(1);
	if (!n_pieces)
		return;
	qsort(piece, n_pieces, sizeof *piece, by_start);
	if (ms)
		from = piece[n_pieces - 1].end - (uint64_t)(1e6 * atof(ms));
	for (size_t i = 0; i < n_pieces; i++) {
		if (piece[i].start < from)
			continue;
		struct total *at = &t[piece[i].name];
		at->name = piece[i].name;
		at->us += 1e-3 * (double)(piece[i].end - piece[i].start);
		at->n++;
		first = first < piece[i].start ? first : piece[i].start;
		busy += beyond(&reached, &piece[i]);
		if (!strstr(name[piece[i].name], "nccl"))
			own += beyond(&own_reached, &piece[i]);
	}
	if (getenv("ACE_PROFILE_LIST") && reached > first)
		list(getenv("ACE_PROFILE_LIST"), reached - (uint64_t)((double)(reached - first) / runs));
	qsort(t, (size_t)n_names, sizeof *t, by_cost);
	fprintf(stderr, "profile: %.0f us at work of %.0f in a run, %.0f of them NCCL alone\n", busy / runs,
	        1e-3 * (double)(reached - first) / runs, (busy - own) / runs);
	for (int i = 0; i < n_names && t[i].n; i++)
		fprintf(stderr, "%10.1f us %8.1f times %8.2f us each  %.110s\n", t[i].us / runs, (double)t[i].n / runs,
		        t[i].us / (double)t[i].n, name[t[i].name]);
}

/* CUDA calls this when the program first calls it. */
int InitializeInjection(void);
int
InitializeInjection(void)
{
	if (cuptiActivityRegisterCallbacks(wants_room, has_filled) != CUPTI_SUCCESS ||
	    cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS ||
	    cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMCPY) != CUPTI_SUCCESS ||
	    cuptiActivityEnable(CUPTI_ACTIVITY_KIND_MEMSET) != CUPTI_SUCCESS)
		fprintf(stderr, "profile: CUPTI does not record here\n");
	atexit(tell);
	return 1;
}
