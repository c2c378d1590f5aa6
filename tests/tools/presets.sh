#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The presets of datasets/: each can be read, and those of folders prepare and fit training with songs laid out as they say.
build=$(cd "${top_builddir:-.}" && pwd)
top=$(cd "${top_srcdir:-.}" && pwd)
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-presets-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 99
ln -s "$top/datasets" datasets
n=0

result() { # CODE SENTENCE
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' log
	fi
}

# song PATH: a second of noise
song() {
	mkdir -p "$(dirname "$1")"
	{
		printf 'RIFF\144\076\0\0WAVEfmt \020\0\0\0\001\0\001\0\100\037\0\0\100\037\0\0\001\0\010\0data\100\037\0\0'
		dd if=/dev/urandom bs=8000 count=1 2> /dev/null
	} > "$1"
}

# runs NAME: the preset prepares two songs, and training takes them
runs() {
	"$build/src/tools/ace-preprocess" example="$1" model=model device=cpu > log 2>&1 &&
		grep -q 'done: 2 new' log && grep -q 'lyrics: 1 with, 1 instrumental' log &&
		"$build/src/tools/ace-train" example="$1" model=model --check > log 2>&1
	result $? "$1 runs on songs laid out as it says"
	rm -rf cache output
}

for config in "$top"/datasets/*/config.json; do
	name=$(basename "$(dirname "$config")")
	"$build/src/tools/ace-train" example="$name" --print-config > log 2>&1
	result $? "$name is read"
	grep -qF "datasets/$name/" "$top/src/tools/room.am"
	result $? "$name is installed"
	[ "$name" = ace_step-v1-0.peft-lora ] || grep -qF "\`$name\`" "$top/datasets/README.md"
	result $? "$name is described"
done

"$build/src/tools/ace-init-model" tiny model --quiet || exit 99
song data/acestep-songs/00000-one.wav
printf 'slow jazz\nlate at night\n' > data/acestep-songs/00000-one.txt
printf '[verse]\nhello there\n' > data/acestep-songs/00000-one.lyrics
song data/acestep-songs/00001-two.wav
echo 'fast rock' > data/acestep-songs/00001-two.txt
runs acestep-songs
cp -r data/acestep-songs data/converted
runs converted
cp -r data/acestep-songs songs
runs local-folder
for stem in songs/00000-one songs/00001-two; do
	mv $stem.txt ${stem}_prompt.txt
	[ ! -e $stem.lyrics ] || mv $stem.lyrics ${stem}_lyrics.txt
done
runs upstream-folder
echo "1..$n"
