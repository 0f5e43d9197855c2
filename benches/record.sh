#!/usr/bin/env bash
# Records the 10,000 tasks that the benches read from a real program: benches/record.sh [FILE].
# The program is `ten-thousand` of tests/vintages, with the newest console; the client is ours.
set -euo pipefail
cd "$(dirname "$0")/.."

recording=${1:-target/benches/ten-thousand.fdcap}
cargo build --quiet --locked
RUSTFLAGS="--cfg tokio_unstable" cargo build --quiet --locked \
    --manifest-path tests/vintages/Cargo.toml --target-dir target/vintages
mkdir -p "$(dirname "$recording")"

socket=$(mktemp -d)/console
coproc PROGRAM { exec target/vintages/debug/vintages 0.5.0 ten-thousand "$socket"; }
trap 'kill "$PROGRAM_PID"; rm -rf "$(dirname "$socket")"' EXIT
read -r ready <&"${PROGRAM[0]}"
[ "$ready" = ready ]
target/debug/fleetdiag snapshot "unix:$socket" --window 3s --fail-on never --save "$recording" --output json >/dev/null
