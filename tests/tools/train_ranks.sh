#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-train on several ranks from outside: signals to one of them, ranks killed at random moments, exit codes, and that a run that was
# stopped is the run that was not, to the bit. ACE_KILLS: how many times a rank is killed (5).
bin=$(cd "${top_builddir:-.}" && pwd)/src/tools
stores=${top_builddir:-.}/tests/tools/make-stores
if [ -z "$MPIEXEC" ] || ! command -v "$MPIEXEC" > /dev/null || ! [ -x "$stores" ] || "$bin/ace-train" --version | grep -q "no MPI"; then
	echo "1..0 # SKIP no mpiexec, or built without MPI"
	exit 0
fi
options=
case $($MPIEXEC --version 2> /dev/null) in
*"Open MPI"* | *OpenRTE*) options="--allow-run-as-root --oversubscribe --bind-to none" ;;
esac
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # Open MPI does not free all
OMP_NUM_THREADS=1
export ASAN_OPTIONS OMP_NUM_THREADS
tmp=${TMPDIR:-/tmp}/ace-train-ranks.$$
job=
trap '[ -z "$job" ] || kill -9 $job 2> /dev/null; rm -rf "$tmp"' EXIT
mkdir "$tmp" || exit 99
unset ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME SLURM_JOB_END_TIME
steps=24 ranks=3
common="config_backend=cmd model=$tmp/model data_backend_config=$tmp/stores/multidatabackend.json max_train_steps=$steps
	learning_rate=1e-2 lora_rank=8 optimizer=torch-adamw mixed_precision=no train_batch_size=2 gradient_accumulation_steps=2
	checkpoint_step_interval=6 checkpoints_total_limit=0 log_interval=0 rank_patience=60 seed=4"
n=0
result() { # STATUS SENTENCE
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" && return
	echo "not ok $n - $2"
	tail -n 20 "$tmp/err" | sed 's/^/# /'
	echo "# exit code $code"
}
train() { # FOLDER OPTIONS...
	folder=$1
	shift
	# shellcheck disable=SC2086
	$MPIEXEC $options -n $ranks "$bin/ace-train" $common output_dir="$tmp/$folder" "$@" > "$tmp/out" 2> "$tmp/err"
	code=$?
	[ $code -eq 0 ]
}
lines() { # updates that a run has noted
	cat "$tmp/$1/logs/metrics.jsonl" 2> /dev/null | wc -l
}
begin() { # the same in the background, until it has done so many updates: FOLDER UPDATES OPTIONS...
	folder=$1 updates=$2
	shift 2
	# shellcheck disable=SC2086
	$MPIEXEC $options -n $ranks "$bin/ace-train" $common output_dir="$tmp/$folder" "$@" > "$tmp/out" 2> "$tmp/err" &
	job=$!
	while kill -0 $job 2> /dev/null && [ "$(lines "$folder")" -lt "$updates" ]; do
		sleep 0.01
	done
}
ended() {
	wait $job
	code=$?
	job=
}
rank() { # the process of a rank, from 0
	pgrep -P "$job" -x ace-train | sed -n "$(($1 + 1))p"
}
same() { # two whole runs
	for folder in "$1" "$2"; do
		sed 's/.*"step":\([0-9]*\),.*"train_loss":\([^,]*\),.*"grad_norm":\([^,}]*\).*/\1 \2 \3/' "$tmp/$folder/logs/metrics.jsonl" \
			> "$tmp/$folder.numbers"
	done
	[ "$(wc -l < "$tmp/$1.numbers")" -eq $steps ] && cmp "$tmp/$1.numbers" "$tmp/$2.numbers" &&
		cmp "$tmp/$1/pytorch_lora_weights.safetensors" "$tmp/$2/pytorch_lora_weights.safetensors"
}
says() { grep -q -- "$1" "$tmp/err"; }
random() { # 0 to below $1
	echo $(($(od -An -N2 -tu2 /dev/urandom) % $1))
}

echo 1..7
"$bin/ace-init-model" tiny "$tmp/model" 2> "$tmp/err" && "$stores" "$tmp/stores" 26 40 12 32 24 40 6600 2>> "$tmp/err" || exit 99

train whole && [ ! -s "$tmp/out" ] && [ "$(grep -c '^done  ' "$tmp/err")" -eq 1 ] && ! says '\[rank' &&
	train parted sharding=full && [ -f "$tmp/parted/checkpoint-$steps/.guard" ]
result $? "ranks train, and one of them speaks"

