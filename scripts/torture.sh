#!/usr/bin/env bash
# Feeds logs drawn from seeds to real processes, kills them at random moments again and again, and holds what comes of
# it against folders that nobody disturbed. Prints a line for each seed and a table at the end; fails where two differ,
# and keeps the folder then.
#
#   scripts/torture.sh --minutes 30
#   scripts/torture.sh --seed 7 --trials 1            # one seed again
#
# Where NEARLINE_KAFKA names a broker (scripts/services.sh), as much again is fed through a topic.
#
# Also: --kills N (a trial), --workers 1,2,3 (to draw from). docs/guarantees.md says what it shows.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
[ $# -gt 0 ] || set -- --minutes 5
exec cargo test --release --locked --quiet --test torture -- "$@"
