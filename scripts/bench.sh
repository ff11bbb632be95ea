#!/usr/bin/env bash
# Runs the benchmarks and prints their table. `--quick` takes a minute or two; `--help` says what else can be chosen, such as
# `--large 20000000`, `--pathway` and `--parts live`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
# What decoding is held against.
cargo build --release --locked --quiet --manifest-path benches/bare_parse/Cargo.toml \
    --target-dir "$CARGO_TARGET_DIR/bare_parse"
export NEARLINE_BARE_PARSE="$CARGO_TARGET_DIR/bare_parse/release/bare_parse"
cargo bench --profile release --locked --quiet --bench pipeline -- "$@"
