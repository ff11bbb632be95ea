#!/usr/bin/env bash
# Everything that must hold before a change is kept: format, lints, docs, tests, dependencies.
#
# All of it uses the release profile, so nothing is built twice. NEARLINE_TRIAL_DATA names the folder of the real
# logs; the tests say what they skip without it.
#
# --services also starts the real servers that tests want (scripts/services.sh), in a scratch folder of its own, and stops
# them at the end. Without it these tests are skipped, and say so by name and count.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

services=no
for arg in "$@"; do
    case "$arg" in
        --services) services=yes ;;
        *) echo "usage: scripts/test.sh [--services]" >&2; exit 2 ;;
    esac
done

# Says what is being done and how long it took; the first that fails ends the script.
step() {
    local name="$1" start=$SECONDS
    shift
    echo "==== $name: $*"
    if ! "$@"; then
        echo "==== $name failed after $((SECONDS - start)) s" >&2
        exit 1
    fi
    echo "==== $name: done in $((SECONDS - start)) s"
}

# Rust from elsewhere than rustup may come without its tools.
tool() {
    cargo "$1" --version >/dev/null 2>&1 && return 0
    command -v rustup >/dev/null 2>&1 && rustup component add "$2" >&2 && return 0
    echo "cargo $1 is missing: install $2 and start again" >&2
    exit 2
}

tool fmt rustfmt
tool clippy clippy
if [ ! -d "$CARGO_TARGET_DIR/release" ]; then
    echo "The first build takes up to 20 minutes, most of it for RocksDB."
fi

# A newer Rust than the code is checked with may warn of more: it says so, and that is no failure.
deny=(-D warnings)
if [ "$(number "$(found_rust)")" -gt "$(number "$checked_rust")" ]; then
    echo "Rust $(found_rust) is newer than $checked_rust, which the code is checked with: warnings do not fail"
    deny=()
fi

# Starts the servers, and lets tests know where they are. One that cannot be had here is skipped, with the reason.
start_services() {
    local name told code
    export NEARLINE_SERVICES
    NEARLINE_SERVICES="$(mktemp -d)"
    trap 'bash scripts/services.sh down' EXIT
    for name in kafka s3 memcached redis mysql cassandra hdfs; do
        code=0
        told="$(bash scripts/services.sh up "$name")" || code=$?
        case "$code" in
            0) while IFS= read -r line; do export "${line?}"; done <<<"$told" ;;
            4) echo "==== services: tests that want $name are skipped, as it cannot be had here (see above)" >&2 ;;
            *) return "$code" ;;
        esac
    done
}

# A Python with DuckDB, kept in the cache folder, by which a test reads the archive. Where it cannot be had it is skipped.
with_duckdb() {
    local version=2.0.1 place="${XDG_CACHE_HOME:-$HOME/.cache}/nearline/services"
    if [ ! -d "$place/duckdb-$version" ]; then
        rm -rf "$place/duckdb-$version.part"
        mkdir -p "$place"
        python3 -m venv "$place/duckdb-$version.part" &&
            "$place/duckdb-$version.part/bin/pip" install -q --disable-pip-version-check "duckdb==$version" >&2 </dev/null &&
            mv "$place/duckdb-$version.part" "$place/duckdb-$version" || {
            echo "==== services: the test that wants DuckDB is skipped, as it cannot be had here (see above)" >&2
            return 0
        }
    fi
    export NEARLINE_DUCKDB="$place/duckdb-$version/bin/python"
}

# One set of features in all steps, so that nothing is built twice: with real servers all of them, and else what a newcomer builds.
features=failpoints
built=()
if [ "$services" = yes ]; then
    features=failpoints,query,cassandra,mysql,hdfs
    built=(--features query,cassandra,mysql,hdfs)
fi
step format cargo fmt --all --check
step lints cargo clippy --release --workspace --all-targets --features "$features" --locked -- ${deny[@]+"${deny[@]}"}
if [ "$services" = yes ]; then
    step "lints without features" cargo clippy --release --locked -- ${deny[@]+"${deny[@]}"}
fi
step docs env RUSTDOCFLAGS="${deny[*]-}" cargo doc --release --workspace --no-deps --locked ${built[@]+"${built[@]}"}
if [ "$services" = yes ]; then
    step services start_services
    step duckdb with_duckdb
fi
# Before the tests, which build the program without them again.
step failpoints cargo test --release --workspace --locked --features "$features" --test failpoints
step tests cargo test --release --workspace --locked ${built[@]+"${built[@]}"}
if command -v cargo-deny >/dev/null 2>&1; then
    step dependencies cargo deny --locked check --hide-inclusion-graph bans licenses sources
    # New advisories come without a change of ours, and fetching them needs the network: told, and no failure.
    cargo deny --locked check advisories || echo "==== advisories: see above"
else
    echo "==== dependencies: skipped, as cargo-deny is not installed"
fi
echo "==== all passed in $SECONDS s"
