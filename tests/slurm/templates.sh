#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The batch scripts under a real SLURM, with stand-ins for the programs that note their words and end as they are told.
nodes=1
# shellcheck source=begin
. "${top_srcdir:-.}/tests/slurm/begin"
echo 1..15
MPI=pmix
srun --mpi=pmix true 2> /dev/null || MPI=none # a SLURM without its PMIx library
ACE_BIN=$tmp/bin
export MPI ACE_BIN
unset PARTITION NODES TASKS LAUNCHER MPIRUN SHARDS TIME CPUS MEM SBATCH_EXTRA MAX_RESTARTS MAX_FAILURES

# a stand-in ends with the next code of its list; "wait" waits for the signal to stop, then ends with 75; "deaf" is ended by it
mkdir "$tmp/bin"
cat > "$tmp/bin/ace-train" << 'EOF'
#!/bin/sh
name=$(basename "$0")
echo "$name $*" >> calls
set -- $(cat codes 2> /dev/null)
code=${1:-0}
[ $# -eq 0 ] || { shift; echo "$*" > codes; }
[ "$code" != deaf ] || { echo waiting > waiting; while :; do sleep 0.1; done; }
[ "$code" = wait ] || exit "$code"
trap 'exit 75' USR1 TERM
echo waiting > waiting
while :; do sleep 0.1; done
EOF
chmod +x "$tmp/bin/ace-train"
cp "$tmp/bin/ace-train" "$tmp/bin/ace-resume"
cp "$tmp/bin/ace-train" "$tmp/bin/ace-preprocess"
cd "$tmp/work" || exit 99

clean() { # CODES...: a clean start
	rm -f calls waiting ./*.out .ace*
	echo "$*" > codes
}

ended() { until_true is_over "$1"; } # JOB; one that is queued again waits about 7 s here
shows() { # JOB TEXT: of scontrol
	scontrol show job -o "$1" | grep -q -- "$2"
}
calls() { # PATTERN: how many calls are like this
	grep -c -- "$1" calls 2> /dev/null
}
said() { grep -q -- "$1" ./*.out; }

# the two files that must not drift apart
sed 's/ace-resume/ace-train/g; s/resume\.sbatch/train.sbatch/g' "$top/slurm/resume.sbatch" | sed '1,/^#SBATCH/d' > resume.body
sed '1,/^#SBATCH/d' "$top/slurm/train.sbatch" > train.body
cmp -s resume.body train.body && for f in "$top"/slurm/*; do sh -n "$f" || exit 1; done
result $? "the scripts are sh, and training and resuming differ in their words only"

clean
job=$(sbatch --parsable "$top/slurm/train.sbatch" env=a "prompt=two words") && ended "$job"
shows "$job" "JobState=COMPLETED" && [ "$(cat calls)" = "ace-train env=a prompt=two words" ] && said "run 1" && [ -f "ace-train-$job.out" ]
result $? "a job gets its words, and its log has its name and number"

clean wait 0
job=$(sbatch --parsable "$top/slurm/train.sbatch" env=a) && until_true test -f waiting && scancel --signal=USR1 --batch "$job"
ended "$job"
shows "$job" "JobState=COMPLETED" && shows "$job" "Restarts=1" && [ "$(calls 'ace-train env=a')" -eq 2 ] && said "ended with 75" && said "run 2"
result $? "told that its time is nearly over, it saves, is queued again and goes on"

clean deaf 0
job=$(sbatch --parsable "$top/slurm/train.sbatch" env=a) && until_true test -f waiting && scancel --signal=USR1 --batch "$job"
ended "$job"
shows "$job" "JobState=COMPLETED" && shows "$job" "Restarts=1" && said "before it could listen" && said "ended with 75"
result $? "so is one that is told before it can listen"

clean wait 0
job=$(sbatch --parsable "$top/slurm/resume.sbatch" out/a) && until_true test -f waiting && scancel --signal=USR1 --batch "$job"
ended "$job"
shows "$job" "JobState=COMPLETED" && [ "$(calls 'ace-resume out/a')" -eq 2 ]
result $? "so does a job that resumes"

clean wait 0
job=$(sbatch --parsable "$top/slurm/train.sbatch" env=a) && until_true test -f waiting && scancel "$job"
ended "$job"
sleep 1
shows "$job" "JobState=CANCELLED" && [ "$(calls ace-train)" -eq 1 ] && ! said "queued again"
result $? "cancelled, it stays away"

clean 78
job=$(sbatch --parsable "$top/slurm/train.sbatch" env=a) && ended "$job"
shows "$job" "JobState=FAILED" && shows "$job" "ExitCode=78:0" && shows "$job" "Restarts=0"
result $? "a wrong configuration is not tried again, and its code is the job's"

clean 75 75 75 75
job=$(MAX_RESTARTS=1 sbatch --parsable "$top/slurm/train.sbatch" env=a) && ended "$job"
shows "$job" "ExitCode=75:0" && shows "$job" "Restarts=1" && [ "$(calls ace-train)" -eq 2 ] && said "all that MAX_RESTARTS allows"
result $? "it is queued again as often as MAX_RESTARTS says"

clean 76 76 76 76
job=$(MAX_FAILURES=1 sbatch --parsable "$top/slurm/train.sbatch" env=a) && ended "$job"
shows "$job" "ExitCode=76:0" && shows "$job" "Restarts=1" && said "76 more than 1 times"
result $? "lost ranks are tried again as often as MAX_FAILURES says"

clean
job=$(sbatch --parsable --ntasks=2 --overcommit "$top/slurm/train.sbatch" env=a) && ended "$job"
shows "$job" "JobState=COMPLETED" && [ "$(calls 'ace-train env=a')" -eq 2 ] && said "2 task(s)"
result $? "each task is a rank"

bad=0
for code in 137 1; do
	clean $code 0 0 0
	job=$(sbatch --parsable --ntasks=2 --overcommit "$top/slurm/train.sbatch" env=a) &&
		until_true grep -q "queued again" "ace-train-$job.out"
	ended "$job"
	shows "$job" "JobState=COMPLETED" && shows "$job" "Restarts=1" && said "a rank was killed or not started" && said "ended with 76" ||
		bad=$code
done
result $bad "a rank of several that is killed, or that MPI does not start, is as good as lost: the job is queued again"

clean
SHARDS=3 sh "$top/slurm/pipeline.sh" env=a "x=it's" -- learning_rate=5e-5 > submitted 2> err
result $? "a pipeline is submitted"
train=$(sed -n 's/^train *//p' submitted)
ended "$train"
for i in 1 2 3; do
	[ "$(calls "ace-preprocess shard=$i/3 env=a x=it's")" -eq 1 ] || echo "shard $i" >> missing
done
! [ -f missing ] && [ "$(sed -n 4p calls)" = "ace-preprocess merge=true env=a x=it's" ] &&
	[ "$(sed -n 5p calls)" = "ace-train env=a x=it's learning_rate=5e-5" ] && [ "$(wc -l < calls)" -eq 5 ]
result $? "each shard runs once, then the index is made, then training begins"

clean 65 65 65
SHARDS=2 sh "$top/slurm/pipeline.sh" env=a > submitted 2> err
train=$(sed -n 's/^train *//p' submitted)
until_true is_over "$train"
! grep -q 'merge\|ace-train' calls && shows "$train" "JobState=CANCELLED"
result $? "after a failed shard nothing else runs, and nothing waits for ever"

PARTITION=nosuch sh "$top/slurm/pipeline.sh" env=a > submitted 2> err
[ $? -eq 78 ] && grep -q "partition=nosuch" err && grep -qi "invalid partition" err && ! grep -q . submitted
result $? "a partition that is not there is named"
