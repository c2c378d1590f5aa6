/* SPDX-License-Identifier: Apache-2.0 */
/* reading spiece.model, a protocol buffer, with the pipeline that the public converter would write for it (text.md
 * section 2.6): Precompiled, Strip(right), Replace(" {2,}" -> mark), Metaspace always, end token; no byte fallback */
#include "base/file.h"
#include "base/json.h"
#include "text/unigram_model.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20 };
enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
	uint64_t number, value;		/* value: of VARINT and FIXED32 */
	enum wire wire;
	const unsigned char *data;	/* of BYTES */
	size_t size;
};

struct proto {
	const unsigned char *p, *end;
	bool bad;
};

static uint64_t
varint(struct proto *r)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64; shift += 7) {
		if (r->p >= r->end)
			break;
		v |= (uint64_t)(*r->p & 0x7f) << shift;
		if (!(*r->p++ & 0x80))
			return v;
	}
	r->bad = true;
	return 0;
}

/* The next field; false at the end, or when r turned bad. */
static bool
next_field(struct proto *r, struct field *f)
{
	uint64_t key;

	if (r->bad || r->p >= r->end)
		return false;
	key = varint(r);
	*f = (struct field){ .number = key >> 3, .wire = (enum wire)(key & 7) };
	switch (f->wire) {
	case VARINT:
		f->value = varint(r);
		return !r->bad;
	case BYTES:
		f->size = varint(r);
		break;
	case FIXED64:
		f->size = 8;
		break;
	case FIXED32:
		f->size = 4;
		break;
	}
	if (r->bad || f->size > (size_t)(r->end - r->p) || (f->wire != BYTES && f->size == 0)) {
		r->bad = true;
		return false;
	}
	f->data = r->p;
	r->p += f->size;
	if (f->wire == FIXED32)
		f->value = (uint64_t)f->data[0] | (uint64_t)f->data[1] << 8 | (uint64_t)f->data[2] << 16 |
			   (uint64_t)f->data[3] << 24;
	return true;
}

static struct proto
inside(const struct field *f)
{
	return (struct proto){ f->data, f->data + f->size, false };
}

enum piece_type { UNKNOWN_PIECE = 2, CONTROL_PIECE = 3, USER_PIECE = 4 };

static enum status
read_piece(struct unigram_model *m, const char *path, const struct field *whole)
{
	struct proto r = inside(whole);
	struct field f, piece = { 0 };
	uint64_t type = 1;
	float score = 0;

	while (next_field(&r, &f))
		if (f.number == 1 && f.wire == BYTES) {
			piece = f;
		} else if (f.number == 2 && f.wire == FIXED32) {
			uint32_t bits = (uint32_t)f.value;
			memcpy(&score, &bits, 4);
		} else if (f.number == 3 && f.wire == VARINT) {
			type = f.value;
		}
	if (r.bad || !piece.data)
		return ace_fail(ACE_EDATA, "%s: piece %zu is damaged", path, m->n_pieces);
	if (type >= UNKNOWN_PIECE && type <= USER_PIECE) {
		char *text = strndup((const char *)piece.data, piece.size);
		enum status st = text ? unigram_add_special(m, path, text, strlen(text), (int64_t)m->n_pieces)
		                      : ace_fail(ACE_ENOMEM, "%s: no memory", path);
		free(text);
		if (st != ACE_OK)
			return st;
	}
	return unigram_add_piece(m, path, (const char *)piece.data, piece.size, (double)score);
}

static enum status
read_trainer(const char *path, const struct field *whole, int64_t *unknown, int64_t *end)
{
	struct proto r = inside(whole);
	struct field f;

	while (next_field(&r, &f))
		if (f.number == 3 && f.wire == VARINT && f.value != 1)
			return ace_fail(ACE_EDATA, "%s: the model's type is %llu, wanted 1 (unigram)", path,
					(unsigned long long)f.value);
		else if (f.number == 40 && f.wire == VARINT)
			*unknown = (int64_t)f.value;
		else if (f.number == 42 && f.wire == VARINT)
			*end = (int64_t)f.value;
	return r.bad ? ace_fail(ACE_EDATA, "%s: the trainer's part is damaged", path) : ACE_OK;
}

