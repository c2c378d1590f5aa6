/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint folders by name: which there are, which is the latest, which go. */
#include "base/file.h"
#include "base/msg.h"
#include "train/checkpoint_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char stem[] = "checkpoint-", suffix_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

enum { DIGITS = 15 };

bool
checkpoint_parse(const char *name, struct checkpoint_name *n)
{
	const char *p = name + sizeof stem - 1;
	size_t digits, rest;

	*n = (struct checkpoint_name){ 0 };
	if (strncmp(name, stem, sizeof stem - 1) != 0)
		return false;
	digits = strspn(p, "0123456789");
	if (digits < 1 || digits > DIGITS)
		return false;
	n->step = strtoll(p, NULL, 10);
	p += digits;
	if (!*p)
		return true;
	rest = strlen(p);
	if (*p != '-' || rest < 2 || rest != strspn(p, suffix_bytes))
		return false;
	if (rest >= 4 && strcmp(p + rest - 4, "-tmp") == 0) {
		n->temporary = true;
		rest -= 4;
	}
	if (rest == 1 || rest > CHECKPOINT_SUFFIX)
		return false;
	if (rest)
		memcpy(n->suffix, p + 1, rest - 1);
	return true;
}

/* By step; of one step those with a suffix first, so that the plain one counts as the newest. */
static int
by_step(const void *a, const void *b)
{
	const struct checkpoint_entry *x = a, *y = b;

	if (x->n.step != y->n.step)
		return x->n.step < y->n.step ? -1 : 1;
	if (!x->n.suffix[0] != !y->n.suffix[0])
		return x->n.suffix[0] ? -1 : 1;
	return strcmp(x->name, y->name);
}

static enum status
add(struct checkpoint_entry **e, int *n, const char *name, struct checkpoint_name parsed)
{
	struct checkpoint_entry *more = realloc(*e, ((size_t)*n + 1) * sizeof *more);

	if (!more)
		return ace_fail(ACE_ENOMEM, "%s: no memory", name);
	*e = more;
	more[*n] = (struct checkpoint_entry){ strdup(name), parsed };
	if (!more[*n].name)
		return ace_fail(ACE_ENOMEM, "%s: no memory", name);
	++*n;
	return ACE_OK;
}

enum status
checkpoint_list(const char *dir, struct checkpoint_entry **e, int *n)
{
	enum status st = ACE_OK;
	struct checkpoint_name parsed;
	struct dirent *d;
	struct stat s;
	DIR *open;

	*e = NULL;
	*n = 0;
	open = opendir(dir);
	if (!open && errno == ENOENT)
		return ACE_OK;
	if (!open)
		return ace_fail(ACE_EIO, "%s: cannot list: %s", dir, strerror(errno));
	while (st == ACE_OK && (d = readdir(open)))
		if (checkpoint_parse(d->d_name, &parsed) && fstatat(dirfd(open), d->d_name, &s, 0) == 0 && S_ISDIR(s.st_mode))
			st = add(e, n, d->d_name, parsed);
	closedir(open);
	if (st != ACE_OK)
		checkpoint_list_free(*e, *n);
	else if (*n)
		qsort(*e, (size_t)*n, sizeof **e, by_step);
	return st;
}

void
checkpoint_list_free(struct checkpoint_entry *e, int n)
{
	for (int i = 0; i < n; i++)
		free(e[i].name);
	free(e);
}

bool
checkpoint_foreign(const char *path)
{
	static const char *const theirs[] = { "optimizer.bin", "scheduler.bin", "random_states_0.pkl", "scaler.pt" };
	bool foreign = false;
	char *p = file_path("%s/%s", path, CHECKPOINT_OPTIMIZER);
	bool ours = p && file_exists(p);

	free(p);
	for (size_t i = 0; !ours && i < sizeof theirs / sizeof *theirs; i++) {
		p = file_path("%s/%s", path, theirs[i]);
		foreign |= p && file_exists(p);
		free(p);
	}
	return foreign;
}

/* A folder goes in two steps, so that one that is half gone is nothing but a left-over. */
static enum status
remove_folder(const char *dir, const char *name, bool temporary)
{
	char *path = file_path("%s/%s", dir, name), *gone = file_path("%s/%s%s", dir, name, temporary ? "" : "-tmp");
	enum status st = ACE_OK;
	struct stat s;

	if (!path || !gone)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", dir);
	else if (lstat(path, &s) != 0 || !S_ISDIR(s.st_mode))	/* a link is someone else's arrangement */
		;
	else if (temporary || (st = file_remove_tree(gone)) == ACE_OK) {
		if (!temporary && rename(path, gone) != 0)
			st = ace_fail(ACE_EIO, "%s: cannot rename to %s: %s", path, gone, strerror(errno));
		else
			st = file_remove_tree(gone);
	}
	free(path);
	free(gone);
	return st;
}

