#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Ranks under srun, on two nodes of a SLURM of our own: who is where, and what the job's exit code is when one is lost.
here=${top_builddir:-.}/tests/comm
if ! [ -x "$here/nodes" ]; then
	echo "1..0 # SKIP built without MPI"
	exit 0
fi
nodes=2
. "${top_srcdir:-.}/tests/slurm/begin"
if ! srun --mpi=list 2>&1 | grep -q pmix; then
	echo "1..0 # SKIP this SLURM has no PMIx"
	exit 0
fi
echo 1..7
ACE_SAID=$tmp/said
export ACE_SAID
step() { # OPTIONS... PROGRAM...: into out, code
	rm -f "$ACE_SAID"
	srun --overcommit "$@" > "$tmp/out" 2> "$tmp/err"
	code=$?
}
result() { # STATUS SENTENCE
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" && return
	echo "not ok $n - $2"
	sed 's/^/# /' "$tmp/out" "$tmp/err"
	echo "# exit code $code"
}

step --mpi=pmix -N 2 --ntasks-per-node=2 "$here/nodes"
[ $code -eq 0 ] && sort "$tmp/out" | diff - /dev/fd/3 3<< EOF
rank 0 of 4: node 0 of 2 (n1), 0 of 2 there; sums 1, 2
rank 1 of 4: node 0 of 2 (n1), 1 of 2 there; sums 1, 4
rank 2 of 4: node 1 of 2 (n2), 0 of 2 there; sums 5, 2
rank 3 of 4: node 1 of 2 (n2), 1 of 2 there; sums 5, 4
EOF
result $? "ranks know their nodes, also where all have the host's name"

step --mpi=pmix -N 2 --ntasks-per-node=2 -m cyclic "$here/nodes"
[ $code -eq 0 ] && sort "$tmp/out" | diff - /dev/fd/3 3<< EOF
rank 0 of 4: node 0 of 2 (n1), 0 of 2 there; sums 2, 1
rank 1 of 4: node 1 of 2 (n2), 0 of 2 there; sums 4, 1
rank 2 of 4: node 0 of 2 (n1), 1 of 2 there; sums 2, 5
rank 3 of 4: node 1 of 2 (n2), 1 of 2 there; sums 4, 5
EOF
result $? "ranks dealt out to the nodes in turn are grouped all the same"

step --mpi=pmix -N 2 -n 3 "$here/nodes"
# on a busy machine SLURM may kill the last of them, once others have ended with their code
{ [ $code -eq 78 ] || [ $code -eq 137 ]; } && grep -q "[12] ranks run on the node of rank 0, [12] on that of rank" "$tmp/err"
result $? "nodes with different numbers of ranks are not split"

step --mpi=none -n 2 "$here/nodes"
[ $code -eq 78 ] && grep -q "mpi=pmix" "$tmp/err"
result $? "a launcher that tells ranks nothing is named with its cure"

step --mpi=none -n 1 "$here/nodes"
[ $code -eq 0 ] && grep -q "rank 0 of 1" "$tmp/out"
result $? "one rank needs no MPI"

step --mpi=pmix --kill-on-bad-exit=1 -N 2 -n 4 "$here/lost_rank" hang 5 3
[ $code -eq 76 ] && grep -q 'code=76 .*rank 3 (node n2): no progress for [0-9]* s in all-reduce of block 3' "$tmp/out"
result $? "when a rank on another node hangs, the job ends with 76"

step --mpi=pmix --kill-on-bad-exit=1 -N 2 -n 4 "$here/lost_rank" agree 300 3
[ $code -eq 65 ] && grep -q 'code=65 .*rank 3 (n2): songs/b.mp3: damaged' "$tmp/out"
result $? "what ranks agree on is the job's exit code"
