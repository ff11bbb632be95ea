#!/usr/bin/env bash
# Builds Nearline and shows it: invented members watch invented titles, and their lists follow.
# Arguments go to `nearline demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

if [ ! -x "$CARGO_TARGET_DIR/release/nearline" ]; then
    echo "Building Nearline. The first time this takes up to 20 minutes, most of it for RocksDB." >&2
fi
cargo build --release --locked --bin nearline
exec "$CARGO_TARGET_DIR/release/nearline" demo "$@"
