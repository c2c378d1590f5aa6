#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# pipeline.sh - submit a whole run: songs -> stores (an array) -> index -> training, each when the one before is done
#
#   pipeline.sh [key=value ...] [-- key=value ...]
#   PARTITION=gpu SHARDS=8 TIME=24:00:00 pipeline.sh env=my-songs -- learning_rate=5e-5
#
# The words go to ace-preprocess and ace-train, those behind -- to ace-train alone. Prints the numbers of the jobs. A job whose
# predecessor failed is removed from the queue. From the environment:
#   SHARDS                        1: elements of the array (at most so many at once: SHARDS_AT_ONCE)
#   PARTITION ACCOUNT QOS CONSTRAINT GRES NODELIST RESERVATION     for all jobs
#   NODES TASKS                   nodes, and ranks on each of them, of all jobs: 1
#   CPUS MEM                      of each job
#   TIME TIME_PREPROCESS          time limits, of training and of each shard
#   SBATCH_EXTRA                  more options of sbatch, between blanks
#   ACE_BIN MODULES MPI SRUN LAUNCHER MPIRUN MAX_RESTARTS MAX_FAILURES   as in train.sbatch
set -u
here=$(cd "$(dirname "$0")" && pwd)

fail() { # CODE TEXT
	echo "pipeline.sh: $2" >&2
	exit "$1"
}
case ${1:-} in
-h | --help)
	sed -n '3,/^set /s/^# \{0,1\}//p' "$0"
	exit 0 ;;
'') fail 64 "nothing to do; try pipeline.sh --help" ;;
esac
command -v sbatch > /dev/null || fail 69 "no sbatch here: this machine is not of a SLURM cluster, or its module is not loaded"

# words for both, words for training alone: kept quoted for eval
both='' train='' behind=no
for word; do
	if [ "$word" = -- ]; then
		behind=yes
		continue
	fi
	word=\'$(printf %s "$word" | sed "s/'/'\\\\''/g")\'
	[ $behind = yes ] || both="$both $word"
	train="$train $word"
done

site=''
for pair in partition=PARTITION account=ACCOUNT qos=QOS constraint=CONSTRAINT gres=GRES nodelist=NODELIST \
	reservation=RESERVATION nodes=NODES ntasks-per-node=TASKS cpus-per-task=CPUS mem=MEM; do
	eval "value=\${${pair#*=}:-}"
	[ -z "$value" ] || site="$site --${pair%%=*}=$value"
done

submit() { # NAME OPTIONS SCRIPT WORDS: the job's number
	name=$1 options=$2 script=$here/$3
	eval "set -- $4"
	# shellcheck disable=SC2086
	job=$(sbatch --parsable --kill-on-invalid-dep=yes $site ${SBATCH_EXTRA:-} $options "$script" "$@") ||
		fail 78 "sbatch refused the job $name (its reason is above); options:$site $options ${SBATCH_EXTRA:-}"
	job=${job%%;*}
	printf '%-12s %s\n' "$name" "$job"
}

shards=${SHARDS:-1} limit=${TIME_PREPROCESS:+--time=$TIME_PREPROCESS}
[ "$shards" -ge 1 ] 2> /dev/null || fail 64 "SHARDS is \"$shards\"; wanted a number from 1"
if [ "$shards" -eq 1 ]; then
	submit preprocess "$limit" preprocess.sbatch "$both"
else
	submit preprocess "$limit --array=0-$((shards - 1))${SHARDS_AT_ONCE:+%$SHARDS_AT_ONCE}" preprocess.sbatch "$both"
	submit index "$limit --dependency=afterok:$job" preprocess.sbatch "merge=true $both"
fi
submit train "${TIME:+--time=$TIME} --dependency=afterok:$job" train.sbatch "$train"
