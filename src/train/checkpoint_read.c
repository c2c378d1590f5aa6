/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints are looked at before they are believed. */
#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "train/checkpoint_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 64 << 20, GUARD_SIZE = 64 };

/* 1,024 */
static const char *
grouped(int64_t n, char text[32])
{
	char plain[24];
	int len = snprintf(plain, sizeof plain, "%" PRId64, n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0 && plain[i - 1] != '-')
			text[at++] = ',';
		text[at++] = plain[i];
	}
	text[at] = 0;
	return text;
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static enum status
check_guard(const char *path)
{
	char *p = file_path("%s/%s", path, CHECKPOINT_GUARD), *data;
	enum status st;
	size_t size;

	if (!p)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	st = file_read(p, GUARD_SIZE, &data, &size);
	free(p);
	if (st == ACE_ENOINPUT)
		return ace_fail(ACE_EDATA, "%s is unfinished (no %s)", path, CHECKPOINT_GUARD);
	if (st != ACE_OK)
		return ace_fail(ACE_EDATA, "%s is damaged (%s cannot be read)", path, CHECKPOINT_GUARD);
	if (strcmp(data, "complete\n") != 0)
		st = ace_fail(ACE_EDATA, "%s is damaged (%s does not say complete)", path, CHECKPOINT_GUARD);
	free(data);
	return st;
}

static bool
is_digest(const cJSON *v)
{
	return cJSON_IsString(v) && strlen(v->valuestring) == 64 && strspn(v->valuestring, "0123456789abcdef") == 64;
}

/* The parts of an entry: ranges that lie one behind another in each part, and have all of the file's bytes between them. */
static bool
parts_fit(const cJSON *e)
{
	const cJSON *parts = cJSON_GetObjectItemCaseSensitive(e, "parts"), *p, *n;
	double size = cJSON_GetObjectItemCaseSensitive(e, "size")->valuedouble, there = 0;

	if (!parts)
		return true;
	cJSON_ArrayForEach(p, parts) {
		const cJSON *ranges = cJSON_GetObjectItemCaseSensitive(p, "ranges");
		double end = 0;
		if (!cJSON_IsArray(ranges) || cJSON_GetArraySize(ranges) % 2 != 0 ||
		    !is_digest(cJSON_GetObjectItemCaseSensitive(p, "sha256")))
			return false;
		for (n = ranges->child; n; n = n->next->next) {
			if (!cJSON_IsNumber(n) || !cJSON_IsNumber(n->next) || !(n->valuedouble >= end) || !(n->next->valuedouble > 0))
				return false;
			end = n->valuedouble + n->next->valuedouble;
			if (!(end <= size))
				return false;
			there += n->next->valuedouble;
		}
	}
	return cJSON_IsArray(parts) && there == size;
}

static enum status
check_form(const char *path, const cJSON *m)
{
	const cJSON *files = cJSON_GetObjectItemCaseSensitive(m, "files"), *e;
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(m, "checkpoint");
	const cJSON *version = cJSON_GetObjectItemCaseSensitive(m, "version");
	struct checkpoint_name here, said;

	if (cJSON_IsNumber(version) && version->valuedouble > CHECKPOINT_VERSION)
		return ace_fail(ACE_ECONFIG, "%s: manifest version %g, newest known is %d", path, version->valuedouble,
		                CHECKPOINT_VERSION);
	if (!cJSON_IsNumber(version) || version->valuedouble != CHECKPOINT_VERSION || !cJSON_IsString(name) ||
	    !checkpoint_parse(name->valuestring, &said) || !cJSON_IsArray(files))
		return ace_fail(ACE_EDATA, "%s is damaged (%s lacks version, checkpoint or files)", path, CHECKPOINT_MANIFEST);
	if (checkpoint_parse(base_name(path), &here) && strcmp(base_name(path), name->valuestring) != 0)
		return ace_fail(ACE_EDATA, "%s is damaged (its manifest is that of %s)", path, name->valuestring);
	cJSON_ArrayForEach(e, files) {
		const cJSON *file = cJSON_GetObjectItemCaseSensitive(e, "name");
		const cJSON *size = cJSON_GetObjectItemCaseSensitive(e, "size");
		if (!cJSON_IsString(file) || !checkpoint_plain(file->valuestring) || !cJSON_IsNumber(size) ||
		    !(size->valuedouble >= 0 && size->valuedouble < 9e15) || !is_digest(cJSON_GetObjectItemCaseSensitive(e, "sha256")) ||
		    !parts_fit(e))
			return ace_fail(ACE_EDATA, "%s is damaged (an entry of %s is not a file's name, size and sha256)", path,
			                CHECKPOINT_MANIFEST);
	}
	return ACE_OK;
}

