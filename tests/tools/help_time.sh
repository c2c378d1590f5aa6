#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The help of every program is there within 50 ms, libraries loaded and all.
build=${top_builddir:-.}
programs=
for p in ace-preprocess ace-train ace-resume ace-inspect ace-init-model; do
	for at in "$build/$p" "$build/src/tools/$p"; do
		[ -x "$at" ] && programs="$programs $at"
	done
done
if [ -z "$programs" ]; then
	echo "1..0 # SKIP no program is built"
	exit 0
fi
set -- $programs
echo "1..$#"
n=0
for p in "$@"; do
	n=$((n + 1))
	best=999
	for i in 1 2 3 4 5 6 7; do
		start=$(date +%s%N)
		"$p" --help > /dev/null || best=998
		ms=$((($(date +%s%N) - start) / 1000000))
		[ $best != 998 ] && [ $ms -lt $best ] && best=$ms
	done
	if [ $best -lt 50 ]; then
		echo "ok $n - $(basename "$p") --help takes less than 50 ms ($best)"
	else
		echo "not ok $n - $(basename "$p") --help takes less than 50 ms ($best)"
	fi
done
