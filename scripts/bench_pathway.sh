#!/usr/bin/env bash
# Counts the events of one log by item and kind with Pathway (https://github.com/pathwaycom/pathway, from PyPI, into an
# environment that is kept in the cache folder), replays the same log with Nearline, two threads each, in turn, and prints the
# table of times and their ratio that docs/benchmarks.md holds.
#
#   scripts/bench_pathway.sh [EVENTS RUNS FOLDER]
#
# Whole commands are timed, start and end included. Both must come to the same counts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "python3 with venv is needed: install it (on Debian and Ubuntu: sudo apt-get install python3-venv)" >&2
    exit 2
fi
if [ -z "${NEARLINE_BIN:-}" ]; then
    # shellcheck source=scripts/setup.sh
    . scripts/setup.sh
    cargo build --release --locked --quiet
    NEARLINE_BIN="$CARGO_TARGET_DIR/release/nearline"
fi
python="${XDG_CACHE_HOME:-$HOME/.cache}/nearline/pathway-0.33.0"
if [ ! -e "$python/ready" ]; then
    python3 -m venv --clear "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check 'pathway==0.33.0'
    touch "$python/ready"
fi
place="${3:-}"
if [ -z "$place" ]; then
    place="$(mktemp -d)"
    trap 'rm -rf "$place"' EXIT
fi
"$python/bin/python" scripts/bench_pathway.py "$NEARLINE_BIN" "$place" "${1:-5000000}" "${2:-5}"
