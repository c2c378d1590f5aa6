#!/usr/bin/env python3
# words.py - makes numbers.txt, pinyin.txt and rules.txt out of the tables they come from: words.py FOLDER [OUT]
# SPDX-License-Identifier: Apache-2.0
#
# FOLDER holds number_words.tsv, pinyin_chars.tsv, pinyin_phrases.tsv, lyric_rules.json and zh_rules.json. Nothing is added and
# nothing left out; what changes is the form: sorted lists that share their beginnings, readings by number, and regular
# expressions written out as the lists of texts that they stand for. The forms are described in README.md beside this file.
import json, pathlib, re, sys

source = pathlib.Path(sys.argv[1])
out = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else pathlib.Path(__file__).resolve().parent
DIGITS = [chr(c) for c in range(33, 127) if chr(c) not in "\"\\"]


def rows(name):
    return [line.split("\t") for line in (source / name).read_text(encoding="utf-8").splitlines()]


def shared(a, b):
    n = 0
    while n < min(len(a), len(b)) and a[n] == b[n]:
        n += 1
    return n


def numbers():
    words = {}
    for lang, n, cardinal, ordinal in rows("number_words.tsv"):
        for kind, text in (("cardinal", cardinal), ("ordinal", ordinal)):
            known = words.setdefault((lang, kind), [])
            assert int(n) == len(known), (lang, n)
            known.append("!" if text.startswith("!") else text)
    lines = []
    for (lang, kind), known in words.items():
        assert len(known) == 1000, lang
        lines.append(f"= {kind} {lang}")
        for before, text in zip([""] + known, known):
            n = shared(before, text)
            lines.append(f"{len(text[:n].encode())} {text[n:]}")
    return lines


def pinyin():
    char = {int(code, 16): reading for code, reading in rows("pinyin_chars.tsv")}
    phrases = sorted((phrase, readings.split(" ")) for phrase, readings in rows("pinyin_phrases.tsv"))
    every = sorted(set(char.values()) | {r for _, readings in phrases for r in readings})
    assert len(every) < len(DIGITS) ** 2
    code = {r: DIGITS[i // len(DIGITS)] + DIGITS[i % len(DIGITS)] for i, r in enumerate(every)}
    lines = ["= readings"] + every + ["= characters"]
    run = ""
    for c in sorted(char):
        if c - 1 not in char and run:
            lines.append(run)
            run = ""
        run = (run or f"{c:x} ") + code[char[c]]
    lines += [run, "= phrases"]
    before = ""
    for phrase, readings in phrases:
        assert len(readings) == len(phrase) <= 10 and all(ord(c) in char for c in phrase), phrase
        n = shared(before, phrase)
        other = "".join(str(i) + code[r] for i, r in enumerate(readings) if char[ord(phrase[i])] != r)
        lines.append(f"{n}{phrase[n:]}" + ("\t" + other if other else ""))
        before = phrase
    return lines


def alternatives(pattern):
    """The texts that a pattern of groups, bars and plain characters stands for, in the order in which they are tried."""
    at = 0

    def choice():
        nonlocal at
        found = sequence()
        while at < len(pattern) and pattern[at] == "|":
            at += 1
            found += sequence()
        return found

    def sequence():
        nonlocal at
        found = [""]
        while at < len(pattern) and pattern[at] not in "|)":
            if pattern[at] == "(":
                at += 1
                more = choice()
                assert pattern[at] == ")", pattern
            else:
                assert pattern[at] not in "[]{}*+?.^$\\", pattern
                more = [pattern[at]]
            at += 1
            found = [a + b for a in found for b in more]
        return found

    found = choice()
    assert at == len(pattern), pattern
    return list(dict.fromkeys(found))


def suffixes(pattern):
    """What may follow the digits of an ordinal; ".$" stands for a point before a space or the end of the text."""
    END = r"\.(?=\s|$)"
    inner = re.fullmatch(r"\(\[0-9\]\+\)(.*)", pattern).group(1)
    if inner == END:
        return [".$"]
    inner = re.fullmatch(r"\((.*)\)", inner).group(1)
    listed = inner.replace(END, "E").split("|")
    assert all(s == "E" or s == r"\." or not set(s) & set(r"[](){}*+?.^$\\"[:]) for s in listed), pattern
    return list(dict.fromkeys(".$" if s == "E" else s.replace("\\", "") for s in listed))


def rules():
    r = json.loads((source / "lyric_rules.json").read_text(encoding="utf-8"))
    zh = json.loads((source / "zh_rules.json").read_text(encoding="utf-8"))
    assert set(r) == {"abbreviations", "symbols", "ordinal_regex", "japanese_kana", "japanese_word_exceptions"}
    lines = []
    for name, table in (("abbreviations", r["abbreviations"]), ("symbols", r["symbols"])):
        for lang, pairs in table.items():
            lines += [f"= {name} {lang}"] + [f"{a}\t{b}" for a, b in pairs]
    for lang, pattern in r["ordinal_regex"].items():
        lines += [f"= ordinals {lang}"] + suffixes(pattern)
    for name in ("japanese_kana", "japanese_word_exceptions"):
        lines += [f"= {name} ja"] + [f"{a}\t{b}" for a, b in r[name].items()]
    lines += ["= punctuation zh"] + zh["punctuation_to_comma"]
    lines += ["= currency_units zh"] + alternatives(zh["currency_units_regex_alternatives"])
    lines += ["= measure_words zh"] + alternatives(zh["quantifiers_regex_alternatives"])
    return lines


for name, lines in (("numbers.txt", numbers()), ("pinyin.txt", pinyin()), ("rules.txt", rules())):
    (out / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
