/* SPDX-License-Identifier: Apache-2.0 */
#include "store/parts.h"

#include "base/file.h"
#include "base/msg.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN_FILES = 16 };

void
parts_name(char name[PART_NAME], const struct parts_kind *kind, int rank, int64_t number)
{
	snprintf(name, PART_NAME, "%s-%04d-%06lld.h5", kind->prefix, rank, (long long)number);
}

bool
parts_parse(const char *name, const struct parts_kind *kind, int *rank, int64_t *number)
{
	size_t n = strlen(kind->prefix);
	char again[PART_NAME];
	int k;

	if (strncmp(name, kind->prefix, n) != 0 || sscanf(name + n, "-%4d-%6d.h5", rank, &k) != 2 || *rank < 0 || k < 0)
		return false;
	*number = k;
	parts_name(again, kind, *rank, k);
	return strncmp(name, again, strlen(again)) == 0;
}

static int
by_run(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->run != y->run)
		return x->run < y->run ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

static enum status
add_part(struct parts *p, const char *name, int rank, int64_t number)
{
	struct part *more;
	struct stat s;
	char *path = file_path("%s/%s", p->folder, name);
	bool ok = path && stat(path, &s) == 0 && S_ISREG(s.st_mode);

	free(path);
	if (!ok)
		return ACE_OK;	/* gone meanwhile, or no file */
	more = realloc(p->part, (size_t)(p->n + 1) * sizeof *more);
	if (!more)
		return ace_fail(ACE_ENOMEM, "%s: no memory", p->folder);
	p->part = more;
	more += p->n++;
	*more = (struct part){ .rank = rank, .number = number, .size = s.st_size, .file = { .id = -1 },
		               .mtime = s.st_mtim.tv_sec * INT64_C(1000000000) + s.st_mtim.tv_nsec };
	snprintf(more->name, sizeof more->name, "%s", name);
	return ACE_OK;
}

/* p->folder is that of one part: only this one. */
static enum status
scan_one(struct parts *p)
{
	char *slash = strrchr(p->folder, '/'), *name = file_path("%s", slash ? slash + 1 : p->folder);
	enum status st = name ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", p->folder);
	int64_t number;
	int rank;

	if (st == ACE_OK && (!parts_parse(name, p->kind, &rank, &number) ||
	                     strlen(name) != strlen(p->kind->prefix) + PART_SUFFIX))
		st = ace_fail(ACE_EDATA, "%s: no part of a %s; they are called %s-RRRR-NNNNNN.h5", p->folder, p->kind->what,
		              p->kind->prefix);
	if (st == ACE_OK && slash)
		slash[slash == p->folder] = 0;
	else if (st == ACE_OK)
		strcpy(p->folder, ".");
	if (st == ACE_OK)
		st = add_part(p, name, rank, number);
	free(name);
	return st;
}

static enum status
scan(struct parts *p)
{
	DIR *d = opendir(p->folder);
	enum status st = ACE_OK;
	struct dirent *e;
	int64_t number;
	int rank;

	if (!d && errno == ENOTDIR)
		return scan_one(p);
	if (!d)
		return errno == ENOENT ? ACE_OK : ace_fail(ACE_EIO, "%s: cannot list the %s: %s", p->folder, p->kind->what,
		                                           strerror(errno));
	while (st == ACE_OK && (e = readdir(d)))
		if (parts_parse(e->d_name, p->kind, &rank, &number) && strlen(e->d_name) == strlen(p->kind->prefix) + PART_SUFFIX)
			st = add_part(p, e->d_name, rank, number);
	closedir(d);
	return st;
}

/* --- one part --- */

static enum status
read_head(const struct parts *p, struct part *a, struct h5 *f)
{
	const char *kind;
	int64_t version;

	ACE_TRY(h5_get_facts(f, &a->facts));
	kind = facts_get(&a->facts, "kind");
	if (!kind || strcmp(kind, p->kind->prefix) != 0)
		return ace_fail(ACE_EDATA, "%s: not a part of a %s", f->path, p->kind->what);
	ACE_TRY(h5_get_i64(f, "version", &version));
	if (version != p->kind->version)
		return ace_fail(ACE_ECONFIG, "%s: store version %lld; this program reads %lld", f->path,
		                (long long)version, (long long)p->kind->version);
	ACE_TRY(h5_get_i64(f, "run", &a->run));
	return ACE_OK;
}

