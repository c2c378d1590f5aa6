#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-inspect as it is called: exit codes, what goes to which stream, how fast it says what it is.
build=${top_builddir:-.} top=${top_srcdir:-.}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-inspect-test-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
inspect=$build/src/tools/ace-inspect
n=0

# check WHAT: the last command decides
check() {
	result=$?
	n=$((n + 1))
	if [ $result = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# out: /' "$tmp/out"
		sed 's/^/# err: /' "$tmp/err"
	fi
}

# run CODE ARGUMENTS: true when it ends with that code
run() {
	want=$1
	shift
	"$inspect" "$@" > "$tmp/out" 2> "$tmp/err"
	code=$?
	[ $code = "$want" ] || { echo "# exit $code, wanted $want"; return 1; }
}

# spent_in FILE: milliseconds of the processor, user's and system's, that "times" has written of the children
spent_in() {
	sed -n '2s/[ms]/ /gp' "$1" | awk '{ print int(1000 * (60 * ($1 + $3) + $2 + $4)) }'
}

# fast ARGUMENT: ten calls take less than 10 x 50 ms of the processor; by the clock it would depend on who else is at work. That takes
# more beside others, too: it has to be so once
fast() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		times > "$tmp/times"
		start=$(spent_in "$tmp/times")
		for i in 1 2 3 4 5 6 7 8 9 10; do
			"$inspect" "$1" > "$tmp/out" 2> "$tmp/err" || return 1
		done
		times > "$tmp/times"
		ms=$((($(spent_in "$tmp/times") - start) / 10))
		echo "# $1: $ms ms"
		[ $ms -ge 50 ] || return 0
	done
	return 1
}

# a safetensors file of one F32 value, named x; 56 bytes of header
header='{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  '
mkdir "$tmp/songs"
{ printf '\070\000\000\000\000\000\000\000%s' "$header"; printf '\000\000\200\077'; } > "$tmp/one.safetensors"
head -c 60 "$tmp/one.safetensors" > "$tmp/short.safetensors"
printf 'x' > "$tmp/songs/a.wav"
printf 'slow piano\n' > "$tmp/songs/a.txt"

echo 1..17
fast --help
check "--help is there within 50 ms"
[ -n "${ASAN_OPTIONS:-}" ] || fast --version # a checked build looks at every library that is loaded
check "--version is there within 50 ms"
run 0 "$tmp/one.safetensors" && grep -q '^[^ ]*one.safetensors: safetensors, 1 tensors, 1 parameters, F32' "$tmp/out" && [ ! -s "$tmp/err" ]
check "a file is shown on the standard output, with nothing on the other"
run 0 --json "$tmp/one.safetensors" && grep -q '"kind":[[:space:]]*"safetensors"' "$tmp/out" && head -c 1 "$tmp/out" | grep -q '{'
check "--json prints an object"
run 65 "$tmp/short.safetensors" && [ ! -s "$tmp/out" ] && [ "$(wc -l < "$tmp/err")" = 1 ] && grep -q 'short.safetensors' "$tmp/err"
check "a damaged file ends with 65, in one line that names it"
run 66 "$tmp/nothing" && grep -q 'nothing: no such file' "$tmp/err"
check "a missing thing ends with 66"
run 64 && grep -q "Try 'ace-inspect --help'" "$tmp/err"
check "no thing at all ends with 64"
run 64 --jsno "$tmp/songs" && grep -q 'did you mean' "$tmp/err"
check "a misspelt option ends with 64 and the name it might be"
run 66 --memory model="$tmp/none" && grep -q "$tmp/none" "$tmp/err"
check "a plan for a model that is not there names it"
run 0 --slurm-template train partition=gpu nodes=2 tasks_per_node=8 time_limit=1-00:00:00 && sh -n "$tmp/out" &&
	sed '/^#SBATCH --partition=gpu$/d; /^#SBATCH --nodes=2$/d; /^#SBATCH --ntasks-per-node=8$/d; /^#SBATCH --time=1-00:00:00$/d' \
		"$tmp/out" | cmp - "$top/slurm/train.sbatch" && [ "$(cmp "$tmp/out" "$top/slurm/train.sbatch" 2>&1)" != "" ]
check "--slurm-template prints a batch script with the cluster's words filled in"
run 64 --slurm-template train 'partition=a b' && [ ! -s "$tmp/out" ] && grep -q 'partition' "$tmp/err"
check "and none with words that are none of sbatch's"
run 0 "$tmp/songs/" && grep -q 'folder of songs, 1 songs' "$tmp/out"
check "a folder of songs is shown"
"$build/src/tools/ace-init-model" tiny "$tmp/model" --quiet 2> "$tmp/err"
printf '[verse]\nhello there\n' > "$tmp/a.lyrics"
look="--lyrics $tmp/a.lyrics lyric_vocab=$tmp/model/lyric_vocab.json"
run 64 $look variant=Q && run 0 $look variant=A && grep -q 'read per line' "$tmp/out" && run 0 $look --variant B &&
	mv "$tmp/out" "$tmp/b" && run 0 $look lyrics_language=per-song && cmp -s "$tmp/out" "$tmp/b" && grep -q 'read per song' "$tmp/b"
check "lyrics are shown as the variant asked for reads them"
run 66 "$tmp/nothing" "$tmp/songs" && grep -q 'folder of songs' "$tmp/out"
check "a thing that fails does not hide the next"
run 0 "$tmp/songs" "$tmp/one.safetensors" && [ "$(grep -c "^$tmp" "$tmp/out")" = 2 ]
check "several things are shown one after another"
"$inspect" --system "$tmp" > "$tmp/out" 2> "$tmp/err"; code=$?
{ [ $code = 0 ] || [ $code = 69 ]; } && grep -q '^OK' "$tmp/out"
check "--system looks at the machine"
if [ -w /dev/full ]; then
	"$inspect" "$tmp/songs" > /dev/full 2> "$tmp/err"
	[ $? = 74 ]
	check "a full standard output ends with 74"
else
	n=$((n + 1)); echo "ok $n # SKIP no /dev/full"
fi
