#!/usr/bin/env bash
# One digest from every build: determinism.sh BUILD_DIR BUILD_DIR... runs each scenario with the dcsim of each directory and
# compares. UNTIL (default 4m) cuts long scenarios short.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -ge 2 ] || { echo "usage: determinism.sh BUILD_DIR BUILD_DIR..." >&2; exit 2; }

different=0
for scenario in scenarios/*.yaml; do
  reference=
  for build in "$@"; do
    # Exit status 1 is an expectation that needs the time that was cut off.
    digest=$("$build/dcsim" run "$scenario" --until "${UNTIL:-4m}" --format json 2>/dev/null | sed -n 's/^ *"digest": "\([0-9a-f]*\)".*/\1/p') || true
    [ -n "$digest" ] || digest="none from $build"
    : "${reference:=$digest}"
    if [ "$digest" != "$reference" ]; then
      echo "DIFFERENT  $scenario: $digest ($build) instead of $reference ($1)"
      different=1
    fi
  done
  [ "${reference#none}" = "$reference" ] || different=1
  echo "$reference  $scenario"
done
exit $different
