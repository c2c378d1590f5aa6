#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every option that is marked as built is read somewhere by name, every name that is read is an option, and what a program takes is
# read by code that is linked into it.
top=${top_srcdir:-.}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-options-used-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT

sed -n 's/^BUILT(\([a-z0-9_]*\),.*/\1/p' "$top/src/base/options/built.h" | sort -u > "$tmp/built"
cat "$top"/src/base/options/*.h | sed -n 's/.*\.aliases = "\([^"]*\)".*/\1/p' | tr ' ' '\n' | tr -d '!' > "$tmp/names"
cat "$top"/src/base/options/*.h | sed -n 's/.*\.flag = "\([^"]*\)".*/\1/p' | tr ' ' '\n' >> "$tmp/names"
cat "$top"/src/base/options/*.h | sed -n 's/.*{ \.name = "\([a-z0-9_]*\)".*/\1/p' >> "$tmp/names"
sort -u -o "$tmp/names" "$tmp/names"
# calls f(..., "name"): those of the settings, and those that ask before they are applied; lines are joined, for calls that are broken
calls() {
	tr '\n\t' '  ' |
		grep -oE '(settings_(str|i64|f64|bool|has|is_set|source|where|json)|early|given_last|given|is)\([^"();]*"[a-z0-9_]+"'
}
find "$top/src" -name '*.c' ! -path '*/base/options*' -exec cat {} + | calls > "$tmp/calls"
sed 's/.*"\([a-z0-9_]*\)"$/\1/' "$tmp/calls" | sort -u > "$tmp/read"
grep '^settings_' "$tmp/calls" | sed 's/.*"\([a-z0-9_]*\)"$/\1/' | sort -u > "$tmp/asked"

echo 1..3
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

# a source is linked into a program when a function that it defines is among the program's global ones
bin=${top_builddir:-.}/src/tools
grep -oE '^[a-z][a-z0-9_]*\(' -r "$top/src" --include='*.c' --include='*.cc' | tr -d '(' | tr ':' ' ' > "$tmp/defined"
: > "$tmp/bad"
looked=0
for program in "$bin"/ace-*; do
	name=${program##*/}
	[ -f "$program" ] && [ -f "$top/src/tools/$name.c" ] || continue
	nm --defined-only "$program" 2> /dev/null | awk '$2 == "T" { print $3 }' > "$tmp/symbols"
	[ -s "$tmp/symbols" ] || continue
	awk 'NR == FNR { linked[$1] = 1; next } ($2 in linked) { print $1 }' "$tmp/symbols" "$tmp/defined" | sort -u |
		grep -v '/base/options' > "$tmp/sources"
	echo "$top/src/tools/$name.c" >> "$tmp/sources"
	xargs cat < "$tmp/sources" | calls | sed 's/.*"\([a-z0-9_]*\)"$/\1/' | sort -u > "$tmp/read"
	"$program" --help 2> /dev/null | sed -n 's/^  \([a-z][a-z0-9_]*\)$/\1/p' | sort -u > "$tmp/takes"
	# num_machines is for the job template, which ace-inspect writes, as its help says
	comm -12 "$tmp/built" "$tmp/takes" | comm -23 - "$tmp/read" | grep -vx num_machines | sed "s/^/# $name takes and does not read: /" >> "$tmp/bad"
	looked=$((looked + 1))
done
if [ "$looked" = 0 ]; then
	echo "ok 3 # SKIP no program whose functions can be listed"
elif [ -s "$tmp/bad" ]; then
	cat "$tmp/bad"
	echo "not ok 3 - every program reads the built options that it takes"
else
	echo "ok 3 - every program reads the built options that it takes"
fi
