#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-train and ace-resume from outside: signals, kills, exit codes, and that a run that was stopped is the run that was not.
# ACE_KILLS: how many times a run is killed at a random moment (5).
bin=${top_builddir:-.}/src/tools
stores=${top_builddir:-.}/tests/tools/make-stores
if [ ! -x "$bin/ace-init-model" ] || [ ! -x "$stores" ]; then
	echo "1..0 # SKIP ace-init-model or the stores' maker is not built"
	exit 0
fi
pid=
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-train-XXXXXX") || exit 99
trap '[ -n "$pid" ] && kill -9 $pid 2>/dev/null; rm -rf "$tmp"' EXIT
unset ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME
steps=24
n=0
common="config_backend=cmd model=$tmp/model data_backend_config=$tmp/stores/multidatabackend.json max_train_steps=$steps
	learning_rate=1e-2 lora_rank=8 optimizer=torch-adamw mixed_precision=no train_batch_size=2 gradient_accumulation_steps=2
	checkpoint_step_interval=5 checkpoints_total_limit=0 threads=1 log_interval=0"

result() {	# status, sentence
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$tmp/err" | tail -20
	fi
}

train() {	# folder, more arguments; the exit code
	folder=$1
	shift
	"$bin/ace-train" $common output_dir="$tmp/$folder" "$@" > "$tmp/out" 2> "$tmp/err"
}

begin() {	# the same from nothing in the background, until it has done so many updates: folder, updates, more arguments
	folder=$1 updates=$2
	shift 2
	rm -rf "${tmp:?}/$folder"
	"$bin/ace-train" $common output_dir="$tmp/$folder" "$@" > "$tmp/out" 2> "$tmp/err" &
	pid=$!
	while kill -0 $pid 2>/dev/null && [ "$(lines "$folder")" -lt "$updates" ]; do
		sleep 0.01
	done
}

signal() {	# its name; then wait for the end
	kill -"$1" $pid 2>/dev/null
	wait $pid
	code=$?
	pid=
}

midway() {	# signal, folder, updates: begun anew where a busy machine let the run come to its end before the signal
	signal=$1
	shift
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		begin "$@"
		signal "$signal"
		[ $code -ne 0 ] && [ "$(lines "$folder")" -lt $steps ] && return
	done
	return 1
}

lines() {	# updates that a run has noted
	cat "$tmp/$1/logs/metrics.jsonl" 2>/dev/null | wc -l
}

saved() {	# checkpoints of a run
	find "$tmp/$1" -maxdepth 1 -name 'checkpoint-*' | wc -l
}

numbers() {	# what a run computed: no times
	sed -n 's/.*"step":\([0-9]*\),.*"train_loss":\([^,]*\),.*"learning_rate":\([^,]*\),.*"grad_norm":\([^,}]*\).*/\1 \2 \3 \4/p' \
		"$tmp/$1/logs/metrics.jsonl"
}

same() {	# two whole runs: every update, and the adapter
	numbers "$1" > "$tmp/a"
	numbers "$2" > "$tmp/b"
	[ "$(wc -l < "$tmp/a")" -eq $steps ] && cmp "$tmp/a" "$tmp/b" &&
		cmp "$tmp/$1/pytorch_lora_weights.safetensors" "$tmp/$2/pytorch_lora_weights.safetensors"
}

says() {	# one line on stderr with this text
	grep -q -- "$1" "$tmp/err"
}

echo "1..15"
"$bin/ace-init-model" tiny "$tmp/model" 2> "$tmp/err" && "$stores" "$tmp/stores" 11 300 60 32 24 120 6600 2>> "$tmp/err"
result $? "a model and stores are made"

begun=$(date +%s.%N)
train whole
[ $? -eq 0 ] && [ ! -s "$tmp/out" ] && [ -f "$tmp/whole/checkpoint-$steps/.guard" ] && says "checkpoint-20 saved"
result $? "a run ends well and says nothing on stdout"
half=$(echo "$begun $(date +%s.%N)" | awk '{ print ($2 - $1) / 2 }')

train each checkpoint_step_interval=1
[ $? -eq 0 ] && [ "$(grep -c 'checkpoint-[0-9]* saved' "$tmp/err")" -eq $steps ] && same whole each
result $? "every save is told, also the last ones, which come faster than the disk takes them"

midway USR1 stopped 3
[ $code -eq 75 ] && says "SIGUSR1" && says "exit 75" &&
	[ -f "$tmp/stopped/checkpoint-$(lines stopped)/.guard" ] && [ ! -f "$tmp/stopped/pytorch_lora_weights.safetensors" ]
