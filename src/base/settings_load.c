/* SPDX-License-Identifier: Apache-2.0 */
/* Who wins: the order in which command line, environment and files are read and applied (training.md section 15). */
#include "base/settings_parts.h"

#include "base/datadir.h"
#include "base/file.h"
#include "base/json.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ACE_PKGDATADIR
#define ACE_PKGDATADIR "/usr/local/share/ace-toolchain"
#endif

enum { EFFECTIVE_LIMIT = 4 << 20 };

static const char *const kinds[] = { "json", "toml", "env" };

/* What the sources give before it is applied. */
struct sources {
	struct given_list command, extra, file, example;
	struct env_list common, own;		/* config/config.env, config/NAME/config.env */
	char *common_path, *own_path, *example_path;
};

static void
sources_free(struct sources *in)
{
	given_free(&in->command);
	given_free(&in->extra);
	given_free(&in->file);
	given_free(&in->example);
	env_free(&in->common);
	env_free(&in->own);
	free(in->common_path);
	free(in->own_path);
	free(in->example_path);
}

/* A value that is needed before values are applied: from the command line, else from the environment. */
static const char *
early(const struct sources *in, const char *name)
{
	const char *text = given_last(&in->command, name), *value = NULL;
	const struct option *o = option_find(name, NULL);
	char env[64];

	for (const char *p = o->env; !text && p && *p;) {
		int n = (int)strcspn(p, " ");
		snprintf(env, sizeof env, "%.*s", n, p);
		value = getenv(env);
		if (value && *value)
			return value;
		p += n + (p[n] == ' ');
	}
	return text && *text ? text : NULL;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* FOLDER/config.KIND of the first kind that exists (or of the one that is asked for) into s->file; false: none. */
static bool
file_in(struct settings *s, const char *folder, const char *backend)
{
	for (int i = 0; i < 3; i++) {
		char *path;
		if (backend && strcmp(backend, kinds[i]) != 0)
			continue;
		path = file_path("%s/config.%s", folder, kinds[i]);
		if (path && file_exists(path) && !file_is_dir(path)) {
			s->file = path;
			s->dir = strdup(folder);
			return true;
		}
		free(path);
	}
	return false;
}

/* The folder of a file's path, owned by the caller. */
static char *
folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
}

/* path names a file (its ".json" may be missing) or a folder; false: there is none. */
static bool
file_at(struct settings *s, const char *path, const char *backend)
{
	char *with;

	if (file_is_dir(path))
		return file_in(s, path, backend);
	with = file_exists(path) ? strdup(path) : file_path("%s.json", path);
	if (!with || !file_exists(with) || file_is_dir(with)) {
		free(with);
		return false;
	}
	s->file = with;
	s->dir = folder_of(with);
	return true;
}

/* Which configuration file counts: s->file and s->dir. */
static enum status
find_file(struct settings *s, const struct sources *in)
{
	const char *backend = early(in, "config_backend"), *path = early(in, "config_path"), *name = early(in, "env");
	char *folder;
	bool found;

	if (backend && !option_has_word(option_find("config_backend", NULL)->allowed, backend))
		return ace_fail(ACE_ECONFIG, "config_backend is \"%s\"; wanted json, toml, env or cmd", backend);
	if (backend && strcmp(backend, "cmd") == 0)
		return ACE_OK;
	if (path) {
		if (file_at(s, path, backend))
			return ACE_OK;
		return ace_fail(ACE_ENOINPUT, file_is_dir(path) ? "%s: no config.%s there" : "%s: no such configuration file",
				path, backend ? backend : "json, config.toml or config.env");
	}
	if (!name || strcmp(name, "default") == 0) {
		(void)file_in(s, "config", backend);
		return ACE_OK;
	}
	if (file_at(s, name, backend))
		return ACE_OK;
	folder = file_path("config/%s", name);
	if (!folder)
		return ace_fail(ACE_ENOMEM, "no memory for a path");
	found = file_in(s, folder, backend);
	free(folder);
	if (found)
		return ACE_OK;
	return ace_fail(ACE_ENOINPUT, "env=%s: no %s%s in %s/ or config/%s/", name, "config.",
			backend ? backend : "json, config.toml or config.env", name, name);
}

