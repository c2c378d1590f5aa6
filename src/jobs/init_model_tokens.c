/* SPDX-License-Identifier: Apache-2.0 */
/* the tokenizers of a random model: files of the published structure with our own, small content
 * (text.md sections 2, 3) */
#include "jobs/init_model_parts.h"

#include "base/file.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/utf8.h>

#define MARK "\xe2\x96\x81" /* U+2581, a blank */

enum { BYTES = 256, EXTRA = 12, UNKNOWN = 3 };

/* Words of captions; the first are the likeliest. */
static const char words[] =
	"a the and with of in to for by on music song beat drum drums bass guitar piano "
	"vocal vocals female male voice pop rock electronic dance ballad slow fast "
	"tempo bpm major minor key melody rhythm chorus verse bridge intro outro solo "
	"hook soft loud warm dark bright sad happy dreamy epic calm energetic upbeat "
	"emotional romantic melancholic aggressive relaxing acoustic electric synth "
	"strings violin viola cello flute trumpet saxophone horn horns organ harp choir "
	"orchestra orchestral jazz blues folk country soul funk disco house techno "
	"trance ambient hip hop rap trap metal punk reggae classical cinematic "
	"soundtrack lofi lo fi indie alternative experimental latin salsa samba bossa "
	"nova swing gospel world asian celtic arabic indian chinese japanese korean "
	"spanish french german english italian portuguese russian instrumental clean "
	"distorted heavy light deep high low mid slowly quickly building rising falling "
	"driving steady groovy catchy smooth rough raw polished vintage modern retro "
	"old new young live studio recording lead rhythm backing harmony harmonies duet "
	"rhythmic melodic percussion kick snare hat hihat cymbal clap shaker tambourine "
	"bell bells marimba vibraphone xylophone banjo mandolin ukulele harmonica "
	"accordion clarinet oboe bassoon tuba trombone brass woodwind pad pads arpeggio "
	"chord chords riff riffs loop loops sample samples noise rain wind ocean night "
	"day summer winter love heart time life dream dance floor party road home city "
	"street river mountain sky moon sun star fire water light shadow film game "
	"advert podcast background theme anthem march waltz tango polka lullaby hymn "
	"prayer chant spoken word whisper shout scream breath laugh child man woman "
	"singer band group trio quartet ensemble one two three four five six seven "
	"eight nine ten beats per minute minutes seconds is are be as at it this that "
	"from an or not no very more less like into over under through up down out off "
	"all some";

static const char endings[] =
	"s ed ing er or ly es al ic y e t n d r l m o a i u th ch sh st nd nt an en in "
	"on un ar ir ur el il ol ion ment ness ful less able ous ive ish ist ism est "
	"ter der ber ver ger ner mer";

/* [piece, score]; a likelier piece has a higher score. */
static bool
add_piece(cJSON *vocab, const char *before, const char *text, int len, double score)
{
	char piece[48];
	cJSON *pair = cJSON_CreateArray();

	snprintf(piece, sizeof piece, "%s%.*s", before, len, text);
	cJSON_AddItemToArray(pair, cJSON_CreateString(piece));
	cJSON_AddItemToArray(pair, cJSON_CreateNumber(score));
	return cJSON_AddItemToArray(vocab, pair);
}

/* Words between blanks, each once: of two equal ones the first counts. */
static bool
add_words(cJSON *vocab, const char *before, const char *list, double first, double step)
{
	int rank = 0;

	for (const char *p = list; *p;) {
		int n = (int)strcspn(p, " ");
		bool known = false;
		for (const char *q = list; q < p && !known; q += strcspn(q, " ") + 1)
			known = (int)strcspn(q, " ") == n && memcmp(q, p, (size_t)n) == 0;
		if (!known && !add_piece(vocab, before, p, n, first - step * rank++))
			return false;
		p += n + (p[n] == ' ');
	}
	return true;
}

