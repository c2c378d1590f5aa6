#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-preprocess on several ranks: the same stores as one rank makes, one report, one exit code, and nothing lost or done twice
# when a rank dies, is told to stop, or when it goes on with another number of them.
build=$(cd "${top_builddir:-.}" && pwd)
prep=$build/src/tools/ace-preprocess
if [ -z "$MPIEXEC" ] || ! command -v "$MPIEXEC" > /dev/null || "$prep" --version | grep -q "no MPI" ||
	! [ -x "$build/tests/tools/same-stores" ]; then
	echo "1..0 # SKIP no mpiexec, or built without MPI"
	exit 0
fi
options=
case $($MPIEXEC --version 2> /dev/null) in
*"Open MPI"* | *OpenRTE*) options="--allow-run-as-root --oversubscribe --bind-to none" ;;
esac
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # Open MPI does not free all
export ASAN_OPTIONS
tmp=${TMPDIR:-/tmp}/ace-preprocess-ranks.$$
trap '[ -z "$job" ] || kill -9 $job 2> /dev/null; rm -rf "$tmp"' EXIT
job=
mkdir "$tmp" "$tmp/songs" || exit 99
cd "$tmp" || exit 99
unset SLURM_ARRAY_TASK_ID SLURM_ARRAY_TASK_MIN SLURM_ARRAY_TASK_COUNT SLURM_ARRAY_TASK_STEP
OMP_NUM_THREADS=1
export OMP_NUM_THREADS
"$build/src/tools/ace-init-model" tiny model --quiet || exit 99
echo 1..9
n=0
result() { # STATUS SENTENCE
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" && return
	echo "not ok $n - $2"
	sed 's/^/# /' log
	echo "# exit code $code"
}
alone() { # FOLDER OPTIONS...
	folder=$1
	shift
	"$prep" dataset=songs model=model output_dir="$folder" max_bad=20% "$@" 2> log
	code=$?
}
ranks() { # NUMBER FOLDER OPTIONS...
	number=$1 folder=$2
	shift 2
	# shellcheck disable=SC2086
	$MPIEXEC $options -n "$number" "$prep" dataset=songs model=model output_dir="$folder" max_bad=20% "$@" 2> log
	code=$?
}
begin() { # the same in the background, until something is sealed
	number=$1 folder=$2
	shift 2
	# shellcheck disable=SC2086
	$MPIEXEC $options -n "$number" "$prep" dataset=songs model=model output_dir="$folder" max_bad=20% "$@" 2> log &
	job=$!
	i=0
	until [ "$(find "$folder" -name 'latents-0*.h5' 2> /dev/null | wc -l)" -ge 3 ] || [ $i -gt 600 ]; do
		i=$((i + 1))
		kill -0 $job 2> /dev/null || break
		sleep 0.02
	done
}
ended() {
	wait "$job"
	code=$?
	job=
}
same() { # FOLDER FOLDER: all that is in their stores
	clips=cache/audio/vae/ace_step/songs texts=cache/text/ace_step
	"$build/tests/tools/same-stores" "$1/$clips" "$2/$clips" "$1/$texts" "$2/$texts" >> log 2>&1
}
found() { # songs that a run which changes nothing finds in the stores
	"$prep" dataset=songs model=model output_dir="$1" --check 2>&1 | sed -n 's/.* encode ([0-9:]*), \([0-9]*\) unchanged.*/\1/p'
}

# 13 songs of noise, 4 captions, one song without
i=0
while [ $i -lt 14 ]; do
	name=songs/s$(printf %02d $i)
	{
		printf 'RIFF\144\037\0\0WAVEfmt \020\0\0\0\001\0\001\0\100\037\0\0\100\037\0\0\001\0\010\0data\100\037\0\0'
		dd if=/dev/urandom bs=8000 count=1 2> /dev/null
	} > $name.wav
	[ $i -eq 5 ] || echo "song of kind $((i % 4))" > $name.txt
	[ $((i % 3)) -eq 0 ] || printf '[verse]\nline number %d\n' $i > $name.lyrics
	i=$((i + 1))
done
alone one
[ $code -eq 0 ] || exit 99

ranks 2 two
[ $code -eq 0 ] && [ "$(grep -c '^done: 13 new, 0 kept, 1 failed' log)" -eq 1 ] && grep -q '; 5 captions encoded' log &&
	grep -q '; 2 ranks$' log && [ "$(grep -c '^next:' log)" -eq 1 ] && ! grep -q '\[rank' log &&
	cmp one/cache/audio/vae/ace_step/songs/failures.jsonl two/cache/audio/vae/ace_step/songs/failures.jsonl
result $? "two ranks do it together: one report, each caption once, the same failures"

ranks 3 two
[ $code -eq 0 ] && grep -q '^done: 0 new, 13 kept, 1 failed' log
result $? "three ranks that find it done do nothing twice"

ranks 3 three && same one two && same one three
result $? "what is in their stores is what one rank makes"

echo "song of kind 9" > songs/s07.txt
ranks 2 three
[ $code -eq 0 ] && grep -q '^done: 0 new, 1 updated, 12 kept' log && grep -q '1 with new captions' log &&
	[ "$(found three)" -eq 13 ]
result $? "a new caption is taken by the rank whose turn it is"

ranks 3 strict max_bad=0
[ $code -eq 65 ] && [ "$(grep -c '1 of 14 files failed, more than max_bad=0' log)" -eq 1 ] && ! grep -q 'rank [0-9] (' log
result $? "too many bad songs end all ranks with 65, said once"

SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_COUNT=2
export SLURM_ARRAY_TASK_MIN SLURM_ARRAY_TASK_COUNT
SLURM_ARRAY_TASK_ID=0 && export SLURM_ARRAY_TASK_ID && ranks 2 array && first=$code
SLURM_ARRAY_TASK_ID=1 && ranks 2 array && [ $first -eq 0 ] && [ $code -eq 0 ]
bad=$?
unset SLURM_ARRAY_TASK_ID SLURM_ARRAY_TASK_MIN SLURM_ARRAY_TASK_COUNT
alone again && [ $bad -eq 0 ] && [ "$(found array)" -eq 13 ] && same again array
result $? "elements of a job array may have ranks of their own"

begin 3 stopped write_batch_size=1
victim=$(pgrep -P "$job" -x ace-preprocess | sed -n 2p)
[ -z "$victim" ] || kill -USR1 "$victim"
ended
have=$(found stopped)
[ $code -eq 75 ] && grep -q 'another rank: stopped\|SIGUSR1: stopped' log && [ "$have" -ge 1 ] && [ "$have" -lt 13 ]
result $? "one rank that is told to stop stops all, with 75"

begin 3 killed write_batch_size=1 rank_patience=20
victim=$(pgrep -P "$job" -x ace-preprocess | sed -n 3p)
from=$(date +%s)
[ -z "$victim" ] || kill -KILL "$victim"
ended
[ "$code" -eq 76 ] || [ "$code" -eq 137 ]
bad=$?
[ $bad -eq 0 ] && [ $(($(date +%s) - from)) -lt 20 ] && [ -z "$(pgrep -f "output_dir=killed .*rank_patience=2[0]")" ] &&
	have=$(found killed) && [ "$have" -ge 1 ] && [ "$have" -lt 13 ]
result $? "a rank that is killed ends all, long before patience does"

ranks 2 killed
[ $code -eq 0 ] && grep -q "^done: $((13 - have)) new, $have kept" log && same again killed
result $? "the next run does what is left, on another number of ranks"