/* Rows point into side; nothing outside of it. */
enum status
parts_check_side(const struct parts_kind *k, const char *path, const struct table *items, const struct table *side)
{
	for (int64_t i = 0; k->side && i < items->n; i++) {
		int64_t first = table_i64(items, i, k->side_first), count = table_i64(items, i, k->side_count);
		if (first < 0 || count < 0 || count > side->n || first > side->n - count)
			return ace_fail(ACE_EDATA, "%s: damaged: row %lld points outside of %s", path, (long long)i,
			                k->side_name);
	}
	return ACE_OK;
}

static enum status
read_part(const struct parts *p, struct part *a, bool verify, struct table *items, struct table *side)
{
	const struct parts_kind *k = p->kind;
	struct h5 f = { 0 };
	char *path = file_path("%s/%s", p->folder, a->name);
	enum status st = path ? h5_open(&f, path) : ace_fail(ACE_ENOMEM, "%s: no memory", p->folder);

	free(path);
	if (st == ACE_OK)
		st = read_head(p, a, &f);
	if (st == ACE_OK)
		st = h5_get_table(&f, "items", items);
	if (st == ACE_OK && k->side)
		st = h5_get_table(&f, k->side_name, side);
	if (st == ACE_OK)
		st = parts_check_side(k, f.path, items, side);
	if (st == ACE_OK)
		st = k->check(&f, items, verify);
	h5_close(&f);
	return st;
}

static enum status
append_rows(struct parts *p, int part, struct table *items, struct table *side)
{
	const struct parts_kind *k = p->kind;
	int64_t n = p->items.n + items->n;
	int32_t *owner = realloc(p->owner, ((size_t)n + 1) * sizeof *owner), *slot;

	if (owner)
		p->owner = owner;
	slot = owner ? realloc(p->slot, ((size_t)n + 1) * sizeof *slot) : NULL;
	if (!slot || n > INT32_MAX)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %lld rows", p->folder, (long long)n);
	p->slot = slot;
	for (int64_t i = 0; i < items->n; i++) {
		if (k->side)
			table_set_i64(items, i, k->side_first, table_i64(items, i, k->side_first) + p->side.n);
		owner[p->items.n + i] = part;
		slot[p->items.n + i] = (int32_t)i;
	}
	ACE_TRY(table_append(&p->items, items, 0, items->n));
	return k->side ? table_append(&p->side, side, 0, side->n) : ACE_OK;
}

/* Keep this thread's message about the part of that name. */
static enum status
note_damage(struct parts *p, const char *name)
{
	char **more = realloc(p->damage, ((size_t)p->damaged + 1) * sizeof *more), *text = strdup(ace_message());
	char (*names)[PART_NAME] = realloc(p->damaged_name, ((size_t)p->damaged + 1) * sizeof *names);

	if (more)
		p->damage = more;
	if (names)
		p->damaged_name = names;
	if (!more || !text || !names) {
		free(text);
		return ace_fail(ACE_ENOMEM, "%s: no memory", p->folder);
	}
	snprintf(names[p->damaged], PART_NAME, "%s", name);
	more[p->damaged++] = text;
	return ACE_OK;
}

/* Under another name it stands in nobody's way. */
static bool
rename_damaged(const struct parts *p, const char *name)
{
	char *from = file_path("%s/%s", p->folder, name), *to = file_path("%s/%s.damaged", p->folder, name);
	bool renamed = from && to && rename(from, to) == 0;

	free(from);
	free(to);
	return renamed;
}

/* A part that cannot be read is left out; when its writer asks, under another name. */
static enum status
set_aside(struct parts *p, int i, bool rename_it)
{
	struct part *a = &p->part[i];
	enum status st = note_damage(p, a->name);

	if (st == ACE_OK && rename_it && rename_damaged(p, a->name))
		msg_warn("%s; set aside as %s.damaged, what it held is done again", ace_message(), a->name);
	else if (st == ACE_OK)
		msg_warn("%s; what it held is missing", ace_message());
	memmove(a, a + 1, (size_t)(p->n - i - 1) * sizeof *a);
	p->n--;
	return st;
}

