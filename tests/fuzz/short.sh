#!/usr/bin/env bash
# A short run of every fuzz target over its kept corpus: short.sh BUILD_DIR [SECONDS]. BUILD_DIR is a build with libFuzzer
# (cmake --preset fuzz). What it finds new goes to a temporary folder.
set -euo pipefail
build=${1:?usage: short.sh BUILD_DIR [SECONDS]}
seconds=${2:-15}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT

ran=0
for target in "$build"/fuzz_*; do
  [ -x "$target" ] || continue
  name=$(basename "$target")
  mkdir -p "$found/$name"
  "$target" -max_total_time="$seconds" -max_len=4096 -rss_limit_mb=2048 -timeout=10 -print_final_stats=0 \
    -artifact_prefix="$found/" "$found/$name" "$here/../data/corpus/${name#fuzz_}" >"$found/$name.log" 2>&1 || {
    tail -n 40 "$found/$name.log"
    echo "FAILED: $name"
    exit 1
  }
  echo "$name: $(grep -Eo 'DONE.*|Done.*' "$found/$name.log" | tail -n 1)"
  ran=$((ran + 1))
done
[ "$ran" -gt 0 ] || { echo "no fuzz target in $build"; exit 1; }
