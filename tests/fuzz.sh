#!/usr/bin/env bash
# Throws random input at everything that reads what a target or a file sends: tests/fuzz.sh [SECONDS EACH], by default 600.
# New random cases in every round; a case that fails is printed, shrunk, and kept in proptest-regressions.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
export PROPTEST_CASES=20000

fuzz() {
    local what=$1 end=$((SECONDS + seconds)) rounds=0
    shift
    while [ "$SECONDS" -lt "$end" ]; do
        cargo test --quiet --locked "$@" >/dev/null || { cargo test --locked "$@"; return 1; }
        rounds=$((rounds + 1))
    done
    echo "$what: $rounds rounds of $PROPTEST_CASES cases without a finding"
}

fuzz "update streams" --test decode -- no_
fuzz "updates, read in place and by prost" --lib -- decode::message
fuzz "task details" --lib -- decode::details
fuzz "records of captures" --lib -- capture::record
fuzz "host context" --lib -- decode::host_context