void
parts_tables(const struct parts_kind *kind, struct table *items, struct table *side)
{
	table_init(items, kind->column, kind->columns);
	*side = (struct table){ 0 };
	if (kind->side)
		table_init(side, kind->side, kind->side_columns);
}

/* Rows of all parts. They are read before the order of the parts is known, so they are kept apart until then. */
static enum status
read_all(struct parts *p, bool verify)
{
	struct rows {
		struct table items, side;
	} *rows = calloc((size_t)p->n + 1, sizeof *rows);
	enum status st = rows ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", p->folder);
	struct parts_index x = { 0 };
	int all = p->n, read = 0;

	if (st == ACE_OK)
		parts_index_read(p, &x);
	p->fresh = x.parts.n == p->n;
	for (int i = 0; st == ACE_OK && i < p->n; read++) {
		struct rows *r = &rows[read];
		parts_tables(p->kind, &r->items, &r->side);
		if (!parts_from_index(p, &p->part[i], &x, &r->items, &r->side)) {
			table_free(&r->items);
			table_free(&r->side);
			parts_tables(p->kind, &r->items, &r->side);
			p->fresh = p->part[i].known = false;
			st = read_part(p, &p->part[i], verify, &r->items, &r->side);
			if (st == ACE_EDATA) {
				st = set_aside(p, i, verify);
				continue;
			}
		}
		p->part[i].used = read;	/* which rows are its */
		i++;
	}
	if (st == ACE_OK && p->n > 0)
		qsort(p->part, (size_t)p->n, sizeof *p->part, by_run);
	for (int i = 0; st == ACE_OK && i < p->n; i++) {
		struct rows *r = &rows[p->part[i].used];
		p->part[i].used = 0;
		st = append_rows(p, i, &r->items, &r->side);
	}
	for (int i = 0; rows && i < all; i++) {
		table_free(&rows[i].items);
		table_free(&rows[i].side);
	}
	free(rows);
	parts_index_free(&x);
	return st;
}

enum status
parts_open(struct parts *p, const struct parts_kind *kind, const char *folder, bool verify)
{
	enum status st;

	*p = (struct parts){ .kind = kind, .folder = file_path("%s", folder) };
	parts_tables(kind, &p->items, &p->side);
	st = p->folder ? scan(p) : ace_fail(ACE_ENOMEM, "%s: no memory", folder);
	if (st == ACE_OK)
		st = read_all(p, verify);
	if (st != ACE_OK)
		parts_close(p);
	return st;
}

void
parts_close(struct parts *p)
{
	for (int i = 0; i < p->n; i++)
		h5_close(&p->part[i].file);
	for (int i = 0; i < p->damaged; i++)
		free(p->damage[i]);
	free(p->damage);
	free(p->damaged_name);
	free(p->part);
	table_free(&p->items);
	table_free(&p->side);
	free(p->owner);
	free(p->slot);
	free(p->folder);
	*p = (struct parts){ 0 };
}

int
parts_compare(const void *a, const void *b, void *parts)
{
	const struct parts *p = parts;
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	int c = strcmp(table_text(&p->items, x, p->kind->key), table_text(&p->items, y, p->kind->key));

	return c ? c : (x > y) - (x < y);	/* rows stand in the order of parts */
}

enum status
parts_live(struct parts *p, int32_t **row, int64_t *n)
{
	int64_t all = p->items.n, k = 0;
	int32_t *r = malloc(((size_t)all + 1) * sizeof *r);

	*row = r;
	*n = 0;
	if (!r)
		return ace_fail(ACE_ENOMEM, "%s: no memory for %lld rows", p->folder, (long long)all);
	for (int64_t i = 0; i < all; i++)
		r[i] = (int32_t)i;
	qsort_r(r, (size_t)all, sizeof *r, parts_compare, p);
	for (int64_t i = 0; i < all; i++)
		if (i + 1 == all || strcmp(table_text(&p->items, r[i], p->kind->key),
		                           table_text(&p->items, r[i + 1], p->kind->key)) != 0)
			r[k++] = r[i];
	*n = k;
	return ACE_OK;
}

