#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The batch scripts under a real SLURM, with stand-ins for the programs that note their words and end as they are told. All jobs
# are submitted first, each in a folder of its own: one that is queued again waits some seconds, and all wait together.
nodes=1
# shellcheck source=begin
. "${top_srcdir:-.}/tests/slurm/begin"
echo 1..16
MPI=pmix
srun --mpi=pmix true 2> /dev/null || MPI=none # a SLURM without its PMIx library
ACE_BIN=$tmp/bin
export MPI ACE_BIN
unset PARTITION NODES TASKS LAUNCHER MPIRUN SHARDS TIME CPUS MEM SBATCH_EXTRA MAX_RESTARTS MAX_FAILURES

# a stand-in ends with the next code of its list; "wait" waits for the signal to stop, then ends with 75; "deaf" is ended by it;
# "agreed" is killed when all ranks have agreed on 78
mkdir "$tmp/bin"
cat > "$tmp/bin/ace-train" << 'EOF'
#!/bin/sh
name=$(basename "$0")
echo "$name $*" >> calls
set -- $(cat codes 2> /dev/null)
code=${1:-0}
[ $# -eq 0 ] || { shift; echo "$*" > codes; }
[ "$code" != agreed ] || { echo 78 > "$ACE_CODE_FILE"; code=137; }
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

case_of() { # FOLDER CODES...: enter a folder whose programs end with these codes
	mkdir "$tmp/work/$1" && cd "$tmp/work/$1" || exit 99
	shift
	echo "$*" > codes
}
submit() { # SCRIPT WORDS...: the job's number goes to the file job
	script=$top/slurm/$1
	shift
	sbatch --parsable "$script" "$@" > job
}
tell() { # FOLDER OPTIONS OF scancel...: once its program is there
	cd "$tmp/work/$1" || exit 99
	shift
	until_true test -f waiting
	scancel "$@" "$(cat job)"
}
ended() { # FOLDER: enter it once its job is over
	cd "$tmp/work/$1" || exit 99
	job=$(cat job)
	[ -n "$job" ] && until_true is_over "$job"
}
shows() { scontrol show job -o "$job" | grep -q -- "$1"; }
calls() { # PATTERN: how many calls are like this
	grep -c -- "$1" calls 2> /dev/null
}
said() { grep -q -- "$1" ./*.out; }

# the two files that must not drift apart
sed 's/ace-resume/ace-train/g; s/resume\.sbatch/train.sbatch/g' "$top/slurm/resume.sbatch" | sed '1,/^#SBATCH/d' > resume.body
sed '1,/^#SBATCH/d' "$top/slurm/train.sbatch" > train.body
cmp -s resume.body train.body && for f in "$top"/slurm/*; do sh -n "$f" || exit 1; done
result $? "the scripts are sh, and training and resuming differ in their words only"

case_of told wait 0 && submit train.sbatch env=a
case_of deaf deaf 0 && submit train.sbatch env=a
case_of resumed wait 0 && submit resume.sbatch out/a
case_of cancelled wait 0 && submit train.sbatch env=a
case_of restarts 75 75 75 75 && MAX_RESTARTS=1 submit train.sbatch env=a
case_of failures 76 76 76 76 && MAX_FAILURES=1 submit train.sbatch env=a
for code in 137 1; do
	case_of "rank$code" $code 0 0 0 && sbatch --parsable --ntasks=2 --overcommit "$top/slurm/train.sbatch" env=a > job
done
case_of agreed agreed agreed && sbatch --parsable --ntasks=2 --overcommit "$top/slurm/train.sbatch" env=a > job
case_of two && sbatch --parsable --ntasks=2 --overcommit "$top/slurm/train.sbatch" env=a > job
case_of words && submit train.sbatch env=a "prompt=two words"
case_of wrong 78 && submit train.sbatch env=a
case_of pipeline
SHARDS=3 sh "$top/slurm/pipeline.sh" env=a "x=it's" -- learning_rate=5e-5 > submitted 2> err
result $? "a pipeline is submitted"
sed -n 's/^train *//p' submitted > job
case_of shards 65 65 65
SHARDS=2 sh "$top/slurm/pipeline.sh" env=a > submitted 2> err
sed -n 's/^train *//p' submitted > job
case_of nosuch
PARTITION=nosuch sh "$top/slurm/pipeline.sh" env=a > submitted 2> err
[ $? -eq 78 ] && grep -q "partition=nosuch" err && grep -qi "invalid partition" err && ! grep -q . submitted
result $? "a partition that is not there is named"
for f in told deaf resumed; do tell $f --signal=USR1 --batch; done
tell cancelled

ended words && shows "JobState=COMPLETED" && [ "$(cat calls)" = "ace-train env=a prompt=two words" ] && said "run 1" && [ -f "ace-train-$job.out" ]
result $? "a job gets its words, and its log has its name and number"

ended wrong && shows "JobState=FAILED" && shows "ExitCode=78:0" && [ "$(calls ace-train)" -eq 1 ]
result $? "a wrong configuration is not tried again, and its code is the job's"

ended agreed && shows "JobState=FAILED" && shows "ExitCode=78:0" && ! said "queued again"
result $? "nor is one that all ranks agreed on, though one of them was killed behind that"

ended two && shows "JobState=COMPLETED" && [ "$(calls 'ace-train env=a')" -eq 2 ] && said "2 task(s)"
result $? "each task is a rank"

ended told && shows "JobState=COMPLETED" && shows "Restarts=[1-9]" && [ "$(calls 'ace-train env=a')" -eq 2 ] && said "ended with 75" && said "run 2"
result $? "told that its time is nearly over, it saves, is queued again and goes on"

ended deaf && shows "JobState=COMPLETED" && shows "Restarts=[1-9]" && said "before it could listen" && said "ended with 75"
result $? "so is one that is told before it can listen"

ended resumed && shows "JobState=COMPLETED" && [ "$(calls 'ace-resume out/a')" -eq 2 ]
result $? "so does a job that resumes"

ended restarts && shows "ExitCode=75:0" && shows "Restarts=1" && [ "$(calls ace-train)" -eq 2 ] && said "all that MAX_RESTARTS allows"
result $? "it is queued again as often as MAX_RESTARTS says"

ended failures && shows "ExitCode=76:0" && shows "Restarts=1" && said "76 more than 1 times"
result $? "lost ranks are tried again as often as MAX_FAILURES says"

bad=0
for code in 137 1; do
	ended rank$code && said "queued again" && shows "JobState=COMPLETED" && shows "Restarts=[1-9]" &&
		said "a rank was killed or not started" && said "ended with 76" || bad=$code
done
result $bad "a rank of several that is killed, or that MPI does not start, is as good as lost: the job is queued again"

ended pipeline
for i in 1 2 3; do
	[ "$(calls "ace-preprocess shard=$i/3 env=a x=it's")" -eq 1 ] || echo "shard $i" >> missing
done
! [ -f missing ] && [ "$(sed -n 4p calls)" = "ace-preprocess merge=true env=a x=it's" ] &&
	[ "$(sed -n 5p calls)" = "ace-train env=a x=it's learning_rate=5e-5" ] && [ "$(wc -l < calls)" -eq 5 ]
result $? "each shard runs once, then the index is made, then training begins"

ended shards && ! grep -q 'merge\|ace-train' calls && shows "JobState=CANCELLED"
result $? "after a failed shard nothing else runs, and nothing waits for ever"

# last, when all others have ended: it had the time to come back
ended cancelled && shows "JobState=CANCELLED" && [ "$(calls ace-train)" -eq 1 ] && ! said "queued again"
result $? "cancelled, it stays away"
