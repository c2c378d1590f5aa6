/* SPDX-License-Identifier: Apache-2.0 */
#include "text/analyser.h"

#include "base/file.h"

#ifndef HAVE_MECAB

enum status
analyser_open(struct analyser **a, const char *dir)
{
	*a = NULL;
	return ace_fail(ACE_ECONFIG,
			"%s: a Japanese dictionary needs MeCab, which this build lacks (configure --with-mecab)",
			dir);
}

void
analyser_close(struct analyser *a)
{
	(void)a;
}

const char *
analyser_name(const struct analyser *a)
{
	(void)a;
	return "none";
}

void
analyser_lattice_free(const struct analyser *a, void *lattice)
{
	(void)a, (void)lattice;
}

enum status
analyser_read(const struct analyser *a, void **lattice, const char *text, size_t len, struct ja_node **node,
	      size_t *n)
{
	(void)a, (void)lattice, (void)text, (void)len;
	*node = NULL;
	*n = 0;
	return ace_fail(ACE_EBUG, "no MeCab in this build");
}

#else
#include <dlfcn.h>
#include <mecab.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS(F) \
	F(mecab_model_new) F(mecab_model_destroy) F(mecab_model_new_tagger) F(mecab_destroy) F(mecab_strerror) \
	F(mecab_model_new_lattice) F(mecab_lattice_destroy) F(mecab_lattice_set_sentence2) F(mecab_parse_lattice) \
	F(mecab_lattice_get_bos_node) F(mecab_lattice_strerror) F(mecab_model_dictionary_info)

struct analyser {
	void *library;
#define F(name) __typeof__(name) *name;
	CALLS(F)
#undef F
	mecab_model_t *model;
	mecab_t *tagger;		/* only read, so that threads share it */
	char name[80];
};

/* Fields of a feature line: of the dictionaries that match the reference, and of newer ones with more columns. */
enum { POS1 = 0, POS2 = 1, LEMMA = 7, PRON = 9, KANA = 17, KANA_NEWER = 20, NEWER = 29, FIELDS = 32 };

static enum status
load(struct analyser *a, const char *dir)
{
	static const char soname[] = "libmecab.so.2";

	a->library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	if (!a->library)
		return ace_fail(
		    ACE_ECONFIG,
		    "%s: a Japanese dictionary needs %s, which is not there\ninstall it (Debian: libmecab2)", dir,
		    soname);
#define F(name) *(void **)&a->name = dlsym(a->library, #name);
	CALLS(F)
#undef F
#define F(name) && a->name
	return 1 CALLS(F) ? ACE_OK : ace_fail(ACE_ECONFIG, "%s: %s lacks what a lattice needs", dir, soname);
#undef F
}

enum status
analyser_open(struct analyser **to, const char *dir)
{
	struct analyser *a;
	char *path = file_path("%s/sys.dic", dir), name[] = "ace", r[] = "-r", none[] = "/dev/null", d[] = "-d";
	bool there = path && file_exists(path);
	const mecab_dictionary_info_t *info;
	char *folder = strdup(dir);
	enum status st;

	*to = NULL;
	free(path);
	a = calloc(1, sizeof *a);
	if (!a || !folder || !path)
		st = ace_fail(ACE_ENOMEM, "%s: no memory", dir);
	else if (!there)
		st = ace_fail(ACE_ENOINPUT, "%s: no MeCab dictionary in this folder (sys.dic)", dir);
	else
		st = load(a, dir);
	if (st == ACE_OK) {
		char *argv[] = { name, r, none, d, folder, NULL };
		a->model = a->mecab_model_new(5, argv);
		a->tagger = a->model ? a->mecab_model_new_tagger(a->model) : NULL;
		info = a->model ? a->mecab_model_dictionary_info(a->model) : NULL;
		if (!a->tagger || !info)
			st = ace_fail(ACE_EDATA, "%s: not a MeCab dictionary (%.120s)", dir, a->mecab_strerror(NULL));
		else if (!info->charset ||
			 (strcmp(info->charset, "UTF-8") != 0 && strcmp(info->charset, "utf8") != 0 &&
			  strcmp(info->charset, "utf-8") != 0))
			st = ace_fail(ACE_EDATA, "%s: a dictionary in %s, wanted UTF-8", dir,
				      info->charset ? info->charset : "?");
		else
			snprintf(a->name, sizeof a->name, "%u words, version %u", info->size, info->version);
	}
	free(folder);
	if (st != ACE_OK) {
		analyser_close(a);
		return st;
	}
	*to = a;
	return ACE_OK;
}

