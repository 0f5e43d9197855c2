#!/usr/bin/env bash
# Everything that CI runs, on a machine that needs only Rust to begin with.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/setup.sh
export PATH="$PATH:/usr/sbin:/sbin"
# `tests/vintages.rs` needs it, and it takes as long to build as all the rest: meanwhile.
cargo build --quiet --locked --manifest-path tests/vintages/Cargo.toml --target-dir target/vintages &
vintages=$!
trap 'kill "$vintages" 2>/dev/null || true' EXIT
tests/check.sh
wait "$vintages"
cargo test --locked
