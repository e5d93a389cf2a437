#!/usr/bin/env bash
# The README's commands work as they stand, and its sample scenario runs and holds. `./run` itself is what calls this.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p out

commands=$(awk '/^```sh$/ {on = 1; next} /^```$/ {on = 0} on' README.md | grep -E '^\./run dcsim ' || true)
[ -n "$commands" ] || { echo "README.md shows no ./run dcsim command"; exit 1; }
while IFS= read -r command; do
  echo "\$ $command"
  bash -c "$command" >out/readme-command.log 2>&1 || { cat out/readme-command.log; exit 1; }
  [ -s out/readme-command.log ] || { echo "it prints nothing"; exit 1; }
done <<<"$commands"

# What `trace why` shows in the README is what it says now, but for numbers.
shown=$(grep -c 'rule tenants-apart' README.md)
[ "$shown" -gt 0 ] && grep -q 'rule tenants-apart' out/readme-command.log || { echo "trace why no longer ends at the rule"; exit 1; }

awk '/^```yaml$/ {on = 1; next} /^```$/ {on = 0} on' README.md >out/readme.yaml
build/release/dcsim run out/readme.yaml

for name in $(grep -Eo '`dcsim [a-z-]+' README.md | cut -d' ' -f2 | sort -u); do
  build/release/dcsim "$name" --help >/dev/null || { echo "README names \`dcsim $name\`, which does not exist"; exit 1; }
done
for file in $(grep -Eo '\b(scenarios|topologies|analysis|tests)/[A-Za-z0-9_./-]+\.[a-z]+' README.md | sort -u); do
  [ -e "$file" ] || { echo "README names $file, which does not exist"; exit 1; }
done
