#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The programs themselves under a real SLURM: songs are prepared by an array, training is told to stop, is queued again and ends
# with the very adapter of a run that nothing stopped.
bin=$(cd "${top_builddir:-.}" && pwd)/src/tools
nodes=1
# shellcheck source=begin
. "${top_srcdir:-.}/tests/slurm/begin"
echo 1..5
MPI=pmix
srun --mpi=pmix true 2> /dev/null || MPI=none # a SLURM without its PMIx library
ACE_BIN=$bin
OMP_NUM_THREADS=1
export MPI ACE_BIN OMP_NUM_THREADS
unset PARTITION NODES TASKS LAUNCHER MPIRUN TIME CPUS MEM SBATCH_EXTRA MAX_RESTARTS MAX_FAILURES ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME
cd "$tmp/work" || exit 99

"$bin/ace-demo-songs" songs > songs.log 2>&1 && "$bin/ace-init-model" tiny model > model.log 2>&1
result $? "there are songs and a model"

stores='cache_dir_vae=cache/vae/{model_family}/{id} cache_dir_text=cache/text'
common="max_train_steps=600 learning_rate=1e-3 lora_rank=4 mixed_precision=no optimizer=torch-adamw checkpoint_step_interval=100"
# shellcheck disable=SC2086
SHARDS=2 sh "$top/slurm/pipeline.sh" model=model dataset=songs $stores -- output_dir=out $common > jobs.txt 2> pipeline.log
job=$(sed -n 's/^train *//p' jobs.txt)
until_true has_lines out/logs/metrics.jsonl 5
result $? "after two shards and their index, training begins"

is_queued() { grep -q "queued again" "ace-train-$job.out"; }
is_settled() { is_queued || is_over "$job"; }
for _ in 1 2 3 4 5 6 7 8 9 10; do # it begins anew where it came to its end before the signal
	scancel --signal=USR1 --batch "$job"
	until_true is_settled
	! is_queued || break
	rm -r out
	# shellcheck disable=SC2086
	job=$(sbatch --parsable "$top/slurm/train.sbatch" model=model dataset=songs $stores output_dir=out $common)
	until_true has_lines out/logs/metrics.jsonl 5
done
# shellcheck disable=SC2086
"$bin/ace-train" model=model dataset=songs $stores output_dir=whole $common > whole.log 2>&1
whole=$?
until_true is_over "$job"
scontrol show job -o "$job" | grep -q "JobState=COMPLETED.*Restarts=[1-9]" && grep -q "ace-train ended with 75" "ace-train-$job.out" &&
	[ -f out/pytorch_lora_weights.safetensors ]
result $? "told to stop, it saves, is queued again and ends"

[ $whole -eq 0 ] && cmp whole/pytorch_lora_weights.safetensors out/pytorch_lora_weights.safetensors
result $? "the adapter is that of a run that nothing stopped"

job=$(sbatch --parsable --export=ALL,PROGRAM=ace-generate --job-name=song "$top/slurm/train.sbatch" model=model lora=out prompt=jazz duration=3 \
	steps=3 erg_lyric=false erg_diffusion=false output=song.wav)
until_true is_over "$job"
[ -s song.wav ] && grep -q "ace-generate ended with 0" "song-$job.out"
result $? "the same script makes a song with it"