/* ace-resume: the run's effective.json; its folder is where the run goes on. */
static enum status
find_run(struct settings *s, const struct sources *in)
{
	const char *given = s->n_words > 0 ? s->word[0] : early(in, "output_dir");
	char *run = strdup(given ? given : "output"), *path;
	size_t n = run ? strlen(run) : 0;

	while (n > 1 && run[n - 1] == '/')
		run[--n] = 0;
	path = run ? file_path("%s/effective.json", run) : NULL;
	if (path && !file_exists(path) && run && strstr(run, "checkpoint-")) {
		char *above = folder_of(run);	/* one checkpoint of a run */
		free(path);
		path = above ? file_path("%s/effective.json", above) : NULL;
		free(run);
		run = above;
	}
	if (!path || !run) {
		free(path);
		free(run);
		return ace_fail(ACE_ENOMEM, "no memory for a path");
	}
	s->file = path;
	s->dir = run;
	if (!file_exists(path))
		return ace_fail(ACE_ENOINPUT, "%s: no such file; wanted the output folder of a run of ace-train", path);
	return ACE_OK;
}

static enum status
read_file(struct settings *s, struct sources *in)
{
	if (!s->file)
		return ACE_OK;
	if (ends_with(s->file, ".toml"))
		return settings_read_toml(s, &in->file, s->file);
	if (ends_with(s->file, ".env"))
		return ACE_OK;		/* read_env_files reads it */
	return settings_read_json(s, &in->file, s->file);
}

static enum status
read_env_file(struct env_list *e, char **kept, char *path)
{
	if (!path)
		return ace_fail(ACE_ENOMEM, "no memory for a path");
	*kept = path;
	return file_exists(path) ? env_read(e, path) : ACE_OK;
}

static enum status
read_env_files(struct settings *s, struct sources *in, const char *backend)
{
	if (backend && strcmp(backend, "cmd") == 0)
		return ACE_OK;
	ACE_TRY(read_env_file(&in->common, &in->common_path, strdup("config/config.env")));
	if (s->file && ends_with(s->file, ".env"))
		return read_env_file(&in->own, &in->own_path, strdup(s->file));
	if (s->dir && strcmp(s->dir, "config") != 0)
		return read_env_file(&in->own, &in->own_path, file_path("%s/config.env", s->dir));
	return ACE_OK;
}

/* datasets/NAME/config.json. */
static enum status
read_example(struct settings *s, struct sources *in, const char *name)
{
	struct given_list *l = &in->example;
	char *file;

	if (strchr(name, '/') || name[0] == '.')
		return ace_fail(ACE_EUSAGE, "example=%s: wanted the name of a bundled preset", name);
	file = file_path("%s/config.json", name);
	in->example_path = file ? datadir_find(file) : NULL;
	free(file);
	if (!in->example_path)
		return ace_fail(ACE_ENOINPUT, "example=%s: no such preset in ./datasets or %s/datasets", name, ACE_PKGDATADIR);
	ACE_TRY(settings_read_json(s, l, in->example_path));
	for (int i = 0; i < l->n; i++) {	/* its data set list stands beside it */
		char *path, *folder;
		if (strcmp(l->v[i].o->name, "data_backend_config") != 0 || file_exists(l->v[i].text))
			continue;
		folder = folder_of(in->example_path);
		path = folder ? file_path("%s/%s", folder, l->v[i].text) : NULL;
		free(folder);
		if (!path)
			return ace_fail(ACE_ENOMEM, "no memory for a path");
		free(l->v[i].text);
		l->v[i].text = path;
	}
	return ACE_OK;
}

