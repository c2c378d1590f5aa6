#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Two nodes with two ranks each under a real SLURM: songs are prepared together, training is told to stop, loses a rank, is queued
# again and ends with the very adapter of a run that nothing stopped; one node goes on with what two began.
bin=$(cd "${top_builddir:-.}" && pwd)/src/tools
if "$bin/ace-train" --version | grep -q "no MPI"; then
	echo "1..0 # SKIP built without MPI"
	exit 0
fi
nodes=2
# shellcheck source=begin
. "${top_srcdir:-.}/tests/slurm/begin"
if ! srun --mpi=pmix -N2 true 2> /dev/null; then
	echo "1..0 # SKIP this SLURM has no PMIx"
	exit 0
fi
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 # Open MPI does not free all
MPI=pmix ACE_BIN=$bin OMP_NUM_THREADS=1
export MPI ACE_BIN OMP_NUM_THREADS ASAN_OPTIONS
unset PARTITION NODES TASKS LAUNCHER MPIRUN SHARDS TIME CPUS MEM SBATCH_EXTRA MAX_RESTARTS MAX_FAILURES ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME
cd "$tmp/work" || exit 99
echo 1..6
has_said() { grep -q -- "$2" "$1"; }
state() { scontrol show job -o "$1" | grep -q -- "$2"; }
submit() { # TEMPLATE WORDS...: the number of a job of two nodes with two ranks each
	template=$1
	shift
	sbatch --parsable --nodes=2 --ntasks-per-node=2 --overcommit "$top/slurm/$template" "$@"
}

last_rank() { # the process of the last rank of a job
	for p in $(pgrep -x ace-train); do
		{ tr '\0' '\n' < "/proc/$p/environ"; } 2> /dev/null > environ
		grep -qx "SLURM_CONF=$SLURM_CONF" environ && grep -qx "SLURM_JOB_ID=$job" environ && grep -qx SLURM_PROCID=3 environ &&
			echo "$p" && return
	done
}
is_midway() { # the process is looked for beforehand: a run is short
	[ "$how" = stop ] || [ -n "$victim" ] || victim=$(last_rank)
	has_lines "$folder/logs/metrics.jsonl" "$updates" && { [ "$how" = stop ] || [ -n "$victim" ] || is_over "$job"; }
}
is_queued() { has_said "ace-train-$job.out" "queued again"; }
is_settled() { is_queued || is_over "$job"; }
# midway stop|kill FOLDER UPDATES WORDS...: a job is told to stop or loses its last rank after so many updates and is queued again,
# which it waits for for some seconds; begun anew where it came to its end before
midway() {
	how=$1 folder=$2 updates=$3
	shift 3
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		rm -rf "$folder" && victim=
		# shellcheck disable=SC2086
		job=$(submit train.sbatch $common output_dir="$folder" "$@") && until_true is_midway
		if [ "$how" = stop ]; then
			scancel --signal=USR1 --batch "$job"
		else
			[ -z "$victim" ] || kill -KILL "$victim"
		fi
		until_true is_settled
		! is_queued || return
	done
}

"$bin/ace-demo-songs" songs > songs.log 2>&1 && "$bin/ace-init-model" tiny model > model.log 2>&1 || exit 99
stores='cache_dir_vae=cache/vae/{model_family}/{id} cache_dir_text=cache/text'
common="model=model dataset=songs $stores max_train_steps=100 learning_rate=1e-3 lora_rank=4 mixed_precision=no optimizer=torch-adamw
	checkpoint_step_interval=20 sharding=hybrid rank_patience=60"
clips="validation_prompt=jazz validation_steps=100 validation_disable_unconditional=true validation_audio_duration=3
	validation_num_inference_steps=2 erg_lyric=false erg_diffusion=false"

# shellcheck disable=SC2086
job=$(submit preprocess.sbatch model=model dataset=songs $stores) && until_true is_over "$job"
state "$job" JobState=COMPLETED && grep -q "4 task" ./ace-preprocess*.out && grep -q "^done: 6 new" ./ace-preprocess*.out &&
	[ "$(find cache/vae -name 'latents-0*.h5' | wc -l)" -eq 4 ] && [ "$(grep -c '^done:' ./ace-preprocess*.out)" -eq 1 ]
result $? "two nodes with two ranks each prepare songs together"

midway kill killed 5 checkpoint_step_interval=5
killed=$job
midway stop stopped 3
stopped=$job
"$bin/ace-inspect" --slurm-template train nodes=2 tasks_per_node=2 partition=short > filled.sbatch
# shellcheck disable=SC2086
job=$(sbatch --parsable --overcommit filled.sbatch $common $clips output_dir=whole) && until_true is_over "$job"
state "$job" JobState=COMPLETED && grep -q '"ranks":[[:space:]]*4' whole/run.json && grep -q '"nodes":[[:space:]]*2' whole/run.json &&
	[ "$(grep -c '^done  ' "ace-train-$job.out")" -eq 1 ] && [ -s whole/validation_audio/step_100_validation_0.wav ]
result $? "they train, sharing a model on each node, and make a song of it"

# shellcheck disable=SC2086
fewer=$(submit train.sbatch $common output_dir=fewer max_train_steps=10)

until_true is_over "$stopped"
state "$stopped" "JobState=COMPLETED.*" && has_said "ace-train-$stopped.out" "ace-train ended with 75" &&
	cmp whole/pytorch_lora_weights.safetensors stopped/pytorch_lora_weights.safetensors
result $? "told to stop, all save, are queued again and end with the same adapter"

until_true is_over "$killed"
state "$killed" "JobState=COMPLETED.*" && has_said "ace-train-$killed.out" "ended with 76" &&
	cmp whole/pytorch_lora_weights.safetensors killed/pytorch_lora_weights.safetensors
result $? "a killed rank ends all with 76; queued again, they end with the same adapter"

until_true is_over "$fewer"
# shellcheck disable=SC2086
job=$(sbatch --parsable --nodes=1 --ntasks-per-node=2 --overcommit "$top/slurm/train.sbatch" $common output_dir=fewer) &&
	until_true is_over "$job"
state "$job" JobState=COMPLETED && has_lines fewer/logs/metrics.jsonl 100 && grep -q "10 updates are done" "ace-train-$job.out" &&
	grep -q '"ranks":[[:space:]]*2' fewer/run.json
result $? "one node with two ranks goes on with what two nodes began"

export LAUNCHER=mpirun MPIRUN="--allow-run-as-root --oversubscribe --bind-to none --mca btl self,tcp --mca btl_tcp_if_include lo"
# shellcheck disable=SC2086
job=$(sbatch --parsable --nodes=1 --ntasks-per-node=2 --overcommit "$top/slurm/train.sbatch" $common output_dir=other max_train_steps=3) &&
	until_true is_over "$job"
state "$job" JobState=COMPLETED && has_lines other/logs/metrics.jsonl 3 && grep -q '"ranks":[[:space:]]*2' other/run.json
result $? "mpirun starts ranks inside a job as well"