static enum status
read_normalizer(struct unigram_model *m, const char *path, const struct field *whole)
{
	struct proto r = inside(whole);
	struct field f;

	while (next_field(&r, &f))
		if (f.number == 2 && f.wire == BYTES && f.size > 0 && m->n_norm == 0) {
			m->norm[m->n_norm++].kind = NORM_CHARSMAP;
			ACE_TRY(charsmap_init(&m->norm[0].map, path, f.data, f.size));
		} else if ((f.number == 3 || f.number == 5) && f.wire == VARINT && f.value != 1) {
			return ace_fail(ACE_EDATA, "%s: the normaliser's %s is off, which is not built", path,
			                f.number == 3 ? "add_dummy_prefix" : "escape_whitespaces");
		}
	return r.bad ? ace_fail(ACE_EDATA, "%s: the normaliser's part is damaged", path) : ACE_OK;
}

/* added_tokens.json: {text: id}. */
static enum status
read_added_file(struct unigram_model *m, const char *path)
{
	enum status st = ACE_OK;
	const cJSON *v;
	cJSON *root;

	ACE_TRY(json_read(path, 1 << 20, &root));
	if (!cJSON_IsObject(root))
		st = ace_fail(ACE_EDATA, "%s: not an object of texts and ids", path);
	cJSON_ArrayForEach(v, root)
		if (st == ACE_OK) {
			int64_t id = -1;
			st = json_i64(root, path, v->string, -1, &id);
			if (st == ACE_OK)
				st = unigram_add_special(m, path, v->string, strlen(v->string), id);
		}
	cJSON_Delete(root);
	return st;
}

static enum status
finish(struct unigram_model *m, const char *path, const char *added, int64_t unknown, int64_t end)
{
	static const char mark[] = "\xe2\x96\x81";

	ACE_TRY(unigram_pieces_done(m, path, unknown));
	if (end < 0 || (uint64_t)end >= m->n_pieces)
		return ace_fail(ACE_EDATA, "%s: the end token's id is %lld, wanted 0 ... %zu", path,
				(long long)end, m->n_pieces - 1);
	m->after[m->n_after++] = (int32_t)end;
	m->norm[m->n_norm++] = (struct norm_step){ .kind = NORM_STRIP, .right = true };
	m->norm[m->n_norm++] = (struct norm_step){ .kind = NORM_RUNS, .content = strdup(mark) };
	if (!m->norm[m->n_norm - 1].content)
		return ace_fail(ACE_ENOMEM, "%s: no memory", path);
	m->pre[0] = (struct pre_step){ .kind = PRE_METASPACE, .prepend = PREPEND_ALWAYS, .split = true };
	memcpy(m->pre[0].mark, mark, sizeof mark);
	m->n_pre = 1;
	return added && file_exists(added) ? read_added_file(m, added) : ACE_OK;
}

enum status
unigram_read_spiece(struct unigram_model *m, const char *path, const char *added)
{
	int64_t unknown = 0, end = 2;		/* the format's defaults */
	enum status st = ACE_OK;
	struct field f;
	struct proto r;
	size_t size;
	char *data;

	ACE_TRY(file_read(path, FILE_LIMIT, &data, &size));
	r = (struct proto){ (const unsigned char *)data, (const unsigned char *)data + size, false };
	while (st == ACE_OK && next_field(&r, &f))
		if (f.wire == BYTES && f.number == 1)
			st = read_piece(m, path, &f);
		else if (f.wire == BYTES && f.number == 2)
			st = read_trainer(path, &f, &unknown, &end);
		else if (f.wire == BYTES && f.number == 3)
			st = read_normalizer(m, path, &f);
	if (st == ACE_OK && r.bad)
		st = ace_fail(ACE_EDATA, "%s: not a SentencePiece model, or cut off, at byte %zu", path,
			      size - (size_t)(r.end - r.p));
	if (st == ACE_OK)
		st = finish(m, path, added, unknown, end);
	free(data);
	return st;
}
