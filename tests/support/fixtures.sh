#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The committed fixtures are those of the list, byte for byte, and stay small.
cd "${top_srcdir:-.}/tests/fixtures" || exit 99
if ! command -v sha256sum > /dev/null; then
	echo "1..0 # SKIP there is no sha256sum"
	exit 0
fi
echo 1..3
if sha256sum -c SHA256SUMS 2> /dev/null | grep -v ': OK$'; then
	echo "not ok 1 - every listed file has its sum"
else
	echo "ok 1 - every listed file has its sum"
fi
listed=$(sed 's/^[0-9a-f]*  //' SHA256SUMS | LC_ALL=C sort)
there=$(find . -mindepth 2 -type f | sed 's,^\./,,' | LC_ALL=C sort)
if [ -n "$listed" ] && [ "$listed" = "$there" ]; then
	echo "ok 2 - every file is listed"
else
	echo "not ok 2 - every file is listed"
fi
bytes=$(find . -type f -exec cat {} + | wc -c)
if [ "$bytes" -le 12000000 ]; then
	echo "ok 3 - all together are at most 12 MB ($bytes bytes)"
else
	echo "not ok 3 - all together are at most 12 MB ($bytes bytes)"
fi