static bool
add_characters(cJSON *vocab, const char *taken, int32_t from, int32_t to, double score)
{
	for (int32_t c = from; c <= to; c++) {
		char text[8] = "";
		int32_t len = 0;
		bool known = false;
		U8_APPEND_UNSAFE((uint8_t *)text, len, c);
		for (const char *p = taken; (p = strstr(p, text)) && !known;
		     p += len) /* a one-letter ending is there already */
			known = (p == taken || p[-1] == ' ') && (p[len] == ' ' || p[len] == 0);
		if (!known && !add_piece(vocab, "", text, len, score))
			return false;
	}
	return true;
}

static const char *const control[] = { "<pad>", "</s>", "<s>", "<unk>" };

static bool
fill_vocab(cJSON *vocab)
{
	bool ok = true;

	for (int i = 0; i < 4; i++)
		ok = ok && add_piece(vocab, "", control[i], 16, 0);
	for (int i = 0; i < BYTES; i++) {
		char name[8];
		snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
		ok = ok && add_piece(vocab, "", name, 8, 0);
	}
	return ok && add_piece(vocab, MARK, "", 0, -3) && add_words(vocab, MARK, words, -5, 0.01) &&
	       add_words(vocab, "", endings, -8, 0.01) &&
	       add_characters(vocab, endings, '!', '~', -10) &&
	       add_characters(vocab, "", 0xa1, 0xff, -11);
}

static cJSON *
token(const char *content, bool with_id, int id)
{
	static const char *const flags[] = { "single_word", "lstrip", "rstrip", "normalized" };
	cJSON *o = cJSON_CreateObject();

	if (with_id)
		cJSON_AddNumberToObject(o, "id", id);
	cJSON_AddStringToObject(o, "content", content);
	for (int i = 0; i < 4; i++)
		cJSON_AddFalseToObject(o, flags[i]);
	return o;
}

static cJSON *
special(const char *content, int id)
{
	cJSON *o = token(content, true, id);

	cJSON_AddTrueToObject(o, "special");
	return o;
}

/* "<extra_id_11>" ... "<extra_id_0>" behind the pieces: descending numbers with ascending ids. */
static const char *
extra(int i, char text[20])
{
	snprintf(text, 20, "<extra_id_%d>", EXTRA - 1 - i);
	return text;
}

static cJSON *
normalizer(void)
{
	cJSON *o = cJSON_Parse(
		"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\"},"
		"{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true},"
		"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\"" MARK
		"\"}]}");
	char *map = init_charsmap();

	if (map)
		cJSON_AddStringToObject(
			cJSON_GetArrayItem(cJSON_GetObjectItem(o, "normalizers"), 0),
			"precompiled_charsmap", map);
	free(map);
	return o;
}

static cJSON *
tokenizer(int *pieces)
{
	static const char metaspace[] = "{\"type\":\"Metaspace\",\"replacement\":\"" MARK
					"\",\"prepend_scheme\":\"always\",\"split\":true}";
	static const char post[] =
		"{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":"
		"0}},"
		"{\"SpecialToken\":{\"id\":\"</"
		"s>\",\"type_id\":0}}],\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},"
		"{\"SpecialToken\":{\"id\":\"</"
		"s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_id\":0}},"
		"{\"SpecialToken\":{\"id\":\"</s>\",\"type_id\":0}}],"
		"\"special_tokens\":{\"</s>\":{\"id\":\"</s>\",\"ids\":[1],\"tokens\":[\"</s>\"]}}}";
	cJSON *root = cJSON_CreateObject(), *added, *model = cJSON_CreateObject(),
	      *vocab = cJSON_CreateArray();
	char text[20];

	if (!fill_vocab(vocab)) {
		cJSON_Delete(vocab);
		cJSON_Delete(model);
		cJSON_Delete(root);
		return NULL;
	}
	*pieces = cJSON_GetArraySize(vocab);
	cJSON_AddStringToObject(root, "version", "1.0");
	cJSON_AddNullToObject(root, "truncation");
	cJSON_AddNullToObject(root, "padding");
	added = cJSON_AddArrayToObject(root, "added_tokens");
	for (int i = 0; i < 4; i++)
		cJSON_AddItemToArray(added, special(control[i], i));
	for (int i = 0; i < EXTRA; i++)
		cJSON_AddItemToArray(added, special(extra(i, text), *pieces + i));
	cJSON_AddItemToObject(root, "normalizer", normalizer());
	cJSON_AddItemToObject(root, "pre_tokenizer", cJSON_Parse(metaspace));
	cJSON_AddItemToObject(root, "post_processor", cJSON_Parse(post));
	cJSON_AddItemToObject(root, "decoder", cJSON_Parse(metaspace));
	cJSON_AddStringToObject(model, "type", "Unigram");
	cJSON_AddNumberToObject(model, "unk_id", UNKNOWN);
	cJSON_AddItemToObject(model, "vocab", vocab);
	cJSON_AddTrueToObject(model, "byte_fallback");
	cJSON_AddItemToObject(root, "model", model);
	return root;
}

