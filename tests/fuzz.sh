#!/usr/bin/env bash
# Throws input at everything that reads what a target, a file or a person sends: tests/fuzz.sh [SECONDS EACH [TARGET…]], by default 600.
#
# Targets: updates details capture inventory playbook server (what each does is in tests/entries/mod.rs).
# With a C++ compiler these are real fuzz targets (fuzz/, with cargo-fuzz, on the ordinary toolchain): what they find is
# kept in fuzz/artifacts, what they learn in target/fuzz/corpus. Without one, the same entry points get random and spoiled
# input under proptest. A finding ends the script with an error.
# It needs: Rust, python3, and a C++ compiler (Debian: g++). cargo-fuzz is installed into target/tools.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(updates details capture inventory playbook server)

if ! command -v c++ >/dev/null; then
    echo "No C++ compiler: the same entry points under proptest instead." >&2
    export PROPTEST_CASES=2000
    end=$((SECONDS + seconds * ${#targets[@]})) rounds=0
    while [ "$SECONDS" -lt "$end" ]; do
        cargo test --quiet --locked --test capture -- no_entry_point >/dev/null || { cargo test --locked --test capture -- no_entry_point; exit 1; }
        rounds=$((rounds + 1))
    done
    echo "all entry points: $rounds rounds of $PROPTEST_CASES cases without a finding"
    exit
fi

export PATH="$PWD/target/tools/bin:$PATH"
command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked --quiet --root target/tools
python3 fuzz/seeds.py target/fuzz/corpus

for target in "${targets[@]}"; do
    echo "== $target, $seconds seconds"
    # Our code has no `unsafe`, so that no sanitizer is needed, nor the nightly toolchain that goes with it.
    cargo fuzz run --sanitizer none --target-dir target/fuzz "$target" "target/fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=1024 -timeout=20 -max_len=65536 -print_final_stats=1 \
        2>"target/fuzz/$target.log" || { tail -n 60 "target/fuzz/$target.log" >&2; exit 1; }
    grep -E 'number_of_executed_units|peak_rss_mb' "target/fuzz/$target.log"
    echo "$target: no finding"
done