/* What the environment gives for option o: *value borrowed, NULL when nothing; *from says where it stands. */
static void
from_env(const struct sources *in, const struct option *o, enum settings_source source, const char **value,
	 char *where, size_t size)
{
	char env[64];
	bool shell = false;

	*value = NULL;
	for (const char *p = o->env; p && *p && !*value;) {
		int n = (int)strcspn(p, " ");
		const char *v;
		snprintf(env, sizeof env, "%.*s", n, p);
		if (source == FROM_ENV_FILE) {
			v = env_file_value(&in->own, env, &shell);
			snprintf(where, size, "%s", in->own_path ? in->own_path : "");
			if (!v || shell) {
				v = v && shell ? NULL : env_file_value(&in->common, env, &shell);
				snprintf(where, size, "%s", in->common_path ? in->common_path : "");
			}
		} else {
			v = env_file_value(&in->own, env, &shell);
			if (!v || !shell)
				v = env_file_value(&in->common, env, &shell);
			if (!v || !shell)
				v = getenv(env);
			snprintf(where, size, "environment %s", env);
		}
		if (v && *v)
			*value = v;
		p += n + (p[n] == ' ');
	}
}

static enum status
apply_env(struct settings *s, const struct sources *in, enum settings_source source)
{
	for (int i = 0; i < options_count(); i++) {
		const struct option *o = option_at(i);
		struct origin from = { source, NULL };
		const char *value;
		char where[512];
		if (!o->env)
			continue;
		from_env(in, o, source, &value, where, sizeof where);
		from.where = where;
		if (value)
			ACE_TRY(settings_assign(s, o, false, value, &from));
	}
	return ACE_OK;
}

/* TRAINER_EXTRA_ARGS of the files and of the shell. */
static enum status
apply_extra(struct settings *s, struct sources *in)
{
	static const char name[] = "TRAINER_EXTRA_ARGS";
	const struct origin from = { FROM_ENV, "environment TRAINER_EXTRA_ARGS" };
	bool shell = false;
	const char *line = env_file_value(&in->own, name, &shell);

	if (!line)
		line = env_file_value(&in->common, name, &shell);
	if (getenv(name) && !shell)
		line = getenv(name);
	if (!line)
		return ACE_OK;
	ACE_TRY(settings_argument_line(s, &in->extra, line, &from));
	return settings_assign_all(s, &in->extra, &from);
}

/* data_backend_config missing: multidatabackend.json in the configuration's folder. */
static enum status
apply_data_list(struct settings *s)
{
	const struct origin from = { FROM_FILE, s->dir };
	enum status st = ACE_OK;
	char *path;

	if (!s->dir || settings_has(s, "data_backend_config") || settings_has(s, "dataset") ||
	    settings_has(s, "dataset_path"))
		return ACE_OK;
	path = file_path("%s/multidatabackend.json", s->dir);
	if (!path)
		return ace_fail(ACE_ENOMEM, "no memory for a path");
	if (file_exists(path))
		st = settings_fill(s, "data_backend_config", path, &from);
	free(path);
	return st;
}

/* The notes that effective.json carries: which values were defaults, and the folder its relative paths start from. */
static enum status
apply_run(struct settings *s)
{
	cJSON *root = NULL, *note;
	const cJSON *cwd, *origin;
	enum status st = json_read(s->file, EFFECTIVE_LIMIT, &root);
	char here[4096];

	ACE_TRY(st);
	note = cJSON_GetObjectItemCaseSensitive(root, "_effective");
	cwd = cJSON_GetObjectItemCaseSensitive(note, "folder");
	origin = cJSON_GetObjectItemCaseSensitive(note, "from");
	for (int i = 0; i < options_count() && st == ACE_OK; i++) {
		const struct option *o = option_at(i);
		struct setting *v = settings_at(s, o);
		const cJSON *was = cJSON_GetObjectItemCaseSensitive(origin, o->name);
		char *path;
		if (v->source != FROM_FILE || !v->text)
			continue;
		if (cJSON_IsString(was) && strcmp(was->valuestring, "default") == 0)
			v->source = FROM_DEFAULT;
		if (!cJSON_IsString(cwd) || !*v->text || *v->text == '/' || !getcwd(here, sizeof here) ||
		    strcmp(cwd->valuestring, here) == 0)
			continue;
		if (o->type != OPT_PATH && strcmp(o->name, "pretrained_model_name_or_path") != 0)
			continue;
		path = file_path("%s/%s", cwd->valuestring, v->text);
		if (!path) {
			st = ace_fail(ACE_ENOMEM, "no memory for a path");
		} else if (o->type == OPT_PATH || file_exists(path)) {
			free(v->text);
			v->text = path;
		} else {
			free(path);
		}
	}
	cJSON_Delete(root);
	return st;
}

