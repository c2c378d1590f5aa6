#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# installcheck.sh BINDIR SONGS: the installed programs make a model, prepare songs, train, stop, go on, look at the result, and use it.
# SONGS is the program that writes the songs, which is not installed.
set -u
bin=$1 songs=$2
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-installcheck-XXXXXX") || exit 1
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2> /dev/null; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
unset ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME TRAINER_EXTRA_ARGS

fail() {
	echo "installcheck: $1" >&2
	tail -n 5 "$tmp"/*.log >&2
	exit 1
}
say() { echo "installcheck: $*"; }

cd "$tmp" || exit 1
programs=0
for p in "$bin"/ace-*; do
	"$p" --help > help.log 2>&1 || fail "$p --help ends with $?"
	"$p" --version > version.log 2>&1 || fail "$p --version ends with $?"
	"$p" --no-such-option > option.log 2>&1
	[ $? -eq 64 ] || fail "$p takes --no-such-option"
	programs=$((programs + 1))
done
[ $programs -ge 6 ] || fail "only $programs programs are in $bin"
say "$programs programs tell what they do"

lora=pytorch_lora_weights.safetensors
common="model=model dataset=songs max_train_steps=20 learning_rate=1e-3 lora_rank=4 mixed_precision=no optimizer=torch-adamw"
stores='cache_dir_vae=cache/vae/{model_family}/{id} cache_dir_text=cache/text'
"$songs" songs > songs.log 2>&1 || fail "the songs are not made"
"$bin/ace-init-model" tiny model > init.log 2>&1 || fail "the model is not made"
# shellcheck disable=SC2086
"$bin/ace-preprocess" model=model dataset=songs $stores > preprocess.log 2>&1 || fail "ace-preprocess ends with $?"
say "six songs are in the stores"
# shellcheck disable=SC2086
"$bin/ace-train" $common $stores output_dir=whole > whole.log 2>&1 || fail "ace-train ends with $?"
# shellcheck disable=SC2086
"$bin/ace-train" $common $stores output_dir=out > train.log 2>&1 &
pid=$!
while kill -0 $pid 2> /dev/null && ! [ -s out/logs/metrics.jsonl ]; do sleep 0.05; done
kill -USR1 $pid 2> /dev/null
wait $pid
code=$?
pid=
[ $code -eq 75 ] || [ $code -eq 0 ] || fail "ace-train, asked to stop, ends with $code"
"$bin/ace-resume" out > resume.log 2>&1 || fail "ace-resume ends with $?"
cmp whole/$lora out/$lora || fail "stopped and resumed gives another adapter"
[ $code -eq 75 ] && say "20 steps, stopped and resumed, give the very adapter of 20 steps" ||
	say "20 steps give the same adapter twice (too fast to be stopped)"
"$bin/ace-inspect" out/$lora > inspect.log 2>&1 || fail "ace-inspect ends with $?"
"$bin/ace-report" out > report.log 2>&1 || fail "ace-report ends with $?"
[ -s out/report.html ] || fail "there is no report"
"$bin/ace-generate" model=model lora=out prompt="calm piano" duration=3 steps=5 erg_lyric=false erg_diffusion=false output=song.wav \
	> generate.log 2>&1 || fail "ace-generate ends with $?"
[ -s song.wav ] || fail "there is no song"
say "passed"