enum status
checkpoint_read_manifest(const char *path, cJSON **manifest)
{
	char *p = file_path("%s/%s", path, CHECKPOINT_MANIFEST);
	enum status st;

	*manifest = NULL;
	if (!p)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	st = json_read(p, SMALL, manifest);
	free(p);
	if (st == ACE_ENOMEM)
		return st;
	if (st != ACE_OK)
		return ace_fail(ACE_EDATA, "%s is damaged (%s %s)", path, CHECKPOINT_MANIFEST,
		                st == ACE_ENOINPUT ? "is missing" : "cannot be read");
	if ((st = check_form(path, *manifest)) != ACE_OK) {
		cJSON_Delete(*manifest);
		*manifest = NULL;
	}
	return st;
}

/* The digest of a file that ranks wrote: that of the digests of their parts, each over its ranges. */
static enum status
digest_of_parts(const char *path, const cJSON *parts, char hex[65])
{
	enum { PIECE = 1 << 20 };
	FILE *f = fopen(path, "rbe");
	char *buffer = malloc(PIECE);
	struct sha256 all, one;
	const cJSON *p, *n;
	bool ok = f && buffer;

	sha256_init(&all);
	cJSON_ArrayForEach(p, parts) {
		const cJSON *ranges = cJSON_GetObjectItemCaseSensitive(p, "ranges");
		sha256_init(&one);
		for (n = ranges ? ranges->child : NULL; ok && n && n->next; n = n->next->next) {
			int64_t left = (int64_t)n->next->valuedouble;
			ok = fseeko(f, (off_t)n->valuedouble, SEEK_SET) == 0;
			while (ok && left > 0) {
				size_t k = fread(buffer, 1, left < PIECE ? (size_t)left : PIECE, f);
				sha256_add(&one, buffer, k);
				left -= (int64_t)k;
				ok = k > 0;
			}
		}
		sha256_hex(&one, hex);
		sha256_add(&all, hex, 64);
	}
	sha256_hex(&all, hex);
	free(buffer);
	if (f)
		fclose(f);
	return ok ? ACE_OK : ace_fail(ACE_EIO, "%s: cannot be read", path);
}

static enum status
digest_of(const char *path, const cJSON *e, char hex[65])
{
	const cJSON *parts = cJSON_GetObjectItemCaseSensitive(e, "parts");

	return parts ? digest_of_parts(path, parts, hex) : sha256_file(path, hex);
}

static enum status
check_file(const char *path, const cJSON *e, bool digests)
{
	const char *name = cJSON_GetObjectItemCaseSensitive(e, "name")->valuestring;
	int64_t want = (int64_t)cJSON_GetObjectItemCaseSensitive(e, "size")->valuedouble, have;
	char *p = file_path("%s/%s", path, name), hex[65], a[32], b[32];
	enum status st = ACE_OK;

	if (!p)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	have = file_size(p);
	if (have < 0)
		st = ace_fail(ACE_EDATA, "%s is damaged (%s is missing)", path, name);
	else if (have != want)
		st = ace_fail(ACE_EDATA, "%s is damaged (%s: %s of %s bytes)", path, name, grouped(have, a), grouped(want, b));
	else if (digests && (st = digest_of(p, e, hex)) == ACE_OK &&
	         strcmp(hex, cJSON_GetObjectItemCaseSensitive(e, "sha256")->valuestring) != 0)
		st = ace_fail(ACE_EDATA, "%s is damaged (%s: its bytes are not those that were written)", path, name);
	free(p);
	return st;
}

static enum status
check_files(const char *path, const cJSON *manifest, bool digests)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(manifest, "files"))
		ACE_TRY(check_file(path, e, digests));
	return ACE_OK;
}

enum status
checkpoint_verify(const char *path, bool digests)
{
	enum status st;
	cJSON *m;

	ACE_TRY(check_guard(path));
	ACE_TRY(checkpoint_read_manifest(path, &m));
	st = check_files(path, m, digests);
	cJSON_Delete(m);
	return st;
}

bool
checkpoint_has(const struct checkpoint *c, const char *file)
{
	const cJSON *e;

	cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(c->manifest, "files"))
		if (strcmp(cJSON_GetObjectItemCaseSensitive(e, "name")->valuestring, file) == 0)
			return true;
	return false;
}

const char *
checkpoint_fact(const struct checkpoint *c, const char *key)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(c->manifest, "metadata");
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(m, key);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

static bool
has_below(const struct checkpoint *c, const char *folder)
{
	size_t n = strlen(folder);
	const cJSON *e;

	cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(c->manifest, "files")) {
		const char *name = cJSON_GetObjectItemCaseSensitive(e, "name")->valuestring;
		if (strncmp(name, folder, n) == 0 && name[n] == '/')
			return true;
	}
	return false;
}

