#!/usr/bin/env bash
# Holds the server against its own description: schemathesis (from PyPI, in an environment that is thrown away) makes
# requests from /openapi.json, valid and not, and looks at each answer. Arguments: how many requests a route, at most.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
most="${1:-50}"
have python3 || { say "python3 is missing: install it and start again"; exit 2; }
cargo build --release --locked --quiet
nearline="$CARGO_TARGET_DIR/release/nearline"
place="$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$place"' EXIT
python3 -m venv "$place/python"
"$place/python/bin/pip" install --quiet "schemathesis==4.32.5"
cd "$place"
"$nearline" demo --write logs >/dev/null
"$nearline" replay logs/catalogue.jsonl logs/events.jsonl 2>/dev/null
"$nearline" train --out model --rank 16 --iterations 4 >/dev/null 2>&1
port="${NEARLINE_PORT:-7981}"
"$nearline" run --model model --listen "127.0.0.1:$port" 2>server.log &
until curl -sf "127.0.0.1:$port/health/ready" >/dev/null; do
    kill -0 $! || { cat server.log >&2; exit 1; }
    sleep 0.2
done
# Changes never end. A member who was forgotten is still answered: with what is trending, as any unknown one. Not every request
# that fits the description can be done: a model's folder must be there.
"$place/python/bin/schemathesis" run "http://127.0.0.1:$port/openapi.json" --exclude-path /v1/changes \
    --max-examples "$most" --generation-database none --request-timeout 30 --no-color \
    --exclude-checks use_after_free,positive_data_acceptance
if grep -q "panicked" server.log; then
    cat server.log >&2
    exit 1
fi
