#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Python's `datasets` opens what ace-convert-hf writes, and it is what `datasets` itself would have saved.
bin=${top_builddir:-.}/src/tools
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-convert-hf-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
if ! "${PYTHON:-python3}" -c 'import datasets' 2> /dev/null; then
	echo "1..0 # SKIP there is no Python with the package datasets"
	exit 0
fi
mkdir -p "$tmp/songs" || exit 99
cd "$tmp" || exit 99
printf 'ID3' > songs/a.mp3
printf ' rap, hard drums,female voice\n' > songs/a_prompt.txt
printf '[verse]\nrain on the roof\n' > songs/a_lyrics.txt
printf 'ID3' > songs/b.mp3
printf 'ポップ' > songs/b_prompt.txt
printf '' > songs/b_lyrics.txt
if ! "$bin/ace-convert-hf" songs set repeat_count=3 2> log; then
	grep -q 'no Apache Arrow' log && { echo "1..0 # SKIP there is no Apache Arrow here"; exit 0; }
	sed 's/^/# /' log
fi
echo 1..2
cat > try.py << 'P'
import json, os, sys
import datasets
from pathlib import Path
rows = []
for path in sorted(Path("songs").glob("*.mp3")):
    prompt = path.with_name(path.stem + "_prompt.txt").read_text().strip()
    lyrics = path.with_name(path.stem + "_lyrics.txt").read_text().strip()
    rows.append({"keys": path.stem, "filename": str(path), "tags": prompt.split(", "), "speaker_emb_path": "",
                 "norm_lyrics": lyrics, "recaption": {}})
want = datasets.Dataset.from_list(rows * 3)
want.save_to_disk("theirs")
ours, theirs = datasets.load_from_disk("set"), datasets.load_from_disk("theirs")
assert ours.features == theirs.features, (ours.features, theirs.features)
assert ours.to_list() == theirs.to_list()
assert ours.data.table.schema.equals(theirs.data.table.schema, check_metadata=True)
assert len(ours.data.table.column(0).chunks) == len(theirs.data.table.column(0).chunks)
for name in "dataset_info.json", "state.json":
    a, b = (json.load(open(os.path.join(d, name))) for d in ("set", "theirs"))
    a.pop("_fingerprint", 0), b.pop("_fingerprint", 0)
    assert a == b, (name, a, b)
P
if HF_HUB_OFFLINE=1 HF_HOME=$tmp/home "${PYTHON:-python3}" try.py > out 2>&1; then
	echo "ok 1 - datasets saves and loads the same"
else
	tail -n 5 out | sed 's/^/# /'
	echo "not ok 1 - datasets saves and loads the same"
fi
if "$bin/ace-import-hf" theirs back 2> log && [ "$(cat back/000000-a.txt)" = "rap, hard drums,female voice" ] &&
	[ "$(cat back/000003-b.txt)" = ポップ ] && [ ! -e back/000003-b.lyrics ] && cmp -s songs/a.mp3 back/000004-a.mp3; then
	echo "ok 2 - what datasets has saved is imported"
else
	sed 's/^/# /' log
	echo "not ok 2 - what datasets has saved is imported"
fi
