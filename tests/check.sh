#!/usr/bin/env bash
# Formatting, lints, documentation, licences, advisories and the minimum Rust version: what people and CI share.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== formatting"
cargo fmt --check
cargo fmt --check --manifest-path tests/vintages/Cargo.toml

echo "== lints"
cargo clippy --all-targets --locked -- -D warnings
# A build without the demo, and without tokio's unstable flag, must work too.
RUSTFLAGS="" cargo clippy --locked --no-default-features --target-dir target/plain -- -D warnings

echo "== documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet

echo "== minimum Rust version"
declared=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# What the dependencies ask for must not be more than what we promise.
highest=$(cargo metadata --locked --format-version 1 | grep -o '"rust_version":"[0-9.]*"' | cut -d'"' -f4 | sort -V | tail -n 1)
echo "declared $declared; dependencies need $highest"
[ "$(printf '%s\n%s\n' "${highest%.0}" "$declared" | sort -V | tail -n 1)" = "$declared" ]

echo "== licences and sources"
if ! command -v cargo-deny >/dev/null; then
    CARGO_PROFILE_DEV_DEBUG=false cargo install cargo-deny --locked --quiet --debug --root target/tools
    export PATH="$PWD/target/tools/bin:$PATH"
fi
cargo deny --log-level error check bans licenses sources

echo "== advisories"
if cargo deny --log-level error fetch db 2>/dev/null; then
    cargo deny --log-level error check advisories --disable-fetch
else
    echo "NOT CHECKED: the advisory database cannot be reached from here."
fi
