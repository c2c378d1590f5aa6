#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Ranks that die, hang, fail or do something else than the others: all learn it in time, name it, and end with its code.
here=${top_builddir:-.}/tests/comm
. "${top_srcdir:-.}/tests/support/ranks"
if no_mpiexec || ! [ -x "$here/lost_rank" ]; then
	echo "1..0 # SKIP no mpiexec, or built without MPI"
	exit 0
fi
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-lost-XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
ACE_SAID=$tmp/said
export ACE_SAID
echo 1..14
n=0

# Nothing here depends on how fast the machine is as long as no rank that lives is kept from running for five seconds: the first
# patience, and what comm waits for an answer.
ranks() { # HOW PATIENCE WHO: what they say into said, code
	: > "$tmp/said"
	launch 3 "$here/lost_rank" "$1" "$2" "$3" > "$tmp/out" 2> "$tmp/err"
	code=$?
}
result() { # STATUS SENTENCE
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" && return
	echo "not ok $n - $2"
	sed 's/^/# /' "$tmp/said" "$tmp/err"
	echo "# exit code $code"
}
told() { # RANKS CODE PATTERN: that many ranks said so
	[ "$(grep -c "code=$2 .*message=.*$3" "$tmp/said")" -ge "$1" ]
}
within() { # SECONDS: every rank that said how long it took
	awk -v most="$1" -F'seconds=' '$2 + 0 > most { exit 1 }' "$tmp/said"
}

ranks slow 5 1
[ $code -eq 0 ] && told 3 0 ''
result $? "a rank may be away for as long as patience was set to"

ranks work 5 1
[ $code -eq 0 ] && told 3 0 ''
result $? "a rank that works may be away for longer, where that is allowed"

ranks gone 5 1
[ $code -eq 76 ] && told 1 76 'rank 1 (node .*): no progress .* it does not answer' && within 100
result $? "but not one that does not answer"

ranks busy 300 1
[ $code -eq 74 ] && told 2 74 'rank 1 (.*): songs/a.mp3: disk full$' && within 100
result $? "a rank that computes can see that another has failed"

ranks agree 300 1
[ $code -eq 65 ] && told 3 65 'rank 1 (.*): songs/b.mp3: damaged$' && ! grep -q MPI_ABORT "$tmp/err"
result $? "what all agreed on ends all in good order"

ranks fail 300 1
[ $code -eq 74 ] && told 1 74 'rank 1 (.*): songs/a.mp3: disk full$' && within 100
result $? "the failure of one rank reaches those that wait for it"

ranks leave 300 1
[ $code -eq 70 ] && told 1 70 'rank [12] sent .*same calls' && within 100 # whichever of the two is heard first
result $? "a rank that ends before the others is noticed"

ranks wrong 300 1
[ $code -eq 70 ] && told 1 70 'not all ranks make the same calls' && within 100
result $? "different calls are noticed"

ranks hang 5 1
[ $code -eq 76 ] && told 1 76 'rank 1 (node .*): no progress for [0-9]* s in all-reduce of block 3: it has not come to it' && within 100
result $? "a rank that hangs is named in time, and all end with 76"

ranks hang 5 0
[ $code -eq 76 ] && told 1 76 'rank 0 (node .*): no progress .* has not come to it' && within 100
result $? "so is rank 0"

ranks stop 5 1
[ $code -eq 76 ] && told 1 76 'rank 1 (node .*): no progress for [0-9]* s in all-reduce of block 3: it does not answer' && within 100
result $? "a rank that is cut off is named in time, and all end with 76"

ranks stop 5 2
grep -q 'rank=0 .*speaks=1' "$tmp/said" && ! grep -q 'rank=1 .*speaks=1' "$tmp/said"
result $? "one rank tells it"

mpi_options="$mpi_options $mpi_survive"
if [ -z "$mpi_survive" ]; then
	n=$((n + 2))
	echo "ok 13 # SKIP this mpiexec ends all ranks itself"
	echo "ok 14 # SKIP this mpiexec ends all ranks itself"
	exit 0
fi
ranks kill 300 1
told 2 76 'rank 1 (node .*): its process has ended, seen in all-reduce' && within 100
result $? "a killed rank is noticed by all others long before patience ends"

ranks kill 300 0
told 2 76 'rank 0 (node .*): its process has ended' && within 100 && grep -q 'rank=1 .*speaks=1' "$tmp/said"
result $? "when it was rank 0, rank 1 tells it"