result $? "asked to stop by SIGUSR1 it saves and ends with 75"

"$bin/ace-resume" "$tmp/stopped" > "$tmp/out" 2> "$tmp/err" && same whole stopped
result $? "ace-resume goes on bit for bit"

midway TERM term 2
[ $code -eq 75 ] && says "SIGTERM" && train term && same whole term
result $? "SIGTERM does the same, and so does starting ace-train again"

for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do	# it may end before the signal comes, as above
	begin usr2 2
	signal USR2
	more=$(($(saved usr2) - $(saved whole)))
	[ $code -eq 0 ] && [ $more -le 0 ] || break
done
[ $code -eq 0 ] && [ $more -gt 0 ] && same whole usr2
result $? "SIGUSR2 saves and goes on"

"$bin/ace-resume" "$tmp/whole/checkpoint-10" output_dir="$tmp/whole" > "$tmp/out" 2> "$tmp/err" && same whole usr2
result $? "one checkpoint of a run can be gone on from"

for _ in 1 2 3 4 5 6; do	# a machine that was busier before may be through by then
	SLURM_JOB_END_TIME=$(echo "$(date +%s.%N) $half" | awk '{ printf "%.3f", $1 + $2 }') train late
	code=$?
	[ $code -eq 0 ] || break
	half=$(echo "$half" | awk '{ print $1 / 2 }')
	rm -rf "$tmp/late"
done
[ $code -eq 75 ] && says "time is nearly up" && [ "$(lines late)" -lt $steps ] &&
	SLURM_JOB_END_TIME=$(($(date +%s) + 3600)) train late && same whole late
result $? "a batch job that is about to end stops it in time, one that is not does not"

# killed at random moments; what was reported as saved is there, and the numbers are those of the whole run
kills=${ACE_KILLS:-5}
seed=$$
bad=0
i=0
while [ $i -lt "$kills" ]; do
	i=$((i + 1))
	seed=$(((seed * 1103515245 + 12345) % 2147483648))
	begin killed $((seed / 65536 % (steps - 1))) checkpoint_step_interval=1
	sleep 0.0$((seed / 16 % 10))
	signal KILL 2>/dev/null
	[ $code -eq 137 ] || [ $code -eq 0 ] || bad=1
	for c in $(sed -n 's/.* \(checkpoint-[0-9]*\) saved .*/\1/p' "$tmp/err"); do
		[ -f "$tmp/killed/$c/.guard" ] || { bad=1; echo "# $c was reported and is not there"; }
	done
	train killed checkpoint_step_interval=1 || { bad=1; sed 's/^/# /' "$tmp/err"; }
	same whole killed || { bad=1; echo "# kill $i: other numbers"; }
	ls -d "$tmp/killed"/*-tmp 2>/dev/null && bad=1
done
result $bad "killed $kills times at any moment, it loses nothing that was reported as saved, and the numbers are the same"

last="$tmp/killed/checkpoint-$steps"
printf x > "$last/optimizer.safetensors"
rm "$tmp/killed/pytorch_lora_weights.safetensors"
train killed && says "checkpoint-$steps" && says "going on from\|gone on from" && same whole killed
result $? "a damaged checkpoint is named, and the one before is gone on from"

train bad lerning_rate=1
a=$?
train bad learning_rate=fast
b=$?
train bad learning_rate=7
c=$?
[ $a -eq 64 ] && [ $b -eq 64 ] && [ $c -eq 64 ] && says learning_rate && [ ! -e "$tmp/bad" ]
result $? "unknown options and values out of range are wrong use: 64"

train bad model="$tmp/nothing"
a=$?
sed 's/latents/no-such-store/' "$tmp/stores/multidatabackend.json" > "$tmp/list.json"
train bad data_backend_config="$tmp/list.json"
b=$?
[ $a -eq 66 ] && [ $b -eq 66 ] && says no-such-store && [ "$(wc -l < "$tmp/err")" -le 2 ] && [ ! -e "$tmp/bad" ]
result $? "a model or a store that is not there is a missing input: 66"

"$bin/ace-init-model" tiny "$tmp/model2" seed=7 2> "$tmp/err"
train whole model="$tmp/model2" max_train_steps=30
a=$?
[ $a -eq 78 ] && says "another model"
result $? "a checkpoint of another model does not fit: 78"

train whole/run.json/x
[ $? -eq 73 ] && [ "$(wc -l < "$tmp/err")" -ge 1 ]
result $? "an output folder that cannot be made: 73"
