#!/usr/bin/env bash
# Prints what is found in the zoo of real programs. With a number, does it so many times and counts: tests/zoo.sh 20
set -euo pipefail
cd "$(dirname "$0")/.."

times=${1:-1}
good=0
for run in $(seq "$times"); do
  if cargo test --quiet --locked --test zoo -- --nocapture --test-threads=1; then
    good=$((good + 1))
  fi
  echo "zoo: $good of $run runs without a mistake"
done
[ "$good" = "$times" ]
