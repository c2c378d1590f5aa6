#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What tests/gpu/run scale does on GPUs, on the CPU with a tiny model: every case gives its line, and a checkpoint is gone on from with
# half the ranks.
program=${top_builddir:-.}/tests/bench/scale
if [ -z "$MPIEXEC" ] || ! command -v "$MPIEXEC" > /dev/null || ! [ -x "$program" ] ||
	"${top_builddir:-.}/src/tools/ace-train" --version | grep -q "no MPI"; then
	echo "1..0 # SKIP no mpiexec, or built without MPI or cmocka"
	exit 0
fi
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # Open MPI does not free all
export ASAN_OPTIONS
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-scale-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
ACE_SCALE_DIR=$tmp/checkpoints TMPDIR=$tmp
OMP_NUM_THREADS=1
export ACE_SCALE_DIR TMPDIR OMP_NUM_THREADS
echo 1..5
n=0
is() { # SENTENCE COMMAND...: it succeeds
	n=$((n + 1))
	sentence=$1
	shift
	if "$@" > "$tmp/why" 2>&1; then
		echo "ok $n - $sentence"
	else
		echo "not ok $n - $sentence"
		sed 's/^/# /' "$tmp/out" "$tmp/err" "$tmp/why"
	fi
}
"${top_srcdir:-.}/tests/gpu/scale" "$program" 2 --preset tiny --device cpu --shape 1,20,4,6 --steps 2 > "$tmp/out" 2> "$tmp/err"
is "all cases are measured" [ $? -eq 0 ]
lines() { # HOW-MANY PATTERN
	[ "$(grep -c "$2" "$tmp/out")" -eq "$1" ]
}
is "one line each" lines 15 '^{"name": .*, "ranks": [12], .*"ms": [0-9.]*, .*"loss": [0-9.]*, .*}$'
is "by two ranks with every sharding" lines 5 '"ranks": 2, .*"sharding": "\(optimizer\|full\)"'
is "a checkpoint says how long it took" lines 2 '"saved_GB": [0-9.]*, "stall_ms": [0-9.]*, "save_s": [0-9.]*, .*"next_step": 7, '
is "one rank goes on where two were" lines 2 '"ranks": 1, .*"restore_s": [0-9.]*, "next_step": 7, "next_loss": [0-9.]*}'
