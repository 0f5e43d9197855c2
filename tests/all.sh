#!/usr/bin/env bash
# Everything that CI runs, on a machine that needs only Rust to begin with.
set -euo pipefail
cd "$(dirname "$0")/.."

tests/setup.sh
export PATH="$PATH:/usr/sbin:/sbin"
tests/check.sh
cargo test --locked