void
analyser_close(struct analyser *a)
{
	if (!a)
		return;
	if (a->tagger)
		a->mecab_destroy(a->tagger);
	if (a->model)
		a->mecab_model_destroy(a->model);
	if (a->library)
		dlclose(a->library);
	free(a);
}

const char *
analyser_name(const struct analyser *a)
{
	return a->name;
}

void
analyser_lattice_free(const struct analyser *a, void *lattice)
{
	if (lattice)
		a->mecab_lattice_destroy(lattice);
}

/* The fields of a line of CSV, in which a field may stand between quotes. Empty ones are absent, except the parts of speech. */
static int
fields(const char *line, struct slice *field)
{
	int n = 0;

	for (const char *p = line; n < FIELDS; p++) {
		const char *end = *p == '"' ? strchr(p + 1, '"') : NULL;
		struct slice s = { p, strcspn(p, ",") };
		if (end && (end[1] == ',' || !end[1])) {
			s = (struct slice){ p + 1, (size_t)(end - p - 1) };
			p = end + 1;
		} else {
			p += s.n;
		}
		field[n++] = s.n ? s : (struct slice){ 0 };
		if (!*p)
			break;
	}
	return n;
}

static void
read_node(const mecab_node_t *m, struct ja_node *to)
{
	struct slice f[FIELDS] = { 0 };
	int n = fields(m->feature, f);

	*to = (struct ja_node){
		.surface = { m->surface, m->length },
		.space = { m->surface - (m->rlength - m->length), (size_t)(m->rlength - m->length) },
		.pos1 = f[POS1], .pos2 = f[POS2], .lemma = f[LEMMA], .pron = f[PRON],
		.kana = f[n >= NEWER ? KANA_NEWER : KANA],
		.char_type = m->char_type,
		.unknown = m->stat == MECAB_UNK_NODE,
	};
}

enum status
analyser_read(const struct analyser *a, void **lattice, const char *text, size_t len, struct ja_node **node,
	      size_t *n)
{
	const mecab_node_t *m;
	size_t count = 0;

	*node = NULL;
	*n = 0;
	if (!*lattice)
		*lattice = a->mecab_model_new_lattice(a->model);
	if (!*lattice)
		return ace_fail(ACE_ENOMEM, "no memory for a line of %zu bytes", len);
	a->mecab_lattice_set_sentence2(*lattice, text, len);
	if (!a->mecab_parse_lattice(a->tagger, *lattice))
		return ace_fail(ACE_EDATA, "MeCab cannot read the line (%.80s)", a->mecab_lattice_strerror(*lattice));
	for (m = a->mecab_lattice_get_bos_node(*lattice); m; m = m->next)
		count += m->stat == MECAB_NOR_NODE || m->stat == MECAB_UNK_NODE;
	*node = malloc((count + 1) * sizeof **node);
	if (!*node)
		return ace_fail(ACE_ENOMEM, "no memory for %zu words", count);
	for (m = a->mecab_lattice_get_bos_node(*lattice); m; m = m->next)
		if (m->stat == MECAB_NOR_NODE || m->stat == MECAB_UNK_NODE)
			read_node(m, &(*node)[(*n)++]);
	return ACE_OK;
}
#endif