static enum status
apply_run_folder(struct settings *s)
{
	const struct origin from = { FROM_COMMAND, NULL };
	const char *word = s->n_words > 0 ? s->word[0] : NULL;
	size_t n = word ? strlen(word) : 0;
	bool one;			/* a checkpoint was named, not the run */

	while (n > 1 && word[n - 1] == '/')
		n--;
	one = word && (strlen(s->dir) != n || memcmp(s->dir, word, n) != 0);
	ACE_TRY(settings_assign(s, option_find("output_dir", NULL), false, s->dir, &from));
	if (settings_source(s, "resume_from_checkpoint") == FROM_COMMAND)
		return ACE_OK;
	return settings_assign(s, option_find("resume_from_checkpoint", NULL), false, one ? word : "latest", &from);
}

static enum status
apply(struct settings *s, struct sources *in, bool resume)
{
	const struct origin command = { FROM_COMMAND, NULL };
	const struct origin file = { FROM_FILE, s->file }, example = { FROM_EXAMPLE, in->example_path };

	ACE_TRY(settings_assign_all(s, &in->example, &example));
	ACE_TRY(settings_assign_all(s, &in->file, &file));
	if (resume)
		ACE_TRY(apply_run(s));
	ACE_TRY(apply_env(s, in, FROM_ENV_FILE));
	ACE_TRY(apply_env(s, in, FROM_ENV));
	ACE_TRY(apply_extra(s, in));
	ACE_TRY(settings_assign_all(s, &in->command, &command));
	if (resume)
		ACE_TRY(apply_run_folder(s));
	return apply_data_list(s);
}

static enum status
load(struct settings *s, struct sources *in, int argc, char **argv)
{
	const struct program *p = s->program;
	const struct origin command = { FROM_COMMAND, NULL };
	bool resume = p->bit == OPT_RESUME, config = p->config;
	const char *when;

	if (argc > 1 && strcmp(argv[1], "train") == 0) {
		argc--;
		argv++;
	}
	if (argc > 1)
		ACE_TRY(settings_arguments(s, &in->command, argc - 1, argv + 1, true, &command));
	if (p->config_when) {
		when = given_last(&in->command, p->config_when);
		config = config && when && strcmp(when, "false") != 0;
	}
	if (config) {
		ACE_TRY(resume ? find_run(s, in) : find_file(s, in));
		ACE_TRY(read_file(s, in));
		if (!resume)
			ACE_TRY(read_env_files(s, in, early(in, "config_backend")));
		when = early(in, "example");
		if (when)
			ACE_TRY(read_example(s, in, when));
		ACE_TRY(apply(s, in, resume));
	} else {
		ACE_TRY(settings_assign_all(s, &in->command, &command));
	}
	ACE_TRY(settings_derive(s));
	ACE_TRY(settings_check(s));
	if (s->n_words < p->min_words)
		return ace_fail(ACE_EUSAGE, "wanted: %s %s", p->name, p->usage);
	return ACE_OK;
}

enum status
settings_load(struct settings *s, const struct program *p, int argc, char **argv)
{
	struct sources in = { 0 };
	enum status st = settings_init(s, p);

	if (st == ACE_OK)
		st = load(s, &in, argc, argv);
	sources_free(&in);
	return st;
}