begin stopped 3
kill -USR1 "$(rank 2)"
ended
[ $code -eq 75 ] && says "a signal to another rank: saving and stopping" && says "exit 75" &&
	[ -f "$tmp/stopped/checkpoint-$(lines stopped)/.guard" ] && train stopped && same whole stopped
result $? "one rank that is told to stop stops all, with 75, and the next start goes on bit for bit"

begin saved 2 sharding=optimizer
kill -USR2 "$(rank 1)"
ended
[ $code -eq 0 ] && [ "$(ls -d "$tmp/saved"/checkpoint-* | wc -l)" -gt "$(ls -d "$tmp/whole"/checkpoint-* | wc -l)" ]
result $? "one rank that is told to save makes all save, and go on"

begin hung 2 rank_patience=2
kill -STOP "$(rank 1)"
ended
[ $code -eq 76 ] && says 'rank 1 (node .*): no progress for 2 s'
result $? "a rank that does not answer is named when the others' patience ends, and all end with 76"

kills=${ACE_KILLS:-5}
bad=0
i=0
while [ $i -lt "$kills" ]; do
	i=$((i + 1))
	whole=whole sharding=none
	[ $((i % 2)) -eq 0 ] || { whole=parted sharding=full; }
	rm -rf "$tmp/killed"
	begin killed "$(random $steps)" sharding=$sharding checkpoint_step_interval=1
	sleep 0.0"$(random 10)"
	victim=$(rank "$(random $ranks)")
	[ -z "$victim" ] || kill -KILL "$victim" 2> /dev/null
	ended
	[ $code -eq 137 ] || [ $code -eq 76 ] || [ $code -eq 0 ] || { bad=1; echo "# kill $i: exit code $code"; }
	[ $code -ne 0 ] || [ "$(lines killed)" -eq $steps ] || { bad=1; echo "# kill $i: ended well too early"; }
	for c in $(sed -n 's/.* \(checkpoint-[0-9]*\) saved .*/\1/p' "$tmp/err"); do
		[ -f "$tmp/killed/$c/.guard" ] || { bad=1; echo "# $c was reported and is not there"; }
	done
	train killed sharding=$sharding checkpoint_step_interval=1 || { bad=1; sed 's/^/# /' "$tmp/err"; }
	same $whole killed || { bad=1; echo "# kill $i, $sharding: other numbers"; }
	ls -d "$tmp/killed"/*-tmp 2> /dev/null && bad=1
done
result $bad "a rank killed $kills times at any moment ends all, and the next start gives the same numbers"

# one rank's files may not grow beyond 20 KiB: so a disk that is full there; MPI's own memory is in files of that kind as well, unless by tcp
cat > "$tmp/limited" << 'END'
#!/bin/sh
victim=$1
shift
if [ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" -eq "$victim" ]; then
	trap '' XFSZ
	ulimit -f 40
fi
exec "$@"
END
full() { # RANK FOLDER OPTIONS...
	victim=$1 folder=$2
	shift 2
	# shellcheck disable=SC2086
	OMPI_MCA_btl=tcp,self $MPIEXEC $options -n $ranks sh "$tmp/limited" "$victim" "$bin/ace-train" $common output_dir="$tmp/$folder" "$@" \
		> "$tmp/out" 2> "$tmp/err"
	code=$?
}
bad=0
for victim in 1 2; do
	train full sharding=full max_train_steps=6 || bad=1
	full $victim full sharding=full
	[ $code -eq 74 ] && [ "$(grep -c 'cannot write' "$tmp/err")" -eq 1 ] &&
		says "^ace-train: rank $victim (.*): $tmp/full/checkpoint-12-tmp/.*: cannot write" && [ -f "$tmp/full/checkpoint-6/.guard" ] &&
		! ls -d "$tmp/full"/checkpoint-12* > /dev/null 2>&1 || { bad=1; echo "# rank $victim: exit code $code"; sed 's/^/# /' "$tmp/err"; }
	train full sharding=full && same parted full || bad=1
	rm -rf "$tmp/full"
done
result $bad "a disk that is full for one rank ends all with 74 and one line; the last checkpoint is there, and the next start goes on bit for bit"

train wrong model="$tmp/nothing"
[ $code -eq 66 ] && [ "$(grep -c 'no such folder' "$tmp/err")" -eq 1 ] && [ ! -e "$tmp/wrong" ] && ! train wrong num_processes=2 &&
	[ $code -eq 78 ] && [ "$(grep -c 'num_processes=2, and the launcher has started 3' "$tmp/err")" -eq 1 ]
result $? "what is wrong for all is said once"
