/* SPDX-License-Identifier: Apache-2.0 */
/* Where the hub is and who asks, from the environment. */
#include "net/hub_repo.h"

#include "base/file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TOKEN_LIMIT = 4096 };
#define PUBLIC_HUB "https://huggingface.co"

static const char *
set_env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

/* Blanks around it do not count; what else no header may hold is refused, without being shown. */
static enum status
check_token(struct hub *hub, const char *where)
{
	char *t = hub->token, *end;

	while (isspace((unsigned char)*t))
		t++;
	memmove(hub->token, t, strlen(t) + 1);
	t = hub->token;
	for (end = t + strlen(t); end > t && isspace((unsigned char)end[-1]); end--)
		end[-1] = 0;
	for (const char *p = t; *p; p++)
		if (!isgraph((unsigned char)*p))
			return ace_fail(ACE_ECONFIG, "%s: what stands there is no token", where);
	if (!*t) {
		free(hub->token);
		hub->token = NULL;
	}
	return ACE_OK;
}

static enum status
read_token(struct hub *hub)
{
	const char *v = set_env("HF_TOKEN"), *home = set_env("HF_HOME"), *cache = set_env("XDG_CACHE_HOME");
	enum status st;
	char *path;
	size_t size;

	if (!v)
		v = set_env("HUGGING_FACE_HUB_TOKEN");
	if (v) {
		hub->token = strdup(v);
		return hub->token ? check_token(hub, "HF_TOKEN") : ace_fail(ACE_ENOMEM, "no memory");
	}
	if ((v = set_env("HF_TOKEN_PATH")))
		path = strdup(v);
	else if (home)
		path = file_path("%s/token", home);
	else if (cache)
		path = file_path("%s/huggingface/token", cache);
	else
		path = file_path("%s/.cache/huggingface/token", set_env("HOME") ? getenv("HOME") : "");
	if (!path)
		return ace_fail(ACE_ENOMEM, "no memory for a path");
	if (!file_exists(path)) {
		free(path);
		return ACE_OK;
	}
	st = file_read(path, TOKEN_LIMIT, &hub->token, &size);
	if (st == ACE_OK)
		st = check_token(hub, path);
	free(path);
	return st;
}

static bool
is_true(const char *name)
{
	const char *v = set_env(name);

	return v && (strcmp(v, "1") == 0 || strcasecmp(v, "true") == 0 || strcasecmp(v, "yes") == 0 || strcasecmp(v, "on") == 0);
}

enum status
hub_open(struct hub *hub)
{
	const char *v = set_env("HF_ENDPOINT");
	size_t n;

	*hub = (struct hub){ .base = strdup(v ? v : PUBLIC_HUB), .offline = is_true("HF_HUB_OFFLINE") };
	if (!hub->base)
		return ace_fail(ACE_ENOMEM, "no memory");
	for (n = strlen(hub->base); n > 0 && hub->base[n - 1] == '/'; n--)
		hub->base[n - 1] = 0;
	if ((strncmp(hub->base, "http://", 7) != 0 && strncmp(hub->base, "https://", 8) != 0) ||
	    strpbrk(hub->base, "?#@ \t\r\n"))
		return ace_fail(ACE_ECONFIG, "HF_ENDPOINT is no address of a hub; wanted https://HOST");
	return read_token(hub);
}

void
hub_close(struct hub *hub)
{
	if (hub->token)
		explicit_bzero(hub->token, strlen(hub->token));
	free(hub->token);
	free(hub->base);
	*hub = (struct hub){ 0 };
}