/* Write root, which is deleted, as FOLDER/NAME. */
static enum status
write_json(const char *folder, const char *name, cJSON *root)
{
	char *path = file_path("%s/%s", folder, name);
	enum status st = path && root ? json_write(path, root)
				      : ace_fail(ACE_ENOMEM, "%s/%s: no memory", folder, name);

	free(path);
	cJSON_Delete(root);
	return st;
}

static cJSON *
tokenizer_config(int pieces)
{
	cJSON *o = cJSON_CreateObject(),
	      *added = cJSON_AddObjectToObject(o, "added_tokens_decoder");
	char id[12], text[20];

	for (int i = 0; i < 4 + EXTRA; i++) {
		cJSON *t = token(i < 4 ? control[i] : extra(i - 4, text), false, 0);
		cJSON_AddTrueToObject(t, "special");
		snprintf(id, sizeof id, "%d", i < 4 ? i : pieces + i - 4);
		cJSON_AddItemToObject(added, id, t);
	}
	cJSON_AddTrueToObject(o, "add_prefix_space");
	cJSON_AddFalseToObject(o, "clean_up_tokenization_spaces");
	cJSON_AddStringToObject(o, "eos_token", "</s>");
	cJSON_AddNumberToObject(o, "extra_ids", 0);
	cJSON_AddNumberToObject(o, "model_max_length", 512);
	cJSON_AddStringToObject(o, "pad_token", "<pad>");
	cJSON_AddStringToObject(o, "tokenizer_class", "T5Tokenizer");
	cJSON_AddStringToObject(o, "unk_token", "<unk>");
	return o;
}

enum status
init_tokenizer(const char *folder, int64_t rows)
{
	int pieces = 0;
	cJSON *root = tokenizer(&pieces), *map;

	if (root && pieces + EXTRA > rows) {
		cJSON_Delete(root);
		return ace_fail(ACE_EBUG, "%s: %d tokens for a table of %lld rows", folder,
				pieces + EXTRA, (long long)rows);
	}
	ACE_TRY(write_json(folder, "tokenizer.json", root));
	ACE_TRY(write_json(folder, "tokenizer_config.json", tokenizer_config(pieces)));
	map = cJSON_CreateObject();
	cJSON_AddItemToObject(map, "eos_token", token("</s>", false, 0));
	cJSON_AddItemToObject(map, "pad_token", token("<pad>", false, 0));
	cJSON_AddItemToObject(map, "unk_token", token("<unk>", false, 0));
	return write_json(folder, "special_tokens_map.json", map);
}

/* Special tokens of the lyrics and their ids, which the transformer was trained with (text.md
 * section 3.1); those from LYRIC_STRUCTURE on are in no vocab. */
enum { LYRIC_STRUCTURE = 6681 };

