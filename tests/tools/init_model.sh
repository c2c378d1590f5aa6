#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-init-model as people call it: what it leaves, what it says, and its exit codes.
p=${top_builddir:-.}/src/tools/ace-init-model
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-init-model-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
n=0

# is WANTED GOT SENTENCE
is() {
	n=$((n + 1))
	if [ "$1" = "$2" ]; then
		echo "ok $n - $3"
	else
		echo "not ok $n - $3"
		echo "# got \"$2\", wanted \"$1\""
		sed 's/^/# /' "$tmp/err" 2> /dev/null
	fi
}

# run ARGUMENTS: its exit code; what it says is in $tmp/out and $tmp/err
run() {
	"$p" "$@" > "$tmp/out" 2> "$tmp/err"
	echo $?
}

says() {
	wc -l < "$tmp/err" | tr -d ' '
}

sums() {
	(cd "$1" && find . -type f | LC_ALL=C sort | xargs cat | sha256sum)
}

echo 1..25
is 0 "$(run tiny "$tmp/a")" "tiny is written"
times > "$tmp/times" # of the processor: by the clock it would depend on who else is at work
ms=$(sed -n '2s/[ms]/ /gp' "$tmp/times" | awk '{ print int(1000 * (60 * ($1 + $3) + $2 + $4)) }')
rm "$tmp/times"
is "" "$(cat "$tmp/out")" "nothing on stdout"
is 1 "$(grep -c 'tiny, .* parameters, .* in fp32, seed 42' "$tmp/err")" "it says what was written"
is yes "$([ $ms -lt 5000 ] && echo yes || echo "$ms ms")" "tiny is written in no time ($ms ms)"
is "ace_step_transformer init_model.json lyric_vocab.json music_dcae_f8c8 music_vocoder umt5-base" \
	"$(ls "$tmp/a" | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')" "the folders have their real names"

is 73 "$(run tiny "$tmp/a" --quiet)" "a folder that holds a model is refused"
is 1 "$(says)" "in one line"
is 0 "$(OMP_NUM_THREADS=3 run tiny "$tmp/b" --quiet)" "--quiet"
is 0 "$(says)" "says nothing"
is "$(sums "$tmp/a")" "$(sums "$tmp/b")" "a seed gives the same bytes"
is 0 "$(run tiny "$tmp/c" --seed 1 --base-model-default-dtype=bf16 -q)" "another seed and type"
is yes "$([ "$(du -sk "$tmp/c" | cut -f1)" -lt "$(($(du -sk "$tmp/a" | cut -f1) * 2 / 3))" ] && echo yes)" "are another model, and smaller"
run tiny "$tmp/clock" seed=0 -q > /dev/null
is yes "$(grep -q '"seed":.*[1-9][0-9]*' "$tmp/clock/init_model.json" && [ "$(sums "$tmp/clock")" != "$(sums "$tmp/a")" ] && echo yes)" \
	"seed=0 is the clock's, and is recorded"

is 64 "$(run tiny)" "no folder is wrong use"
is 64 "$(run huge "$tmp/x")" "so is a preset that there is not"
is 64 "$(run tiny "$tmp/x" device=cpu)" "so is an option that does nothing here"
: > "$tmp/file"
is 73 "$(run tiny "$tmp/file/x")" "a folder that cannot be made is said so"
is 74 "$(trap '' XFSZ; ulimit -f 1000; run tiny "$tmp/x" -q)" "a disk that fills is an output error"
is 1 "$(says)" "in one line"
is "a b c clock err file out" "$(ls "$tmp" | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')" "and none of these left anything"

# a large one, asked to stop once it writes weights, and a killed one
"$p" 3.5b "$tmp/big" > "$tmp/out" 2> "$tmp/err" &
pid=$!
while kill -0 $pid 2> /dev/null && ! ls "$tmp"/big.part/ace_step_transformer/*.safetensors.part > /dev/null 2>&1; do sleep 0.1; done
kill -TERM $pid
wait $pid
is "75 a b c clock err file out" "$? $(ls "$tmp" | LC_ALL=C sort | tr '\n' ' ' | sed 's/ $//')" "asked to stop, it leaves nothing"
"$p" 3.5b "$tmp/killed" > "$tmp/out" 2> "$tmp/err" &
pid=$!
while kill -0 $pid 2> /dev/null && [ ! -d "$tmp/killed.part/ace_step_transformer" ]; do sleep 0.1; done
kill -KILL $pid
wait $pid 2> /dev/null
is yes "$([ -d "$tmp/killed.part" ] && [ ! -e "$tmp/killed" ] && echo yes)" "killed, it leaves a part and no model"
is "0 yes" "$(run tiny "$tmp/killed" -q) $([ ! -e "$tmp/killed.part" ] && [ -d "$tmp/killed/umt5-base" ] && echo yes)" \
	"which the next run replaces"

# a file system of its own, where that is allowed
if unshare -rm sh -c 'mount -t tmpfs -o size=8m none "$1"' sh "$tmp/c" 2> /dev/null; then
	said=$(unshare -rm sh -c 'mount -t tmpfs -o size=8m none "$1" && "$2" tiny "$1/a" -q; echo $?; ls -A "$1"' sh "$tmp/c" "$p" 2>&1)
	is 1 "$(echo "$said" | grep -c 'needs .* MB, its file system has .* MB free')" "too little space is known beforehand"
	is 74 "$(echo "$said" | tail -n 1)" "and is an output error, with nothing written"
else
	echo "ok 24 # SKIP no file system can be mounted here"
	echo "ok 25 # SKIP no file system can be mounted here"
fi
