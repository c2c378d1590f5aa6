#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-train on several ranks from outside: signals to one of them, ranks killed at random moments, exit codes, and that a run that was
# stopped is the run that was not, to the bit. ACE_KILLS: how many times a rank is killed (5).
bin=$(cd "${top_builddir:-.}" && pwd)/src/tools
stores=${top_builddir:-.}/tests/tools/make-stores
. "${top_srcdir:-.}/tests/support/ranks"
if no_mpiexec || ! [ -x "$stores" ] || "$bin/ace-train" --version | grep -q "no MPI"; then
	echo "1..0 # SKIP no mpiexec, or built without MPI"
	exit 0
fi
OMP_NUM_THREADS=1
export OMP_NUM_THREADS
job=
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-train-ranks-XXXXXX") || exit 99
trap '[ -z "$job" ] || kill -9 $(below "$job") "$job" 2> /dev/null; rm -rf "$tmp"' EXIT
unset ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME SLURM_JOB_END_TIME
steps=24 ranks=3
common="config_backend=cmd model=$tmp/model data_backend_config=$tmp/stores/multidatabackend.json max_train_steps=$steps
	learning_rate=1e-2 lora_rank=8 optimizer=torch-adamw mixed_precision=no train_batch_size=2 gradient_accumulation_steps=2
	checkpoint_step_interval=6 checkpoints_total_limit=0 log_interval=0 rank_patience=300 seed=4"
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
	launch $ranks "$bin/ace-train" $common output_dir="$tmp/$folder" "$@" > "$tmp/out" 2> "$tmp/err"
	code=$?
	[ $code -eq 0 ]
}
lines() { # updates that a run has noted
	cat "$tmp/$1/logs/metrics.jsonl" 2> /dev/null | wc -l
}
# begin RANK FOLDER UPDATES OPTIONS...: the same from nothing in the background, until it has done so many updates; victim: that rank's
# process, which is looked for beforehand, since a run is short
begin() {
	who=$1 folder=$2 updates=$3 victim=
	shift 3
	rm -rf "${tmp:?}/$folder"
	# shellcheck disable=SC2086
	launch $ranks "$bin/ace-train" $common output_dir="$tmp/$folder" "$@" > "$tmp/out" 2> "$tmp/err" &
	job=$!
	while kill -0 $job 2> /dev/null && { [ -z "$victim" ] || [ "$(lines "$folder")" -lt "$updates" ]; }; do
		[ -n "$victim" ] || victim=$(rank_of "$job" ace-train "$who")
		sleep 0.01
	done
}
signal() { # NAME: to the victim, if it is still there; then wait for the end
	[ -z "$victim" ] || kill -"$1" "$victim" 2> /dev/null
	wait $job
	code=$?
	job=
}
# midway SIGNAL RANK FOLDER UPDATES OPTIONS...: a rank gets a signal after so many updates; begun anew where a busy machine let the run
# come to its end before it
midway() {
	signal=$1
	shift
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		begin "$@"
		signal "$signal"
		[ $code -ne 0 ] && [ "$(lines "$folder")" -lt $steps ] && return
	done
	return 1
}
same() { # two whole runs
	for folder in "$1" "$2"; do
		sed 's/.*"step":\([0-9]*\),.*"train_loss":\([^,]*\),.*"grad_norm":\([^,}]*\).*/\1 \2 \3/' "$tmp/$folder/logs/metrics.jsonl" \
			> "$tmp/$folder.numbers"
	done
	[ "$(wc -l < "$tmp/$1.numbers")" -eq $steps ] && cmp "$tmp/$1.numbers" "$tmp/$2.numbers" &&
		cmp "$tmp/$1/pytorch_lora_weights.safetensors" "$tmp/$2/pytorch_lora_weights.safetensors"
}
saved() { # checkpoints of a run
	find "$tmp/$1" -maxdepth 1 -name 'checkpoint-*' | wc -l
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

midway USR1 2 stopped 3
[ $code -eq 75 ] && says "a signal to another rank: saving and stopping" && says "exit 75" &&
	[ -f "$tmp/stopped/checkpoint-$(lines stopped)/.guard" ] && train stopped && same whole stopped
result $? "one rank that is told to stop stops all, with 75, and the next start goes on bit for bit"

for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do # it may end before the signal comes, as above
	begin 1 saved 2 sharding=optimizer
	signal USR2
	more=$(($(saved saved) - $(saved whole)))
	[ $code -eq 0 ] && [ $more -le 0 ] || break
done
[ $code -eq 0 ] && [ $more -gt 0 ] && [ "$(lines saved)" -eq $steps ]
result $? "one rank that is told to save makes all save, and go on"

midway STOP 1 hung 2 rank_patience=10
[ $code -eq 76 ] && says 'rank 1 (node .*): no progress for [0-9]* s'
result $? "a rank that does not answer is named when the others' patience ends, and all end with 76"

kills=${ACE_KILLS:-5}
bad=0
i=0
while [ $i -lt "$kills" ]; do
	i=$((i + 1))
	whole=whole sharding=none
	[ $((i % 2)) -eq 0 ] || { whole=parted sharding=full; }
	begin "$(random $ranks)" killed "$(random $steps)" sharding=$sharding checkpoint_step_interval=1
	sleep 0.0"$(random 10)"
	signal KILL
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
	OMPI_MCA_btl=tcp,self $MPIEXEC $mpi_options -n $ranks sh "$tmp/limited" "$victim" "$bin/ace-train" $common output_dir="$tmp/$folder" "$@" \
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

export ACE_CODE_FILE="$tmp/agreed"
train wrong model="$tmp/nothing"
[ $code -eq 66 ] && [ "$(grep -c 'no such folder' "$tmp/err")" -eq 1 ] && [ ! -e "$tmp/wrong" ] && ! train wrong num_processes=2 &&
	[ $code -eq 78 ] && [ "$(grep -c 'num_processes=2, and the launcher has started 3' "$tmp/err")" -eq 1 ] &&
	[ "$(cat "$tmp/agreed")" = 78 ]
result $? "what is wrong for all is said once, and its code noted where asked"
