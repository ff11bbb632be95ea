#!/usr/bin/env bash
# Measures the numeric core beside implicit 0.7 (https://github.com/benfred/implicit), two threads each, and prints the
# table of ratios that docs/benchmarks.md holds. implicit comes from PyPI into an environment that is thrown away.
#
#   scripts/bench_implicit.sh [MEMBERS ITEMS PAIRS]
#
# It takes about ten minutes, 3 GB of memory and, in a folder of its own under TMPDIR, 3 GB of disk.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
    echo "python3 with venv is needed: install it (on Debian and Ubuntu: sudo apt-get install python3-venv)" >&2
    exit 2
fi
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
cargo build --release --locked --quiet -p nearline-factors --example beside_implicit
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/python"
"$place/python/bin/pip" install --quiet --disable-pip-version-check \
    'implicit==0.7.2' numpy scipy threadpoolctl
mkdir "$place/work"
"$place/python/bin/python" scripts/bench_implicit.py \
    "$CARGO_TARGET_DIR/release/examples/beside_implicit" "$place/work" "$@"
