#!/usr/bin/env bash
# Runs the benchmarks and prints their table. Arguments: how many events, how many runs of each, a folder to work in,
# and the one part to run (decode, graph, replay, latency).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
# What decoding is held against.
cargo build --release --locked --quiet --manifest-path benches/bare_parse/Cargo.toml \
    --target-dir "$CARGO_TARGET_DIR/bare_parse"
export NEARLINE_BARE_PARSE="$CARGO_TARGET_DIR/bare_parse/release/bare_parse"
cargo bench --profile release --locked --quiet --bench pipeline -- "$@"
