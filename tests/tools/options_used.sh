#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every option that is marked as built is read somewhere by name, and every name that is read is an option.
top=${top_srcdir:-.}
tmp=${TMPDIR:-/tmp}/ace-options-used.$$
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp" || exit 99

sed -n 's/^BUILT(\([a-z0-9_]*\),.*/\1/p' "$top/src/base/options/built.h" | sort -u > "$tmp/built"
cat "$top"/src/base/options/*.h | sed -n 's/.*\.aliases = "\([^"]*\)".*/\1/p' | tr ' ' '\n' | tr -d '!' > "$tmp/names"
cat "$top"/src/base/options/*.h | sed -n 's/.*\.flag = "\([^"]*\)".*/\1/p' | tr ' ' '\n' >> "$tmp/names"
cat "$top"/src/base/options/*.h | sed -n 's/.*{ \.name = "\([a-z0-9_]*\)".*/\1/p' >> "$tmp/names"
sort -u -o "$tmp/names" "$tmp/names"
# calls f(..., "name"): those of the settings, and those that ask before they are applied; lines are joined, for calls that are broken
find "$top/src" -name '*.c' ! -path '*/base/options*' -exec cat {} + | tr '\n\t' '  ' |
	grep -oE '(settings_(str|i64|f64|bool|has|is_set|source|where|json)|early|given_last|is)\([^"();]*"[a-z0-9_]+"' > "$tmp/calls"
sed 's/.*"\([a-z0-9_]*\)"$/\1/' "$tmp/calls" | sort -u > "$tmp/read"
grep '^settings_' "$tmp/calls" | sed 's/.*"\([a-z0-9_]*\)"$/\1/' | sort -u > "$tmp/asked"

echo 1..2
if comm -23 "$tmp/asked" "$tmp/names" | grep . > "$tmp/bad"; then
	sed 's/^/# no such option: /' "$tmp/bad"
	echo "not ok 1 - every name that is read is an option"
else
	echo "ok 1 - every name that is read is an option"
fi
if [ ! -f "$top/src/tools/ace-train.c" ] || [ ! -f "$top/src/tools/ace-preprocess.c" ]; then
	echo "ok 2 # SKIP the programs that read the options are not there"
elif comm -23 "$tmp/built" "$tmp/read" | grep . > "$tmp/bad"; then
	sed 's/^/# marked as built, read nowhere: /' "$tmp/bad"
	echo "not ok 2 - every option that is marked as built is read"
else
	echo "ok 2 - every option that is marked as built is read"
fi
