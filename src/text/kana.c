/* SPDX-License-Identifier: Apache-2.0 */
#include "text/romaji_parts.h"

#include "text/chars.h"

/* Katakana as hiragana; everything else stays. */
static void
to_hiragana(struct slice kana, struct buffer *out)
{
	for (size_t i = 0, n; i < kana.n; i += n) {
		uint32_t c = utf8_at(kana.p + i);
		n = utf8_len(kana.p[i]);
		if ((c >= 0x30a1 && c <= 0x30f6) || c == 0x30fd || c == 0x30fe) {
			c -= 0x60;
			buffer_char(out, (char)(0xe0 | c >> 12));
			buffer_char(out, (char)(0x80 | (c >> 6 & 63)));
			buffer_char(out, (char)(0x80 | (c & 63)));
		} else {
			buffer_add(out, kana.p + i, n);
		}
	}
}

/* The text of a character or of two; NULL: the table lacks it. */
static const struct table_line *
letters(const struct tables *t, struct slice c)
{
	return c.p ? table_find(&t->kana, &t->kana_trie, c.p, c.n) : NULL;
}

static bool
one_of(struct slice c, const char *list)
{
	for (; c.p && *list; list += utf8_len(*list))
		if (c.n == utf8_len(*list) && memcmp(c.p, list, c.n) == 0)
			return true;
	return false;
}

static const char small[] = "ゃゅょぁぃぅぇぉ";

/* The doubled consonant before `after`. */
static bool
doubled(const struct tables *t, struct slice k, struct slice after, struct buffer *out)
{
	const struct table_line *l;

	if (!after.p)
		buffer_add(out, k.p, k.n);		/* the next word says which */
	else if (slice_is(after, "ち"))
		buffer_char(out, 't');
	else if (one_of(after, "あいうえおっ"))
		buffer_char(out, '-');
	else if ((l = letters(t, after)) && l->n_value)
		buffer_char(out, l->value[0]);
	else
		return false;
	return true;
}

/* k between p and n, which are absent at the ends. */
static bool
one_kana(const struct tables *t, struct slice p, struct slice k, struct slice n, struct buffer *out)
{
	struct slice with_before = { p.p, p.n + k.n }, with_after = { n.p ? k.p : NULL, k.n + n.n };
	const struct table_line *own = letters(t, k), *other;

	if (one_of(k, "々〃ゝゞヽ")) {
		if (one_of(k, "ゝヽ") && p.p)
			buffer_add(out, p.p, p.n);
		return true;
	}
	if ((other = letters(t, with_before))) {
		buffer_add(out, other->value, other->n_value);
		return true;
	}
	if (letters(t, with_after))
		return true;
	if (one_of(n, small)) {
		if (slice_is(k, "っ"))
			return true;
		if (!own || !(other = letters(t, n)))
			return false;
		buffer_add(out, own->value, own->n_value - (own->n_value > 0));
		buffer_add(out, other->value, other->n_value);
		return true;
	}
	if (one_of(k, small))
		return true;
	if (slice_is(k, "ー")) {
		if ((other = letters(t, p)) && other->n_value == 0)
			return false;
		buffer_char(out, other ? other->value[other->n_value - 1] : '-');
		return true;
	}
	if (slice_is(k, "っ"))
		return doubled(t, k, n, out);
	if (slice_is(k, "ん")) {
		buffer_str(out, one_of(n, "あいうえおやゆよ") ? "n'" : "n");
		return true;
	}
	if (own)
		buffer_add(out, own->value, own->n_value);
	return own != NULL;
}

bool
kana_write(const struct tables *t, struct slice kana, struct buffer *out)
{
	struct buffer text = { 0 };
	struct slice before = { 0 }, now = { 0 };
	bool good = true;

	to_hiragana(kana, &text);
	if (text.len)
		now = (struct slice){ text.data, utf8_len(text.data[0]) };
	while (good && now.p && !text.bad) {
		const char *p = now.p + now.n;
		struct slice after = { 0 };
		if (p < text.data + text.len)
			after = (struct slice){ p, utf8_len(*p) };
		good = one_kana(t, before, now, after, out);
		before = now;
		now = after;
	}
	out->bad |= text.bad;
	buffer_free(&text);
	return good;
}
