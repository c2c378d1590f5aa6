#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The demo's songs are six with captions, five with lyrics, and the same each time.
make=${top_builddir:-.}/src/tools/ace-demo-songs
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-songs-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT

say() { # NUMBER NAME STATUS
	[ "$3" -eq 0 ] && echo "ok $1 - $2" || echo "not ok $1 - $2"
}
count() { find "$tmp/a" -name "$1" -size +0 | wc -l; }

echo 1..4
"$make" "$tmp/a" > "$tmp/said" && "$make" "$tmp/b" > /dev/null
say 1 "six pieces are written" $?
audio=$(find "$tmp/a" -name '*.wav' -o -name '*.flac' -o -name '*.ogg' -o -name '*.mp3' | wc -l)
[ "$audio" -eq 6 ] && [ "$(count '*.txt')" -eq 6 ] && [ "$(count '*.lyrics')" -eq 5 ]
say 2 "each has a caption and all but one lyrics" $?
# Ogg pages carry a random number of the stream, so those are not compared
ok=0
for f in "$tmp"/a/*.wav "$tmp"/a/*.flac "$tmp"/a/*.txt; do
	cmp -s "$f" "$tmp/b/$(basename "$f")" || { echo "# $f differs"; ok=1; }
done
say 3 "twice the same command, twice the same songs" $ok
"$make" > /dev/null 2>&1
[ $? -eq 64 ]
say 4 "without a folder it says how it is used" $?
