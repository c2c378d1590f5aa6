#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Ranks that save together, one of them killed at each stage of it: there is always a checkpoint that is whole, and the next save
# leaves nothing of the unfinished one. One whose disk is full at such a stage: all end together, and nothing of it is left. What a disk or a bit does to the newest one leaves the one before.
here=${top_builddir:-.}/tests/train
. "${top_srcdir:-.}/tests/support/ranks"
if no_mpiexec || ! [ -x "$here/ranks_save" ] || "${top_builddir:-.}/src/tools/ace-train" --version | grep -q "no MPI"; then
	echo "1..0 # SKIP no mpiexec, or built without MPI"
	exit 0
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-ranks-save-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
echo 1..14
n=0
result() { # STATUS SENTENCE
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" && return
	echo "not ok $n - $2"
	sed 's/^/# /' "$tmp/err"
	ls "$tmp/run" | sed 's/^/# /'
}
save() { # STEP [STAGE RANK]
	launch 3 "$here/ranks_save" "$tmp/run" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
}
latest() { "$here/ranks_save" "$tmp/run" 2> "$tmp/err"; }
left() { ls -d "$tmp/run"/*-tmp > /dev/null 2>&1; }

save 1 && [ "$(latest)" = 1 ] && ! left
result $? "three ranks save a step"
step=1 have=1
while read -r stage rank there; do
	step=$((step + 1))
	save $step "$(echo "$stage" | tr _ ' ')" "$rank"
	killed=$?
	[ "$there" = last ] || have=$step
	[ $killed -ne 0 ] && [ "$(latest)" = $have ]
	result $? "rank $rank killed when its save was at '$stage': the $there one is there, whole"
done << STAGES
begun 1 last
half_written 2 last
written 0 last
agreed 0 last
guarded 0 last
in_place 0 new
STAGES
while read -r stage rank; do
	step=$((step + 1))
	save $step full "$(echo "$stage" | tr _ ' ')" "$rank"
	code=$?
	[ $code -eq 74 ] && [ "$(grep -c '^ranks_save: ' "$tmp/err")" -eq 1 ] && grep -q "^ranks_save: rank $rank (.*): .*: cannot write" "$tmp/err" &&
		[ ! -e "$tmp/run/checkpoint-$step-tmp" ] && [ "$(latest)" = $have ]
	result $? "the disk of rank $rank full when its save was at '$stage': all end with 74 and one line, the last one is there, whole"
done << FULL
begun 1
begun 0
half_written 2
half_written 0
agreed 0
FULL
step=$((step + 1))
save $step && [ "$(latest)" = $step ] && ! left
result $? "the next save leaves nothing of the unfinished ones"
printf x | dd of="$tmp/run/checkpoint-$step/optimizer.safetensors" bs=1 seek=9000 conv=notrunc 2> /dev/null
"$here/ranks_save" "$tmp/run" > "$tmp/out" 2> "$tmp/err"
bad=$?
printf '' > "$tmp/run/checkpoint-$step/optimizer.safetensors"
[ $bad -ne 0 ] && grep -q "its bytes are not those that were written" "$tmp/err" && [ "$(latest)" = $have ]
result $? "a flipped bit is found by the digests of the ranks, and a file that is cut leaves the checkpoint before"