static enum status
check_kind(const struct checkpoint *c, bool full)
{
	bool has_full = has_below(c, CHECKPOINT_MODEL), has_lora = checkpoint_has(c, ADAPTER_FILE);

	if (full ? has_full : has_lora)
		return ACE_OK;
	if (has_full || has_lora)
		return ace_fail(ACE_ECONFIG, "%s is of model_type=%s, this run has model_type=%s", c->path, has_full ? "full" : "lora",
		                full ? "full" : "lora");
	return ace_fail(ACE_ECONFIG, "%s holds neither %s nor %s/", c->path, ADAPTER_FILE, CHECKPOINT_MODEL);
}

static enum status
read_training(struct checkpoint *c)
{
	ACE_TRY(checkpoint_json(c, CHECKPOINT_TRAINING, &c->training));
	if (!cJSON_IsObject(c->training))
		return ace_fail(ACE_EDATA, "%s/%s: not an object", c->path, CHECKPOINT_TRAINING);
	ACE_TRY(json_i64(c->training, c->path, "global_step", -1, &c->global_step));
	ACE_TRY(json_i64(c->training, c->path, "epoch_step", 0, &c->epoch_step));
	ACE_TRY(json_i64(c->training, c->path, "epoch", 0, &c->epoch));
	if (c->global_step < 0 || c->epoch_step < 0 || c->epoch < 0 || c->global_step != c->name.step)
		return ace_fail(ACE_EDATA, "%s/%s: global_step %" PRId64 ", epoch_step %" PRId64 ", epoch %" PRId64
		                           "; wanted step %" PRId64 " and nothing below 0",
		                c->path, CHECKPOINT_TRAINING, c->global_step, c->epoch_step, c->epoch, c->name.step);
	return ACE_OK;
}

enum status
checkpoint_open(struct checkpoint *c, const char *path, bool full)
{
	enum status st = ACE_OK;

	*c = (struct checkpoint){ .path = strdup(path) };
	if (!c->path)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	for (size_t n = strlen(c->path); n > 1 && c->path[n - 1] == '/'; n--)
		c->path[n - 1] = 0;
	if (!file_is_dir(c->path))
		st = ace_fail(ACE_ENOINPUT, "%s: no such folder", path);
	else if (checkpoint_foreign(c->path))
		st = ace_fail(ACE_ECONFIG, "%s was made by another program and cannot be gone on from (init_lora takes its %s)", path,
		              ADAPTER_FILE);
	if (st == ACE_OK && (st = check_guard(c->path)) == ACE_OK &&
	    (st = checkpoint_read_manifest(c->path, &c->manifest)) == ACE_OK &&
	    (st = check_files(c->path, c->manifest, false)) == ACE_OK && (st = check_kind(c, full)) == ACE_OK) {
		checkpoint_parse(cJSON_GetObjectItemCaseSensitive(c->manifest, "checkpoint")->valuestring, &c->name);
		st = read_training(c);
	}
	if (st != ACE_OK)
		checkpoint_close(c);
	return st;
}

void
checkpoint_close(struct checkpoint *c)
{
	if (!c)
		return;
	cJSON_Delete(c->manifest);
	cJSON_Delete(c->training);
	free(c->path);
	*c = (struct checkpoint){ 0 };
}

/* The path of a file that the manifest lists; owned by the caller. */
static enum status
path_of(const struct checkpoint *c, const char *file, char **path)
{
	*path = NULL;
	if (!checkpoint_has(c, file))
		return ace_fail(ACE_EDATA, "%s: it has no %s", c->path, file);
	*path = file_path("%s/%s", c->path, file);
	return *path ? ACE_OK : ace_fail(ACE_ENOMEM, "%s: no memory", c->path);
}

enum status
checkpoint_json(const struct checkpoint *c, const char *file, cJSON **root)
{
	enum status st;
	char *path;

	*root = NULL;
	ACE_TRY(path_of(c, file, &path));
	st = json_read(path, SMALL, root);
	free(path);
	return st;
}

enum status
checkpoint_tensors(const struct checkpoint *c, const char *file, struct st_file *f)
{
	enum status st;
	char *path;

	ACE_TRY(path_of(c, file, &path));
	st = st_open(f, path);
	free(path);
	return st;
}

enum status
checkpoint_tensor(const struct st_file *f, const char *tensor, struct dev *d, struct tensor value)
{
	const struct st_entry *e = st_find(f, tensor);
	char have[80], want[80];

	if (!e)
		return ace_fail(ACE_ECONFIG, "%s: no tensor %s: other settings saved it", f->path, tensor);
	if (!tensor_same(e->value, value))
		return ace_fail(ACE_ECONFIG, "%s: tensor %s is %s %s, this run wants %s %s", f->path, tensor,
		                dtype_name(e->value.dtype), tensor_shape_text(e->value, have, sizeof have), dtype_name(value.dtype),
		                tensor_shape_text(value, want, sizeof want));
	if (d && dev_is_dry(d))
		return ACE_OK;
	if (d)
		d->m->upload(d, value.data, e->value.data, tensor_bytes(value));
	else
		memcpy(value.data, e->value.data, tensor_bytes(value));
	return ACE_OK;
}