static const struct {
	const char *text;
	int id;
} lyric_token[] = {
	{ "[STOP]", 0 },      { "[UNK]", 1 },
	{ "[SPACE]", 2 },     { "[en]", 259 },
	{ "[de]", 260 },      { "[START]", 261 },
	{ "[fr]", 262 },      { "[ru]", 267 },
	{ "[es]", 284 },      { "[it]", 285 },
	{ "[pt]", 286 },      { "[cs]", 293 },
	{ "[pl]", 294 },      { "[tr]", 295 },
	{ "[nl]", 297 },      { "[ar]", 5022 },
	{ "[zh-cn]", 5023 },  { "[ja]", 5412 },
	{ "[hu]", 5753 },     { "[ko]", 6152 },
	{ "[hi]", 6680 },     { "[start]", LYRIC_STRUCTURE },
	{ "[intro]", 6682 },  { "[verse]", 6683 },
	{ "[chorus]", 6684 }, { "[bridge]", 6685 },
	{ "[outro]", 6686 },  { "[end]", 6687 },
	{ "[inst]", 6688 },   { "[solo]", 6689 },
	{ "[hook]", 6690 },   { "[pre-chorus]", 6691 },
	{ "[break]", 6692 },
};

/* Single letters and marks from id 3 on: what a cleaned line in an alphabet of Europe is made of.
 */
static void
add_letters(cJSON *vocab)
{
	static const int32_t range[][2] = { { '!', '!' },    { '\'', ')' },  { ',', '/' },
					    { ':', ';' },    { '?', '?' },   { 'a', 'z' },
					    { 0xdf, 0xf6 },  { 0xf8, 0xff }, { 0x430, 0x44f },
					    { 0x451, 0x451 } };
	int id = 3;

	for (size_t i = 0; i < sizeof range / sizeof *range; i++)
		for (int32_t c = range[i][0]; c <= range[i][1]; c++) {
			char text[8] = "";
			int32_t len = 0;
			U8_APPEND_UNSAFE((uint8_t *)text, len, c);
			cJSON_AddNumberToObject(vocab, text, id++);
		}
}

enum status
init_lyric_vocab(const char *folder)
{
	cJSON *root = cJSON_CreateObject(), *added, *model, *vocab, *pre;

	cJSON_AddStringToObject(root, "version", "1.0");
	cJSON_AddNullToObject(root, "truncation");
	cJSON_AddNullToObject(root, "padding");
	added = cJSON_AddArrayToObject(root, "added_tokens");
	cJSON_AddNullToObject(root, "normalizer");
	pre = cJSON_AddObjectToObject(root, "pre_tokenizer");
	cJSON_AddStringToObject(pre, "type", "Whitespace");
	cJSON_AddNullToObject(root, "post_processor");
	cJSON_AddNullToObject(root, "decoder");
	model = cJSON_AddObjectToObject(root, "model");
	cJSON_AddStringToObject(model, "type", "BPE");
	cJSON_AddNullToObject(model, "dropout");
	cJSON_AddStringToObject(model, "unk_token", "[UNK]");
	cJSON_AddNullToObject(model, "continuing_subword_prefix");
	cJSON_AddNullToObject(model, "end_of_word_suffix");
	cJSON_AddFalseToObject(model, "fuse_unk");
	vocab = cJSON_AddObjectToObject(model, "vocab");
	for (size_t i = 0; i < sizeof lyric_token / sizeof *lyric_token; i++) {
		cJSON_AddItemToArray(added, special(lyric_token[i].text, lyric_token[i].id));
		if (lyric_token[i].id < LYRIC_STRUCTURE)
			cJSON_AddNumberToObject(vocab, lyric_token[i].text, lyric_token[i].id);
	}
	add_letters(vocab);
	cJSON_AddArrayToObject(model, "merges");
	return write_json(folder, "lyric_vocab.json", root);
}