enum status
parts_file(struct parts *p, int part, struct h5 **f)
{
	struct part *a = &p->part[part], *oldest = NULL;
	int open = 0;
	char *path;
	enum status st;

	*f = &a->file;
	a->used = ++p->clock;
	if (a->file.path)
		return ACE_OK;
	for (int i = 0; i < p->n; i++)
		if (p->part[i].file.path) {
			open++;
			if (!oldest || p->part[i].used < oldest->used)
				oldest = &p->part[i];
		}
	if (open >= OPEN_FILES)
		h5_close(&oldest->file);
	path = file_path("%s/%s", p->folder, a->name);
	st = path ? h5_open(&a->file, path) : ace_fail(ACE_ENOMEM, "%s: no memory", p->folder);
	free(path);
	return st;
}

int64_t
parts_bytes(const struct parts *p)
{
	int64_t n = 0;

	for (int i = 0; i < p->n; i++)
		if (p->part[i].live > 0)
			n += p->part[i].size;
	return n;
}

enum status
parts_stale(const struct parts *p, const struct facts *want, bool override, bool *stale)
{
	int64_t rows = 0;

	for (int i = 0; i < p->n; i++) {
		if (p->part[i].live == 0 || facts_check(&p->part[i].facts, want, p->folder) == ACE_OK)
			continue;
		if (!override)
			return ACE_ECONFIG;
		stale[i] = true;
		rows += p->part[i].live;
	}
	if (rows > 0)
		msg_warn("%s (%lld entries; override_dataset_config)", ace_message(), (long long)rows);
	return ACE_OK;
}

enum status
parts_remove(struct parts *p, int i)
{
	char *path = file_path("%s/%s", p->folder, p->part[i].name);
	int bad = !path || (unlink(path) != 0 && errno != ENOENT);
	enum status st = bad ? ace_fail(ACE_EIO, "%s: cannot remove: %s", path ? path : p->folder, strerror(errno)) : ACE_OK;

	free(path);
	p->fresh = false;
	return st;
}

/* Whether an earlier row, of a part that stays, has the key of row r. */
static bool
hides(const struct parts *p, const int32_t *sorted, const bool *gone, int64_t at)
{
	const char *key = table_text(&p->items, sorted[at], p->kind->key);

	for (int64_t i = at - 1; i >= 0; i--) {
		if (strcmp(table_text(&p->items, sorted[i], p->kind->key), key) != 0)
			return false;
		if (!gone[p->owner[sorted[i]]] && p->owner[sorted[i]] != p->owner[sorted[at]])
			return true;
	}
	return false;
}

enum status
parts_sweep(struct parts *p, int drop, int *removed)
{
	int32_t *sorted = malloc(((size_t)p->items.n + 1) * sizeof *sorted);
	bool *gone = calloc((size_t)p->n + 1, sizeof *gone), *keep = calloc((size_t)p->n + 1, sizeof *keep);
	enum status st = sorted && gone && keep ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", p->folder);

	*removed = 0;
	for (int64_t i = 0; st == ACE_OK && i < p->items.n; i++)
		sorted[i] = (int32_t)i;
	if (st == ACE_OK)
		qsort_r(sorted, (size_t)p->items.n, sizeof *sorted, parts_compare, p);
	for (int i = 0; st == ACE_OK && i < p->n; i++) {
		keep[i] = p->part[i].live > 0;
		for (int64_t r = 0; !keep[i] && r < p->items.n; r++)
			keep[i] = p->owner[sorted[r]] == i && drop >= 0 && table_i64(&p->items, sorted[r], drop) != 0 &&
			          hides(p, sorted, gone, r);
		if (keep[i])
			continue;
		gone[i] = true;
		st = parts_remove(p, i);
		++*removed;
	}
	for (int i = 0; st == ACE_OK && i < p->damaged; i++)
		if (rename_damaged(p, p->damaged_name[i]))
			msg_info("%s/%s: set aside as %s.damaged", p->folder, p->damaged_name[i], p->damaged_name[i]);
	free(sorted);
	free(gone);
	free(keep);
	return st;
}
