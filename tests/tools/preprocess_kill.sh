#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-preprocess killed at random moments, ACE_KILLS times (5): nothing that it reported as done is lost, nothing is damaged,
# and the run that is let through finds the rest to do.
build=${top_builddir:-.}
kills=${ACE_KILLS:-5}
songs=24
prep=$build/src/tools/ace-preprocess
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-preprocess-kill-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/songs" || exit 99
echo 1..3
"$build/src/tools/ace-init-model" tiny "$tmp/model" --quiet || exit 99

# wav files of 1 s of noise at 8 kHz, mono, 8 bits
i=0
while [ $i -lt $songs ]; do
	name=$tmp/songs/s$(printf %02d $i)
	{
		printf 'RIFF\144\037\0\0WAVEfmt \020\0\0\0\001\0\001\0\100\037\0\0\100\037\0\0\001\0\010\0data\100\037\0\0'
		dd if=/dev/urandom bs=8000 count=1 2> /dev/null
	} > "$name.wav"
	echo "song number $i" > "$name.txt"
	i=$((i + 1))
done

run() {
	"$prep" dataset="$tmp/songs" model="$tmp/model" output_dir="$tmp/out" "$@"
}
# songs that a run which changes nothing finds in the stores
found() {
	run --check 2>&1 | sed -n 's/.* encode ([0-9:]*), \([0-9]*\) unchanged.*/\1/p'
}
random() {
	od -An -N2 -tu2 /dev/urandom | tr -d ' '
}

now_ms() {
	echo $(($(date +%s%N) / 1000000))
}

# how long a whole run takes, so that kills fall into it
start=$(now_ms)
run --quiet || exit 99
took=$(($(now_ms) - start))
rm -rf "$tmp/out"

lost=0 worst= k=0 done_before=0 midway=0
while [ $k -lt $kills ]; do
	# not through the function: the process that is killed must be the program
	"$prep" dataset="$tmp/songs" model="$tmp/model" output_dir="$tmp/out" write_batch_size=2 log_interval=0 2> "$tmp/log" &
	pid=$!
	ms=$(($(random) % took))
	sleep $((ms / 1000)).$(printf %03d $((ms % 1000)))
	kill -9 $pid 2> /dev/null
	wait $pid 2> /dev/null
	# the last line of progress that says how many are sealed in this run
	said=$(sed -n 's/^latents \([0-9]*\)\/.*/\1/p' "$tmp/log" | tail -1)
	now=$(found)
	if [ "${now:-0}" -lt $((done_before + ${said:-0})) ]; then
		lost=$((lost + 1))
		worst="kill $k: $done_before before, $said reported, ${now:-none} found"
	fi
	[ "${now:-0}" -gt $done_before ] && [ "${now:-0}" -lt $songs ] && midway=$((midway + 1))
	done_before=${now:-0}
	# all done: begin again
	if [ $done_before -eq $songs ]; then
		rm -rf "$tmp/out"
		done_before=0
	fi
	k=$((k + 1))
done
echo "# a run takes $took ms; $midway of $kills kills left it with some of the work done"
if [ $lost -eq 0 ]; then
	echo "ok 1 - $kills kills lose nothing that was reported as done"
else
	echo "# $worst"
	echo "not ok 1 - $kills kills lose nothing that was reported as done"
fi
if run > "$tmp/log" 2>&1 && [ "$(found)" -eq $songs ]; then
	echo "ok 2 - the next run does the rest"
else
	sed 's/^/# /' "$tmp/log"
	echo "not ok 2 - the next run does the rest"
fi
if grep -q damaged "$tmp/log" || find "$tmp/out" -name '*.part' -o -name '*.damaged' | grep -q .; then
	echo "not ok 3 - no part is damaged or left half written"
else
	echo "ok 3 - no part is damaged or left half written"
fi
