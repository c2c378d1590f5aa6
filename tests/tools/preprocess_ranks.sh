#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-preprocess on several ranks: the same stores as one rank makes, one report, one exit code, and nothing lost or done twice
# when a rank dies, is told to stop, or when it goes on with another number of them.
build=$(cd "${top_builddir:-.}" && pwd)
prep=$build/src/tools/ace-preprocess
. "${top_srcdir:-.}/tests/support/ranks"
if no_mpiexec || "$prep" --version | grep -q "no MPI" || ! [ -x "$build/tests/tools/same-stores" ]; then
	echo "1..0 # SKIP no mpiexec, or built without MPI"
	exit 0
fi
job=
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-preprocess-ranks-XXXXXX") || exit 99
trap '[ -z "$job" ] || kill -9 $(below "$job") "$job" 2> /dev/null; rm -rf "$tmp"' EXIT
mkdir "$tmp/songs" && cd "$tmp" || exit 99
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
	launch "$number" "$prep" dataset=songs model=model output_dir="$folder" max_bad=20% "$@" 2> log
	code=$?
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
# midway SIGNAL RANK FOLDER OPTIONS...: three ranks, one of which gets a signal when some songs are done and some are not; begun
# anew where a busy machine let all be done before the signal came. took: seconds from it to the end; have: songs that are done
midway() {
	signal=$1 who=$2 folder=$3
	shift 3
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		rm -rf "$folder" && victim=
		launch 3 "$prep" dataset=songs model=model output_dir="$folder" max_bad=20% write_batch_size=1 "$@" 2> log &
		job=$!
		while kill -0 $job 2> /dev/null && { [ -z "$victim" ] || ! ls "$folder"/cache/audio/vae/ace_step/songs/latents-0*.h5; }; do
			[ -n "$victim" ] || victim=$(rank_of "$job" ace-preprocess "$who")
			sleep 0.01
		done > /dev/null 2>&1
		[ -z "$victim" ] || kill -"$signal" "$victim"
		from=$(date +%s)
		ended
		took=$(($(date +%s) - from)) have=$(found "$folder")
		[ "${have:-0}" -ge 1 ] && [ "$have" -lt 13 ] && return
	done
	return 1
}
gone() { # no rank of ours is there, after a minute at most
	for _ in $(seq 300); do
		alive=
		for p in $(pgrep -x ace-preprocess); do
			[ "$(readlink "/proc/$p/cwd")" != "$PWD" ] || alive="$alive $p"
		done
		[ -n "$alive" ] || return 0
		sleep 0.2
	done
	echo "still there:$alive" >> log
	return 1
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

midway USR1 1 stopped && [ $code -eq 75 ] && grep -q 'another rank: stopped\|SIGUSR1: stopped' log
result $? "one rank that is told to stop stops all, with 75"

midway KILL 2 killed rank_patience=300 && { [ $code -eq 76 ] || [ $code -eq 137 ]; } && [ $took -lt 200 ] && gone
result $? "a rank that is killed ends all, long before patience does"

ranks 2 killed
[ $code -eq 0 ] && grep -q "^done: $((13 - have)) new, $have kept" log && same again killed
result $? "the next run does what is left, on another number of ranks"