static bool
foreign_in(const char *dir, const char *name)
{
	char *path = file_path("%s/%s", dir, name);
	bool foreign = path && checkpoint_foreign(path);

	free(path);
	return foreign;
}

/* Whether e counts against the limit of its class. */
static bool
counts(const char *dir, const struct checkpoint_entry *e, const char *suffix, const struct checkpoint_rule *rule)
{
	return !e->n.temporary && strcmp(e->n.suffix, suffix) == 0 && !(rule->keep_every > 0 && e->n.step % rule->keep_every == 0) &&
	       !(rule->protect && strcmp(rule->protect, e->name) == 0) && !foreign_in(dir, e->name);
}

enum status
checkpoint_rotate(const char *dir, const char *suffix, const struct checkpoint_rule *rule, const char *newest, int *removed)
{
	struct checkpoint_entry *e;
	struct checkpoint_name last = { .step = INT64_MAX };
	enum status st = ACE_OK;
	int n, have = 0, gone = 0;

	if (removed)
		*removed = 0;
	if (newest && !checkpoint_parse(newest, &last))
		return ace_fail(ACE_EBUG, "%s is no checkpoint's name", newest);
	ACE_TRY(checkpoint_list(dir, &e, &n));
	for (int i = 0; st == ACE_OK && i < n; i++)
		if (e[i].n.temporary)
			st = remove_folder(dir, e[i].name, true);
	for (int i = 0; i < n; i++)
		have += counts(dir, &e[i], suffix ? suffix : "", rule);
	for (int i = 0; st == ACE_OK && rule->limit > 0 && i < n && have > rule->limit; i++) {
		if (e[i].n.step >= last.step || !counts(dir, &e[i], suffix ? suffix : "", rule))
			continue;
		st = remove_folder(dir, e[i].name, false);
		have--;
		gone++;
	}
	checkpoint_list_free(e, n);
	if (removed)
		*removed = gone;
	return st;
}

/* What was wrong with the newest ones, said once it is known what the run goes on from. */
struct complaints {
	char **text;
	int n;
};

static enum status
complain(struct complaints *c)
{
	char **more = realloc(c->text, ((size_t)c->n + 1) * sizeof *more);

	if (!more)
		return ace_fail(ACE_ENOMEM, "no memory for a message");
	c->text = more;
	more[c->n] = strdup(ace_message());
	return more[c->n] ? (c->n++, ACE_OK) : ace_fail(ACE_ENOMEM, "no memory for a message");
}

static void
say(struct complaints *c, const char *dir, const char *good, bool failed)
{
	for (int i = 0; i < c->n; i++) {
		if (good)
			msg_warn("%s: going on from %s", c->text[i], good + strlen(dir) + 1);
		else if (failed)
			msg_warn("%s", c->text[i]);
		else
			msg_warn("%s: there is none before it; starting anew", c->text[i]);
		free(c->text[i]);
	}
	free(c->text);
}

enum status
checkpoint_latest(const char *dir, bool remove, char **path)
{
	struct complaints bad = { 0 };
	struct checkpoint_entry *e;
	enum status st = ACE_OK;
	int n;

	*path = NULL;
	ACE_TRY(checkpoint_list(dir, &e, &n));
	for (int i = n - 1; i >= 0 && st == ACE_OK && !*path; i--) {
		char *p;
		if (e[i].n.temporary)
			continue;
		if (!(p = file_path("%s/%s", dir, e[i].name)))
			st = ace_fail(ACE_ENOMEM, "%s: no memory", dir);
		else if (checkpoint_foreign(p))
			st = ace_fail(ACE_ECONFIG, "%s was made by another program: choose another output_dir (init_lora takes its %s)", p,
			              ADAPTER_FILE);
		else if (checkpoint_verify(p, false) == ACE_OK)
			*path = p;
		else if ((st = complain(&bad)) == ACE_OK && remove)
			st = remove_folder(dir, e[i].name, false);
		if (*path != p)
			free(p);
	}
	say(&bad, dir, *path, st != ACE_OK);
	checkpoint_list_free(e, n);
	return st;
}

enum status
checkpoint_find(const char *dir, const char *wanted, bool remove, char **path)
{
	const char *base;
	char *there;

	*path = NULL;
	if (!wanted || !*wanted)
		return ACE_OK;
	if (strcmp(wanted, "latest") == 0)
		return checkpoint_latest(dir, remove, path);
	base = strrchr(wanted, '/') ? strrchr(wanted, '/') + 1 : wanted;
	there = file_path("%s/%s", dir, base);
	*path = file_is_dir(wanted) ? strdup(wanted) : there && *base && file_is_dir(there) ? strdup(there) : NULL;
	free(there);
	if (*path)
		return ACE_OK;
	return ace_fail(ACE_ENOINPUT, "resume_from_checkpoint=%s: no such folder, and none of that name in %s", wanted, dir);
}
