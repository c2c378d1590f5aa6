#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# lyrics.py SONGS VOCAB [ROUNDS]: whole lyrics to ids, the reference and tests/bench/lyrics in turn, by processor time
#
# SONGS is the fixture lyrics-tokens/songs.json, VOCAB lyric_vocab.json; run it in the build folder after make
# tests/bench/lyrics. The reference is PyPI's simpletuner (its splitter and tokenizer, read from its files without the rest of
# it) with py3langid 0.3.0: pip install --no-deps simpletuner==3.1.6, then py3langid==0.3.0 tokenizers pypinyin==0.53.0
# num2words==0.5.14 hangul-romanize. torch and spacy, which it imports and does not use here, need not be there. Without an
# analyser of Japanese on either side. (ids differ by the songs that only ask for one, which are no lyrics to us.) Skips (77) when Python or a package is not there.
import importlib.util, json, os, re, subprocess, sys, time, types


def module(name, path, folder=None):
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folder and [folder])
    sys.modules[name] = m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    return m


class Any(types.ModuleType):
    """What is imported and not used."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def reference():
    found = importlib.util.find_spec("simpletuner")
    if not found:
        sys.exit(77)
    for name in ("torch", "spacy", "spacy.lang", *(f"spacy.lang.{c}" for c in ("ar", "en", "es", "ja", "zh"))):
        try:
            present = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            present = None
        if not present:
            sys.modules[name] = Any(name)
    sys.modules["cutlet"] = None
    top = found.submodule_search_locations[0] + "/helpers/models/ace_step/"
    split = module("reference_split", top + "language_segmentation/__init__.py", top + "language_segmentation")
    words = types.ModuleType("reference_words")
    words.__path__ = [top + "lyrics_utils"]
    sys.modules["reference_words"] = words
    tokens = module("reference_words.lyric_tokenizer", top + "lyrics_utils/lyric_tokenizer.py")
    splitter = split.LangSegment()
    splitter.setfilters(split.language_filters.default)
    return splitter, tokens.VoiceBpeTokenizer()


KNOWN = "ar cs de en es fr hi hu it ja ko nl pl pt ru tr zh".split()
STRUCTURE = re.compile(r"\[.*?\]")


def encode(splitter, tokenizer, lyrics):
    ids = [261]
    for line in map(str.strip, lyrics.split("\n")):
        if not line:
            ids.append(2)
            continue
        try:
            splitter.getTexts(line)
            counts = splitter.getCounts()
            lang = counts[1 if len(counts) > 1 and counts[0][0] == "en" else 0][0]
        except Exception:
            lang = "en"
        try:
            ids += tokenizer.encode(line, "en" if STRUCTURE.match(line) or lang not in KNOWN else lang) + [2]
        except Exception:
            pass
    return ids


def main():
    songs, vocab, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 3
    try:
        splitter, tokenizer = reference()
    except ImportError as e:
        print(f"skipped: {e}")
        sys.exit(77)
    lyrics = [s["lyrics"] for s in json.load(open(songs, encoding="utf-8"))]
    size = sum(len(t.encode("utf-8", "surrogatepass")) for t in lyrics)
    for text in lyrics[:5]:
        encode(splitter, tokenizer, text)  # what it reads at first use is not timed
    for _ in range(rounds):
        start = time.process_time()
        ids = sum(min(4096, len(encode(splitter, tokenizer, text))) for text in lyrics)
        spent = time.process_time() - start
        ours = subprocess.run(["tests/bench/lyrics", songs, vocab, "20"], check=True, capture_output=True, text=True).stdout
        mine = float(re.search(r"per-line ([0-9.]+) s", ours).group(1))
        print(f"reference: {len(lyrics)} songs  {size} bytes  {ids} ids  {spent:.3f} s  {size / spent / 1e6:.4f} MB/s")
        print(f"ours:      {ours.strip()}")
        print(f"ratio {spent / mine:.1f}")


main()
